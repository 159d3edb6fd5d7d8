"""Fourier transforms as matrix products, and mel filter banks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...dtypes import DType
from ...ir import Value
from .expr import Expr, arange, constant
from .registry import NodeContext, dtype_of, lower

F64, I64 = DType.F64, DType.I64


def dft_matrix(
    rows: Expr, columns: Expr, length: Expr, parts: int, results: int, inverse: bool
) -> Expr:
    """[rows * parts, columns * results]; rows, columns and length are i64 scalars.

    Input element (i, part) gives result (k, re or im) with the factor cos(angle + phase), where
    the phases turn cosines into the signs and sines of a complex product. Angles are reduced in
    integers first. One result of two parts is the inverse of half a spectrum: what is missing is
    the conjugate of what is there, so everything but the two ends counts twice.
    """
    b = rows.b
    phase = np.array([[0.0, math.pi / 2], [-math.pi / 2, 0.0]])[:parts, None, :results]
    sign = -1 if inverse else 1
    fixed = [int(v.v.const) for v in (rows, columns, length) if v.v.const is not None]
    if len(fixed) == 3:
        at, size = np.arange(fixed[0]), max(fixed[2], 1)  # of a length of 0 nothing is left
        turn = np.outer(at, np.arange(fixed[1])) % size * (2 * math.pi * sign / size)
        table = np.cos(turn[:, None, :, None] + phase)
        if inverse:
            table /= size
        if results < parts:
            table *= np.where((at == 0) | (2 * at == size), 1, 2)[:, None, None, None]
        return Expr(b, b.const(table.reshape(at.size * parts, -1)))
    i, k = arange(b, rows), arange(b, columns)
    angle = ((i.unsqueeze(1) * k) % length).cast(F64)
    m = (angle * (2 * math.pi * sign) / length.cast(F64)).unsqueeze(1, 3)
    m = (m + b.const(phase[None], F64)).op("cos")
    if inverse:
        m = m / length.cast(F64)
    if results < parts:
        ends = i.eq(0) | (i * 2).eq(length)
        m = m * ends.where(constant(b, 1.0, F64), 2.0).reshape([-1, 1, 1, 1])
    return m.reshape([("prod", 0, 2), ("prod", 2, 4)])


def dft(n: NodeContext, x: Expr, length: Expr | None, inverse: bool, onesided: bool) -> Expr:
    """x is [before, signal, after, 1 or 2], and so is the result; the signal is transformed."""
    b, parts = x.b, x.v.shape[-1] if x.v.shape else None
    if parts not in (1, 2):
        raise n.fail("the last axis of the signal must be known to be 1 or 2")
    half = inverse and onesided
    size = x.v.shape[1] if x.v.shape else None
    if isinstance(size, int) and size > 1 and parts == 2 and not onesided and length is None:
        y = fft(x, size, 1 if inverse else -1)
        return y / float(size) if inverse else y
    if length is None:
        length = (x.dim(1) - 1) * 2 if half else x.dim(1)
    else:  # zeros after the end add nothing, so only a longer signal needs care
        zero, at = b.const(np.zeros(1, np.int64)), b.const(np.ones(1, np.int64))
        used = length // 2 + 1 if half else length
        x = Expr(b, b.slice(x.v, zero, used.reshape([1]).v, at))
    columns = length // 2 + 1 if onesided and not inverse else length
    results = 1 if half else 2
    m = dft_matrix(x.dim(1), columns, length, parts, results, inverse)
    flat = x.transpose([0, 2, 1, 3]).reshape([("dim", 0), ("dim", 1), ("prod", 2, 4)])
    y = flat.matmul(m.cast(x.v.dtype or DType.F32))
    return y.reshape([("dim", 0), ("dim", 1), -1, results]).transpose([0, 2, 1, 3])


def fft(x: Expr, size: int, sign: int) -> Expr:
    """The transform, not scaled, of x [before, size, after, 2], by the smallest factor of size: as much work as the
    sum of the factors instead of their product (Cooley and Tukey), and less rounding."""
    first = next((p for p in range(2, math.isqrt(size) + 1) if size % p == 0), size)
    if first == size:
        return fft_prime(x, size, sign)
    rest = size // first
    rows = fft(
        x.reshape([("dim", 0), first, -1, 2]), first, sign
    )  # point rest * i + j: row i, column j
    turn = np.outer(np.arange(first), np.arange(rest)) * (2 * math.pi * sign / size)
    turned = rotate(rows.reshape([("dim", 0), first, rest, -1, 2]), turn[:, :, None])
    columns = fft(turned.reshape([("prod", 0, 2), rest, ("dim", 3), 2]), rest, sign)
    y = columns.reshape([-1, first, rest, ("dim", 2), 2]).transpose([0, 2, 1, 3, 4])
    return y.reshape([("dim", 0), size, ("dim", 3), 2])


def rotate(x: Expr, angle: np.ndarray[Any, Any]) -> Expr:
    """x [..., 2] times exp(i angle); the angles broadcast against all axes of x but the last."""
    b, dtype = x.b, x.v.dtype or DType.F32
    keep = b.const(np.stack([np.cos(angle)] * 2, -1), dtype)
    cross = b.const(np.stack([-np.sin(angle), np.sin(angle)], -1), dtype)
    swapped = x.gather(Expr(b, b.const(np.array([1, 0], np.int64))), -1)
    return x * Expr(b, keep) + swapped * Expr(b, cross)


def fft_prime(x: Expr, size: int, sign: int) -> Expr:
    """Points j and size - j share their cosines, and their sines but for the sign: half the products."""
    b, half, dtype = x.b, size // 2, x.v.dtype or DType.F32

    def points(at: list[int]) -> Expr:
        return x.gather(Expr(b, b.const(np.array(at, np.int64))), 1)

    def mix(v: Expr, weights: np.ndarray[Any, Any]) -> Expr:
        """Sums over axis 1 with weights [result, point]."""
        flat = v.transpose([0, 2, 3, 1]).matmul(Expr(b, b.const(weights.T, dtype)))
        return flat.transpose([0, 3, 1, 2])

    if size == 2:
        return Expr(b, b.concat([(points([0]) + points([1])).v, (points([0]) - points([1])).v], 1))
    low, high = points([*range(1, half + 1)]), points([*range(size - 1, half, -1)])
    angle = 2 * math.pi * np.outer(np.arange(half + 1), np.arange(half + 1)) / size
    together = Expr(b, b.concat([points([0]).v, (low + high).v], 1))
    even = mix(together, np.cos(angle))
    odd = rotate(mix(low - high, np.sin(angle[1:, 1:])), np.full((1, 1), sign * math.pi / 2))
    start, middle = (
        even.gather(b.const(np.array(k, np.int64)), 1) for k in ([0], range(1, half + 1))
    )
    back = b.const(np.arange(half - 1, -1, -1))
    last = (middle - odd).gather(back, 1)
    return Expr(b, b.concat([start.v, (middle + odd).v, last.v], 1))


def scalar(n: NodeContext, i: int) -> Expr | None:
    """Input i as an i64 scalar, or None if it is left out."""
    v = n.opt(i)
    return None if v is None else Expr(n.b, v).cast(I64).reshape([])


@lower("DFT")
def dft_op(n: NodeContext) -> Value:
    """The axis is an attribute in opset 17 and an input from 20 on; it may come at run time."""
    b, rank = n.b, n.rank(0)
    axis = constant(b, n.int("axis", 1) if n.opset < 20 else -2, I64)
    if n.opset >= 20:
        axis = scalar(n, 2) or axis
    axis = (axis % rank).reshape([1])
    if axis.v.const is None and all(isinstance(d, int) for d in n.shape(0)):
        return choose_axis(n, axis.reshape([]), list(range(rank - 1)))
    return dft_along(n, axis)


def choose_axis(n: NodeContext, axis: Expr, axes: list[int]) -> Value:
    """An axis that comes at run time over sizes that are known: a branch for each, so that each can be fast."""
    b, first = n.b, n.b.const(np.array(axes[:1], np.int64))
    if len(axes) == 1:
        return dft_along(n, Expr(b, first))
    is_first = axis.eq(axes[0]).v
    with b.sub() as then:
        then.results = [dft_along(n, Expr(b, first))]
    with b.sub() as other:
        other.results = [choose_axis(n, axis, axes[1:])]
    return b.control("if", [is_first], [then, other], 1)[0]


def dft_along(n: NodeContext, axis: Expr) -> Value:
    """The transform along axis [1]: what lies before and after it becomes one axis each."""
    b, rank = n.b, n.rank(0)
    shape, first = b.shape_of(n.value(0)), b.const(np.zeros(1, np.int64))
    parts, end = b.shape_of(n.value(0), rank - 1), b.const(np.array([rank - 1], np.int64))
    before = b.slice(shape, first, axis.v, first)
    after = b.slice(shape, (axis + 1).v, end, first)
    outer, inner = (Expr(b, v).reduce("prod", [0]).v for v in (before, after))
    view = b.concat([outer, b.op("gather", shape, axis.v, axis=0), inner, parts], 0)
    x = Expr(b, n.value(0)).op("reshape", view, dims=[], allowzero=1)
    last = n.shape(0)[-1]
    if isinstance(last, int):
        x = x.reshape([("dim", 0), ("dim", 1), ("dim", 2), last])
    y = dft(n, x, scalar(n, 1), bool(n.int("inverse", 0)), bool(n.int("onesided", 0)))
    wanted = b.concat([before, b.shape_of(y.v, 1, 2), after, b.shape_of(y.v, 3)], 0)
    return y.op("reshape", wanted, dims=[], allowzero=1).v


@lower("STFT")
def stft(n: NodeContext) -> Value:
    """Frames by one gather, then the window, then the transform along the frame."""
    x, step, length = Expr(n.b, n.value(0)), scalar(n, 1), scalar(n, 3)
    window = n.opt(2)
    if step is None:
        raise n.fail("frame_step is missing")
    if n.rank(0) == 2:
        x = x.unsqueeze(-1)
    if length is None:
        length = x.dim(1) if window is None else Expr(n.b, window).dim(0)
    frames = (x.dim(1) - length) // step + 1
    index = (arange(n.b, frames) * step).unsqueeze(1) + arange(n.b, length)
    cut = x.gather(index, 1)  # [batch, frames, length, parts]
    if window is not None:
        cut = cut * Expr(n.b, window).unsqueeze(1)
    view = cut.reshape([("prod", 0, 2), ("dim", 2), 1, ("dim", 3)])
    y = dft(n, view, None, False, bool(n.int("onesided", 1)))
    sizes = [n.b.shape_of(cut.v, 0, 2), n.b.shape_of(y.v, 1, 2), n.b.shape_of(y.v, 3)]
    return y.op("reshape", n.b.concat(sizes, 0), dims=[], allowzero=1).v


WINDOWS = {
    "HannWindow": (0.5, 0.5, 0.0),
    "HammingWindow": (25 / 46, 21 / 46, 0.0),
    "BlackmanWindow": (0.42, 0.5, 0.08),
}


@lower(*WINDOWS)
def window(n: NodeContext) -> Value:
    """a - b cos(t) + c cos(2t), over one period or symmetric."""
    a, b, c = WINDOWS[n.op_type]
    size = Expr(n.b, n.value(0)).cast(I64).reshape([])
    steps = size if n.int("periodic", 1) else size - 1
    t = arange(n.b, size, F64) * (2 * math.pi) / steps.cast(F64)
    y = a - b * t.op("cos") + c * (2.0 * t).op("cos") if c else a - b * t.op("cos")
    return y.cast(dtype_of(n.int("output_datatype", 1))).v


@lower("MelWeightMatrix")
def mel_weight_matrix(n: NodeContext) -> Value:
    """Triangles over the spectrum bins, their corners equally spaced on the mel scale."""
    b = n.b
    bins, length, rate, low, high = (Expr(b, n.value(i)).cast(F64).reshape([]) for i in range(5))
    low, high = (2595 / math.log(10) * (1.0 + f / 700).log() for f in (low, high))
    step = (high - low) / (bins + 2.0)
    mel = arange(b, (bins + 2.0).cast(I64), F64) * step + low
    hertz = 700 * ((mel * (math.log(10) / 2595)).exp() - 1.0)
    corner = ((length + 1.0) * hertz / rate).floor()
    at = arange(b, bins.cast(I64))
    left, centre, right = (corner.gather(at + i, 0) for i in range(3))
    j = arange(b, ((length * 0.5).floor() + 1.0).cast(I64), F64).unsqueeze(1)
    rise, fall = centre - left, right - centre
    up = rise.eq(0.0).where(1.0, (j - left) / rise.max(1.0))
    y = ((j >= left) & (j <= centre)).where(up, 0.0)
    y = ((j >= centre) & (j < right)).where((right - j) / fall.max(1.0), y)
    return y.cast(dtype_of(n.int("output_datatype", 1))).v
