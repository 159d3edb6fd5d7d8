"""Channels-last: the transposes around convolutions sink through the graph and cancel."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir import Graph, Node, Region, Value
from ..ops import is_elementwise

Perm = tuple[int, ...]


def _inverse(perm: Perm) -> Perm:
    out = [0] * len(perm)
    for i, p in enumerate(perm):
        out[p] = i
    return tuple(out)


def _perm_of(v: Value | None) -> Perm | None:
    """The permutation if v is made by a transpose."""
    if v is None or v.producer is None or v.producer.op != "transpose" or v.rank is None:
        return None
    return tuple(v.producer.attrs["perm"]) or tuple(reversed(range(v.rank)))


def _source(v: Value) -> Value:
    assert v.producer is not None and v.producer.inputs[0] is not None
    return v.producer.inputs[0]


def _permuted(shape: Any, perm: Perm) -> Any:
    return None if shape is None else tuple(shape[p] for p in perm)


def _constant_inside(v: Value, perm: Perm) -> Value | None:
    """The constant that broadcasts against the untransposed value as v does against the transposed one."""
    if v.const is None or v.state is not None or v.const.ndim > len(perm):
        return None
    if v.const.size == 1 and v.const.ndim == 0:
        return v
    full = v.const.reshape((1,) * (len(perm) - v.const.ndim) + v.const.shape)
    moved = np.ascontiguousarray(full.transpose(_inverse(perm)))
    return Value(name=v.name, dtype=v.dtype, shape=moved.shape, const=moved)


def _transpose_after(node: Node, k: int, inner: Value, perm: Perm) -> Node:
    """A transpose that makes the node's old output number k out of its new one."""
    old = node.outputs[k]
    inner.name, inner.perm = old.name, _inverse(perm)
    inner.dtype, inner.kind, inner.producer = old.dtype, old.kind, node
    inner.shape = _permuted(old.shape, _inverse(perm))
    after = Node("transpose", [inner], [old], {"perm": list(perm)}, name=node.name)
    old.producer = after
    node.outputs[k] = inner
    return after


def _sink_elementwise(node: Node) -> list[Node] | None:
    perms = {p for v in node.inputs if (p := _perm_of(v)) is not None}
    if len(perms) != 1:
        return None
    perm = perms.pop()
    inputs: list[Value | None] = []
    for v in node.inputs:
        moved: Value | None = None
        if v is not None:
            moved = _source(v) if _perm_of(v) else _constant_inside(v, perm)
            if moved is None and v.rank == 0:
                moved = v
            if moved is None:
                return None
        inputs.append(moved)
    if any(v.rank != len(perm) for v in node.outputs):
        return None
    node.inputs = inputs
    return [_transpose_after(node, k, Value(), perm) for k in range(len(node.outputs))]


def _sink_concat(node: Node) -> list[Node] | None:
    perms = {_perm_of(v) for v in node.inputs if v is not None and v.const is None}
    perm = perms.pop() if len(perms) == 1 else None
    if perm is None:
        return None
    inputs = [
        _constant_inside(v, perm) if v.const is not None else _source(v)
        for v in node.inputs
        if v is not None
    ]
    if any(v is None for v in inputs):
        return None
    node.inputs = list(inputs)
    node.attrs["axis"] = perm[node.attrs["axis"] % len(perm)]
    return [_transpose_after(node, 0, Value(), perm)]


def _sink_reduce(node: Node) -> list[Node] | None:
    x = node.inputs[0]
    perm = _perm_of(x)
    axes = list(node.attrs.get("axes", []))
    if perm is None or x is None or not axes or any(v is not None for v in node.inputs[1:]):
        return None
    moved = [perm[a % len(perm)] for a in axes]
    node.inputs[0] = _source(x)
    node.attrs["axes"] = sorted(moved)
    if node.attrs.get("keepdims"):
        return [_transpose_after(node, 0, Value(), perm)]
    kept = [p for p in perm if p not in moved]
    rest = tuple(sorted(kept).index(p) for p in kept)
    if rest == tuple(range(len(rest))):
        return []
    return [_transpose_after(node, 0, Value(), rest)]


def _sink_gather(node: Node) -> list[Node] | None:
    x, indices = node.inputs[0], node.inputs[1]
    perm = _perm_of(x)
    if perm is None or x is None or indices is None or indices.rank != 1:
        return None
    node.inputs[0] = _source(x)
    node.attrs["axis"] = perm[node.attrs.get("axis", 0) % len(perm)]
    return [_transpose_after(node, 0, Value(), perm)]


def _sink_slice(node: Node) -> list[Node] | None:
    x = node.inputs[0]
    perm = _perm_of(x)
    axes = node.inputs[3] if len(node.inputs) > 3 else None
    if perm is None or x is None or axes is None or axes.const is None:
        return None
    moved = np.array([perm[int(a) % len(perm)] for a in axes.const.reshape(-1)], np.int64)
    node.inputs[0] = _source(x)
    node.inputs[3] = Value(
        dtype=axes.dtype, shape=moved.shape, const=moved.astype(axes.const.dtype)
    )
    return [_transpose_after(node, 0, Value(), perm)]


def _sink_pad(node: Node) -> list[Node] | None:
    x, pads = node.inputs[0], node.inputs[1]
    perm = _perm_of(x)
    if perm is None or x is None or pads is None or pads.const is None:
        return None
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        return None
    both = pads.const.reshape(2, -1)
    if both.shape[1] != len(perm):
        return None
    moved = np.ascontiguousarray(both[:, list(_inverse(perm))]).reshape(-1)
    node.inputs[0] = _source(x)
    node.inputs[1] = Value(dtype=pads.dtype, shape=moved.shape, const=moved)
    return [_transpose_after(node, 0, Value(), perm)]


_SINK = {
    "concat": _sink_concat,
    "reduce": _sink_reduce,
    "gather": _sink_gather,
    "slice": _sink_slice,
    "pad": _sink_pad,
}


def _simplify(node: Node) -> Value | None:
    """A transpose of a transpose becomes one; what does nothing is its input."""
    x = node.inputs[0]
    if x is None or x.rank is None:
        return None
    perm = tuple(node.attrs["perm"]) or tuple(reversed(range(x.rank)))
    inner = _perm_of(x)
    if inner is not None:
        node.inputs[0] = _source(x)
        perm = tuple(inner[p] for p in perm)
        node.attrs["perm"] = list(perm)
    return node.inputs[0] if perm == tuple(range(len(perm))) else None


def _keep_name(node: Node) -> None:
    """What a transpose makes may have no reader left: its name goes to what it is made of."""
    x, y, perm = node.inputs[0], node.outputs[0], _perm_of(node.outputs[0])
    if x is not None and not x.name and x.const is None and perm is not None:
        x.name, x.perm = y.name, _inverse(perm)


def _sweep(region: Region, mapping: dict[Value, Value]) -> int:
    changes = 0
    nodes: list[Node] = []
    for node in region.nodes:
        node.inputs = [mapping.get(v, v) if v is not None else None for v in node.inputs]
        after: list[Node] | None = None
        if node.op == "transpose":
            same = _simplify(node)
            if same is not None:
                mapping[node.outputs[0]] = same
                changes += 1
                continue
            _keep_name(node)
        elif is_elementwise(node.op):
            after = _sink_elementwise(node)
        elif node.op in _SINK:
            after = _SINK[node.op](node)
        for inner in node.regions:
            changes += _sweep(inner, mapping)
        nodes.append(node)
        if after is not None:
            nodes.extend(after)
            changes += 1
    region.nodes = nodes
    return changes


def sink_transposes(g: Graph) -> int:
    """Before: each channels-last operator stands between two transposes. After: transposes stand at the borders and
    where an operator needs the source's axis order; stored values remember their order in `Value.perm`.

    Does not move a transpose through a node whose other inputs are neither constant nor transposed the same way.
    """
    total = 0
    for entry in g.entries:
        mapping: dict[Value, Value] = {}
        total += _sweep(entry.region, mapping)
        g.replace(mapping)
    return total
