"""Operators that move elements: shapes, slices, gathers, pads, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...build import NewDim
from ...dtypes import DType
from ...ir import Dim, Shape, Value
from .registry import NodeContext, lower

FLATTENED = 0x7FFFFFFF
"""As the axis of `unique`: the tensor is flattened first."""
REDUCTIONS = {"none": 0, "add": 1, "mul": 2, "max": 3, "min": 4}
PAD_MODES = {"constant": 0, "reflect": 1, "edge": 2, "wrap": 3}


# helpers


def vector(n: NodeContext, i: int) -> Value:
    """Input i as an i64 tensor."""
    return n.b.cast(n.value(i), DType.I64)


def scalar(n: NodeContext, v: Value) -> Value:
    """A tensor of one element as a tensor without axes."""
    return v if v.shape == () else n.b.reshape_to(v, [])


def number(n: NodeContext, i: int) -> Value:
    """Input i, one element, as an i64 tensor without axes."""
    return scalar(n, vector(n, i))


def one_by_one(n: NodeContext, v: Value) -> Value:
    """A tensor of one element as a vector."""
    return v if v.shape == (1,) else n.b.reshape_to(v, [1])


def dim(n: NodeContext, v: Value, axis: int) -> Value:
    """Length of one axis as a vector of one i64."""
    if axis < 0:
        axis += n.rank_of(v)
    return n.b.shape_of(v, axis, axis + 1)


def length(n: NodeContext, v: Value) -> Dim:
    """Elements of a vector."""
    return v.shape[0] if v.shape is not None and len(v.shape) == 1 else None


def refined(v: Value, shape: Shape) -> Value:
    """v, whose shape is at least as well known as this."""
    if v.shape is None:
        v.shape = shape
    elif shape is not None and len(shape) == len(v.shape):
        v.shape = tuple(b if a is None else a for a, b in zip(v.shape, shape, strict=True))
    return v


def reshape(n: NodeContext, x: Value, shape: Value, allowzero: bool = True) -> Value:
    """x with the elements of a vector as its shape."""
    dims = n.b.ints(shape)
    if dims is None:
        return n.b.op("reshape", x, shape, dims=[], allowzero=int(allowzero))
    if allowzero or 0 not in dims:
        return n.b.reshape_to(x, dims)
    return n.b.reshape_to(x, [("dim", k) if d == 0 else d for k, d in enumerate(dims)])


def axis_mask(n: NodeContext, axes: Value, rank: Value) -> Value:
    """1 at the axes of a vector that is not constant, else 0: an i64 vector of `rank` (itself a vector of one)."""
    b = n.b
    zeros = b.op("expand", b.const(0), rank)
    ones = b.op("expand", b.const(1), b.shape_of(axes))
    return b.op("scatter_elements", zeros, axes, ones, axis=0, reduction=0)


def indices_along(n: NodeContext, index: Value, like: Value, axis: int, other: int) -> Value:
    """index [d_other, d_axis], laid along these two axes and repeated to the shape of `like`."""
    b, rank = n.b, n.rank_of(like)
    if axis < other:
        index = b.transpose(index, [1, 0])
    index = b.unsqueeze(index, [a for a in range(rank) if a not in (axis, other)])
    return b.op("expand", index, b.shape_of(like))


# shapes


@lower("Reshape")
def reshape_node(n: NodeContext) -> Value:
    if n.has("shape"):
        return reshape(n, n.value(0), n.b.const(n.ints("shape")), allowzero=False)
    return reshape(n, n.value(0), vector(n, 1), bool(n.int("allowzero", 0)))


@lower("Identity")
def identity(n: NodeContext) -> Value:
    return n.value(0)


@lower("Transpose")
def transpose(n: NodeContext) -> Value:
    x = n.value(0)
    if x.shape is None and not n.has("perm"):
        return n.b.op("transpose", x, perm=[])
    return n.b.transpose(x, n.ints("perm") or list(range(n.rank(0)))[::-1])


@lower("Squeeze")
def squeeze(n: NodeContext) -> Value:
    b, x = n.b, n.value(0)
    axes: list[int] | None
    if n.opt(1) is not None:
        axes = n.const_ints(1)
        if axes is None:
            return _squeeze_by(n, x, vector(n, 1))
    elif n.has("axes"):
        axes = n.ints("axes")
    else:
        shape = n.shape(0) if x.shape is not None else (None,)
        if not all(isinstance(d, int) for d in shape):
            # Which axes it removes is known only when it runs: those whose size is 1.
            sizes = b.shape_of(x)
            kept = b.op("nonzero", b.op("not", b.op("eq", sizes, b.const(1))))
            return reshape(n, x, b.op("gather", sizes, b.reshape_to(kept, [-1]), axis=0))
        axes = [k for k, d in enumerate(shape) if d == 1]
    return b.squeeze(x, [a % n.rank(0) if x.shape is not None else a for a in axes])


def _squeeze_by(n: NodeContext, x: Value, axes: Value) -> Value:
    b, shape = n.b, n.b.shape_of(x)
    axes = b.op("mod", axes, b.const([n.rank(0)]))
    stays = b.op("eq", axis_mask(n, axes, b.shape_of(shape)), b.const(0))
    kept = b.op("gather", shape, b.reshape_to(b.op("nonzero", stays), [-1]), axis=0)
    y = b.op("reshape", x, kept, dims=[], allowzero=1)
    count = length(n, axes)
    return refined(y, (None,) * (n.rank(0) - count) if isinstance(count, int) else None)


@lower("Unsqueeze")
def unsqueeze(n: NodeContext) -> Value:
    x = n.value(0)
    axes = n.ints("axes") if n.has("axes") else n.const_ints(1)
    if axes is None:
        return _unsqueeze_by(n, x, vector(n, 1))
    if x.shape is None:
        return _unsqueeze_by(n, x, n.b.const(axes))
    rank = n.rank(0) + len(axes)
    return n.b.unsqueeze(x, sorted(a % rank for a in axes))


def _unsqueeze_by(n: NodeContext, x: Value, axes: Value) -> Value:
    b, shape = n.b, n.b.shape_of(x)
    rank = b.op("add", b.shape_of(shape), b.shape_of(axes))
    new = b.op("eq", axis_mask(n, b.op("mod", axes, rank), rank), b.const(1))
    # The k-th old axis stands at the k-th place that is not new: count those places up.
    old = b.cast(b.op("not", new), DType.I64)
    place = b.op("cumulative", old, None, axis=0, product=0, exclusive=1, reverse=0)
    dims = b.op("gather", b.concat([shape, b.const([1])], 0), place, axis=0)
    y = b.op("reshape", x, b.op("where", new, b.const(1), dims), dims=[], allowzero=1)
    count = length(n, axes)
    known = x.shape is not None and isinstance(count, int)
    return refined(y, (None,) * (n.rank(0) + int(count or 0)) if known else None)


@lower("Flatten")
def flatten(n: NodeContext) -> Value:
    rank = n.rank(0)
    axis = n.int("axis", 1)
    axis = axis + rank if axis < 0 else axis
    return n.b.reshape_to(n.value(0), [("prod", 0, axis), ("prod", axis, rank)])


@lower("Shape")
def shape_node(n: NodeContext) -> Value:
    start = n.int("start", 0)
    end = n.int("end") if n.has("end") else None
    rank = n.value(0).rank
    if rank is not None:
        start = min(max(start + rank if start < 0 else start, 0), rank)
        if end is not None:
            end = max(min(max(end + rank if end < 0 else end, 0), rank), start)
    return n.b.shape_of(n.value(0), start, end)


@lower("Size")
def size(n: NodeContext) -> Value:
    shape = n.b.shape_of(n.value(0))
    return n.b.op("reduce", shape, None, kind=1, keepdims=0, noop=0, axes=[0])


# slices


@lower("Slice")
def slice_node(n: NodeContext) -> Value:
    if n.has("starts"):
        starts = n.ints("starts")
        axes = n.ints("axes", range(len(starts)))
        return n.b.slice(n.value(0), starts, n.ints("ends"), axes)
    optional = [None if n.opt(i) is None else vector(n, i) for i in (3, 4)]
    return n.b.op("slice", n.value(0), vector(n, 1), vector(n, 2), *optional)


@lower("Split")
def split(n: NodeContext) -> list[Value | None]:
    axis = n.int("axis", 0)
    if n.has("split"):
        return split_at(n, axis, n.ints("split"))
    if n.opt(1) is not None:
        sizes = n.const_ints(1)
        return split_by(n, axis, vector(n, 1)) if sizes is None else split_at(n, axis, sizes)
    return split_evenly(n, axis, n.int("num_outputs", n.n_outputs))


def split_at(n: NodeContext, axis: int, sizes: Sequence[int]) -> list[Value | None]:
    if len(sizes) != n.n_outputs:
        raise n.fail(f"it splits into {len(sizes)} parts and has {n.n_outputs} outputs")
    ends = np.cumsum(sizes).tolist()
    starts = [0, *ends[:-1]]
    return [
        n.b.slice(n.value(0), [s], [e], [axis]) if n.wants(i) else None
        for i, (s, e) in enumerate(zip(starts, ends, strict=True))
    ]


def split_by(n: NodeContext, axis: int, sizes: Value) -> list[Value | None]:
    b = n.b
    ends = b.op("cumulative", sizes, None, axis=0, product=0, exclusive=0, reverse=0)
    starts = b.op("sub", ends, sizes)

    def part(i: int) -> Value:
        at = (b.slice(v, [i], [i + 1], [0]) for v in (starts, ends))
        return b.op("slice", n.value(0), *at, b.const([axis]), None)

    return [part(i) if n.wants(i) else None for i in range(n.n_outputs)]


def split_evenly(n: NodeContext, axis: int, parts: int) -> list[Value | None]:
    """Equal parts; the last is smaller when the axis does not divide."""
    b, x = n.b, n.value(0)
    total = None if x.shape is None else x.shape[axis]
    if isinstance(total, int):
        each = -(-total // parts)
        ends = [min((i + 1) * each, total) for i in range(parts)]
        return split_at(n, axis, np.diff([0, *ends]).tolist())
    size = b.op("gather", b.shape_of(x), b.const([axis]), axis=0)
    rounded = b.op("add", size, b.const(parts - 1))
    each_value = b.op("div", rounded, b.const(parts))

    def part(i: int) -> Value:
        at = (b.op("mul", each_value, b.const(k)) for k in (i, i + 1))
        return b.op("slice", x, *at, b.const([axis]), None)

    return [part(i) if n.wants(i) else None for i in range(parts)]


@lower("Concat")
def concat(n: NodeContext) -> Value:
    parts = n.values()
    return parts[0] if len(parts) == 1 else n.b.concat(parts, n.int("axis", 1))


@lower("CenterCropPad")
def center_crop_pad(n: NodeContext) -> Value:
    b, x = n.b, n.value(0)
    axes = n.ints("axes", range(n.rank(0)))
    axes = [a % n.rank(0) for a in axes]
    old = b.op("gather", b.shape_of(x), b.const(axes), axis=0)
    missing = b.op("sub", vector(n, 1), old)
    before = b.op("div", missing, b.const(2))  # rounds toward zero: a crop starts at the lower half
    pads = b.concat([before, b.op("sub", missing, before)], 0)
    return b.op("pad", x, pads, None, b.const(axes), mode=0)


# gathers and scatters


def _index(n: NodeContext, i: int) -> Value:
    """Indices: i32 or i64."""
    return n.value(i) if n.dtype(i) in (DType.I32, DType.I64) else vector(n, i)


@lower("Gather")
def gather(n: NodeContext) -> Value:
    return n.b.op("gather", n.value(0), _index(n, 1), axis=n.int("axis", 0))


@lower("GatherElements")
def gather_elements(n: NodeContext) -> Value:
    return n.b.op("gather_elements", n.value(0), _index(n, 1), axis=n.int("axis", 0))


@lower("GatherND")
def gather_nd(n: NodeContext) -> Value:
    return n.b.op("gather_nd", n.value(0), _index(n, 1), batch_dims=n.int("batch_dims", 0))


def _reduction(n: NodeContext) -> int:
    name = n.str("reduction", "none")
    if name not in REDUCTIONS:
        raise n.fail(f"reduction {name!r} is not one of {', '.join(REDUCTIONS)}")
    return REDUCTIONS[name]


@lower("Scatter", "ScatterElements")
def scatter_elements(n: NodeContext) -> Value:
    x, index, updates = n.value(0), _index(n, 1), n.value(2)
    axis = n.int("axis", 0)
    return n.b.op("scatter_elements", x, index, updates, axis=axis, reduction=_reduction(n))


@lower("ScatterND")
def scatter_nd(n: NodeContext) -> Value:
    return n.b.op("scatter_nd", n.value(0), _index(n, 1), n.value(2), reduction=_reduction(n))


@lower("TensorScatter")
def tensor_scatter(n: NodeContext) -> Value:
    """Writes update into the cache, along axis from write_indices[batch] on."""
    b, cache, update = n.b, n.value(0), n.value(1)
    axis = n.int("axis", -2) % n.rank(0)
    if axis == 0:
        raise n.fail("axis 0 is the batch; it cannot be the axis to write along")
    steps = b.op("range", b.const(0), scalar(n, dim(n, update, axis)), b.const(1))
    if n.opt(2) is not None:
        first = b.unsqueeze(vector(n, 2), [1])
    else:
        first = b.op("expand", b.const([[0]]), b.concat([dim(n, update, 0), b.const([1])], 0))
    index = b.op("add", first, b.unsqueeze(steps, [0]))
    if n.str("mode", "linear") == "circular":
        index = b.op("mod", index, dim(n, cache, axis))
    index = indices_along(n, index, update, axis, 0)
    return b.op("scatter_elements", cache, index, update, axis=axis, reduction=0)


@lower("ReverseSequence")
def reverse_sequence(n: NodeContext) -> Value:
    b, x = n.b, n.value(0)
    time, batch = n.int("time_axis", 0) % n.rank(0), n.int("batch_axis", 1) % n.rank(0)
    if {time, batch} != {0, 1}:
        raise n.fail(f"time_axis {time} and batch_axis {batch} must be 0 and 1")
    t = b.op("range", b.const(0), scalar(n, dim(n, x, time)), b.const(1))
    t = b.unsqueeze(t, [0])
    lens = b.unsqueeze(vector(n, 1), [1])
    mirrored = b.op("sub", b.op("sub", lens, b.const(1)), t)
    index = b.op("where", b.op("lt", t, lens), mirrored, t)
    index = indices_along(n, index, x, time, batch)
    return b.op("gather_elements", x, index, axis=time)


@lower("Compress")
def compress(n: NodeContext) -> Value:
    b, x = n.b, n.value(0)
    chosen = b.reshape_to(b.op("nonzero", n.value(1)), [-1])
    if not n.has("axis"):
        return b.op("gather", b.reshape_to(x, [-1]), chosen, axis=0)
    return b.op("gather", x, chosen, axis=n.int("axis"))


@lower("NonZero")
def nonzero(n: NodeContext) -> Value:
    return n.b.op("nonzero", n.value(0))


@lower("Unique")
def unique(n: NodeContext) -> list[Value | None]:
    axis = n.int("axis", FLATTENED)
    outputs = n.b.multi("unique", 4, n.value(0), axis=axis, sorted=n.int("sorted", 1))
    return list(outputs)


@lower("TopK")
def top_k(n: NodeContext) -> list[Value | None]:
    k = n.b.const(n.int("k")) if n.has("k") else number(n, 1)
    outputs = n.b.multi(
        "topk",
        2,
        n.value(0),
        k,
        axis=n.int("axis", -1),
        largest=n.int("largest", 1),
        sorted=n.int("sorted", 1),
    )
    return list(outputs)


# repeats and fills


@lower("Pad")
def pad(n: NodeContext) -> Value:
    b, x = n.b, n.value(0)
    name = n.str("mode", "constant")
    if name not in PAD_MODES:
        raise n.fail(f"mode {name!r} is not one of {', '.join(PAD_MODES)}")
    mode = PAD_MODES[name]
    old = next((a for a in ("pads", "paddings") if n.has(a)), None)
    if old is not None:
        fill = b.scalar(x, n.float("value", 0.0))
        return b.op("pad", x, b.const(n.ints(old)), fill, None, mode=mode)
    value = n.opt(2)
    axes = None if n.opt(3) is None else vector(n, 3)
    fill_value = None if value is None else scalar(n, value)
    return b.op("pad", x, vector(n, 1), fill_value, axes, mode=mode)


@lower("Tile")
def tile(n: NodeContext) -> Value:
    rank = n.rank(0)
    if n.opt(2) is not None:  # opset 1: how often, along which axis
        axes = n.const_ints(2)
        if axes is None:
            raise n.fail("the axis to repeat must be a constant")
        ones = [n.b.const([1])] * rank
        ones[axes[0] % rank] = one_by_one(n, vector(n, 1))
        return repeat(n, n.value(0), n.b.concat(ones, 0))
    return repeat(n, n.value(0), vector(n, 1))


def repeat(n: NodeContext, x: Value, repeats: Value) -> Value:
    """x repeated along each axis: an axis of stride 0 put before each axis that is repeated, then merged with it."""
    b, rank = n.b, n.rank_of(x)
    counts = b.ints(repeats)
    often = [k for k in range(rank) if counts is None or counts[k] != 1]
    if not often:
        return x
    split_axes = b.unsqueeze(x, [k + i for i, k in enumerate(often)])
    target: list[Value] = []
    merged: list[NewDim] = []
    at = 0
    for k in range(rank):
        parts = 2 if k in often else 1
        if parts == 2:
            target.append(b.slice(repeats, [k], [k + 1], [0]))
        target.append(b.shape_of(x, k, k + 1))
        merged.append(("prod", at, at + parts))
        at += parts
    return b.reshape_to(b.op("expand", split_axes, b.concat(target, 0)), merged)


@lower("Expand")
def expand(n: NodeContext) -> Value:
    return n.b.op("expand", n.value(0), vector(n, 1))


@lower("Range")
def range_node(n: NodeContext) -> Value:
    return n.b.op("range", *(scalar(n, v) for v in n.values()[:3]))


@lower("ConstantOfShape")
def constant_of_shape(n: NodeContext) -> Value:
    value = n.constant("value")
    fill = n.b.const(0.0) if value is None else n.b.reshape_to(value, [])
    return n.b.op("expand", fill, vector(n, 0))


@lower("Constant")
def constant(n: NodeContext) -> Value:
    for name, dtype in (
        ("value_float", DType.F32),
        ("value_floats", DType.F32),
        ("value_int", DType.I64),
        ("value_ints", DType.I64),
    ):
        if n.has(name):
            a = n.attributes[name]
            one = a.f if dtype == DType.F32 else a.i
            many = list(a.floats) if dtype == DType.F32 else list(a.ints)
            return n.b.const(np.array(many if name.endswith("s") else one, dtype.numpy), dtype)
    for name in ("value", "sparse_value"):
        if n.has(name):
            return n.constant(name) or n.b.const(0.0)
    raise n.fail(f"constants of kind {sorted(n.attributes)} are not supported; Whit has no strings")


@lower("EyeLike")
def eye_like(n: NodeContext) -> Value:
    b, x = n.b, n.value(0)
    if n.rank(0) != 2:
        raise n.fail(f"its input must have two axes, not {n.rank(0)}")
    rows, columns = grid(n, x)
    on = b.op("eq", b.op("sub", columns, rows), b.const(n.int("k", 0)))
    return b.cast(on, n.dtype_attr("dtype") or n.dtype(0))


def grid(n: NodeContext, x: Value) -> tuple[Value, Value]:
    """Row numbers [r, 1] and column numbers [1, c] of the last two axes."""
    b = n.b
    ranges = (b.op("range", b.const(0), scalar(n, dim(n, x, a)), b.const(1)) for a in (-2, -1))
    rows, columns = ranges
    return b.unsqueeze(rows, [1]), b.unsqueeze(columns, [0])


@lower("Trilu")
def trilu(n: NodeContext) -> Value:
    b, x = n.b, n.value(0)
    rows, columns = grid(n, x)
    k = b.const(0) if n.opt(1) is None else number(n, 1)
    diagonal = b.op("sub", columns, rows)
    upper = n.int("upper", 1)
    keep = b.op("le", k, diagonal) if upper else b.op("le", diagonal, k)
    return b.op("where", keep, x, b.scalar(x, 0))


@lower("OneHot")
def one_hot(n: NodeContext) -> Value:
    b, index = n.b, vector(n, 0)
    rank = n.rank(0) + 1
    axis = n.int("axis", -1) % rank
    depth = number(n, 1)
    index = b.op("where", b.op("lt", index, b.const(0)), b.op("add", index, depth), index)
    classes = b.op("range", b.const(0), depth, b.const(1))
    classes = b.unsqueeze(classes, list(range(1, rank - axis)))
    off, on = (b.squeeze(b.slice(n.value(2), [i], [i + 1], [0]), [0]) for i in (0, 1))
    return b.op("where", b.op("eq", b.unsqueeze(index, [axis]), classes), on, off)


@lower("Where")
def where(n: NodeContext) -> Value:
    return n.b.op("where", n.value(0), n.value(1), n.value(2))


# blocks


@lower("DepthToSpace")
def depth_to_space(n: NodeContext) -> Value:
    b, size = n.b, n.int("blocksize")
    channels = n.shape(0)[1]
    fewer: int = channels // (size * size) if isinstance(channels, int) else -1
    rows, columns = ("dim", 2), ("dim", 3)
    if _column_first(n):
        x = b.reshape_to(n.value(0), [("dim", 0), fewer, size, size, rows, columns])
        x = b.transpose(x, [0, 1, 4, 2, 5, 3])
    else:
        x = b.reshape_to(n.value(0), [("dim", 0), size, size, fewer, rows, columns])
        x = b.transpose(x, [0, 3, 4, 1, 5, 2])
    return b.reshape_to(x, [("dim", 0), ("dim", 1), ("prod", 2, 4), ("prod", 4, 6)])


@lower("SpaceToDepth")
def space_to_depth(n: NodeContext) -> Value:
    b, size = n.b, n.int("blocksize")
    height, width = n.shape(0)[2:]
    rows: int = height // size if isinstance(height, int) else -1
    columns: int = width // size if isinstance(width, int) else -1
    # One step per axis: each may have to infer a length.
    front = [("dim", 0), ("dim", 1)]
    x = b.reshape_to(n.value(0), [*front, rows, size, ("dim", 3)])
    x = b.reshape_to(x, [*front, ("dim", 2), ("dim", 3), columns, size])
    x = b.transpose(x, [0, 1, 3, 5, 2, 4] if _column_first(n) else [0, 3, 5, 1, 2, 4])
    return b.reshape_to(x, [("dim", 0), ("prod", 1, 4), ("dim", 4), ("dim", 5)])


def _column_first(n: NodeContext) -> bool:
    mode = n.str("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise n.fail(f"mode {mode!r} is neither DCR nor CRD")
    if n.rank(0) != 4:
        raise n.fail(f"its input must have four axes, not {n.rank(0)}")
    return mode == "CRD"
