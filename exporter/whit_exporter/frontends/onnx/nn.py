"""Convolutions, pooling, batch and instance normalisation, softmax, dropout.

Windows work channels-last in the runtime: transpose, operate, transpose back; a later pass cancels the pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import DType
from ...ir import Value
from .expr import Expr, arange, constant
from .random import uniform
from .registry import NodeContext, lower

AUTO_PAD = {"NOTSET": 0, "": 0, "SAME_UPPER": 1, "SAME_LOWER": 2, "VALID": 3}


def channels_last(x: Expr, rank: int) -> Expr:
    return x.transpose([0, *range(2, rank), 1])


def channels_first(x: Expr, rank: int) -> Expr:
    return x.transpose([0, rank - 1, *range(1, rank - 1)])


def window_attrs(n: NodeContext, kernel: list[int]) -> dict[str, Any]:
    """The attributes that every window operator has, with their defaults filled in."""
    spatial = len(kernel)
    return {
        "auto_pad": AUTO_PAD[n.str("auto_pad", "NOTSET")],
        "kernel": kernel,
        "strides": n.ints("strides", [1] * spatial),
        "pads": n.ints("pads", [0] * 2 * spatial),
        "dilations": n.ints("dilations", [1] * spatial),
    }


def kernel_of(n: NodeContext, weight: int) -> list[int]:
    """The kernel size: from the attribute or from the weights."""
    given = n.ints("kernel_shape")
    rank = n.rank(weight)
    return given or [n.static_dim(weight, i, "the kernel size") for i in range(2, rank)]


def conv(n: NodeContext, x: Expr, w: Expr, bias: Value | None, weight: int = 1) -> Expr:
    """Conv of the node's attributes, inputs and result channels-first; input `weight` tells the kernel size."""
    rank = n.rank(weight)
    attrs = window_attrs(n, kernel_of(n, weight))
    fused = bias if x.v.dtype == DType.F32 else None
    y = channels_last(x, rank).op(
        "conv",
        w.transpose([*range(2, rank), 1, 0]),
        fused,
        group=n.int("group", 1),
        panels=0,
        channels=0,
        **attrs,
    )
    if bias is not None and fused is None:
        y = y + bias
    return channels_first(y, rank)


@lower("Conv")
def conv_op(n: NodeContext) -> Value:
    return conv(n, Expr(n.b, n.value(0)), Expr(n.b, n.value(1)), n.opt(2)).v


@lower("ConvTranspose")
def conv_transpose(n: NodeContext) -> Value:
    rank, bias = n.rank(1), n.opt(2)
    weight = Expr(n.b, n.value(1)).transpose([*range(2, rank), 0, 1])
    shape = n.ints("output_shape")
    fused = bias if n.dtype(0) == DType.F32 else None
    y = channels_last(Expr(n.b, n.value(0)), rank).op(
        "conv_transpose",
        weight,
        fused,
        group=n.int("group", 1),
        output_padding=n.ints("output_padding", [0] * (rank - 2)),
        output_shape=shape[2 - rank :] if len(shape) > rank - 2 else shape,
        **window_attrs(n, kernel_of(n, 1)),
    )
    if bias is not None and fused is None:
        y = y + bias
    return channels_first(y, rank).v


# Pooling


@lower("MaxPool")
def max_pool(n: NodeContext) -> list[Value]:
    rank = n.rank(0)
    x = channels_last(Expr(n.b, n.value(0)), rank)
    outputs = n.b.multi(
        "max_pool",
        2 if n.wants(1) else 1,
        x.v,
        ceil_mode=n.int("ceil_mode", 0),
        storage_order=n.int("storage_order", 0),
        **window_attrs(n, n.ints("kernel_shape", ...)),
    )
    return [channels_first(Expr(n.b, v), rank).v for v in outputs]


def avg_pool(n: NodeContext, x: Expr, count_include_pad: int) -> Expr:
    rank = n.rank(0)
    y = channels_last(x, rank).op(
        "avg_pool",
        ceil_mode=n.int("ceil_mode", 0),
        count_include_pad=count_include_pad,
        **window_attrs(n, n.ints("kernel_shape", ...)),
    )
    return channels_first(y, rank)


@lower("AveragePool")
def average_pool(n: NodeContext) -> Value:
    return avg_pool(n, Expr(n.b, n.value(0)), n.int("count_include_pad", 0)).v


def p_power(x: Expr, p: float) -> Expr:
    """|x| ** p"""
    return x * x if p == 2 else (x.abs() if p == 1 else x.abs() ** p)


def p_root(x: Expr, p: float) -> Expr:
    return x.sqrt() if p == 2 else (x if p == 1 else x ** (1 / p))


def p_of(n: NodeContext) -> float:
    """The attribute p, which opset 1 has as a real number."""
    return n.float("p", 2.0) if n.opset < 2 else float(n.int("p", 2))


@lower("LpPool")
def lp_pool(n: NodeContext) -> Value:
    """The root of the sum of powers in a window: mean times the number of numbers, by ceil_mode 0 on padded input."""
    p, rank, kernel = p_of(n), n.rank(0), n.ints("kernel_shape", ...)
    x = p_power(Expr(n.b, n.value(0)), p)
    if n.int("ceil_mode", 0):
        raise n.fail("ceil_mode is not supported; pad the input instead")
    return p_root(avg_pool(n, x, 1) * float(np.prod(kernel)), p).v if rank else x.v


GLOBAL = {"GlobalAveragePool": "mean", "GlobalMaxPool": "max"}


@lower(*GLOBAL)
def global_pool(n: NodeContext) -> Value:
    axes = list(range(2, n.rank(0)))
    return Expr(n.b, n.value(0)).reduce(GLOBAL[n.op_type], axes).v


@lower("GlobalLpPool")
def global_lp_pool(n: NodeContext) -> Value:
    p = p_of(n)
    total = p_power(Expr(n.b, n.value(0)), p).sum(list(range(2, n.rank(0))))
    return p_root(total, p).v


@lower("MaxUnpool")
def max_unpool(n: NodeContext) -> Value:
    """Scatters into zeros of the inferred shape, which the indices refer to; then pads to output_shape."""
    b, rank = n.b, n.rank(0)
    kernel = n.ints("kernel_shape", ...)
    spatial = len(kernel)
    strides, pads = n.ints("strides", [1] * spatial), n.ints("pads", [0] * 2 * spatial)
    less = [k - pads[i] - pads[spatial + i] for i, k in enumerate(kernel)]
    size = Expr(b, b.shape_of(n.value(0), 2))
    step = constant(b, np.array(strides, np.int64), DType.I64)
    inner = (size - 1) * step + constant(b, np.array(less, np.int64), DType.I64)
    shape = b.concat([b.shape_of(n.value(0), 0, 2), inner.v], 0)
    flat = Expr(b, n.value(0)).reshape([-1])
    total = Expr(b, shape).reduce("prod", [0])
    zeros = constant(b, 0, n.dtype(0)).op("expand", total)
    index = b.cast(b.reshape_to(n.value(1), [-1]), DType.I64)
    y = zeros.op("scatter_elements", index, flat, axis=0, reduction=0)
    y = y.op("reshape", shape, dims=[], allowzero=1)
    wanted = n.opt(2)
    if wanted is not None:
        after = Expr(b, b.cast(wanted, DType.I64)) - shape
        pads_value = b.concat([b.const(np.zeros(rank, np.int64)), after.v], 0)
        y = y.op("pad", pads_value, None, None, mode=0)
    return y.v


@lower("Col2Im")
def col2im(n: NodeContext) -> Value:
    """Adds every column to its place in the flat image; what falls into the padding goes to a spare place."""
    b, spatial = n.b, len(n.ints("strides")) or len(n.ints("dilations")) or len(n.ints("pads")) // 2
    image, block = (Expr(b, b.cast(n.value(i), DType.I64)) for i in (1, 2))
    spatial = spatial or next((s[0] for s in (n.shape(1), n.shape(2)) if isinstance(s[0], int)), 0)
    if not spatial:
        raise n.fail("the number of axes of the image must be known")
    dilations, strides = n.ints("dilations", [1] * spatial), n.ints("strides", [1] * spatial)
    pads = n.ints("pads", [0] * 2 * spatial)
    place, inside = constant(b, 0, DType.I64), constant(b, True, DType.BOOL)
    for i in range(spatial):
        size, taps = (v.slice(i, i + 1, 0).squeeze(0) for v in (image, block))
        room = size + (pads[i] + pads[spatial + i] - 1) - (taps - 1) * dilations[i]
        tap = (arange(b, taps) * dilations[i]).to_axis(i, 2 * spatial)
        step = arange(b, room // strides[i] + 1) * strides[i] - pads[i]
        at = tap + step.to_axis(spatial + i, 2 * spatial)
        place, inside = place * size + at, inside & (at >= 0) & (at < size)
    total = image.reduce("prod", [0])
    index = inside.where(place, total).reshape([1, 1, -1])
    channels = Expr(b, b.shape_of(n.value(0), 1, 2)) // block.reduce("prod", [0])
    lead = b.concat([b.shape_of(n.value(0), 0, 1), channels.v], 0)
    shape = b.concat([lead, b.shape_of(index.v, 2)], 0)
    columns = Expr(b, n.value(0)).op("reshape", shape, dims=[], allowzero=1)
    zeros = constant(b, 0, n.dtype(0)).op("expand", b.concat([lead, (total + 1).v], 0))
    y = zeros.op("scatter_elements", index.op("expand", shape), columns, axis=2, reduction=1)
    y = Expr(b, b.slice(y.v, b.const(np.zeros(1, np.int64)), total.v, b.const(np.array([2]))))
    return y.op("reshape", b.concat([lead, image.v], 0), dims=[], allowzero=1).v


# Normalisation over the batch or the image


def per_channel(v: Expr, rank: int) -> Expr:
    """[C] as [C, 1, ...], to broadcast against [N, C, ...]."""
    return v.reshape([-1] + [1] * (rank - 2)) if rank > 2 else v


@lower("BatchNormalization")
def batch_normalization(n: NodeContext) -> list[Value]:
    """One multiply-add, whose factors are constants when the parameters are."""
    b, rank, eps = n.b, n.rank(0), n.float("epsilon", 1e-5)
    scale, bias, mean, var = (Expr(b, n.value(i)) for i in range(1, 5))
    x, dtype = Expr(b, n.value(0)), n.dtype(0)
    wide = DType.F64 if dtype == DType.F64 else DType.F32
    x, scale, bias = x.cast(wide), scale.cast(wide), bias.cast(wide)
    training = (
        n.int("training_mode", 0) if n.opset >= 14 else int(n.opset < 7 and not n.int("is_test", 0))
    )
    outputs: list[Value] = []
    if training:
        axes = [0, *range(2, rank)]
        now = x.mean(axes)
        spread = (x - now) * (x - now)
        momentum = n.float("momentum", 0.9)
        now, spread = now.reshape([-1]), spread.mean(axes).reshape([-1])
        for old, new in ((mean, now), (var, spread)):
            typed = new.cast(old.v.dtype or wide)
            outputs.append((old * momentum + typed * (1 - momentum)).v)
        mean, var = now, spread
    factor = scale / (var.cast(wide) + eps).sqrt()
    offset = bias - mean.cast(wide) * factor
    if n.opset >= 9 or n.int("spatial", 1):
        factor, offset = per_channel(factor, rank), per_channel(offset, rank)
    return [(x * factor + offset).cast(dtype).v, *outputs]


def grouped_norm(x: Expr, scale: Expr | None, bias: Expr | None, groups: int, eps: float) -> Expr:
    """Normalisation of [N, C, ...] over each sample's groups of channels; 0: each channel is a group."""
    rank = x.v.rank or 0
    y = channels_last(x, rank).op("norm", scale, bias, axis=1, groups=groups, rms=0, eps=eps)
    return channels_first(y, rank)


@lower("InstanceNormalization")
def instance_normalization(n: NodeContext) -> Value:
    rank = n.rank(0)
    axes = list(range(2, rank))
    x = Expr(n.b, n.value(0))
    if x.v.dtype == DType.F32:
        eps = n.float("epsilon", 1e-5)
        return grouped_norm(x, Expr(n.b, n.value(1)), Expr(n.b, n.value(2)), 0, eps).v
    d = x - x.mean(axes)
    scale = per_channel(Expr(n.b, n.value(1)), rank)
    bias = per_channel(Expr(n.b, n.value(2)), rank)
    factor = scale / ((d * d).mean(axes) + n.float("epsilon", 1e-5)).sqrt()
    return (d * factor + bias).v


@lower("LRN")
def lrn(n: NodeContext) -> Value:
    """The mean of squares over neighbouring channels: a one-dimensional window over [N, C, all the rest]."""
    x, size = Expr(n.b, n.value(0)), n.int("size")
    rank = n.rank(0)
    before = (size - 1) // 2
    mean = (x * x).reshape([("dim", 0), ("dim", 1), ("prod", 2, rank)]).op(
        "avg_pool", auto_pad=0, ceil_mode=0, count_include_pad=1, kernel=[size], strides=[1],
        pads=[before, size - 1 - before], dilations=[1],
    ).reshape_like(x)  # fmt: skip
    return (x / (n.float("bias", 1.0) + n.float("alpha", 1e-4) * mean) ** n.float("beta", 0.75)).v


# Dropout, softmax


@lower("Dropout")
def dropout(n: NodeContext) -> list[Value]:
    """The input itself unless training_mode is on; if that is known only at run time, both are in the graph."""
    b, x = n.b, n.value(0)
    training = n.opt(2) if n.opset >= 12 else None
    fixed = n.const(2)
    on = training is not None and (fixed is None or bool(fixed.any()))
    ratio = n.const(1) if n.opt(1) is not None else np.array(0.5)
    if training is None or not on or (ratio is not None and not ratio.any()):
        mask = b.const(1, DType.BOOL if n.opset >= 10 else n.dtype(0))
        return [x, b.op("expand", mask, b.shape_of(x))] if n.wants(1) else [x]
    share = Expr(b, b.const(0.5) if n.opt(1) is None else n.value(1)).cast(DType.F32).reshape([])
    active = Expr(b, training).reshape([])
    keep = (uniform(n, b.shape_of(x), DType.F32) >= share) | ~active
    factor = active.where(1.0 / (1.0 - share), 1.0).cast(n.dtype(0))
    return [keep.where(Expr(b, x) * factor, 0.0).v, keep.v]


def softmax_axes(n: NodeContext) -> list[int]:
    """Before opset 13 all axes from `axis` on count as one."""
    if n.opset >= 13:
        return [n.int("axis", -1)]
    rank = n.rank(0)
    return list(range(n.int("axis", 1) % max(rank, 1), rank))


def softmax_rows(x: Expr, axes: list[int], log: int) -> Expr | None:
    """The primitive, with the axis brought to the end; None where it does not fit."""
    rank = x.v.rank or 0
    if x.v.dtype != DType.F32 or len(axes) != 1 or not -rank <= axes[0] < rank:
        return None
    axis = axes[0] % rank
    there = [*(k for k in range(rank) if k != axis), axis]
    return (
        x.transpose(there).op("softmax", log=log).transpose([there.index(k) for k in range(rank)])
    )


@lower("Softmax")
def softmax(n: NodeContext) -> Value:
    x, axes = Expr(n.b, n.value(0)), softmax_axes(n)
    rows = softmax_rows(x, axes, 0)
    if rows is not None:
        return rows.v
    e = (x - x.reduce("max", axes)).exp()
    return (e / e.sum(axes)).v


@lower("LogSoftmax")
def log_softmax(n: NodeContext) -> Value:
    x, axes = Expr(n.b, n.value(0)), softmax_axes(n)
    rows = softmax_rows(x, axes, 1)
    if rows is not None:
        return rows.v
    d = x - x.reduce("max", axes)
    return (d - d.exp().sum(axes).log()).v


# Deformable convolution


@lower("DeformConv")
def deform_conv(n: NodeContext) -> Value:
    """Samples the input bilinearly at every kernel tap of every output place, then one matrix product.

    Inputs X [N, C, H, W], W [M, C/group, kh, kw], offset [N, G*K*2, oh, ow] (K = kh*kw, y before x), mask [N, G*K, oh, ow].
    """
    b = n.b
    if n.rank(0) != 4:
        raise n.fail("only two-dimensional images are supported")
    kernel = kernel_of(n, 1)
    attrs = window_attrs(n, kernel)
    groups, offset_groups = n.int("group", 1), n.int("offset_group", 1)
    channels = n.static_dim(0, 1, "the number of channels")
    out_channels = n.static_dim(1, 0, "the number of output channels")
    taps = kernel[0] * kernel[1]
    oh, ow = (n.static_dim(2, i, "the output size") for i in (2, 3))
    x = Expr(b, n.value(0)).reshape(
        [("dim", 0), offset_groups, channels // offset_groups, ("dim", 2), ("dim", 3)]
    )
    x = x.transpose([0, 1, 3, 4, 2]).reshape([("prod", 0, 2), ("dim", 2), ("dim", 3), ("dim", 4)])
    dtype = n.dtype(0)
    offset = Expr(b, n.value(2)).reshape([-1, taps, 2, oh, ow])  # [N*G, K, 2, oh, ow]
    places: list[Expr] = []
    for i, (size, out) in enumerate(zip(kernel, (oh, ow), strict=True)):
        grid = np.arange(out)[None, :] * attrs["strides"][i] - attrs["pads"][i]
        grid = grid + np.arange(size)[:, None] * attrs["dilations"][i]  # [k, out]
        shape = [1] * 4
        shape[i], shape[2 + i] = size, out
        full = np.broadcast_to(grid.reshape(shape), (*kernel, oh, ow)).reshape(1, taps, oh, ow)
        places.append(offset.slice(i, i + 1, 2).squeeze(2) + b.const(full.astype(dtype.numpy)))
    sizes = [x.dim(1), x.dim(2)]
    y: Expr | None = None
    low = [p.floor() for p in places]
    for corner in range(4):
        weight: Expr | None = None
        index: list[Value] = []
        for i, p in enumerate(places):
            at = low[i] + float(corner >> i & 1)
            inside = (at >= 0.0) & (at < sizes[i].cast(dtype))
            part = inside.where(1.0 - (p - at).abs(), 0.0)
            weight = part if weight is None else weight * part
            whole = at.cast(DType.I64).clip(0, sizes[i] - 1)
            index.append(whole.unsqueeze(-1).v)
        picked = x.op("gather_nd", b.concat(index, -1), batch_dims=1)  # [N*G, K, oh, ow, C/G]
        if weight is not None:
            term = picked * weight.unsqueeze(-1)
            y = term if y is None else y + term
    if y is None:
        raise n.fail("no sample")
    mask = n.opt(4)
    if mask is not None:
        y = y * Expr(b, mask).reshape([-1, taps, oh, ow, 1])
    # [N*G, K, oh, ow, C/G] -> [N, group, C/group * K, oh*ow]
    y = y.reshape([-1, offset_groups, taps, oh * ow, channels // offset_groups])
    y = y.transpose([0, 1, 4, 2, 3]).reshape([-1, groups, channels // groups * taps, oh * ow])
    w = Expr(b, n.value(1)).reshape([groups, out_channels // groups, -1])
    y = w.matmul(y).reshape([-1, out_channels, oh, ow])
    bias = n.opt(3)
    return (y + per_channel(Expr(b, bias), 4)).v if bias is not None else y.v
