"""Constant weights go into panels of 16 output channels, the one layout that serves every instruction set in place."""

from __future__ import annotations

import math

import numpy as np

from ..dtypes import DType
from ..ir import Graph, Node, Value

WIDTH = 16


def to_panels(w: np.ndarray) -> np.ndarray:
    """[k, n] -> [ceil(n/16), k, 16], zero-filled."""
    k, n = w.shape
    panels = math.ceil(n / WIDTH)
    padded = np.zeros((k, panels * WIDTH), w.dtype)
    padded[:, :n] = w
    return np.ascontiguousarray(padded.reshape(k, panels, WIDTH).transpose(1, 0, 2))


def from_panels(p: np.ndarray, n: int) -> np.ndarray:
    """The inverse of to_panels."""
    panels, k, width = p.shape
    return np.ascontiguousarray(p.transpose(1, 0, 2).reshape(k, panels * width)[:, :n])


def _weights(node: Node) -> np.ndarray | None:
    w = node.inputs[1]
    if (
        w is None
        or w.const is None
        or w.state is not None
        or w.dtype != DType.F32
        or node.attrs.get("panels")
    ):
        return None
    return w.const if w.const.size else None


def _pack_matmul(node: Node) -> bool:
    w = _weights(node)
    if w is None or w.ndim != 2:
        return False
    if node.attrs.get("trans_b"):
        w = w.T
    replace_weights(node, to_panels(w))
    node.attrs.update(panels=1, n=int(w.shape[1]), trans_b=0)
    return True


def pack_conv(node: Node) -> bool:
    """Puts constant f32 filters in panels, `panels=1`. False: they stay, as those of a depthwise convolution do."""
    w = _weights(node)
    if w is None:
        return False
    group = int(node.attrs.get("group", 1))
    per_group, m = w.shape[-2], w.shape[-1]
    if group < 1 or m % group or (per_group == 1 and m == group):
        return False
    k = math.prod(w.shape[:-1])
    flat = w.reshape(k, group, m // group)
    replace_weights(node, np.stack([to_panels(flat[:, g]) for g in range(group)]))
    node.attrs.update(panels=1, channels=int(m), kernel=list(w.shape[:-2]))
    return True


def replace_weights(node: Node, packed: np.ndarray) -> None:
    """Gives the node this constant as its weights, under their name."""
    old = node.inputs[1]
    assert old is not None
    node.inputs[1] = Value(name=old.name, dtype=DType.F32, shape=packed.shape, const=packed)


def pack_panels(g: Graph) -> int:
    """Before: conv and matmul with constant f32 weights in row-major order. After: in panels, `panels=1`.

    Depthwise weights stay as they are: channels are their vector axis already.
    """
    changes = 0
    for _, node in g.walk():
        if node.op == "matmul":
            changes += _pack_matmul(node)
        elif node.op == "conv":
            changes += pack_conv(node)
    return changes
