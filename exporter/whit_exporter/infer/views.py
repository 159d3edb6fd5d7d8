"""Operators that see the same elements in another way."""

from __future__ import annotations

import math

from ..dtypes import DType
from ..ir import Dim, Shape
from .base import END, KNOWN_MAX, Call, Type, broadcast, product_dim, quotient_dim, rule, unknown
from .elementwise import show_shape


def same(call: Call, k: int = 0) -> Type:
    v = call.need(k)
    return Type(v.dtype, v.shape, v.kind, v.optional, call.elements(k))


@rule("identity")
def _identity(call: Call) -> list[Type]:
    return [same(call)]


@rule("bitcast")
def _bitcast(call: Call) -> list[Type]:
    x, to = call.need(0), DType(call.attr("to"))
    if x.dtype is not None and x.dtype.size != to.size:
        call.fail(f"{x.dtype.short} and {to.short} differ in size")
    return [Type(to, x.shape)]


def numbers(call: Call, k: int) -> int | None:
    """How many elements input k, a vector, has."""
    shape = call.shape(k)
    n = shape[0] if shape is not None and len(shape) == 1 else None
    return n if isinstance(n, int) else None


@rule("reshape")
def _reshape(call: Call) -> list[Type]:
    x = call.need(0)
    if call.value(1) is None:
        target, sources = _reshape_words(call, x.shape)
    else:
        items = call.elements(1)
        if items is None:
            return [Type(x.dtype, unknown(numbers(call, 1)))]
        target, sources = _reshape_items(call, x.shape, items)
    if -1 in target:
        at = target.index(-1)
        if target.count(-1) > 1:
            call.fail("at most one dimension may be -1")
        target[at] = _reshape_rest(call, x.shape, target, sources, at)
    elif x.shape is not None:
        _reshape_check(call, x.shape, target)
        if None in target and target.count(None) == 1:
            at = target.index(None)
            # The element counts are equal, so one unknown dimension follows from the others unless they hold a 0.
            target[at] = _reshape_rest(call, x.shape, target, sources, at)
    known = call.elements(0) if len(target) <= 1 else None
    return [Type(x.dtype, tuple(target), known=known)]


def _reshape_words(call: Call, shape: Shape) -> tuple[list[Dim], list[list[int]]]:
    """Target dimensions from attr dims (see the contract of `reshape`), and the input axes each one multiplies."""
    target: list[Dim] = []
    sources: list[list[int]] = []
    for w in call.attrs("dims"):
        if w >= -1:
            target.append(w)
            sources.append([])
            continue
        start, end = (-2 - w) >> 4, (-2 - w) & 15
        if shape is None:
            target.append(None)
        elif not start <= end <= len(shape):
            call.fail(f"dims word {w} names axes {start}..{end} of a tensor of {len(shape)} axes")
        else:
            target.append(product_dim(shape[start:end]))
        sources.append(list(range(start, end)))
    return target, sources


def _reshape_items(call: Call, shape: Shape, items: list[Dim]) -> tuple[list[Dim], list[list[int]]]:
    target: list[Dim] = []
    sources: list[list[int]] = []
    for k, d in enumerate(items):
        sources.append([])
        if d == 0 and not call.attr("allowzero"):
            if shape is not None and k >= len(shape):
                call.fail(
                    f"dimension {k} of the new shape copies an axis that {show_shape(shape)} does not have"
                )
            target.append(None if shape is None else shape[k])
            sources[-1] = [k]
        elif isinstance(d, int) and d < -1:
            call.fail(f"the new shape has the dimension {d}")
        else:
            target.append(d)
    return target, sources


def _reshape_rest(
    call: Call, shape: Shape, target: list[Dim], sources: list[list[int]], at: int
) -> Dim:
    """The dimension at `at`, from the element count. Axes that others copy cancel even if they are unknown."""
    if shape is None:
        return None
    used: set[int] = set()
    part: list[Dim] = []
    for k, d in enumerate(target):
        if k != at and sources[k] and used.isdisjoint(sources[k]):
            used.update(sources[k])
        elif k != at:
            part.append(d)
    whole = [d for k, d in enumerate(shape) if k not in used]
    if any(d == 0 for d in part) or any(shape[k] == 0 for k in used):
        return None
    if all(isinstance(d, int) for d in whole + part):
        n, m = (math.prod(d for d in x if isinstance(d, int)) for x in (whole, part))
        if n % m:
            call.fail(f"{show_shape(shape)} cannot be given the shape {show_shape(tuple(target))}")
        return n // m
    return quotient_dim(whole, part)


def _reshape_check(call: Call, shape: tuple[Dim, ...], target: list[Dim]) -> None:
    if all(isinstance(d, int) for d in [*shape, *target]):
        n, m = (math.prod(d for d in x if isinstance(d, int)) for x in (shape, target))
        if n != m:
            call.fail(f"{show_shape(shape)} cannot be given the shape {show_shape(tuple(target))}")


@rule("transpose")
def _transpose(call: Call) -> list[Type]:
    x = call.need(0)
    perm = call.attrs("perm")
    if x.shape is None:
        return [Type(x.dtype, unknown(len(perm) or None))]
    perm = perm or list(range(len(x.shape)))[::-1]
    if sorted(perm) != list(range(len(x.shape))):
        call.fail(f"perm {perm} does not fit the shape {show_shape(x.shape)}")
    known = call.elements(0) if len(perm) <= 1 else None
    return [Type(x.dtype, tuple(x.shape[p] for p in perm), known=known)]


def _slice_dim(d: Dim, start: Dim, end: Dim, step: Dim) -> Dim:
    if not (isinstance(start, int) and isinstance(end, int) and isinstance(step, int)):
        return d if d is not None and (start, end, step) == (0, d, 1) else None
    if isinstance(d, int):
        if step < 0 and start + d < 0:
            return None  # the runtime decides
        return len(range(d)[slice(*_clamp(d, start, end, step))])
    if start == 0 and step == 1 and end >= END:
        return d
    if step == -1 and start in (-1, END, 2**63 - 1) and end <= -END:
        return d
    if (start >= 0) == (end >= 0) and step > 0 and start >= end:
        return 0
    return None


def _clamp(d: int, start: int, end: int, step: int) -> tuple[int, int | None, int]:
    """ONNX's starts and ends as Python's, whose meaning differs only for an end before the first element."""
    if step > 0:
        return start, end, step
    end = end + d if end < 0 else end
    return start, None if end < 0 else end, step


@rule("slice")
def _slice(call: Call) -> list[Type]:
    x = call.need(0)
    if x.shape is None:
        return [Type(x.dtype)]
    starts, ends = call.elements(1), call.elements(2)
    n = numbers(call, 1) if starts is None else len(starts)
    axes = call.ints(3) if call.value(3) is not None else None if n is None else list(range(n))
    if axes is None:
        return [Type(x.dtype, unknown(len(x.shape)))]
    none: list[Dim] = [None] * len(axes)
    ones: list[Dim] = [1] * len(axes)
    starts, ends = starts or none, ends or none
    steps = ones if call.value(4) is None else call.elements(4) or none
    if not len(starts) == len(ends) == len(steps) == len(axes):
        call.fail("starts, ends, axes and steps differ in length")
    if 0 in steps:
        call.fail("a step is 0")
    shape = list(x.shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        axis = call.axis(axis, len(shape))
        shape[axis] = _slice_dim(shape[axis], start, end, step)
    known = call.elements(0)
    if known is not None and len(shape) == 1 and len(axes) == 1:
        bounds = [v[0] for v in (starts, ends, steps) if isinstance(v[0], int)]
        known = known[slice(*_clamp(len(known), *bounds))] if len(bounds) == 3 else None
    elif len(axes):
        known = None
    return [Type(x.dtype, tuple(shape), known=known)]


@rule("expand")
def _expand(call: Call) -> list[Type]:
    x = call.need(0)
    items = call.elements(1)
    if items is None:
        n = numbers(call, 1)
        rank = max(n, x.rank) if n is not None and x.rank is not None else None
        return [Type(x.dtype, unknown(rank))]
    try:
        shape = broadcast([x.shape, tuple(items)])
    except ValueError:
        call.fail(f"{show_shape(x.shape)} cannot be expanded to {show_shape(tuple(items))}")
    known = call.elements(0)
    if known is not None and shape is not None and len(shape) == 1 and isinstance(shape[0], int):
        known = known * shape[0] if len(known) == 1 and shape[0] <= KNOWN_MAX else known
    elif shape != ():
        known = None
    return [Type(x.dtype, shape, known=known)]


@rule("diagonal")
def _diagonal(call: Call) -> list[Type]:
    x = call.need(0)
    if x.shape is None:
        return [Type(x.dtype)]
    a, b = (call.axis(call.attr(n), len(x.shape)) for n in ("axis1", "axis2"))
    if a == b:
        call.fail("axis1 and axis2 are the same axis")
    m, n = x.shape[a], x.shape[b]
    last = min(m, n) if isinstance(m, int) and isinstance(n, int) else m if m == n else None
    return [Type(x.dtype, (*(d for k, d in enumerate(x.shape) if k not in (a, b)), last))]


@rule("shape")
def _shape(call: Call) -> list[Type]:
    shape = call.shape()
    if shape is None:
        return [Type(DType.I64, (None,))]
    dims = list(shape)[call.attr("start") : call.attr("end", END)]
    return [Type(DType.I64, (len(dims),), known=dims)]
