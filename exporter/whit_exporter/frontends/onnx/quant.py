"""Quantised operators: exact integer arithmetic in i32, the rest in f32."""

from __future__ import annotations

from ...dtypes import DType
from ...ir import Value
from .expr import Expr, arange
from .math import F8_OVERFLOW, cast_to, matmul_1d
from .nn import conv
from .registry import NodeContext, lower

RANGES = {
    DType.U8: (0, 255), DType.I8: (-128, 127), DType.U16: (0, 65535), DType.I16: (-32768, 32767),
    DType.U4: (0, 15), DType.I4: (-8, 7), DType.U2: (0, 3), DType.I2: (-2, 1),
}  # fmt: skip


def spread(n: NodeContext, p: Expr, axis: int, block: int) -> Expr:
    """A scale or zero point laid out to broadcast against the input: per tensor, per axis or per block."""
    rank = p.v.rank
    if rank is None:
        raise n.fail("the number of axes of the scale is not known")
    if block:
        axis %= n.rank(0)
        index = arange(n.b, Expr(n.b, n.value(0)).dim(axis)) // block
        return p.gather(index, axis)
    if rank == 1 and p.v.shape == (1,):
        return p.reshape([])
    return p if rank == 0 or n.rank(0) == 1 else p.to_axis(axis % n.rank(0), n.rank(0))


def saturate(x: Expr, dtype: DType) -> Expr:
    """Reals that are whole to an integer type, clamped to its range."""
    low, high = RANGES[dtype]
    return x.clip(float(low), float(high)).cast(dtype)


@lower("QuantizeLinear")
def quantize_linear(n: NodeContext) -> Value:
    zero = n.opt(2)
    target = zero.dtype if zero is not None else None
    target = (
        target or (n.dtype_attr("output_dtype") if n.int("output_dtype", 0) else None) or DType.U8
    )
    precision = n.dtype_attr("precision") if n.int("precision", 0) else None
    axis, block = n.int("axis", 1), n.int("block_size", 0)
    scale = spread(n, Expr(n.b, n.value(1)), axis, block)
    wide = DType.F64 if DType.F64 in (n.dtype(0), n.dtype(1)) else DType.F32
    x = Expr(n.b, n.value(0))
    if precision is not None:
        x, scale = x.cast(precision), scale.cast(precision)
    y = x.cast(wide) / scale.cast(wide)
    if target in RANGES:
        y = y.op("round")
    if zero is not None:
        y = y + spread(n, Expr(n.b, zero), axis, block).cast(wide)
    return saturate(y, target).v if target in RANGES else cast_to(n, y.v, target)


@lower("DequantizeLinear")
def dequantize_linear(n: NodeContext) -> Value:
    axis, block = n.int("axis", 1), n.int("block_size", 0)
    target = n.dtype_attr("output_dtype") if n.int("output_dtype", 0) else None
    scale = spread(n, Expr(n.b, n.value(1)), axis, block).cast(DType.F32)
    x, zero = Expr(n.b, n.value(0)), n.opt(2)
    if n.dtype(0) == DType.I32 and zero is not None:
        x = x - spread(n, Expr(n.b, zero), axis, block)
        zero = None
    x = x.cast(DType.F32)
    if zero is not None:
        x = x - spread(n, Expr(n.b, zero), axis, block).cast(DType.F32)
    return (x * scale).cast(target or n.dtype(1)).v


def centred(n: NodeContext, i: int, zero: int, lead: int | None = None) -> Expr:
    """Input i less its zero point, in i32. A zero point that is a vector lies along axis `lead`."""
    x = Expr(n.b, n.value(i)).cast(DType.I32)
    z = n.opt(zero)
    if z is None or (z.const is not None and not z.const.any()):
        return x
    offset = Expr(n.b, z).cast(DType.I32)
    if z.rank == 1 and lead is not None and z.shape != (1,):
        offset = offset.to_axis(lead % n.rank(i), n.rank(i))
    return x - offset


def real(n: NodeContext, i: int, zero: int, lead: int | None = None) -> Expr:
    """Input i less its zero point, in f32; that of 8-bit floats is 0."""
    x = Expr(n.b, n.value(i)) if n.dtype(i) in F8_OVERFLOW else centred(n, i, zero, lead)
    return x.cast(DType.F32)


@lower("MatMulInteger")
def matmul_integer(n: NodeContext) -> Value:
    """The zero point of A is one a row."""
    return matmul_1d(n, centred(n, 0, 2, -2).v, centred(n, 1, 3).v)


@lower("ConvInteger")
def conv_integer(n: NodeContext) -> Value:
    return conv(n, centred(n, 0, 2), centred(n, 1, 3, 0), None).v


def requantize(n: NodeContext, y: Expr, scale: Expr, zero: Value) -> Value:
    """round(y * scale) + zero in the type of zero; 8-bit floats have no other zero point than 0, and round themselves."""
    wide = y.cast(DType.F32) * scale
    if zero.dtype not in RANGES:
        return wide.cast(zero.dtype or DType.U8).v
    return saturate(wide.op("round") + n.b.cast(zero, DType.F32), zero.dtype).v


@lower("QLinearMatMul")
def qlinear_matmul(n: NodeContext) -> Value:
    """a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero; the scale of a may be one a row."""
    scale_a, scale_b, scale_y = (Expr(n.b, n.value(i)).cast(DType.F32) for i in (1, 4, 6))
    if scale_a.v.rank == 1 and scale_a.v.shape != (1,):
        scale_a = scale_a.reshape([-1, 1])
    if n.dtype(0) in F8_OVERFLOW or n.dtype(3) in F8_OVERFLOW:
        y = matmul_1d(n, real(n, 0, 2, -2).v, real(n, 3, 5).v)
    else:
        y = matmul_1d(n, centred(n, 0, 2, -2).v, centred(n, 3, 5).v)
    return requantize(n, Expr(n.b, y), scale_a * scale_b / scale_y, n.value(7))


@lower("QLinearConv")
def qlinear_conv(n: NodeContext) -> Value:
    """x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias?; the scale of w may be one a channel."""
    rank = n.rank(0)
    w = centred(n, 3, 5, 0)
    y = conv(n, centred(n, 0, 2), w, None, weight=3)
    bias = n.opt(8)
    if bias is not None:
        y = y + Expr(n.b, bias).reshape([-1] + [1] * (rank - 2))
    scale_x, scale_w, scale_y = (Expr(n.b, n.value(i)).cast(DType.F32) for i in (1, 4, 6))
    if scale_w.v.rank == 1 and scale_w.v.shape != (1,):
        scale_w = scale_w.reshape([-1] + [1] * (rank - 2))
    return requantize(n, y, scale_x * scale_w / scale_y, n.value(7))
