"""Attention: two matrix products with a softmax between, and the transposes, scales and masks around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ..dtypes import DType
from ..ir import Dim, Graph, Node, Shape, Value
from .match import Pattern, number, recognise

NEVER = -1e30
"""A score from here on counts as masked: what is added to it is lost in its rounding."""


def recognise_attention(g: Graph) -> int:
    """Before: matmul(softmax(matmul(q, k') * scale + mask), v), with four axes, or three where the first are heads. The scale may
    be a division, or stand at q or k; the mask may be `where`, or be left out. After: `attention`, with a causal mask
    that is constant as an attribute; a transpose to [batch, queries, heads, dim] behind becomes the order of its output, heads
    of k and v that are repeated are not.

    Does not fire where something else reads the scores or weights, nor where sizes are not known to fit.
    """
    return recognise(g, _find, "matmul")


def _plain(node: Node) -> bool:
    return not node.attrs.get("panels") and not node.attrs.get("trans_a") and len(node.inputs) == 2


def _find(p: Pattern, last: Node) -> list[Node] | None:
    weights = p.by(last.inputs[0], "softmax")
    v = last.inputs[1]
    if (
        weights is None
        or weights.attrs.get("log")
        or not _plain(last)
        or last.attrs.get("trans_b")
        or v is None
    ):
        return None
    p.take(weights)
    scores = _Scores(p)
    first = scores.walk(weights.inputs[0])
    if first is None or not _plain(first):
        return None
    p.take(first)
    q, k = first.inputs
    if (
        q is None
        or k is None
        or not p.closed(last)
        or first.outputs[0].shape != weights.outputs[0].shape
    ):
        return None
    q = scores.factor(q)
    k = scores.factor(k)
    return _Fused(p, scores, last).build(q, k, v, bool(first.attrs.get("trans_b")))


class _Scores:
    """What happens to the scores between the first product and the softmax."""

    def __init__(self, p: Pattern) -> None:
        self.p = p
        self.scale = 1.0
        self.mask: Value | None = None
        self.chosen: tuple[Value, float, bool] | None = None
        """Of a `where`: the condition, the number that stands for masked, and whether the condition says what is kept."""

    def walk(self, v: Value | None) -> Node | None:
        """Back to the first product. A mask comes last: it would have to be scaled too."""
        node = self.p.by(v, "add", "where", "mul", "div", "matmul")
        if node is not None and node.op in ("add", "where"):
            node = self._masked(node)
        while node is not None and node.op in ("mul", "div"):
            self.p.take(node)
            node = self._scaled(node)
        return node if node is not None and node.op == "matmul" else None

    def _masked(self, node: Node) -> Node | None:
        self.p.take(node)
        if node.op == "where":
            for k in (1, 2):
                low, cond = number(node.inputs[3 - k]), node.inputs[0]
                if low is not None and low <= NEVER and cond is not None:
                    self.chosen = (cond, low, k == 1)
                    return self.p.by(node.inputs[k], "mul", "div", "matmul")
            return None
        for k in (0, 1):
            inner, mask = self.p.by(node.inputs[k], "mul", "div", "matmul"), node.inputs[1 - k]
            if (
                inner is not None
                and inner.outputs[0].shape == node.outputs[0].shape
                and mask is not None
            ):
                self.mask = mask
                return inner
        return None

    def _scaled(self, node: Node) -> Node | None:
        for k in (0, 1) if node.op == "mul" else (0,):
            factor = number(node.inputs[1 - k])
            if factor is not None and (factor or node.op == "mul"):
                self.scale *= factor if node.op == "mul" else 1 / factor
                return self.p.by(node.inputs[k], "mul", "div", "matmul")
        return None

    def factor(self, x: Value) -> Value:
        """x without the number that it is multiplied by, if nothing else reads the product."""
        node = self.p.by(x, "mul")
        if node is not None and self.p.uses.get(x) == 1:
            for k in (0, 1):
                inner, c = node.inputs[k], number(node.inputs[1 - k])
                if inner is not None and c is not None and inner.shape == x.shape:
                    self.scale *= c
                    self.p.take(node)
                    return inner
        return x


class _Fused:
    """The nodes that stand for the pattern."""

    def __init__(self, p: Pattern, scores: _Scores, last: Node) -> None:
        self.p, self.scores, self.last = p, scores, last
        self.nodes: list[Node] = []

    def build(self, q: Value, k: Value, v: Value, k_by_rows: bool) -> list[Node] | None:
        rank = q.rank
        if rank not in (3, 4) or k.rank != rank or v.rank != rank:
            return None
        if any(x.dtype != DType.F32 for x in (q, k, v)):
            return None
        y = self.last.outputs[0]
        if not k_by_rows:
            k = self._transposed(k, [*range(rank - 2), rank - 1, rank - 2])
        if rank == 3:
            q, k, v = (self._four_axes(x) for x in (q, k, v))
        else:
            k, v = self._heads(k), self._heads(v)
        if not _fits(q.shape, k.shape, v.shape, y.shape):
            return None
        mask = self._mask(k.shape)
        if mask is False:
            return None
        causal = _causal(mask) if isinstance(mask, Value) else 0
        inputs = [q, k, v] if causal or mask is None else [q, k, v, mask]
        attrs = {"scale": self.scores.scale, "causal": causal, "merge": 0}
        name = self.last.name
        if rank == 3:
            made = self._add("attention", inputs, attrs, (1, *(y.shape or ())))
            self.nodes.append(Node("reshape", [made], [y], {"dims": _words([1, 2, 3])}, name))
        else:
            self.nodes.append(Node("attention", list(inputs), [y], attrs, name))
        return self.nodes

    def _add(
        self, op: str, inputs: Sequence[Value | None], attrs: dict[str, Any], shape: Shape
    ) -> Value:
        v = Value(dtype=DType.F32, shape=shape)
        self.nodes.append(Node(op, list(inputs), [v], attrs, self.last.name))
        return v

    def _transposed(self, x: Value, perm: list[int]) -> Value:
        shape = x.shape or ()
        return self._add("transpose", [x], {"perm": perm}, tuple(shape[k] for k in perm))

    def _four_axes(self, x: Value) -> Value:
        """x with an axis of 1 in front of its own."""
        return self._add("reshape", [x], {"dims": [1, *_words([0, 1, 2])]}, (1, *(x.shape or ())))

    def _heads(self, x: Value) -> Value:
        """Keys or values before each head was repeated: reshape(expand(reshape(x))). A transpose of ours may stand behind."""
        perm = [0, 1, 3, 2]
        turned = self.nodes[-1] if self.nodes and self.nodes[-1].outputs[0] is x else None
        start = turned.inputs[0] if turned is not None else x
        after = self.p.by(start, "transpose")
        inner = start
        if turned is not None and after is not None and list(after.attrs["perm"]) == perm:
            inner = after.inputs[0]
        elif turned is not None:
            return x
        joined = self.p.by(inner, "reshape")
        wide = self.p.by(joined.inputs[0], "expand") if joined is not None else None
        apart = self.p.by(wide.inputs[0], "reshape") if wide is not None else None
        source = apart.inputs[0] if apart is not None else None
        if joined is None or wide is None or apart is None or source is None:
            return x
        b, five, a, s = (
            inner.shape if inner else None,
            wide.outputs[0].shape,
            apart.outputs[0].shape,
            source.shape,
        )
        if b is None or five is None or a is None or s is None or len(s) != 4 or len(five) != 5:
            return x
        known = None not in (*b, *five, *a, *s)
        if (
            not known
            or a != (s[0], s[1], 1, s[2], s[3])
            or five != (s[0], s[1], five[2], s[2], s[3])
        ):
            return x
        if (b[0], *b[2:]) != (s[0], *s[2:]):
            return x
        if turned is not None:
            self.nodes.remove(turned)
        return source

    def _mask(self, k: Shape) -> Value | Literal[False] | None:
        """What is added to the scores, or None; False if it cannot be had."""
        chosen = self.scores.chosen
        mask = self.scores.mask if chosen is None else chosen[0]
        if mask is None:
            return None
        keys: Dim = None if k is None else k[2]
        if (
            mask.shape is None
            or not mask.shape
            or len(mask.shape) > 4
            or mask.shape[-1] != keys
            or keys is None
        ):
            return False
        if chosen is None:
            return mask if mask.dtype == DType.F32 else False
        key = ("mask", mask, *chosen[1:])
        if key not in self.p.made:
            self.p.made[key] = self._additive(*chosen)
        return self.p.made[key]

    def _additive(self, cond: Value, low: float, keeps: bool) -> Value:
        """0 where the scores are kept, `low` elsewhere."""
        zero, never = (
            Value(dtype=DType.F32, shape=(), const=np.array(x, np.float32)) for x in (0, low)
        )
        if cond.const is not None and cond.state is None:
            array = np.where(cond.const == keeps, np.float32(0), np.float32(low)).astype(np.float32)
            return Value(dtype=DType.F32, shape=array.shape, const=array)
        return self._add(
            "where", [cond, *((zero, never) if keeps else (never, zero))], {}, cond.shape
        )


def _words(axes: list[int]) -> list[int]:
    """These axes of the input, as a reshape's dims name them."""
    return [-2 - (a << 4 | a + 1) for a in axes]


def _fits(q: Shape, k: Shape, v: Shape, y: Shape) -> bool:
    """Are all sizes known to be as `attention` wants them?"""
    if q is None or k is None or v is None or y is None:
        return False
    heads, kv_heads = q[1], k[1]
    if None in (*q[:2], *k, *v) or (q[0], k[2]) != (k[0], v[2]) or v[:2] != k[:2] or q[3] != k[3]:
        return False
    if heads == kv_heads:
        return True
    return (
        isinstance(heads, int)
        and isinstance(kv_heads, int)
        and kv_heads > 0
        and heads % kv_heads == 0
    )


def _causal(mask: Value) -> int:
    """The attribute that says the same as a constant mask; 0 if none does."""
    if mask.const is None or mask.state is not None or mask.const.ndim < 2 or mask.const.size == 0:
        return 0
    n, keys = mask.const.shape[-2:]
    if mask.const.size != n * keys:
        return 0
    low = mask.const.reshape(n, keys) <= NEVER
    if not (low | (mask.const.reshape(n, keys) == 0)).all():
        return 0
    for causal, offset in ((1, 0), (2, keys - n)):
        if offset >= 0 and (low == ~np.tri(n, keys, offset, dtype=bool)).all():
            return causal
    return 0


def merge_heads(g: Graph) -> int:
    """Before: attention, transpose to [batch, queries, heads, dim]. After: attention that writes in this order.

    Does not fire where something else reads attention's result.
    """
    return recognise(g, _find_merge, "transpose")


def _find_merge(p: Pattern, last: Node) -> list[Node] | None:
    node = p.by(last.inputs[0], "attention")
    if node is None or node.attrs["merge"] or list(last.attrs["perm"]) != [0, 2, 1, 3]:
        return None
    p.take(node)
    if not p.closed(last):
        return None
    return [Node("attention", node.inputs, last.outputs, {**node.attrs, "merge": 1}, last.name)]
