"""Normalisation that the source model spells out, and what is multiplied and added behind it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import DType
from ..ir import Graph, Node, Value
from .match import MEAN, Pattern, floats, is_number, last_axis, number, recognise


def recognise_norm(g: Graph) -> int:
    """Before: (x - mean) / sqrt(mean of squares + eps) over the last axis, or the same without the mean (RMS), f32; group
    normalisation as an instance normalisation between reshapes. After: one `norm`.

    Does not fire where something else reads one of the values between.
    """
    return recognise(g, _find, "div", "mul") + recognise(g, _find_groups, "reshape")


def absorb_affine(g: Graph) -> int:
    """Before: `norm`, then multiplications and additions of constants that vary by channel only. After: its scale and bias.

    Does not fire where something else reads one of the values between.
    """
    changes = 0
    while step := recognise(g, _find_affine, "mul", "add"):
        changes += step
    return changes


def _find(p: Pattern, last: Node) -> list[Node] | None:
    """x / sqrt(v), or x * (1 / sqrt(v))."""
    for k in (1, 0) if last.op == "mul" else (1,):
        d, root = last.inputs[1 - k], p.by(last.inputs[k], "sqrt", "div")
        p.inside = []
        if root is not None and root.op == "div":
            if last.op == "div" or not is_number(root.inputs[0], 1.0):
                continue
            p.take(root)
            root = p.by(root.inputs[1], "sqrt")
        elif last.op == "mul":
            continue
        if root is None or d is None:
            continue
        p.take(root)
        found = _mean_of_squares(p, root.inputs[0], d)
        if found is None:
            continue
        x, rms, eps = found
        if x.dtype == DType.F32 and x.shape == last.outputs[0].shape and p.closed(last):
            attrs = {"axis": -1, "groups": 1, "rms": rms, "eps": eps}
            return [Node("norm", [x, None, None], last.outputs, attrs, last.name)]
    return None


def _mean_of_squares(p: Pattern, v: Value | None, d: Value) -> tuple[Value, int, float] | None:
    """What is normalised, whether without its mean, and eps, if v is mean(d * d) + eps."""
    add = p.by(v, "add")
    if add is None:
        return None
    eps, mean = number(add.inputs[1]), p.by(add.inputs[0], "reduce")
    if eps is None:
        eps, mean = number(add.inputs[0]), p.by(add.inputs[1], "reduce")
    square = p.by(mean.inputs[0], "mul") if mean is not None else None
    if eps is None or mean is None or square is None or not last_axis(mean, MEAN):
        return None
    if square.inputs[0] is not d or square.inputs[1] is not d:
        return None
    p.take(add, mean, square)
    sub = p.by(d, "sub")
    middle = p.by(sub.inputs[1], "reduce") if sub is not None else None
    if (
        sub is None
        or middle is None
        or middle.inputs[0] is not sub.inputs[0]
        or not last_axis(middle, MEAN)
    ):
        return d, 1, eps
    p.take(sub, middle)
    x = sub.inputs[0]
    return None if x is None else (x, 0, eps)


def _vector(v: Value | None, n: int, rank: int) -> np.ndarray[Any, Any] | None:
    """The constant as one number a channel, if it varies along the last axis only."""
    if (
        v is None
        or v.const is None
        or v.state is not None
        or v.dtype != DType.F32
        or v.const.ndim > rank
    ):
        return None
    if v.const.size != 1 and (v.const.size != n or v.const.shape[-1] != n):
        return None
    return np.broadcast_to(v.const.reshape(-1), (n,)).astype(np.float32)


def _find_affine(p: Pattern, last: Node) -> list[Node] | None:
    for k in (0, 1):
        norm = p.by(last.inputs[k], "norm")
        x = norm.inputs[0] if norm is not None else None
        n = x.shape[-1] if x is not None and x.shape else None
        if norm is None or not isinstance(n, int):
            continue
        p.inside = [norm]
        y = norm.outputs[0]
        c = _vector(last.inputs[1 - k], n, y.rank or 0)
        given = (*norm.inputs[1:], None, None)[:2]
        s, b = (_vector(v, n, 1) for v in given)
        if c is None or last.outputs[0].shape != y.shape or not p.closed(last):
            continue
        if any(v is not None and part is None for v, part in zip(given, (s, b), strict=True)):
            continue
        if last.op == "mul":
            s, b = c if s is None else s * c, None if b is None else b * c
        else:
            b = c if b is None else b + c
        inputs = [x, None if s is None else floats(s), None if b is None else floats(b)]
        return [Node("norm", inputs, last.outputs, dict(norm.attrs), last.name)]
    return None


def _split(p: Pattern, last: Node) -> tuple[Node, Node, list[Value | None]] | None:
    """The normalisation and the reshape before it, if they are of a group norm: [N, C, ...] seen as [N, groups, rest]. And the
    parameters, one a group. Either an instance normalisation between transposes, or one over the last axis."""
    after = p.by(last.inputs[0], "transpose")
    norm = p.by(after.inputs[0] if after is not None else last.inputs[0], "norm")
    turned = p.by(norm.inputs[0], "transpose") if norm is not None else None
    if norm is None or (after is None) != (turned is None):
        return None
    given = list((*norm.inputs[1:], None, None)[:2])
    if after is None or turned is None:
        fits = norm.attrs["groups"] == 1 and norm.attrs["axis"] in (-1, 2) and given == [None, None]
        before = p.by(norm.inputs[0], "reshape")
    else:
        fits = norm.attrs["groups"] == 0 and norm.attrs["axis"] == 1
        fits = fits and all(list(t.attrs["perm"]) == [0, 2, 1] for t in (after, turned))
        before = p.by(turned.inputs[0], "reshape")
        p.take(after, turned)
    if before is None or not fits:
        return None
    p.take(norm, before)
    return norm, before, given


def _find_groups(p: Pattern, last: Node) -> list[Node] | None:
    """Channels last, by transposes that find partners later."""
    found = _split(p, last)
    if found is None:
        return None
    norm, before, given = found
    x, split = before.inputs[0], before.outputs[0].shape
    if x is None or x.shape is None or None in x.shape or split is None or len(split) != 3:
        return None
    rank = len(x.shape)
    if rank < 3 or x.shape[0] != split[0] or last.outputs[0].shape != x.shape or not p.closed(last):
        return None
    groups, channels = split[1], x.shape[1]
    if (
        not isinstance(groups, int)
        or not isinstance(channels, int)
        or not groups
        or channels % groups
    ):
        return None
    parts = [_vector(v, groups, 1) for v in given]
    if any(v is not None and part is None for v, part in zip(given, parts, strict=True)):
        return None
    wide = [None if c is None else floats(np.repeat(c, channels // groups)) for c in parts]
    inside = (x.shape[0], *x.shape[2:], x.shape[1])
    a, b = (Value(dtype=DType.F32, shape=inside) for _ in range(2))
    there, back = [0, *range(2, rank), 1], [0, rank - 1, *range(1, rank - 1)]
    attrs = {**norm.attrs, "axis": 1, "groups": groups}
    return [
        Node("transpose", [x], [a], {"perm": there}, last.name),
        Node("norm", [a, *wide], [b], attrs, last.name),
        Node("transpose", [b], last.outputs, {"perm": back}, last.name),
    ]
