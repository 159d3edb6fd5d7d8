"""How a transpose goes from a node's inputs to its outputs, operator by operator.

A rule gets a node whose inputs are final and returns the transposes to put behind it, or None to leave it as it is; what it
emits into the sweep stands before the node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dtypes import DType
from ..ir import Node, Value
from .axes import (
    ONE,
    Perm,
    blocks,
    count,
    dims_words,
    inverse,
    keeps_order,
    permuted,
    sizes_of_reshape,
)


class Sweep:
    """The walk through one region: nodes that are done, and what stands for values that are gone."""

    def __init__(self, mapping: dict[Value, Value], pinned: frozenset[Value]) -> None:
        self.nodes: list[Node] = []
        self.mapping = mapping
        self.pinned = pinned
        """Values that are read from outside all regions: new values of states."""

    def emit(self, node: Node) -> None:
        self.nodes.append(node)

    def final(self, v: Value | None) -> Value | None:
        while v is not None and v in self.mapping:
            v = self.mapping[v]
        return v


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
    out = Value(dtype=v.dtype, shape=permuted(full, back))
    node = Node("reshape", [v], [out], {"dims": dims, "allowzero": 0})
    out.producer = node
    sweep.emit(node)
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
    if perm is None or x is None or not axes or any(v is not None for v in node.inputs[1:]):
        return None
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
    if perm is None or x is None or not _axes_moved(node, 3, n if isinstance(n, int) else None, perm):
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


def _sink_matmul(node: Node, sweep: Sweep) -> list[Node] | None:
    """By a matrix, rows may stand in any order; only the last axis must be the last."""
    x, w = node.inputs[:2]
    perm = perm_of(x)
    if perm is None or x is None or w is None or w.rank != 2 or perm[-1] != len(perm) - 1:
        return None
    if node.attrs.get("trans_a") or node.outputs[0].rank != len(perm):
        return None
    node.inputs[0] = source_of(x)
    return _transposed(node, perm)


def sink_reshape(node: Node, sweep: Sweep) -> list[Node] | None:
    """Past a reshape whose every cut or joined group of axes lies side by side in the untransposed value."""
    x = node.inputs[0]
    perm = perm_of(x)
    sizes = sizes_of_reshape(node) if perm is not None else None
    if x is None or perm is None or sizes is None:
        return None
    before, after = sizes
    cut = blocks(before, after)
    if cut is None:
        return None
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
    order = [j for _, theirs in sorted(keyed, key=lambda item: item[0]) for j in theirs]
    source = source_of(x)
    inside = [before[inverse(perm)[k]] for k in range(len(perm))]
    words = dims_words([after[j] for j in order], inside)
    if words is None:
        return None
    node.inputs, node.attrs = [source], {"dims": words, "allowzero": 1}
    perm = inverse(order)
    if perm == tuple(range(len(perm))):
        return []
    return _transposed(node, perm)


SINK: dict[str, Rule] = {
    "argreduce": _sink_argreduce,
    "concat": _sink_concat,
    "cumulative": _sink_along,
    "expand": _sink_expand,
    "gather": _sink_gather,
    "matmul": _sink_matmul,
    "pad": _sink_pad,
    "reduce": _sink_reduce,
    "reshape": sink_reshape,
    "slice": _sink_slice,
    "topk": _sink_along,
}
