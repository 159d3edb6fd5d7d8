"""Softmax that the source model spells out: exp(x - max) over its sum."""

from __future__ import annotations

from ..dtypes import DType
from ..ir import Graph, Node
from .match import MAX, SUM, Pattern, last_axis, recognise


def recognise_softmax(g: Graph) -> int:
    """Before: reduce max, sub, exp, reduce sum, div over the last axis, f32. After: `softmax`.

    Does not fire where something else reads one of the values between.
    """
    return recognise(g, _find, "div")


def _find(p: Pattern, div: Node) -> list[Node] | None:
    e = p.by(div.inputs[0], "exp")
    total = p.by(div.inputs[1], "reduce")
    if (
        e is None
        or total is None
        or total.inputs[0] is not e.outputs[0]
        or not last_axis(total, SUM)
    ):
        return None
    d = p.by(e.inputs[0], "sub")
    top = p.by(d.inputs[1], "reduce") if d is not None else None
    if d is None or top is None or top.inputs[0] is not d.inputs[0] or not last_axis(top, MAX):
        return None
    x = d.inputs[0]
    p.take(e, total, d, top)
    if x is None or x.dtype != DType.F32 or not p.closed(div):
        return None
    return [Node("softmax", [x], div.outputs, {"log": 0}, div.name)]
