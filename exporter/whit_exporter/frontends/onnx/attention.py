"""Attention of the standard: one primitive where it fits, else the body that the standard gives."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...dtypes import DType
from ...ir import Value
from .expr import Expr
from .registry import NodeContext, lower


@lower("Attention")
def attention(n: NodeContext) -> Sequence[Value | None]:
    """V may have a type of its own, which its present keeps; the product is in the type of Q."""
    own = n.dtype(2)
    if own == n.dtype(0):
        return _fused(n) or n.importer.standard_body(n, "")
    for i in (2, 5):
        v = n.opt(i)
        if v is not None:
            n.inputs[i] = n.b.cast(v, n.dtype(0))
    outputs = list(_fused(n) or n.importer.standard_body(n, ""))
    if len(outputs) > 2 and outputs[2] is not None:
        outputs[2] = n.b.cast(outputs[2], own)
    return outputs


def _fused(n: NodeContext) -> list[Value | None] | None:
    """Y and the two presents by the primitive; None where the node asks for more than it does."""
    if (
        n.float("softcap", 0.0)
        or n.wants(3)
        or n.opt(6) is not None
        or n.int("softmax_precision", 1) != 1
    ):
        return None
    if any(n.int(f"{side}_window_size", -1) >= 0 for side in ("left", "right")):
        return None
    past = n.opt(4) is not None and n.opt(5) is not None
    if (n.opt(4) is None) != (n.opt(5) is None) or (past and n.int("is_causal", 0)):
        return None
    q, k, v = (_heads(n, i) for i in range(3))
    if q is None or k is None or v is None:
        return None
    if past:
        k, v = (Expr(n.b, n.b.concat([n.value(i), x.v], 2)) for i, x in ((4, k), (5, v)))
    shapes = [x.v.shape or () for x in (q, k, v)]
    if any(None in s for s in shapes) or not _fit(*shapes):
        return None
    mask = n.opt(3)
    added = None if mask is None else _additive(mask, shapes)
    if mask is not None and added is None:
        return None
    dim = shapes[0][3]
    if not isinstance(dim, int) and not n.has("scale"):
        return None
    scale = n.float("scale", 0.0) or (1 / math.sqrt(dim) if isinstance(dim, int) and dim else 1.0)
    three = n.rank(0) == 3
    y = q.op(
        "attention",
        k,
        v,
        *([] if added is None else [added]),
        scale=scale,
        causal=n.int("is_causal", 0),
        merge=int(three),
    )
    if three:
        y = y.reshape([("dim", 0), ("dim", 1), ("prod", 2, 4)])
    return [y.v, k.v, v.v]


def _heads(n: NodeContext, i: int) -> Expr | None:
    """Input i as [batch, heads, sequence, dim]."""
    x = Expr(n.b, n.value(i))
    if x.v.dtype != DType.F32 or n.rank(i) not in (3, 4):
        return None
    if n.rank(i) == 4:
        return x
    heads = n.int("kv_num_heads" if i else "q_num_heads", 0)
    width = n.shape(i)[2]
    if heads < 1 or not isinstance(width, int) or width % heads:
        return None
    return x.reshape([("dim", 0), ("dim", 1), heads, width // heads]).transpose([0, 2, 1, 3])


def _fit(q: Sequence[object], k: Sequence[object], v: Sequence[object]) -> bool:
    heads, kv_heads = q[1], k[1]
    if (
        not isinstance(heads, int)
        or not isinstance(kv_heads, int)
        or kv_heads < 1
        or heads % kv_heads
    ):
        return False
    return (q[0], k[1], k[2], q[3]) == (k[0], v[1], v[2], k[3]) and v[0] == k[0]


def _additive(mask: Value, shapes: Sequence[Sequence[object]]) -> Value | None:
    """The mask, if it is of numbers to be added and has all keys. With one of truth values a query that sees nothing gives 0, which
    the primitive does not."""
    q, k, _ = shapes
    if mask.shape is None or not 1 <= len(mask.shape) <= 4 or mask.shape[-1] != k[2]:
        return None
    allowed = [(q[0], 1), (q[1], 1), (q[2], 1), (k[2],)][4 - len(mask.shape) :]
    if any(d not in a for d, a in zip(mask.shape, allowed, strict=True)):
        return None
    return mask if mask.dtype == DType.F32 else None
