"""How a transpose goes from a node's inputs to its outputs, operator by operator.

A rule gets a node whose inputs are final and returns the transposes to put behind it, or None to leave it as it is; what it
emits into the sweep stands before the node.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dtypes import DType
from ..ir import Node, Value
from ..ops import is_elementwise
from .axes import (
    ONE,
    Block,
    Perm,
    Size,
    blocks,
    count,
    dims_words,
    inverse,
    keeps_order,
    permuted,
    shape_sizes,
    sizes_of_reshape,
)


class Sweep:
    """The walk through one region: nodes that are done, and what stands for values that are gone."""

    def __init__(self, mapping: dict[Value, Value], pinned: frozenset[Value]) -> None:
        self.nodes: list[Node] = []
        self.mapping = mapping
        self.pinned = pinned
        """Values that are read from outside all regions: new values of states."""
        self.pending: deque[Node] = deque()
        """What comes after the node in hand."""

    def emit(self, node: Node) -> None:
        self.nodes.append(node)

    def final(self, v: Value | None) -> Value | None:
        while v is not None and v in self.mapping:
            v = self.mapping[v]
        return v

    def is_transposed_later(self, v: Value, perm: Perm) -> bool:
        """Does anything take v, or what is made of it element by element, in the order perm?"""
        reached = {v}
        for node in self.pending:
            if not reached.intersection(x for x in node.inputs if x is not None):
                continue
            if node.op == "transpose" and tuple(node.attrs["perm"]) == perm:
                return True
            if is_elementwise(node.op) or node.op in ("concat", "slice", "pad"):
                reached.update(node.outputs)
        return False


Rule = Callable[[Node, Sweep], "list[Node] | None"]


def perm_of(v: Value | None) -> Perm | None:
    """The permutation if v is made by a transpose."""
    if v is None or v.producer is None or v.producer.op != "transpose" or v.rank is None:
        return None
    return tuple(v.producer.attrs["perm"]) or tuple(reversed(range(v.rank)))


def source_of(v: Value) -> Value:
    assert v.producer is not None and v.producer.inputs[0] is not None
    return v.producer.inputs[0]


def constant(array: Any, like: Value | None = None) -> Value:
    array = np.ascontiguousarray(array)
    dtype = DType.I64 if like is None else like.dtype
    return Value(dtype=dtype, shape=array.shape, const=array)


def transpose_after(node: Node, k: int, inner: Value, perm: Sequence[int]) -> Node:
    """A transpose that makes the node's old output number k out of its new one."""
    old = node.outputs[k]
    inner.name, inner.perm = old.name, inverse(perm)
    inner.dtype, inner.kind, inner.producer = old.dtype, old.kind, node
    inner.shape = permuted(old.shape, inverse(perm))
    after = Node("transpose", [inner], [old], {"perm": list(perm)}, name=node.name)
    old.producer = after
    node.outputs[k] = inner
    return after


def _transposed(node: Node, perm: Perm) -> list[Node]:
    return [transpose_after(node, k, Value(), perm) for k in range(len(node.outputs))]


# ---- inputs that are not transposed --------------------------------------------------------------------


def _constant_inside(v: Value, perm: Perm) -> Value | None:
    """The constant that broadcasts against the untransposed value as v does against the transposed one."""
    if v.const is None or v.state is not None or v.const.ndim > len(perm):
        return None
    if v.const.size == 1 and v.const.ndim == 0:
        return v
    full = v.const.reshape((1,) * (len(perm) - v.const.ndim) + v.const.shape)
    moved = np.ascontiguousarray(full.transpose(inverse(perm)))
    return Value(name=v.name, dtype=v.dtype, shape=moved.shape, const=moved)


def _unit_inside(v: Value, perm: Perm, sweep: Sweep) -> Value | None:
    """A value that keeps its order in memory when it is transposed (all axes but one have size 1): a reshape of it."""
    rank = len(perm)
    if v.kind != "tensor" or v.shape is None or len(v.shape) > rank:
        return None
    more = rank - len(v.shape)
    full = (*[1] * more, *v.shape)
    back = inverse(perm)
    if not keeps_order(full, back):
        return None
    dims = [1 if b < more else -2 - ((b - more) << 4 | b - more + 1) for b in back]
    return _reshaped(v, dims, Value(dtype=v.dtype, shape=permuted(full, back)), sweep)


def _reshaped(x: Value, dims: list[int], like: Value | None, sweep: Sweep) -> Value:
    """x with other axes, of like's type and shape."""
    out = Value(dtype=x.dtype, shape=None if like is None else like.shape)
    out.producer = Node("reshape", [x], [out], {"dims": dims, "allowzero": 0})
    sweep.emit(out.producer)
    return out


def _turned(v: Value, perm: Perm, sweep: Sweep) -> Value | None:
    """v with the inverse transpose before it."""
    if v.kind != "tensor" or v.rank != len(perm):
        return None
    back, x = inverse(perm), v
    inner = perm_of(v)
    if inner is not None:
        x, back = source_of(v), tuple(inner[p] for p in back)
    out = Value(dtype=v.dtype, shape=permuted(x.shape, back))
    node = Node("transpose", [x], [out], {"perm": list(back)})
    out.producer = node
    sweep.emit(node)
    return out


def _inside(v: Value, perm: Perm, sweep: Sweep) -> Value | None:
    """What stands for v when the others come untransposed, if it costs nothing."""
    if perm_of(v) == perm:
        return source_of(v)
    if v.rank == 0:
        return v
    return _constant_inside(v, perm) or _unit_inside(v, perm, sweep)


def _chosen(inputs: Sequence[Value | None]) -> Perm | None:
    """The permutation by which most elements come."""
    weight: dict[Perm, int] = {}
    for v in inputs:
        perm = perm_of(v)
        if v is not None and perm is not None and not keeps_order(source_of(v).shape, perm):
            weight[perm] = weight.get(perm, 0) + (count(v.shape) or 1)
    if not weight:
        return next((p for v in inputs if (p := perm_of(v)) is not None), None)
    return max(weight, key=lambda p: weight[p])


def _inputs_inside(node: Node, perm: Perm, sweep: Sweep) -> list[Value | None] | None:
    """The node's inputs as they are without the transpose. Those that must be turned round for it may be half as large as
    those that come through it: then at least as much is saved as it costs."""
    found: list[Value | None] = []
    saved = cost = 0
    for v in node.inputs:
        moved = None if v is None else _inside(v, perm, sweep)
        if v is not None and moved is None:
            n = count(v.shape)
            if n is None:
                return None
            cost += n
            moved = _turned(v, perm, sweep)
            if moved is None:
                return None
        elif v is not None and perm_of(v) == perm:
            saved += count(v.shape) or 0
        found.append(moved)
    return found if 2 * cost <= saved else None


def sink_elementwise(node: Node, sweep: Sweep) -> list[Node] | None:
    perm = _chosen(node.inputs)
    if perm is None or any(v.rank != len(perm) for v in node.outputs):
        return None
    inputs = _inputs_inside(node, perm, sweep)
    if inputs is None:
        return None
    node.inputs = inputs
    return _transposed(node, perm)


# ---- operators --------------------------------------------------------------------------------------------


def _sink_concat(node: Node, sweep: Sweep) -> list[Node] | None:
    perm = _chosen(node.inputs)
    if perm is None:
        return None
    inputs = _inputs_inside(node, perm, sweep)
    if inputs is None:
        return None
    node.inputs = inputs
    node.attrs["axis"] = perm[node.attrs["axis"] % len(perm)]
    return _transposed(node, perm)


def _without(node: Node, perm: Perm, moved: Sequence[int]) -> list[Node]:
    """Transposes behind a node that drops axes `moved` of its untransposed input."""
    kept = [p for p in perm if p not in moved]
    rest = tuple(sorted(kept).index(p) for p in kept)
    return [] if rest == tuple(range(len(rest))) else _transposed(node, rest)


def _sink_reduce(node: Node, sweep: Sweep) -> list[Node] | None:
    x = node.inputs[0]
    perm = perm_of(x)
    axes = list(node.attrs.get("axes", []))
    if perm is None or x is None or any(v is not None for v in node.inputs[1:]):
        return None
    if not axes and node.attrs.get("noop"):
        return None
    axes = axes or list(range(len(perm)))
    moved = sorted(perm[a % len(perm)] for a in axes)
    node.inputs[0] = source_of(x)
    node.attrs["axes"] = moved
    return _transposed(node, perm) if node.attrs.get("keepdims") else _without(node, perm, moved)


def _sink_argreduce(node: Node, sweep: Sweep) -> list[Node] | None:
    x = node.inputs[0]
    perm = perm_of(x)
    if perm is None or x is None:
        return None
    axis = perm[node.attrs["axis"] % len(perm)]
    node.inputs[0], node.attrs["axis"] = source_of(x), axis
    return _transposed(node, perm) if node.attrs.get("keepdims") else _without(node, perm, [axis])


def _sink_along(node: Node, sweep: Sweep) -> list[Node] | None:
    """Operators with an attribute `axis` that keep the number of axes."""
    x = node.inputs[0]
    perm = perm_of(x)
    if perm is None or x is None or (node.op == "cumulative" and any(node.inputs[1:])):
        return None
    node.inputs[0] = source_of(x)
    node.attrs["axis"] = perm[node.attrs["axis"] % len(perm)]
    return _transposed(node, perm)


def _sink_gather(node: Node, sweep: Sweep) -> list[Node] | None:
    x, indices = node.inputs[0], node.inputs[1]
    perm = perm_of(x)
    if perm is None or x is None or indices is None or indices.rank not in (0, 1):
        return None
    axis = perm[node.attrs.get("axis", 0) % len(perm)]
    node.inputs[0], node.attrs["axis"] = source_of(x), axis
    return _transposed(node, perm) if indices.rank else _without(node, perm, [axis])


def _axes_moved(node: Node, k: int, n: int | None, perm: Perm) -> bool:
    """Renames the axes in input k (the first n ones, if it is not given)."""
    axes = node.inputs[k] if len(node.inputs) > k else None
    if axes is None and n is None:
        return False
    if axes is not None and (axes.const is None or axes.state is not None):
        return False
    given = range(n or 0) if axes is None else [int(a) for a in axes.const.reshape(-1)]  # type: ignore[union-attr]
    node.inputs += [None] * (k + 1 - len(node.inputs))
    moved = np.array([perm[a % len(perm)] for a in given], np.int64)
    node.inputs[k] = constant(moved)
    return True


def _sink_slice(node: Node, sweep: Sweep) -> list[Node] | None:
    x, starts = node.inputs[0], node.inputs[1]
    perm = perm_of(x)
    n = starts.shape[0] if starts is not None and starts.shape else None
    if (
        perm is None
        or x is None
        or not _axes_moved(node, 3, n if isinstance(n, int) else None, perm)
    ):
        return None
    node.inputs[0] = source_of(x)
    return _transposed(node, perm)


def _sink_pad(node: Node, sweep: Sweep) -> list[Node] | None:
    x, pads = node.inputs[0], node.inputs[1]
    perm = perm_of(x)
    if perm is None or x is None or pads is None:
        return None
    if not _axes_moved(node, 3, len(perm), perm):
        return None
    node.inputs[0] = source_of(x)
    return _transposed(node, perm)


def _sink_expand(node: Node, sweep: Sweep) -> list[Node] | None:
    x, shape = node.inputs[0], node.inputs[1]
    perm = perm_of(x)
    if perm is None or x is None or shape is None or shape.const is None or shape.state is not None:
        return None
    if shape.const.size > len(perm):
        return None
    full = np.ones(len(perm), np.int64)
    full[len(perm) - shape.const.size :] = shape.const.reshape(-1)
    node.inputs = [source_of(x), constant(full[list(inverse(perm))])]
    return _transposed(node, perm)


def _rows_in_order(node: Node, sweep: Sweep) -> list[Node] | None:
    """Flattened channels and positions times a constant matrix: its rows change places instead."""
    flat, w = node.inputs[:2]
    r = flat.producer if flat is not None else None
    x = r.inputs[0] if r is not None and r.op == "reshape" else None
    perm = perm_of(x)
    sizes = sizes_of_reshape(r) if r is not None and perm is not None else None
    if x is None or perm is None or sizes is None or w is None or w.const is None or w.state:
        return None
    cut = blocks(*sizes)
    if cut is None or w.const.ndim != 2 or node.attrs.get("trans_a") or node.attrs.get("trans_b"):
        return None
    joined = [a for a in cut[-1][0] if sizes[0][a] != ONE]
    if len(cut[-1][1]) != 1 or any(sizes[0][a].symbols for a in joined):
        return None
    others = [perm[a] for a in range(len(perm)) if a not in joined and sizes[0][a] != ONE]
    if others != sorted(others) or any(p > perm[a] for a in joined for p in others):
        return None
    words = dims_words(sizes[1], [sizes[0][a] for a in inverse(perm)])
    if words is None or len(joined) < 2:
        return None
    order = sorted(range(len(joined)), key=lambda k: perm[joined[k]])
    n = w.const.shape[-1]
    rows = w.const.reshape([sizes[0][a].number for a in joined] + [n])
    moved = rows.transpose([*order, len(joined)]).reshape(-1, n)
    flat = _reshaped(source_of(x), words, node.inputs[0], sweep)
    node.inputs[:2] = [flat, constant(moved, w)]
    return []


def _sink_matmul(node: Node, sweep: Sweep) -> list[Node] | None:
    """By a matrix, rows may stand in any order; only the last axis must be the last."""
    x, w = node.inputs[:2]
    perm = perm_of(x)
    if perm is None:
        return _rows_in_order(node, sweep)
    if x is None or w is None or w.rank != 2 or perm[-1] != len(perm) - 1:
        return None
    if node.attrs.get("trans_a") or node.outputs[0].rank != len(perm):
        return None
    node.inputs[0] = source_of(x)
    return _transposed(node, perm)


def _sink_conv(node: Node, sweep: Sweep) -> list[Node] | None:
    """A 1x1 convolution at every position does not care for the order of positions."""
    x = node.inputs[0]
    perm = perm_of(x)
    if perm is None or x is None or perm[0] != 0 or perm[-1] != len(perm) - 1:
        return None
    w, attrs = node.inputs[1], node.attrs
    if w is None or w.shape is None or any(d != 1 for d in w.shape[:-2]):
        return None
    if any(attrs.get("pads") or ()) or any(s != 1 for s in attrs.get("strides") or ()):
        return None
    node.inputs[0] = source_of(x)
    return _transposed(node, perm)


def _block_order(cut: Sequence[Block], perm: Perm, before: Sequence[Size]) -> list[int] | None:
    """The result's axes in the order that they have in the untransposed value; None if a group of axes that is cut or
    joined does not lie there side by side."""
    solid = sorted(p for a, p in enumerate(perm) if before[a] != ONE)
    place = {p: k for k, p in enumerate(solid)}
    keyed: list[tuple[float, list[int]]] = []
    last = -1.0
    for ours, theirs in cut:
        at = [place[perm[a]] for a in ours if before[a] != ONE]
        if at and at != list(range(at[0], at[0] + len(at))):
            return None
        last = float(at[0]) if at else last + 1e-3
        keyed.append((last, theirs))
    return [j for _, theirs in sorted(keyed, key=lambda item: item[0]) for j in theirs]


def _gathered(node: Node, cut: Sequence[Block], perm: Perm, sweep: Sweep) -> list[int] | None:
    """Joins axes that lie apart (space to depth, a shuffle of channels) where the result is wanted channels-last: the one
    copy that this takes puts the channels last at once. The source is replaced by that copy."""
    x, y = node.inputs[0], node.outputs[0]
    rank = y.rank or 0
    order = [0, *range(2, rank), 1]
    if x is None or rank < 3 or any(len(theirs) > 1 for _, theirs in cut):
        return None
    if not sweep.is_transposed_later(y, tuple(order)):
        return None
    of = {theirs[0]: ours for ours, theirs in cut if theirs}
    axes = [a for j in order for a in of[j]]
    axes += [a for ours, theirs in cut if not theirs for a in ours]
    source = source_of(x)
    copy = Value(dtype=x.dtype, shape=permuted(x.shape, axes))
    copy.producer = Node(
        "transpose", [source], [copy], {"perm": [perm[a] for a in axes]}, node.name
    )
    sweep.emit(copy.producer)
    node.inputs[0] = copy
    return order


def _sink_reshape(node: Node, sweep: Sweep) -> list[Node] | None:
    """Past a reshape whose every cut or joined group of axes lies side by side in the untransposed value."""
    x = node.inputs[0]
    perm = perm_of(x)
    sizes = sizes_of_reshape(node) if perm is not None else None
    cut = blocks(*sizes) if sizes is not None else None
    if x is None or perm is None or sizes is None or cut is None:
        return None
    order = _block_order(cut, perm, sizes[0])
    inside, words = source_of(x), None
    if order is not None:
        words = dims_words([sizes[1][j] for j in order], [sizes[0][a] for a in inverse(perm)])
    else:
        order = _gathered(node, cut, perm, sweep)
        if order is None or node.inputs[0] is None:
            return None
        inside = node.inputs[0]
        words = dims_words([sizes[1][j] for j in order], shape_sizes(inside) or [])
    if words is None:
        node.inputs[0] = x
        return None
    node.inputs, node.attrs = [inside], {"dims": words, "allowzero": 1}
    perm = inverse(order)
    return [] if perm == tuple(range(len(perm))) else _transposed(node, perm)


def _sink_norm(node: Node, sweep: Sweep) -> list[Node] | None:
    """Channels must stay last, and the axes that norm averages over together before them."""
    x = node.inputs[0]
    perm = perm_of(x)
    if perm is None or x is None or perm[-1] != len(perm) - 1:
        return None
    over = sorted(perm[node.attrs["axis"] % len(perm) :])
    if over != list(range(over[0], len(perm))):
        return None
    node.inputs[0] = source_of(x)
    node.attrs["axis"] = over[0]
    return _transposed(node, perm)


def _sink_softmax(node: Node, sweep: Sweep) -> list[Node] | None:
    x = node.inputs[0]
    perm = perm_of(x)
    if perm is None or x is None or perm[-1] != len(perm) - 1:
        return None
    node.inputs[0] = source_of(x)
    return _transposed(node, perm)


SINK: dict[str, Rule] = {
    "argreduce": _sink_argreduce,
    "concat": _sink_concat,
    "conv": _sink_conv,
    "cumulative": _sink_along,
    "expand": _sink_expand,
    "gather": _sink_gather,
    "matmul": _sink_matmul,
    "norm": _sink_norm,
    "pad": _sink_pad,
    "reduce": _sink_reduce,
    "reshape": _sink_reshape,
    "slice": _sink_slice,
    "softmax": _sink_softmax,
    "topk": _sink_along,
}
