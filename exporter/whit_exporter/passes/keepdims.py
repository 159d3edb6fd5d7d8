"""A reduction that leaves ones behind, which a reshape then drops, drops them itself."""

from __future__ import annotations

from ..ir import Graph, Node, Value


def _suits(reduce: Node, y: Value) -> bool:
    """Are y's axes those that the reduction keeps?"""
    x, axes = reduce.inputs[0], reduce.attrs.get("axes")
    given = len(reduce.inputs) > 1 and reduce.inputs[1] is not None
    if x is None or x.shape is None or not axes or given or not reduce.attrs.get("keepdims"):
        return False
    reduced = {a % len(x.shape) for a in axes}
    kept = tuple(d for a, d in enumerate(x.shape) if a not in reduced)
    return y.shape == kept and None not in kept


def drop_axes(g: Graph) -> int:
    """Before: `reduce` with keepdims, and a `reshape`, its only reader, to the axes that are left. After: `reduce` without keepdims.
    The value between them cannot be tapped any more; the one behind has the same numbers."""
    uses, changes = g.uses(), 0
    for region in list(g.regions()):
        gone = set()
        for node in region.nodes:
            kept, y = node.inputs[0] if node.inputs else None, node.outputs[0]
            maker = kept.producer if kept is not None else None
            if node.op != "reshape" or kept is None or maker is None or uses[kept] != 1:
                continue
            if maker.op == "reduce" and maker in region.nodes and _suits(maker, y):
                maker.attrs["keepdims"] = 0
                maker.outputs[0], y.producer = y, maker
                y.source = y.source or node.name
                gone.add(id(node))
        region.nodes = [n for n in region.nodes if id(n) not in gone]
        changes += len(gone)
    return changes
