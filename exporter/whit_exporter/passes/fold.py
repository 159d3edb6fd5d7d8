"""Constant folding: what does not depend on an input is computed now, by the runtime's own kernels."""

from __future__ import annotations

import math

from ..evaluate import EvaluateError, run_nodes
from ..ir import Graph, Node, Value
from ..ops import is_elementwise, ops

MAX_GROWTH = 1 << 20
"""Elements of a result that may be larger than everything it was made from: an Expand must not fill the file."""


def _size(v: Value) -> int | None:
    if v.shape is None or any(not isinstance(d, int) for d in v.shape):
        return None
    return math.prod(d for d in v.shape if isinstance(d, int))


def _foldable(node: Node) -> bool:
    if not node.inputs or node.regions or any(v.kind != "tensor" for v in node.outputs):
        return False
    return is_elementwise(node.op) or ops()[node.op].pure


def _worth_it(node: Node) -> bool:
    before = sum(_size(v) or 0 for v in node.inputs if v is not None)
    sizes = [_size(v) for v in node.outputs]
    return all(s is not None and (s <= before or s <= MAX_GROWTH) for s in sizes)


def _constant(v: Value | None) -> bool:
    return v is None or (v.const is not None and v.state is None)


def fold_constants(g: Graph) -> int:
    """Before: any graph. After: no pure node has only constant inputs, unless its result would bloat the file, or it
    fails: then it stays, and fails when it runs, if it runs."""
    changes = 0
    for region in g.regions():
        kept = []
        for node in region.nodes:
            if (
                all(map(_constant, node.inputs))
                and _foldable(node)
                and _worth_it(node)
                and _fold(node)
            ):
                changes += 1
            else:
                kept.append(node)
        region.nodes = kept
    return changes


def _fold(node: Node) -> bool:
    try:
        arrays = run_nodes([node], node.outputs)
    except EvaluateError:
        return False
    for v, array in zip(node.outputs, arrays, strict=True):
        v.const, v.producer, v.shape = array, None, array.shape
    return True
