"""Normalisation over the axes of one sample."""

from __future__ import annotations

from ...dtypes import DType
from ...ir import Value
from .expr import Expr
from .nn import grouped_norm, p_of, p_power, p_root
from .registry import NodeContext, dtype_of, lower


def trailing_axes(n: NodeContext) -> list[int]:
    """From `axis` to the last one."""
    axis = n.int("axis", -1)
    return list(range(axis, 0)) if axis < 0 else list(range(axis, n.rank(0)))


def stash_type(n: NodeContext) -> DType:
    """The type to compute in."""
    return n.dtype(0) if n.dtype(0) == DType.F64 else dtype_of(n.int("stash_type", 1))


def trailing_norm(n: NodeContext, rms: int, scale: Value | None, bias: Value | None) -> Expr | None:
    """Normalisation over the last axis as the primitive; None where it does not fit. Types below f32 are normalised in f32
    and get their parameters afterwards."""
    if n.int("axis", -1) not in (-1, n.rank(0) - 1) or stash_type(n) != DType.F32:
        return None
    dtype = n.dtype(0)
    inside: list[Value | None] = [None, None]
    if dtype == DType.F32:
        inside = [vector(n, v) for v in (scale, bias)]
    outside = [
        v if within is None else None for v, within in zip((scale, bias), inside, strict=True)
    ]
    if outside[0] is not None:
        inside[1], outside[1] = None, bias
    x = Expr(n.b, n.value(0)).cast(DType.F32)
    eps = n.float("epsilon", 1e-5)
    y = x.op("norm", *inside, axis=-1, groups=1, rms=rms, eps=eps).cast(dtype)
    if outside[0] is not None:
        factor = outside[0]
        y = y.cast(factor.dtype or dtype) * factor
    return y if outside[1] is None else y + outside[1]


def vector(n: NodeContext, v: Value | None) -> Value | None:
    """v, if it is one f32 number for each channel of the last axis."""
    if v is None or v.dtype != DType.F32 or v.rank != 1 or v.shape is None:
        return None
    return v if v.shape[0] is not None and v.shape[0] == n.shape(0)[-1] else None


@lower("LayerNormalization")
def layer_normalization(n: NodeContext) -> list[Value]:
    axes, dtype, bias = trailing_axes(n), n.dtype(0), n.opt(2)
    fused = None if n.wants(1) or n.wants(2) else trailing_norm(n, 0, n.value(1), bias)
    if fused is not None:
        return [fused.v]
    x = Expr(n.b, n.value(0)).cast(stash_type(n))
    mean = x.mean(axes)
    d = x - mean
    inverse = 1.0 / ((d * d).mean(axes) + n.float("epsilon", 1e-5)).sqrt()
    y = (d * inverse).cast(dtype) * n.value(1)
    return [(y if bias is None else y + bias).v, mean.v, inverse.v]


@lower("RMSNormalization")
def rms_normalization(n: NodeContext) -> Value:
    axes, dtype = trailing_axes(n), n.dtype(0)
    fused = trailing_norm(n, 1, n.value(1), None)
    if fused is not None:
        return fused.v
    x = Expr(n.b, n.value(0)).cast(stash_type(n))
    inverse = 1.0 / ((x * x).mean(axes) + n.float("epsilon", 1e-5)).sqrt()
    scale = Expr(n.b, n.value(1))
    return ((x * inverse).cast(dtype).cast(scale.v.dtype or dtype) * scale).v


@lower("GroupNormalization")
def group_normalization(n: NodeContext) -> Value:
    """The parameters are one a channel; in opset 18 one a group."""
    rank, dtype, groups, eps = n.rank(0), n.dtype(0), n.int("num_groups"), n.float("epsilon", 1e-5)
    wide = stash_type(n) if n.opset >= 21 else dtype
    x = Expr(n.b, n.value(0))
    scale, bias = (Expr(n.b, n.value(i)) for i in (1, 2))
    if wide == DType.F32 and groups > 0:
        if n.opset >= 21 and dtype == DType.F32:
            return grouped_norm(x, scale, bias, groups, eps).v
        y = grouped_norm(x.cast(wide), None, None, groups, eps).cast(dtype)
        y = y.reshape([("dim", 0), groups, -1])
    else:
        split = x.cast(wide).reshape([("dim", 0), groups, -1])
        d = split - split.mean([2])
        y = (d / ((d * d).mean([2]) + eps).sqrt()).cast(dtype)
    if n.opset < 21:
        return (y * scale.reshape([-1, 1]) + bias.reshape([-1, 1])).reshape_like(x).v
    view = [-1] + [1] * (rank - 2)
    return (y.reshape_like(x) * scale.reshape(view) + bias.reshape(view)).v


@lower("MeanVarianceNormalization")
def mean_variance_normalization(n: NodeContext) -> Value:
    axes = n.ints("axes", [0, 2, 3])
    x = Expr(n.b, n.value(0))
    d = x - x.mean(axes)
    return (d / ((d * d).mean(axes).sqrt() + 1e-9)).v


@lower("LpNormalization")
def lp_normalization(n: NodeContext) -> Value:
    x, p, axis = Expr(n.b, n.value(0)), p_of(n), n.int("axis", -1)
    norm = p_root(p_power(x, p).sum([axis]), p)
    return norm.eq(0.0).where(x * 0.0, x / norm).v
