"""A classifier is a convolution of pictures of one pixel, so that a network of convolutions needs no products."""

from __future__ import annotations

from ..dtypes import DType
from ..ir import Graph, Node, Value
from ..ops import is_elementwise

COPIED = -3
"""In `dims` of reshape: the size of the input's first axis."""


def _constant(v: Value | None, rank: int) -> bool:
    return (
        v is not None
        and v.const is not None
        and v.state is None
        and v.dtype == DType.F32
        and v.const.ndim == rank
    )


def _suits(node: Node) -> bool:
    """Rows that somebody has flattened, times a constant matrix."""
    rows, w = node.inputs[0], node.inputs[1]
    made = rows.producer if rows is not None else None
    if rows is None or made is None or made.op != "reshape" or rows.dtype != DType.F32:
        return False
    biased = len(node.inputs) > 2 and node.inputs[2] is not None
    if not _constant(w, 2) or (biased and not _constant(node.inputs[2], 1)):
        return False
    turned = node.attrs.get("trans_a") or node.attrs.get("trans_b") or node.attrs.get("panels")
    return (
        not turned and rows.rank == 2 and w is not None and w.const is not None and len(w.const) > 1
    )


def _convolution(node: Node) -> list[Node]:
    """The rows as pictures of a pixel, convolved, and the results as rows."""
    rows, w, y = node.inputs[0], node.inputs[1], node.outputs[0]
    assert rows is not None and rows.shape is not None and w is not None and w.const is not None
    k, n = w.const.shape
    count = rows.shape[0]
    first = count if isinstance(count, int) else COPIED
    pixels = Value(dtype=DType.F32, shape=(count, 1, k))
    sums = Value(dtype=DType.F32, shape=(count, 1, n))
    kernel = w.const.reshape(1, k, n)
    weights = Value(name=w.name, dtype=DType.F32, shape=kernel.shape, const=kernel)
    attrs = {"group": 1, "kernel": [1], "strides": [1], "pads": [0, 0], "dilations": [1]}
    return [
        Node("reshape", [rows], [pixels], {"dims": [first, 1, k]}, node.name),
        Node("conv", [pixels, weights, *node.inputs[2:]], [sums], attrs, node.name),
        Node("reshape", [sums], [y], {"dims": [first, n]}, node.name),
    ]


def convolve_pixels(g: Graph) -> int:
    """Before: convolutions, and flattened rows [N, K] times a constant matrix. After: a convolution of N pictures of one pixel, between
    reshapes, which are views. The same operations in the same order, and the same values to tap.

    Only if no product is left then, so that a library for the model holds none; not where element-wise work follows, which
    the reshape would keep from becoming an epilogue.
    """
    nodes = [node for _, node in g.walk()]
    worked_on = {v for node in nodes if is_elementwise(node.op) for v in node.inputs}
    products = [node for node in nodes if node.op == "matmul"]
    if not any(node.op == "conv" for node in nodes):
        return 0
    if not all(_suits(node) and node.outputs[0] not in worked_on for node in products):
        return 0
    instead = {id(node): _convolution(node) for node in products}
    for region in g.regions():
        region.nodes = [new for n in region.nodes for new in instead.get(id(n), [n])]
    for new in instead.values():
        for node in new:
            node.outputs[0].producer = node
    return len(products)
