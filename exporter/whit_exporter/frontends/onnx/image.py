"""Resampling: Resize, Upsample, GridSample, RoiAlign, MaxRoiPool.

Coordinates are computed in f64 by ordinary nodes; where sizes are known they are constants by the time they are emitted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ...dtypes import DType
from ...ir import Value
from .expr import Expr, arange, constant
from .registry import NodeContext, lower

F64, I64 = DType.F64, DType.I64


class Axis:
    """One axis to be resized: sizes before and after (f64 scalars), scale, and region of interest."""

    def __init__(self, axis: int, before: Expr, after: Expr, scale: Expr) -> None:
        self.axis, self.before, self.after, self.scale = axis, before, after, scale
        self.roi: tuple[Expr, Expr] | None = None

    def untouched(self) -> bool:
        """Known to keep every element in its place."""
        scale, before, after = (v.v.const for v in (self.scale, self.before, self.after))
        if self.roi is not None or scale is None or abs(float(scale) - 1) > 1e-9:
            return False
        return before is None or (after is not None and bool(before == after))


def source_position(a: Axis, mode: str) -> Expr:
    """Where each element of the result lies in the source."""
    i = arange(a.after.b, a.after.cast(I64), F64)
    last, out_last = a.before - 1.0, a.after - 1.0
    single = a.after.eq(1.0)
    if mode == "asymmetric":
        return i / a.scale
    if mode == "align_corners":  # scale * size, which is not always whole, counts as the new size
        width = a.scale * a.before - 1.0
        return width.eq(0.0).where(i * 0.0, i * last / width)
    if mode == "tf_half_pixel_for_nn":
        return (i + 0.5) / a.scale
    if mode == "tf_crop_and_resize" and a.roi is not None:
        start, end = a.roi
        middle = 0.5 * (start + end) * last
        return single.where(middle + i, start * last + i * (end - start) * last / out_last)
    half = (i + 0.5) / a.scale - 0.5
    if mode == "pytorch_half_pixel":
        return single.where(i * 0.0, half)
    if mode == "half_pixel_symmetric":
        return half + a.before * 0.5 * (1.0 - a.after / (a.scale * a.before))
    return half


NEAREST: dict[str, Callable[[Expr], Expr]] = {
    "round_prefer_floor": lambda x: (x - 0.5).op("ceil"),
    "round_prefer_ceil": lambda x: (x + 0.5).floor(),
    "floor": lambda x: x.floor(),
    "ceil": lambda x: x.op("ceil"),
}


def cubic_weight(d: Expr, a: float) -> Expr:
    """Keys' kernel at distance d."""
    x = d.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1.0
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return (x <= 1.0).where(near, (x < 2.0).where(far, x * 0.0))


def linear_weight(d: Expr) -> Expr:
    return (1.0 - d.abs()).max(0.0)


class Kernel:
    """An interpolation kernel: a weight function of the distance, and its reach."""

    def __init__(
        self, weight: Callable[[Expr], Expr], reach: int, shrink: bool, exclude: bool
    ) -> None:
        self.weight, self.reach, self.shrink, self.exclude = weight, reach, shrink, exclude

    def taps(self, a: Axis, x: Expr) -> list[tuple[Expr, Expr]] | None:
        """(index, weight) of every element that counts; None if their number is not known."""
        stretch = constant(x.b, 1.0, F64)
        reach = self.reach
        if self.shrink:
            if a.scale.v.const is None:
                return None
            scale = min(float(a.scale.v.const), 1.0)
            stretch = constant(x.b, scale, F64)
            reach = -(math.floor(-self.reach / scale) + 1) + 1
        base = x.floor()
        found: list[tuple[Expr, Expr]] = []
        total: Expr | None = None
        for k in range(1 - reach, reach + 1):
            at = base + float(k)
            w = self.weight((at - x) * stretch)
            if self.exclude:
                w = ((at >= 0.0) & (at < a.before)).where(w, 0.0)
            total = w if total is None else total + w
            found.append((at.clip(0.0, a.before - 1.0).cast(I64), w))
        if total is None or not (self.shrink or self.exclude):
            return found
        safe = total.eq(0.0).where(1.0, total)
        return [(i, w / safe) for i, w in found]

    def apply(self, a: Axis, x: Expr, position: Expr, rank: int) -> Expr:
        """Gathers and weighs the taps; where their number is known only at run time, a product with all weights."""
        dtype = x.v.dtype or DType.F32
        taps = self.taps(a, position)
        if taps is not None:
            parts = [x.gather(i, a.axis) * w.cast(dtype).to_axis(a.axis, rank) for i, w in taps]
            return sum(parts[1:], parts[0])
        stretch = a.scale.min(1.0)
        reach = (float(self.reach) / stretch).op("ceil")
        at = arange(x.b, (a.before + 2.0 * reach).cast(I64), F64) - reach
        w = self.weight((at.unsqueeze(0) - position.unsqueeze(1)) * stretch)
        if self.exclude:
            w = ((at >= 0.0) & (at < a.before)).where(w, 0.0)
        w = (w / w.sum([1])).cast(dtype)
        wide = x.gather(at.clip(0.0, a.before - 1.0).cast(I64), a.axis)
        before, after = ("prod", 0, a.axis), ("prod", a.axis + 1, rank)
        flat = w.matmul(wide.reshape([before, ("dim", a.axis), after]))
        sizes = [x.b.shape_of(x.v, 0, a.axis), x.b.shape_of(position.v)]
        shape = x.b.concat([*sizes, x.b.shape_of(x.v, a.axis + 1)], 0)
        return flat.op("reshape", shape, dims=[], allowzero=1)


def resize(n: NodeContext, x: Expr, axes: Sequence[Axis], mode: str, coordinates: str) -> Expr:
    """Resizes axis by axis."""
    rank, dtype = n.rank(0), n.dtype(0)
    work = dtype if dtype in (DType.F32, F64) or mode == "nearest" else DType.F32
    kernel = None
    if mode != "nearest":
        alpha = n.float("cubic_coeff_a", -0.75)
        cubic = mode == "cubic"
        kernel = Kernel(
            (lambda d: cubic_weight(d, alpha)) if cubic else linear_weight,
            2 if cubic else 1,
            bool(n.int("antialias", 0)),
            bool(n.int("exclude_outside", 0)),
        )
    outside: Expr | None = None
    y = x.cast(work)
    for a in axes:
        if a.untouched():
            continue
        position = source_position(a, coordinates)
        if kernel is None:
            nearest = NEAREST[
                n.str("nearest_mode", "round_prefer_floor") if n.opset > 10 else "floor"
            ]
            y = y.gather(nearest(position).clip(0.0, a.before - 1.0).cast(I64), a.axis)
        else:
            y = kernel.apply(a, y, position, rank)
        if a.roi is not None:
            out = ((position < 0.0) | (position > a.before - 1.0)).to_axis(a.axis, rank)
            outside = out if outside is None else outside | out
    if outside is not None:
        y = outside.where(n.float("extrapolation_value", 0.0), y)
    if work != dtype and not dtype.is_float:
        info = np.iinfo(dtype.numpy)
        y = y.op("round").clip(float(info.min), float(info.max))
    return y.cast(dtype)


def elements(v: Expr, count: int) -> list[Expr]:
    """The scalars of a vector, in f64."""
    wide = v.cast(F64)
    return [wide.slice(i, i + 1, 0).squeeze(0) for i in range(count)]


def one_scale(policy: str, scales: list[Expr]) -> Expr:
    """The scale that keeps the proportions."""
    result = scales[0]
    for s in scales[1:]:
        result = result.min(s) if policy == "not_larger" else result.max(s)
    return result


def given(v: Value | None) -> Value | None:
    """An optional input; an empty tensor stands for a missing one."""
    return None if v is None or (v.shape is not None and v.shape == (0,)) else v


@lower("Resize")
def resize_op(n: NodeContext) -> Value:
    """Inputs X, scales in opset 10; X, roi, scales, sizes from 11 on."""
    b, rank = n.b, n.rank(0)
    x = Expr(b, n.value(0))
    coordinates = (
        n.str("coordinate_transformation_mode", "half_pixel") if n.opset > 10 else "asymmetric"
    )
    numbers = [a % rank for a in n.ints("axes", range(rank))]
    roi, scales, sizes = None, n.opt(1), None
    if n.opset > 10:
        roi, scales, sizes = given(n.opt(1)), given(n.opt(2)), given(n.opt(3))
    before = [x.dim(a).cast(F64) for a in numbers]
    if sizes is not None:
        after = elements(Expr(b, sizes), len(numbers))
        factors = [s / size for s, size in zip(after, before, strict=True)]
        policy = n.str("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            factors = [one_scale(policy, factors)] * len(numbers)
            after = [(factors[0] * size + 0.5).floor() for size in before]
    elif scales is not None:
        factors = elements(Expr(b, scales), len(numbers))
        after = [(s * size).floor() for s, size in zip(factors, before, strict=True)]
    else:
        raise n.fail("neither scales nor sizes are given")
    axes = [Axis(*a) for a in zip(numbers, before, after, factors, strict=True)]
    if coordinates == "tf_crop_and_resize":
        if roi is None:
            raise n.fail("tf_crop_and_resize needs the input roi")
        region = elements(Expr(b, roi), 2 * len(numbers))
        for i, a in enumerate(axes):
            start, end = region[i], region[len(numbers) + i]
            whole = [
                v.v.const is not None and float(v.v.const) == at for at, v in ((0, start), (1, end))
            ]
            if not all(whole) or not a.untouched():
                a.roi = start, end
    return resize(n, x, axes, n.str("mode", "nearest"), coordinates).v


@lower("Upsample")
def upsample(n: NodeContext) -> Value:
    """Scales by attributes of height and width (opset 1), attribute (7) or input (9)."""
    b, rank = n.b, n.rank(0)
    x = Expr(b, n.value(0))
    if n.has("scales"):
        scales = n.floats("scales")
    else:
        scales = [1.0] * (rank - 2) + [n.float("height_scale", 1.0), n.float("width_scale", 1.0)]
    scale = n.opt(1) or b.const(np.array(scales, np.float32))
    axes = []
    for i, s in enumerate(elements(Expr(b, scale), rank)):
        size = x.dim(i).cast(F64)
        axes.append(Axis(i, size, (s * size).floor(), s))
    mode = n.str("mode", "nearest")
    return resize(n, x, axes, "linear" if mode == "bilinear" else mode, "asymmetric").v


# Sampling at given places


def reflect(x: Expr, low: Expr, high: Expr) -> Expr:
    """Folds x into [low, high] as between two mirrors."""
    span = high - low
    safe = span.eq(0.0).where(1.0, span)
    away = (x - low).abs()
    turns = (away / safe).floor()
    rest = away - turns * safe
    even = (turns - (turns * 0.5).floor() * 2.0).eq(0.0)
    return span.eq(0.0).where(low + x * 0.0, even.where(low + rest, high - rest))


class Sampler:
    """Reads an image [N, spatial..., C] at positions of shape [N, out...], one for each spatial axis."""

    def __init__(self, image: Expr, sizes: list[Expr], padding: str, align: bool) -> None:
        self.image, self.sizes, self.padding, self.align = image, sizes, padding, align

    def into(self, x: Expr, i: int) -> Expr:
        """A coordinate (or a whole tap) brought into the image, as the padding mode has it."""
        last = self.sizes[i] - 1.0
        if self.padding == "reflection":
            x = (
                reflect(x, last * 0.0, last)
                if self.align
                else reflect(x, last * 0.0 - 0.5, last + 0.5)
            )
        return x if self.padding == "zeros" else x.max(0.0).min(last)

    def pick(self, taps: Sequence[Expr]) -> Expr:
        """The elements at whole places, 0 outside with zeros padding: [N, out..., C]."""
        b = self.image.b
        inside: Expr | None = None
        index: list[Value] = []
        for i, t in enumerate(taps):
            last = self.sizes[i] - 1.0
            if self.padding == "zeros":
                here = (t >= 0.0) & (t <= last)
                inside = here if inside is None else inside & here
            index.append(t.max(0.0).min(last).cast(I64).unsqueeze(-1).v)
        y = self.image.op("gather_nd", b.concat(index, -1), batch_dims=1)
        return y if inside is None else inside.unsqueeze(-1).where(y, 0)

    def weighted(self, choices: Sequence[Sequence[tuple[Expr, Expr]]]) -> Expr:
        """The sum over all combinations of one (place, weight) for each axis."""
        total: Expr | None = None
        pending: list[tuple[list[Expr], Expr | None]] = [([], None)]
        for options in choices:
            pending = [
                ([*places, at], w if weight is None else weight * w)
                for places, weight in pending
                for at, w in options
            ]
        for places, weight in pending:
            y = self.pick(places)
            y = y if weight is None else y * weight.unsqueeze(-1)
            total = y if total is None else total + y
        if total is None:
            raise ValueError("no sample")
        return total


def linear_choice(x: Expr) -> list[tuple[Expr, Expr]]:
    low = x.floor()
    return [(low, low + 1.0 - x), (low + 1.0, x - low)]


@lower("GridSample")
def grid_sample(n: NodeContext) -> Value:
    """The grid counts from the last spatial axis, in [-1, 1]."""
    b, rank, dtype = n.b, n.rank(0), n.dtype(0)
    spatial = rank - 2
    mode, align = n.str("mode", "linear"), bool(n.int("align_corners", 0))
    work = DType.F64 if dtype == DType.F64 else DType.F32
    x = Expr(b, n.value(0)).cast(work) if mode != "nearest" else Expr(b, n.value(0))
    image = x.transpose([0, *range(2, rank), 1])
    grid = Expr(b, n.value(1)).cast(work)
    sizes = [image.dim(1 + i).cast(work) for i in range(spatial)]
    sampler = Sampler(image, sizes, n.str("padding_mode", "zeros"), align)
    places: list[Expr] = []
    for i, size in enumerate(sizes):
        g = grid.slice(spatial - 1 - i, spatial - i, -1).squeeze(-1)
        places.append((g + 1.0) * 0.5 * (size - 1.0) if align else ((g + 1.0) * size - 1.0) * 0.5)
    if mode == "nearest":
        y = sampler.pick([sampler.into(p.op("round"), i) for i, p in enumerate(places)])
    elif mode in ("linear", "bilinear"):
        y = sampler.weighted([linear_choice(sampler.into(p, i)) for i, p in enumerate(places)])
    else:
        choices = []
        for i, p in enumerate(places):
            base = p.floor()
            taps = [base + float(k) for k in range(-1, 3)]
            choices.append([(sampler.into(t, i), cubic_weight(t - p, -0.75)) for t in taps])
        y = sampler.weighted(choices)
    return y.transpose([0, rank - 1, *range(1, rank - 1)]).cast(dtype).v


@lower("AffineGrid")
def affine_grid(n: NodeContext) -> Value:
    """Inputs theta [N, d, d + 1] and the image's size; [N, spatial..., d] with the last axis' place first."""
    b, dtype, align = n.b, n.dtype(0), n.int("align_corners", 0)
    theta = Expr(b, n.value(0))
    spatial = n.static_dim(0, 1, "the number of rows of theta")
    sizes = elements(Expr(b, n.value(1)), 2 + spatial)[2:]

    def column(i: int) -> Expr:
        """theta[:, :, i] as [N, 1, ..., d]"""
        return theta.slice(i, i + 1, 2).reshape([("dim", 0), *[1] * spatial, spatial])

    y = column(spatial)
    for axis, size in enumerate(sizes):
        i = arange(b, size.cast(I64), F64)
        if align:
            place = i * 2.0 / (size - 1.0).max(1.0) - 1.0
        else:
            place = (i * 2.0 + 1.0) / size - 1.0
        y = y + column(spatial - 1 - axis) * place.cast(dtype).to_axis(1 + axis, spatial + 2)
    return y.v


@lower("RoiAlign")
def roi_align(n: NodeContext) -> Value:
    """Inputs X [N, C, H, W], rois [R, 4] (x1 y1 x2 y2), batch indices [R]."""
    b, dtype = n.b, n.dtype(0)
    out = (n.int("output_height", 1), n.int("output_width", 1))
    ratio, scale = n.int("sampling_ratio", 0), n.float("spatial_scale", 1.0)
    aligned = (
        n.opset >= 16 and n.str("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    )
    rois = Expr(b, n.value(1)) * scale - (0.5 if aligned else 0.0)
    corners = [rois.slice(i, i + 1, 1) for i in range(4)]
    if ratio == 0:
        if n.str("mode", "avg") == "max":
            raise n.fail("mode max with sampling_ratio 0 is not supported")
        return roi_mean(n, corners, out, aligned)
    image = Expr(b, n.value(0)).transpose([0, 2, 3, 1])
    batch = Expr(b, n.value(2)).cast(I64).reshape([-1, 1, 1, 1])
    picks: list[list[tuple[Expr, Expr]]] = []
    for i in range(2):
        start, end = corners[1 - i], corners[3 - i]
        length = end - start if aligned else (end - start).max(1.0)
        steps = (np.arange(out[i] * ratio) + 0.5) / ratio  # in bins
        place = start + length * (1.0 / out[i]) * b.const(steps[None, :].astype(dtype.numpy))
        size = image.dim(1 + i).cast(dtype)
        inside = (place >= -1.0) & (place <= size)
        place = place.max(0.0)
        last = size - 1.0
        low = place.floor().min(last)
        frac = (place >= last).where(0.0, place - low)
        one = inside.where(1.0, place * 0.0)
        view = [-1, out[0] * ratio, 1, 1] if i == 0 else [-1, 1, out[1] * ratio, 1]
        taps = [(low, (1.0 - frac) * one), ((low + 1.0).min(last), frac * one)]
        picks.append([(at.cast(I64).reshape(view), w.reshape(view)) for at, w in taps])
    maximum = n.str("mode", "avg") == "max"
    total: Expr | None = None
    for y_at, y_weight in picks[0]:
        for x_at, x_weight in picks[1]:
            zero = batch * 0 + y_at * 0 + x_at * 0
            index = b.concat([(zero + v).v for v in (batch, y_at, x_at)], -1)
            term = image.op("gather_nd", index, batch_dims=0) * (y_weight * x_weight)
            if total is None:
                total = term
            else:
                total = total.max(term) if maximum else total + term
    if total is None:
        raise n.fail("no sample")
    bins = total.reshape([-1, out[0], ratio, out[1], ratio, ("dim", 3)])
    return bins.reduce("max" if maximum else "mean", [2, 4], False).transpose([0, 3, 1, 2]).v


def roi_mean(n: NodeContext, corners: list[Expr], out: tuple[int, int], aligned: bool) -> Value:
    """As many samples as a bin has pixels, a number that each region has of its own. Interpolation and mean are linear along each axis: two
    products with the weights of all pixels."""
    b, dtype = n.b, n.dtype(0)
    image = Expr(b, n.value(0)).gather(Expr(b, n.value(2)).cast(I64), 0)
    weights = []
    for i in range(2):
        start, length = corners[1 - i], corners[3 - i] - corners[1 - i]
        step = (length if aligned else length.max(1.0)) / float(out[i])
        count = step.op("ceil").unsqueeze(-1)
        most = count.reduce("max", [0, 1, 2], False).cast(I64)
        sample = arange(b, most, dtype)
        bins = constant(b, np.arange(out[i])[None, :, None], dtype)
        place = start.unsqueeze(-1) + (bins + (sample + 0.5) / count) * step.unsqueeze(-1)
        size = image.dim(2 + i)
        last = size.cast(dtype)
        used = (place >= -1.0) & (place <= last) & (sample < count)
        at = place.clip(0.0, last - 1.0).unsqueeze(-1)
        hat = (1.0 - (at - arange(b, size, dtype)).abs()).max(0.0)
        total = used.unsqueeze(-1).where(hat, 0.0).sum([2], False)
        weights.append((total / count.max(1.0)).unsqueeze(1))
    high, wide = weights
    return high.matmul(image).matmul(wide.transpose([0, 1, 3, 2])).v


@lower("MaxRoiPool")
def max_roi_pool(n: NodeContext) -> Value:
    """Inputs X [N, C, H, W], rois [R, 5] (batch, x1 y1 x2 y2); a bin without pixels gives 0."""
    b, scale, out = n.b, n.float("spatial_scale", 1.0), n.ints("pooled_shape")
    wide = F64 if n.dtype(0) == F64 else DType.F32
    rois = Expr(b, n.value(1)).cast(wide)
    image = Expr(b, n.value(0)).gather(rois.slice(0, 1, 1).cast(I64).reshape([-1]), 0)
    corners = rois * scale
    corners = corners.op("sign") * (corners.abs() + 0.5).floor()
    masks, full = [], []
    for i, count in enumerate(out):
        start, end = (corners.slice(at, at + 1, 1) for at in (2 - i, 4 - i))
        step = (end - start + 1.0).max(1.0) / float(count)
        size = image.dim(2 + i)
        low, high = (
            ((step * constant(b, np.arange(count)[None] + k, wide)).op(edge) + start).clip(0.0, size.cast(wide))
            for k, edge in enumerate(("floor", "ceil"))
        )  # fmt: skip
        pixel = arange(b, size, wide)
        masks.append((low.unsqueeze(-1) <= pixel) & (pixel < high.unsqueeze(-1)))
        full.append(low < high)
    least = float("-inf")
    y = masks[1].unsqueeze(1, 2).where(image.unsqueeze(3), least).reduce("max", [4], False)
    y = masks[0].unsqueeze(1, 4).where(y.unsqueeze(2), least).reduce("max", [3], False)
    return (full[0].unsqueeze(1, 3) & full[1].unsqueeze(1, 2)).where(y, 0.0).v
