"""Channels-last: the transposes around convolutions sink through the graph and cancel."""

from __future__ import annotations

from collections import deque

from ..ir import Graph, Node, Region, Value
from ..ops import is_elementwise
from .axes import inverse, keeps_order
from .sink import SINK, Sweep, perm_of, sink_elementwise, source_of, transpose_after
from .unmerge import unmerge


def _simplify(node: Node) -> Value | None:
    """A transpose of a transpose becomes one; what does nothing is its input."""
    x = node.inputs[0]
    if x is None or x.rank is None:
        return None
    perm = tuple(node.attrs["perm"]) or tuple(reversed(range(x.rank)))
    inner = perm_of(x)
    if inner is not None:
        node.inputs[0] = source_of(x)
        perm = tuple(inner[p] for p in perm)
        node.attrs["perm"] = list(perm)
    return node.inputs[0] if perm == tuple(range(len(perm))) else None


def _keep_name(node: Node) -> None:
    """What a transpose makes may have no reader left: its name goes to what it is made of."""
    x, y, perm = node.inputs[0], node.outputs[0], perm_of(node.outputs[0])
    if x is not None and not x.name and x.const is None and perm is not None:
        x.name, x.perm = y.name, inverse(perm)


def _sink_if(node: Node, sweep: Sweep) -> bool:
    """What both branches transpose in the same way is transposed behind them."""
    changed = False
    for k in range(len(node.outputs)):
        results = [sweep.final(region.results[k]) for region in node.regions]
        perms = {perm_of(v) for v in results}
        perm = perms.pop() if len(perms) == 1 else None
        if perm is None or node.outputs[k].kind != "tensor" or node.outputs[k].rank != len(perm):
            continue
        for region, v in zip(node.regions, results, strict=True):
            assert v is not None
            region.results[k] = source_of(v)
        sweep.emit(transpose_after(node, k, Value(), perm))
        changed = True
    return changed


def _sink(node: Node, sweep: Sweep) -> bool:
    """Moves transposes from the node's inputs to its outputs if that is right and pays. The node is emitted."""
    at = len(sweep.nodes)
    if is_elementwise(node.op):
        after = sink_elementwise(node, sweep)
    else:
        rule = SINK.get(node.op)
        after = None if rule is None else rule(node, sweep)
    if after is None:
        del sweep.nodes[at:]  # what a rule that gave up had put before the node
    sweep.emit(node)
    for n in after or ():
        sweep.emit(n)
    return after is not None


def _visit(node: Node, sweep: Sweep) -> int:
    node.inputs = [sweep.final(v) for v in node.inputs]
    if node.op == "transpose":
        same = _simplify(node)
        if same is not None:
            sweep.mapping[node.outputs[0]] = same
            return 1
        _keep_name(node)
        sweep.emit(node)
        return 0
    changes = 0
    for inner in node.regions:
        changes += _sweep(inner, sweep.mapping, sweep.pinned)
    if node.op == "if":
        sweep.emit(node)
        return changes + _sink_if(node, sweep)
    return changes + _sink(node, sweep)


def _sweep(region: Region, mapping: dict[Value, Value], pinned: frozenset[Value]) -> int:
    sweep = Sweep(mapping, pinned)
    pending = sweep.pending = deque(region.nodes)
    changes = 0
    while pending:
        node = pending.popleft()
        changes += _visit(node, sweep)
        if node.op == "reshape" and sweep.nodes and sweep.nodes[-1] is node:
            changes += unmerge(node, sweep, pending, region)
    region.nodes = sweep.nodes
    return changes


def _as_reshapes(g: Graph) -> int:
    """Transposes that only move axes of size 1, left where they are, cost nothing: whoever reads shapes sees a reshape."""
    changes = 0
    for _, node in g.walk():
        x = node.inputs[0] if node.op == "transpose" else None
        perm = perm_of(node.outputs[0]) if x is not None else None
        if x is None or perm is None or x.shape is None or not keeps_order(x.shape, perm):
            continue
        dims = [-2 - (p << 4 | p + 1) for p in perm]
        node.op, node.attrs = "reshape", {"dims": dims, "allowzero": 0}
        node.inputs = [x]
        changes += 1
    return changes


def sink_transposes(g: Graph) -> int:
    """Before: each channels-last operator stands between two transposes. After: transposes stand at the borders and
    where an operator needs the source's axis order; stored values remember their order in `Value.perm`.

    A transpose goes past a node when all the node's large inputs come through it; small ones are turned round instead.
    It goes past a reshape that cuts or joins axes which lie side by side in memory, and past one that joins others
    (the channels and positions of a group norm) if nothing in between asks for their order: see unmerge.py.
    """
    total = 0
    for entry in g.entries:
        mapping: dict[Value, Value] = {}
        total += _sweep(entry.region, mapping, frozenset(v for _, v in entry.updates))
        g.replace(mapping)
    return total + _as_reshapes(g)
