"""What moves elements, on drawn examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from drawn import (
    FLOATS,
    INTS,
    SIGNED,
    Array,
    Draw,
    Example,
    check,
    few,
    filled,
    ints,
    part_of,
    shapes,
)
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.slow


def sliced(shape: Sequence[int], axes: Any, starts: Any, ends: Any, steps: Any) -> list[slice]:
    """As the standard has it. (onnxruntime takes the largest end for the front if the step is negative.)"""
    result = [slice(None)] * len(shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step < 0 and (end := end + shape[axis] if end < 0 else end) < 0:
            end = None
        too_low = step < 0 and start + shape[axis] < 0  # Python starts nowhere, ONNX at the front
        result[axis] = slice(0 if too_low else start, end, step)
    return result


@few
@given(st.data())
def test_slice(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 0, 6))
    x = filled(draw, shape, draw(st.sampled_from((*FLOATS, *INTS, bool))))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    bound = st.one_of(st.integers(-8, 8), st.sampled_from((-(2**63) + 1, 2**63 - 1)))
    starts, ends = ([draw(bound) for _ in axes] for _ in range(2))
    steps = [draw(st.sampled_from((1, 1, 2, 3, -1, -2, -9))) for _ in axes]
    axes = [a - len(shape) if draw(st.booleans()) else a for a in axes]
    want = x[tuple(sliced(shape, axes, starts, ends, steps))]
    check(draw, Example("Slice", [x, *map(ints, (starts, ends, axes, steps))], want=[want]))


def indices(draw: Draw, shape: Sequence[int], size: int) -> Array:
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    dtype = draw(st.sampled_from(SIGNED))
    return np.asarray(rng.integers(-size, size, shape)).astype(dtype)


@few
@given(st.data())
def test_gather(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 5))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    x = filled(draw, shape, draw(st.sampled_from((*FLOATS, *INTS, bool))))
    index = indices(draw, draw(shapes(0, 3)), shape[axis])
    check(draw, Example("Gather", [x, index], {"axis": axis}))


@few
@given(st.data())
def test_gather_elements(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 5))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    x = filled(draw, shape, draw(st.sampled_from((*FLOATS, *SIGNED))))
    smaller = [draw(st.integers(1, d)) for d in shape]
    smaller[axis] = draw(st.integers(1, 6))
    index = indices(draw, smaller, shape[axis])
    check(draw, Example("GatherElements", [x, index], {"axis": axis}))


def tuples(draw: Draw, lead: Sequence[int], sizes: Sequence[int], unique: bool = False) -> Array:
    """Index tuples [*lead, len(sizes)]."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    n, total = int(np.prod(lead, dtype=int)), int(np.prod(sizes, dtype=int))
    flat = rng.choice(total, n, replace=not unique)
    columns = np.stack(np.unravel_index(flat, sizes), -1).reshape(*lead, len(sizes))
    return (columns - np.array(sizes) * rng.integers(0, 2, columns.shape)).astype(np.int64)


@few
@given(st.data())
def test_gather_nd(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 4))
    batch = draw(st.integers(0, len(shape) - 1))
    width = draw(st.integers(1, len(shape) - batch))
    x = filled(draw, shape, draw(st.sampled_from((*FLOATS, *SIGNED))))
    lead = (*shape[:batch], *draw(shapes(0, 2, 1, 3)))
    index = tuples(draw, lead, shape[batch : batch + width])
    check(draw, Example("GatherND", [x, index], {"batch_dims": batch}))


REDUCTION = st.sampled_from(("none", "add", "mul", "max", "min"))


@few
@given(st.data(), REDUCTION)
def test_scatter_elements(data: Any, reduction: str) -> None:
    draw = data.draw
    shape = draw(shapes(1, 3, 1, 5))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    dtype = draw(st.sampled_from((*FLOATS, *SIGNED)))
    smaller = [draw(st.integers(1, d)) for d in shape]
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    index = np.argsort(rng.random((*smaller[:axis], shape[axis], *smaller[axis:][1:])), axis)
    index = np.take(index, range(smaller[axis]), axis)  # no index twice
    if reduction != "none":
        index = rng.integers(-shape[axis], shape[axis], smaller)
    attrs = {"axis": axis, "reduction": reduction}
    inputs = [filled(draw, shape, dtype), index.astype(np.int64), filled(draw, smaller, dtype)]
    check(draw, Example("ScatterElements", inputs, attrs, opset=18))


@few
@given(st.data(), REDUCTION)
def test_scatter_nd(data: Any, reduction: str) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 4))
    width = draw(st.integers(1, len(shape)))
    sizes, rest = shape[:width], shape[width:]
    count = draw(st.integers(1, int(np.prod(sizes))))
    index = tuples(draw, (count,), sizes, unique=reduction == "none")
    dtype = draw(st.sampled_from((*FLOATS, *SIGNED)))
    inputs = [filled(draw, shape, dtype), index, filled(draw, (count, *rest), dtype)]
    check(draw, Example("ScatterND", inputs, {"reduction": reduction}, opset=18))


@few
@given(st.data(), st.sampled_from(("constant", "edge", "reflect", "wrap")))
def test_pad(data: Any, mode: str) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 2, 5))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    most = [3 if mode in ("constant", "edge") else shape[a] - 1 for a in axes]
    pads = [draw(st.integers(0, m)) for m in most * 2]
    if mode == "constant" and draw(st.booleans()):
        pads = [
            -(shape[a] // 2) if draw(st.booleans()) else p
            for a, p in zip(axes * 2, pads, strict=True)
        ]
    dtype = draw(st.sampled_from((*FLOATS, *SIGNED)))
    value = filled(draw, (), dtype) if mode == "constant" else None
    axes = [a - len(shape) if draw(st.booleans()) else a for a in axes]
    inputs = [filled(draw, shape, dtype), ints(pads), value, ints(axes)]
    check(draw, Example("Pad", inputs, {"mode": mode}, opset=19))


@few
@given(st.data())
def test_concat(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 0, 4))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    dtype = draw(st.sampled_from((*FLOATS, *INTS, bool)))
    parts = []
    for _ in range(draw(st.integers(1, 5))):
        own = list(shape)
        own[axis] = draw(st.integers(0, 4))
        parts.append(filled(draw, own, dtype))
    check(draw, Example("Concat", parts, {"axis": axis}, want=[np.concatenate(parts, axis)]))


@few
@given(st.data())
def test_split(data: Any) -> None:
    draw = data.draw
    shape = list(draw(shapes(1, 4, 1, 4)))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    sizes = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    shape[axis] = sum(sizes)
    x = filled(draw, shape, draw(st.sampled_from((*FLOATS, *SIGNED))))
    want = np.split(x, np.cumsum(sizes)[:-1], axis)
    check(draw, Example("Split", [x, ints(sizes)], {"axis": axis}, len(sizes), want=want))


@few
@given(st.data())
def test_split_evenly(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 3, 1, 7))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    parts = draw(st.integers(1, shape[axis]))
    each = -(-shape[axis] // parts)
    if each * (parts - 1) >= shape[axis]:
        return  # onnxruntime and the standard's text do not agree on these
    x = filled(draw, shape)
    check(draw, Example("Split", [x], {"axis": axis, "num_outputs": parts}, parts))


@few
@given(st.data())
def test_reshape_and_axes(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 4))
    x = filled(draw, shape, draw(st.sampled_from((*FLOATS, *INTS, bool))))
    perm = draw(st.permutations(range(len(shape))))
    check(draw, Example("Transpose", [x], {"perm": perm}, want=[x.transpose(perm)]))
    at = draw(st.integers(0, len(shape) - 1))
    target = [*shape[:at], -1] if draw(st.booleans()) else [-1, *shape[at + 1 :]]
    target = [
        0 if d == s and draw(st.booleans()) else d for d, s in zip(target, shape, strict=False)
    ]
    check(draw, Example("Reshape", [x, ints(target)]))
    axes = draw(st.lists(st.integers(0, len(shape)), min_size=1, max_size=2, unique=True))
    rank = len(shape) + len(axes)
    axes = [a - rank if draw(st.booleans()) else a for a in axes]
    wide = np.expand_dims(x, tuple(axes))
    check(draw, Example("Unsqueeze", [x, ints(axes)], want=[wide]))
    check(draw, Example("Squeeze", [wide, ints(axes)], want=[x]))
    check(draw, Example("Squeeze", [wide], want=[np.squeeze(x)]))
    axis = draw(st.integers(-len(shape), len(shape)))
    check(draw, Example("Flatten", [x], {"axis": axis}))


@few
@given(st.data())
def test_expand_and_tile(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(0, 4, 0, 4))
    x = filled(draw, part_of(draw, shape), draw(st.sampled_from((*FLOATS, *SIGNED))))
    target = [1 if d in x.shape and draw(st.booleans()) else d for d in shape]
    want = np.broadcast_to(x, np.broadcast_shapes(x.shape, target))
    check(
        draw,
        Example("Expand", [x, ints(target)], want=[np.ascontiguousarray(want).reshape(want.shape)]),
    )
    repeats = [draw(st.integers(0, 3)) for _ in x.shape]
    check(draw, Example("Tile", [x, ints(repeats)], want=[np.tile(x, repeats)]))


@few
@given(st.data())
def test_unique_nonzero_compress(data: Any) -> None:
    draw = data.draw
    x = filled(draw, draw(shapes(1, 3, 1, 5)), draw(st.sampled_from((np.float32, np.int64))), low=8)
    attrs: dict[str, Any] = {"sorted": draw(st.integers(0, 1))}
    if draw(st.booleans()):
        attrs["axis"] = draw(st.integers(-x.ndim, x.ndim - 1))
    check(draw, Example("Unique", [x], attrs, outputs=4))
    z = filled(draw, x.shape, draw(st.sampled_from((np.float32, np.int64, bool))), low=-1) // 4
    z = z.astype(np.float32)
    check(draw, Example("NonZero", [z], want=[np.stack(np.nonzero(z)).astype(np.int64)]))
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    keep = filled(draw, (draw(st.integers(0, x.shape[axis])),), bool)
    check(draw, Example("Compress", [x, keep], {"axis": axis}, want=[np.compress(keep, x, axis)]))


@few
@given(st.data())
def test_range_trilu_one_hot(data: Any) -> None:
    draw = data.draw
    dtype = draw(st.sampled_from((np.float32, np.int64, np.int32)))
    start, limit = (np.array(draw(st.integers(-9, 9)), dtype) for _ in range(2))
    delta = np.array(draw(st.sampled_from((1, 2, -1, -3, 4))), dtype)
    check(
        draw, Example("Range", [start, limit, delta], want=[np.arange(start, limit, delta, dtype)])
    )
    x = filled(draw, draw(shapes(2, 4, 0, 4)), draw(st.sampled_from((*FLOATS, *SIGNED))))
    k, upper = draw(st.integers(-5, 5)), draw(st.integers(0, 1))
    want = np.triu(x, k) if upper else np.tril(x, k)
    check(draw, Example("Trilu", [x, np.array(k)], {"upper": upper}, want=[want]))
    index = indices(draw, draw(shapes(1, 3)), 5)
    axis = draw(st.integers(-index.ndim - 1, index.ndim))
    inputs = [index.astype(np.int64), np.array(5, np.int64), np.array([2, 7], np.float32)]
    check(draw, Example("OneHot", inputs, {"axis": axis}))
