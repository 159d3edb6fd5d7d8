"""Loops over the rows of a tensor count these themselves."""

from __future__ import annotations

from ..dtypes import DType
from ..ir import Graph, Node, Value


def _counted(trips: Value | None) -> Value | None:
    """The tensor whose first axis is so long, if a loop can count its rows: an i64 would be a trip count itself."""
    scalar = trips.producer if trips is not None else None
    if scalar is None or scalar.op != "reshape" or scalar.attrs.get("dims") != []:
        return None
    length = scalar.inputs[0].producer if scalar.inputs[0] is not None else None
    if length is None or length.op != "shape":
        return None
    x = length.inputs[0]
    if (length.attrs["start"], length.attrs["end"]) != (0, 1) or x is None:
        return None
    known = x.kind == "tensor" and not x.optional and x.dtype not in (None, DType.I64) and x.shape
    return x if known else None


def _reads(node: Node, x: Value) -> bool:
    """Does a region of the node?"""
    return any(x in n.inputs or _reads(n, x) for r in node.regions for n in r.nodes)


def count_rows(g: Graph) -> int:
    """Before: a loop's trip count is the length of an axis, as a Scan's or an RNN's. After: it is the tensor itself, so that no node is
    there for the length, and the plan needs to compute nothing. Not if the body does not read the tensor, which would then live
    longer."""
    changes = 0
    for _, node in g.walk():
        x = _counted(node.inputs[0]) if node.op == "loop" else None
        if x is not None and _reads(node, x):
            node.inputs[0] = x
            changes += 1
    return changes
