"""Matrix products, convolutions and windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..dtypes import DType
from ..ir import Dim
from .base import Call, Type, broadcast, rule, unknown
from .elementwise import show_shape


@rule("matmul")
def _matmul(call: Call) -> list[Type]:
    a, b = call.need(0), call.need(1)
    if a.dtype is not None and b.dtype is not None and a.dtype != b.dtype:
        call.fail(f"element types differ: {a.dtype.short} and {b.dtype.short}")
    if a.shape is None:
        return [Type(a.dtype)]
    if len(a.shape) < 2:
        call.fail(f"operands need at least two axes, got {show_shape(a.shape)}")
    swap_a = call.attr("trans_a") != 0
    m, k = (a.shape[-1], a.shape[-2]) if swap_a else (a.shape[-2], a.shape[-1])
    if call.attr("panels"):
        n: Dim = call.attr("n")
        if (
            b.shape is not None
            and isinstance(k, int)
            and isinstance(b.shape[-2], int)
            and k != b.shape[-2]
        ):
            call.fail(f"{show_shape(a.shape)} times panels of {b.shape[-2]} rows")
        return [Type(a.dtype, (*a.shape[:-2], m, n))]
    if b.shape is None:
        return [Type(a.dtype)]
    if len(b.shape) < 2:
        call.fail(f"operands need at least two axes, got {show_shape(b.shape)}")
    k2, n = (b.shape[-1], b.shape[-2]) if call.attr("trans_b") else (b.shape[-2], b.shape[-1])
    try:
        batch = broadcast([a.shape[:-2], b.shape[:-2]])
    except ValueError:
        call.fail(f"{show_shape(a.shape)} times {show_shape(b.shape)}: batch axes do not broadcast")
    if isinstance(k, int) and isinstance(k2, int) and k != k2:
        call.fail(
            f"{show_shape(a.shape)} times {show_shape(b.shape)}: inner dimensions {k} and {k2} differ"
        )
    return [Type(a.dtype, None if batch is None else (*batch, m, n))]


@dataclass(slots=True)
class Window:
    """The window attributes of one spatial axis."""

    kernel: Dim
    stride: int
    dilation: int
    before: int
    after: int


def _windows(call: Call, kernel: Sequence[Dim]) -> list[Window]:
    n = len(kernel)
    strides, dilations, pads = (call.attrs(k) for k in ("strides", "dilations", "pads"))
    strides, dilations, pads = strides or [1] * n, dilations or [1] * n, pads or [0] * (2 * n)
    if len(strides) != n or len(dilations) != n or len(pads) != 2 * n:
        call.fail(f"strides, dilations and pads do not fit {n} spatial axes")
    if min([*strides, *dilations], default=1) < 1:
        call.fail("strides and dilations must be at least 1")
    return [Window(kernel[k], strides[k], dilations[k], pads[k], pads[n + k]) for k in range(n)]


def _window_dim(d: Dim, w: Window, auto_pad: int, ceil_mode: int) -> Dim:
    """How many windows fit. auto_pad: 0 NOTSET, 1 SAME_UPPER, 2 SAME_LOWER, 3 VALID."""
    if auto_pad in (1, 2):
        if w.stride == 1:
            return d
        return -(-d // w.stride) if isinstance(d, int) else None
    before, after = (0, 0) if auto_pad == 3 else (w.before, w.after)
    if not isinstance(w.kernel, int):
        return None
    extra = before + after - (w.kernel - 1) * w.dilation - 1
    if not isinstance(d, int):
        return d if w.stride == 1 and extra == -1 else None
    room = d + extra
    if room < 0:
        return 0 if not ceil_mode else max(-(-room // w.stride) + 1, 0)
    if not ceil_mode:
        return room // w.stride + 1
    n = -(-room // w.stride) + 1
    # A window that would start in the padding behind the data does not count.
    return n - 1 if (n - 1) * w.stride >= d + before else n


def _spatial(call: Call, kernel: list[Dim]) -> list[Dim]:
    shape = call.shape()
    if shape is None:
        return [None] * len(kernel)
    if len(shape) != len(kernel) + 2:
        call.fail(f"input {show_shape(shape)} with a kernel of {len(kernel)} spatial axes")
    windows = _windows(call, kernel)
    auto_pad, ceil_mode = call.attr("auto_pad"), call.attr("ceil_mode")
    dims = [
        _window_dim(d, w, auto_pad, ceil_mode) for d, w in zip(shape[1:-1], windows, strict=True)
    ]
    for d in dims:
        if isinstance(d, int) and d <= 0 and 0 not in shape:
            call.fail(
                f"the window {show_shape(tuple(kernel))} does not fit into the input {show_shape(shape)}"
            )
    return dims


@rule("conv")
def _conv(call: Call) -> list[Type]:
    x, w = call.need(0), call.need(1)
    kernel: list[Dim] = list(call.attrs("kernel"))
    channels: Dim = call.attr("channels")
    if not call.attr("panels"):
        if w.shape is None:
            return [Type(x.dtype, unknown(x.rank))]
        kernel, channels = list(w.shape[:-2]), w.shape[-1]
        if x.shape is not None and len(x.shape) == len(w.shape):
            c, per_group = x.shape[-1], w.shape[-2]
            group = call.attr("group", 1)
            if isinstance(c, int) and isinstance(per_group, int) and c != per_group * group:
                call.fail(f"the input has {c} channels, the weights take {per_group * group}")
    batch = None if x.shape is None else x.shape[0]
    return [Type(x.dtype, (batch, *_spatial(call, kernel), channels))]


@rule("bottleneck")
def _bottleneck(call: Call) -> list[Type]:
    x = call.need(0)
    batch = None if x.shape is None else x.shape[0]
    spatial = _spatial(call, list(call.attrs("kernel")))
    return [Type(x.dtype, (batch, *spatial, call.attr("channels")))]


@rule("conv_transpose")
def _conv_transpose(call: Call) -> list[Type]:
    x, w = call.need(0), call.need(1)
    if x.shape is None or w.shape is None:
        return [Type(x.dtype, unknown(x.rank))]
    n = len(x.shape) - 2
    if len(w.shape) != n + 2:
        call.fail(f"input {show_shape(x.shape)} with weights {show_shape(w.shape)}")
    windows = _windows(call, list(w.shape[:-2]))
    given, extra = call.attrs("output_shape"), call.attrs("output_padding") or [0] * n
    dims: list[Dim] = []
    for k, (d, win) in enumerate(zip(x.shape[1:-1], windows, strict=True)):
        if given:
            dims.append(given[-n:][k])
        elif not isinstance(d, int) or not isinstance(win.kernel, int):
            dims.append(None)
        elif call.attr("auto_pad") in (1, 2):
            dims.append(d * win.stride)
        else:
            pads = 0 if call.attr("auto_pad") == 3 else win.before + win.after
            dims.append(
                win.stride * (d - 1) + extra[k] + (win.kernel - 1) * win.dilation + 1 - pads
            )
    m = w.shape[-1]
    channels = m * call.attr("group", 1) if isinstance(m, int) else None
    return [Type(x.dtype, (x.shape[0], *dims, channels))]


@rule("max_pool", "avg_pool")
def _pool(call: Call) -> list[Type]:
    x = call.need(0)
    kernel: list[Dim] = list(call.attrs("kernel"))
    ends = (None, None) if x.shape is None else (x.shape[0], x.shape[-1])
    shape = (ends[0], *_spatial(call, kernel), ends[1])
    y = Type(x.dtype, shape)
    return [y, Type(DType.I64, shape)] if call.node.op == "max_pool" else [y]


@rule("attention")
def _attention(call: Call) -> list[Type]:
    q, k, v = call.need(0), call.need(1), call.need(2)
    for x, name in ((q, "q"), (k, "k"), (v, "v")):
        if x.dtype not in (None, DType.F32) or (x.shape is not None and len(x.shape) != 4):
            call.fail(f"{name} must be f32 with four axes, got {show_shape(x.shape)}")
    if q.shape is None or v.shape is None:
        return [Type(DType.F32, unknown(4))]
    batch, heads, queries, _ = q.shape
    middle = (queries, heads) if call.attr("merge") else (heads, queries)
    return [Type(DType.F32, (batch, *middle, v.shape[3]))]


@rule("softmax", "norm")
def _rows(call: Call) -> list[Type]:
    x = call.need(0)
    if x.dtype not in (None, DType.F32):
        call.fail("its input must be f32")
    if call.node.op == "norm" and x.shape is not None:
        call.axis(call.attr("axis"), len(x.shape))
    elif x.shape == ():
        call.fail("its input has no axis")
    return [Type(DType.F32, x.shape)]
