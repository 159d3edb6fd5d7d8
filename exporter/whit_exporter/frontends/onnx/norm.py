"""Normalisation over the axes of one sample."""

from __future__ import annotations

from ...dtypes import DType
from ...ir import Value
from .expr import Expr
from .nn import p_of, p_power, p_root
from .registry import NodeContext, dtype_of, lower


def trailing_axes(n: NodeContext) -> list[int]:
    """From `axis` to the last one."""
    axis = n.int("axis", -1)
    return list(range(axis, 0)) if axis < 0 else list(range(axis, n.rank(0)))


def stash_type(n: NodeContext) -> DType:
    """The type to compute in."""
    return n.dtype(0) if n.dtype(0) == DType.F64 else dtype_of(n.int("stash_type", 1))


@lower("LayerNormalization")
def layer_normalization(n: NodeContext) -> list[Value]:
    axes, dtype = trailing_axes(n), n.dtype(0)
    x = Expr(n.b, n.value(0)).cast(stash_type(n))
    mean = x.mean(axes)
    d = x - mean
    inverse = 1.0 / ((d * d).mean(axes) + n.float("epsilon", 1e-5)).sqrt()
    y = (d * inverse).cast(dtype) * n.value(1)
    bias = n.opt(2)
    return [(y if bias is None else y + bias).v, mean.v, inverse.v]


@lower("RMSNormalization")
def rms_normalization(n: NodeContext) -> Value:
    axes, dtype = trailing_axes(n), n.dtype(0)
    x = Expr(n.b, n.value(0)).cast(stash_type(n))
    inverse = 1.0 / ((x * x).mean(axes) + n.float("epsilon", 1e-5)).sqrt()
    scale = Expr(n.b, n.value(1))
    return ((x * inverse).cast(dtype).cast(scale.v.dtype or dtype) * scale).v


@lower("GroupNormalization")
def group_normalization(n: NodeContext) -> Value:
    """The parameters are one a channel; in opset 18 one a group."""
    rank, dtype, groups = n.rank(0), n.dtype(0), n.int("num_groups")
    wide = stash_type(n) if n.opset >= 21 else dtype
    x = Expr(n.b, n.value(0))
    split = x.cast(wide).reshape([("dim", 0), groups, -1])
    d = split - split.mean([2])
    y = (d / ((d * d).mean([2]) + n.float("epsilon", 1e-5)).sqrt()).cast(dtype)
    scale, bias = (Expr(n.b, n.value(i)) for i in (1, 2))
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
