"""Tree ensembles: all trees walk down together, one level at a time, by table lookups."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...dtypes import DType
from ...ir import Value
from .expr import Expr, constant
from .ml import ML, like, no_strings, transformed
from .registry import Array, NodeContext, lower

BELOW, EQUAL, ABOVE, MISSING = range(4)
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "LEAF")
ACCEPTED = ((1, 1, 0), (1, 0, 0), (0, 1, 1), (0, 0, 1), (0, 1, 0), (1, 0, 1), (0, 0, 0))
MEMBER = 6  # of opset 5, where leaves are not nodes
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
MAX_DEPTH = 256


@dataclass
class Forest:
    """Nodes of all trees. following[node][outcome of comparing] is the next node; a leaf follows itself."""

    feature: list[int] = field(default_factory=list)
    split: list[float] = field(default_factory=list)
    following: list[list[int]] = field(default_factory=list)
    votes: list[dict[int, float]] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)

    def add(self, feature: int = 0, split: float = 0.0) -> int:
        """A new node, which follows itself."""
        self.feature.append(feature)
        self.split.append(split)
        self.following.append([len(self.votes)] * 4)
        self.votes.append({})
        return len(self.votes) - 1

    def connect(self, node: int, mode: int, yes: int, no: int, missing: int) -> None:
        """Where to go when the feature is below, at and above the split, and when it is NaN."""
        self.following[node] = [yes if ok else no for ok in ACCEPTED[mode]]
        self.following[node].append(yes if missing else no)

    def depth(self) -> int:
        """Steps from the roots to the deepest leaf."""
        level, steps = set(self.roots), 0
        while any(self.following[i][0] != i for i in level):
            level = {j for i in level for j in self.following[i]}
            steps += 1
            if steps > MAX_DEPTH:
                raise ValueError(f"trees deeper than {MAX_DEPTH}")
        return steps

    def scores(self, x: Expr, targets: int, how: str) -> Expr:
        """[rows, targets] of the rows of features x."""
        b, roots = x.b, np.array([self.roots], np.int64)
        split, feature = like(x, self.split), constant(b, self.feature, DType.I64)
        table = constant(b, np.array(self.following).ravel(), DType.I64)
        rows = b.concat([b.shape_of(x.v, 0, 1), b.const(np.array([len(self.roots)]))], 0)
        at = constant(b, roots, DType.I64).op("expand", rows)
        for _ in range(self.depth()):
            value = x.op("gather_elements", feature.gather(at, 0), axis=1)
            edge = split.gather(at, 0)
            rest = value.op("is_nan").where(at * 0 + MISSING, ABOVE)
            outcome = (value < edge).where(BELOW, value.eq(edge).where(EQUAL, rest))
            at = table.gather(at * 4 + outcome, 0)
        empty = {"MIN": np.inf, "MAX": -np.inf}.get(how, 0.0)
        votes = np.full((len(self.votes), targets), empty)
        for i, given in enumerate(self.votes):
            for target, weight in given.items():
                votes[i, target] = weight
        kind = {"SUM": "sum", "AVERAGE": "mean", "MIN": "min", "MAX": "max"}[how]
        y = like(x, votes).gather(at, 0).reduce(kind, [1], keepdims=False)
        return y if empty == 0 else y.op("is_inf").where(0.0, y)


def floats(n: NodeContext, name: str) -> Array:
    """An attribute of reals that may also come as a tensor."""
    tensor = n.tensor(f"{name}_as_tensor")
    return np.array(n.floats(name), np.float32) if tensor is None else tensor.ravel()


def forest_of(n: NodeContext, votes: str) -> Forest:
    """From the attributes of the older operators, where leaves are nodes and votes name tree and node."""
    forest = Forest()
    trees, ids = n.ints("nodes_treeids"), n.ints("nodes_nodeids")
    places: dict[tuple[int, int], int] = {}
    splits, features = floats(n, "nodes_values"), n.ints("nodes_featureids")
    for i, key in enumerate(zip(trees, ids, strict=True)):
        places[key] = forest.add(features[i], float(splits[i]))
    yes, no = n.ints("nodes_truenodeids"), n.ints("nodes_falsenodeids")
    missing = n.ints("nodes_missing_value_tracks_true") or [0] * len(ids)
    reached: set[int] = set()
    for i, mode in enumerate(n.strs("nodes_modes")):
        if mode != "LEAF":
            pair = places[trees[i], yes[i]], places[trees[i], no[i]]
            reached.update(pair)
            forest.connect(places[trees[i], ids[i]], MODES.index(mode), *pair, missing[i])
    forest.roots = [i for i in range(len(ids)) if i not in reached]
    where = zip(n.ints(f"{votes}_treeids"), n.ints(f"{votes}_nodeids"), strict=True)
    given = zip(where, n.ints(f"{votes}_ids"), floats(n, f"{votes}_weights"), strict=True)
    for key, target, weight in given:
        node = forest.votes[places[key]]
        node[target] = node.get(target, 0.0) + float(weight)
    return forest


def features_of(n: NodeContext, precise: bool) -> Expr:
    """The input in the type to compute in."""
    wide = n.dtype(0) == DType.F64 or precise
    return Expr(n.b, n.value(0)).cast(DType.F64 if wide else DType.F32)


@lower("TreeEnsembleRegressor", domain=ML)
def tree_ensemble_regressor(n: NodeContext) -> Value:
    x = features_of(n, n.has("nodes_values_as_tensor"))
    y = forest_of(n, "target").scores(x, n.int("n_targets", 1), n.str("aggregate_function", "SUM"))
    base = floats(n, "base_values")
    y = y + like(x, base) if base.size else y
    return transformed(n, y, n.str("post_transform", "NONE")).cast(DType.F32).v


@lower("TreeEnsembleClassifier", domain=ML)
def tree_ensemble_classifier(n: NodeContext) -> list[Value]:
    """Label and scores. Of two labels, one score decides if all votes are for the same one.

    onnxruntime's reading: votes for number 0 then count for the second label, and give the first one's score too.
    """
    no_strings(n, "classlabels_strings")
    b, labels = n.b, n.ints("classlabels_int64s")
    x, forest = features_of(n, n.has("nodes_values_as_tensor")), forest_of(n, "class")
    how, base = n.str("post_transform", "NONE"), floats(n, "base_values")
    names = constant(b, np.array(labels, np.int64), DType.I64)
    voted = {target for votes in forest.votes for target in votes}
    if len(labels) != 2 or len(voted) != 1:
        scores = forest.scores(x, len(labels), "SUM")
        scores = scores + like(x, base) if base.size else scores
        best = scores.op("argreduce", axis=1, keepdims=0, max=1, last=0)
        return [names.gather(best, 0).v, transformed(n, scores, how).cast(DType.F32).v]
    forest.votes = [dict(zip((0,), votes.values(), strict=False)) for votes in forest.votes]
    score = forest.scores(x, 1, "SUM")
    score = score + float(base[-1]) if base.size else score
    positive = all(w >= 0 for votes in forest.votes for w in votes.values())
    chosen = (score > (0.5 if positive else 0.0)).cast(DType.I64).reshape([-1])
    first = 1.0 - score if positive and how == "NONE" else -score
    first = first if voted == {0} else score * 0.0
    both = Expr(b, b.concat([first.v, score.v], 1))
    return [names.gather(chosen, 0).v, transformed(n, both, how).cast(DType.F32).v]


@lower("TreeEnsemble", domain=ML)
def tree_ensemble(n: NodeContext) -> Value:
    """Opset 5: leaves have numbers of their own; a set membership is a chain of equalities."""
    forest = Forest()
    splits, weights = n.tensor("nodes_splits"), n.tensor("leaf_weights")
    modes, members = n.tensor("nodes_modes"), n.tensor("membership_values")
    if splits is None or weights is None or modes is None:
        raise n.fail("nodes_splits, nodes_modes or leaf_weights is missing")
    features, targets = n.ints("nodes_featureids"), n.ints("leaf_targetids")
    nodes = [forest.add(f, float(s)) for f, s in zip(features, splits.ravel(), strict=True)]
    leaves = [forest.add() for _ in targets]
    for leaf, target, weight in zip(leaves, targets, weights.ravel(), strict=True):
        forest.votes[leaf] = {target: float(weight)}
    sets: list[list[float]] = [[]]
    for v in [] if members is None else members.ravel():
        if np.isnan(v):
            sets.append([])
        else:
            sets[-1].append(float(v))
    missing = n.ints("nodes_missing_value_tracks_true") or [0] * len(nodes)
    sides = [
        [
            leaves[i] if leaf else nodes[i]
            for i, leaf in zip(n.ints(ids), n.ints(flags), strict=True)
        ]
        for ids, flags in (
            ("nodes_truenodeids", "nodes_trueleafs"),
            ("nodes_falsenodeids", "nodes_falseleafs"),
        )
    ]
    for i, mode in enumerate(modes.ravel().tolist()):
        yes, no, node = sides[0][i], sides[1][i], nodes[i]
        if mode != MEMBER:
            forest.connect(node, mode, yes, no, missing[i])
            continue
        values = sets.pop(0) or [float("nan")]
        chain = [node, *(forest.add(features[i]) for _ in values[1:])]
        for at, value, after in zip(chain, values, [*chain[1:], no], strict=True):
            forest.split[at] = value
            forest.connect(at, MODES.index("BRANCH_EQ"), yes, after, 0)
            forest.following[at][MISSING] = yes if missing[i] else no
    forest.roots = [nodes[i] for i in n.ints("tree_roots")]
    how = ("AVERAGE", "SUM", "MIN", "MAX")[n.int("aggregate_function", 1)]
    x = features_of(n, splits.dtype == np.float64)
    y = forest.scores(x, n.int("n_targets", max(targets) + 1), how)
    return transformed(n, y, TRANSFORMS[n.int("post_transform", 0)]).cast(n.dtype(0)).v
