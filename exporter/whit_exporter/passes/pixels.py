"""A classifier is a convolution of pictures of one pixel, without axes, so that a network of convolutions needs no products."""

from __future__ import annotations

from ..dtypes import DType
from ..ir import Graph, Node, Value


def _constant(v: Value | None, rank: int) -> bool:
    return (
        v is not None
        and v.const is not None
        and v.state is None
        and v.dtype == DType.F32
        and v.const.ndim == rank
    )


def _suits(node: Node) -> bool:
    """Rows times a constant matrix."""
    rows, w = node.inputs[0], node.inputs[1]
    if rows is None or rows.rank != 2 or rows.dtype != DType.F32 or not _constant(w, 2):
        return False
    biased = len(node.inputs) > 2 and node.inputs[2] is not None
    turned = node.attrs.get("trans_a") or node.attrs.get("trans_b") or node.attrs.get("panels")
    several = w is not None and w.const is not None and len(w.const) > 1
    return several and not turned and (not biased or _constant(node.inputs[2], 1))


def convolve_pixels(g: Graph) -> int:
    """Before: convolutions, and rows [N, K] times a constant matrix. After: the product is a convolution without a spatial axis.
    The same operations in the same order.

    Only if no product is left then, so that a library for the model holds none.
    """
    nodes = [node for _, node in g.walk()]
    products = [node for node in nodes if node.op == "matmul"]
    if not any(node.op == "conv" for node in nodes) or not all(_suits(node) for node in products):
        return 0
    for node in products:
        node.op = "conv"
        node.attrs = {"group": 1, "kernel": [], "strides": [], "pads": [], "dilations": []}
    return len(products)
