"""Scale and shift after a convolution or matrix product go into its weights and bias (batch normalisation vanishes)."""

from __future__ import annotations

import numpy as np

from ..dtypes import DType
from ..ir import Graph, Node, Value


def _per_channel(v: Value | None, channels: int) -> np.ndarray | None:
    """The constant as one number a channel, if it varies along the last axis only."""
    if v is None or v.const is None or v.state is not None or v.dtype != DType.F32:
        return None
    if v.const.size == 1:
        return np.full(channels, v.const.reshape(-1)[0], np.float32)
    if v.const.size == channels and v.const.ndim and v.const.shape[-1] == channels:
        return v.const.reshape(-1)
    return None


def _channels(node: Node) -> int:
    """Output channels of a product with constant f32 weights whose last axis is the output's, else 0."""
    w = node.inputs[1] if node.op in ("conv", "matmul") else None
    if w is None or w.const is None or w.dtype != DType.F32 or w.state is not None:
        return 0
    if node.attrs.get("panels") or node.attrs.get("trans_b") or w.const.ndim < 2:
        return 0
    if node.op == "matmul" and w.const.ndim != 2:
        return 0
    return int(w.const.shape[-1])


def _constant(array: np.ndarray) -> Value:
    array = np.ascontiguousarray(array, np.float32)
    return Value(dtype=DType.F32, shape=array.shape, const=array)


def _absorb(product: Node, follow: Node) -> bool:
    channels = _channels(product)
    y = product.outputs[0]
    if not channels or follow.op not in ("mul", "add", "sub") or follow.outputs[0].rank != y.rank:
        return False
    if follow.op == "sub" and follow.inputs[0] is not y:
        return False
    other = follow.inputs[1] if follow.inputs[0] is y else follow.inputs[0]
    c = _per_channel(other, channels)
    bias = product.inputs[2] if len(product.inputs) > 2 else None
    if c is None or (bias is not None and (bias.const is None or bias.state)):
        return False
    b = (
        bias.const
        if bias is not None and bias.const is not None
        else np.zeros(channels, np.float32)
    )
    w = product.inputs[1]
    assert w is not None and w.const is not None
    if follow.op == "mul":
        product.inputs[1] = _constant(w.const * c)
        b = b * c
    else:
        b = b + c if follow.op == "add" else b - c
    product.inputs = [
        *product.inputs[:2],
        _constant(b) if follow.op != "mul" or bias is not None else None,
    ]
    return True


def fold_affine(g: Graph) -> int:
    """Before: mul/add/sub by constants after conv or matmul. After: none where the product's value is not read elsewhere.

    Rounds once where the source rounds twice, so results differ in the last bits.
    """
    changes = 0
    for region in g.regions():
        uses = g.uses()
        users = {v: node for node in region.nodes for v in node.inputs if v is not None}
        dead: set[int] = set()
        for node in region.nodes:
            while _channels(node) and uses.get(node.outputs[0]) == 1:
                follow = users.get(node.outputs[0])
                if follow is None or not _absorb(node, follow):
                    break
                dead.add(id(follow))
                node.outputs[0] = follow.outputs[0]
                node.outputs[0].producer = node
                changes += 1
        region.nodes = [n for n in region.nodes if id(n) not in dead]
    return changes
