"""Boxes."""

from __future__ import annotations

from ...dtypes import DType
from ...ir import Value
from .registry import NodeContext, lower


@lower("NonMaxSuppression")
def non_max_suppression(n: NodeContext) -> Value:
    b = n.b
    most = None if n.opt(2) is None else b.cast(n.value(2), DType.I64)
    thresholds = [None if n.opt(i) is None else b.cast(n.value(i), DType.F32) for i in (3, 4)]
    boxes, scores = (b.cast(n.value(i), DType.F32) for i in (0, 1))
    return b.op("nms", boxes, scores, most, *thresholds, centre=n.int("center_point_box", 0))
