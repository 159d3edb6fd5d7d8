"""Random numbers: the runtime makes uniform ones, and everything else is made of those.

A `seed` picks another stream of the same generator. Without one the stream is always the same, so that a model
gives the same results each time it is loaded; no two draws of one instance share a number.
"""

from __future__ import annotations

import math

import numpy as np

from ...dtypes import DType
from ...ir import Value
from .expr import Expr
from .registry import NodeContext, lower


def seed_of(n: NodeContext) -> int:
    """The attribute `seed`, real or integer, as 32 bits."""
    a = n.attributes.get("seed")
    if a is None:
        return 0
    bits = np.float32(a.f).view(np.int32) if a.f else np.int64(a.i).astype(np.int32)
    return int(bits)


def uniform(n: NodeContext, shape: Value, dtype: DType) -> Expr:
    """Numbers in [0, 1): f64 if they end up as f64, else f32."""
    wide = DType.F64 if dtype == DType.F64 else DType.F32
    return Expr(n.b, n.b.op("random", shape, dtype=int(wide), seed=seed_of(n)))


def output_type(n: NodeContext) -> DType:
    like = n.dtype(0) if n.op_type.endswith("Like") else DType.F32
    dtype = n.dtype_attr("dtype") or like
    if not dtype.is_float:
        raise n.fail(f"makes real numbers, not {dtype.short}; set dtype to a float type")
    return dtype


def output_shape(n: NodeContext) -> Value:
    if n.op_type.endswith("Like"):
        return n.b.shape_of(n.value(0))
    return n.b.const(np.array(n.ints("shape", ...), np.int64))


@lower("RandomUniform", "RandomUniformLike")
def random_uniform(n: NodeContext) -> Value:
    dtype, low, high = output_type(n), n.float("low", 0.0), n.float("high", 1.0)
    x = uniform(n, output_shape(n), dtype)
    x = x if (low, high) == (0.0, 1.0) else x * (high - low) + low
    return x.cast(dtype).v


@lower("RandomNormal", "RandomNormalLike")
def random_normal(n: NodeContext) -> Value:
    """Box and Muller: a radius and an angle; 1 - x keeps the logarithm finite."""
    dtype, shape = output_type(n), output_shape(n)
    radius = (-2.0 * (1.0 - uniform(n, shape, dtype)).log()).sqrt()
    x = radius * (2 * math.pi * uniform(n, shape, dtype)).op("cos")
    return (x * n.float("scale", 1.0) + n.float("mean", 0.0)).cast(dtype).v


@lower("Bernoulli")
def bernoulli(n: NodeContext) -> Value:
    """1 with probability x. (The function body in the standard has it the wrong way round.)"""
    x, dtype = Expr(n.b, n.value(0)), n.dtype(0)
    draw = uniform(n, n.b.shape_of(x.v), dtype)
    drawn = draw < x.cast(draw.v.dtype or DType.F32)
    return drawn.cast(n.dtype_attr("dtype") or dtype).v


@lower("Multinomial")
def multinomial(n: NodeContext) -> Value:
    """Of logarithms of unnormalised probabilities [batch, classes]: how many running sums a draw passes."""
    b, count = n.b, n.int("sample_size", 1)
    x = Expr(b, n.value(0)).cast(DType.F64 if n.dtype(0) == DType.F64 else DType.F32)
    weight = (x - x.reduce("max", [1])).exp()
    below = weight.op("cumulative", None, axis=1, product=0, exclusive=0, reverse=0)
    shape = b.concat([b.shape_of(x.v, 0, 1), b.const(np.array([count]))], 0)
    draw = uniform(n, shape, n.dtype(0)) * below.slice(-1, 2**31 - 1, 1)
    # The last sum is left out, so that rounding cannot lead past the last class.
    passed = (below.slice(0, -1, 1).unsqueeze(1) <= draw.unsqueeze(2)).cast(DType.I64)
    return passed.sum([2], keepdims=False).cast(n.dtype_attr("dtype", DType.I32) or DType.I32).v
