"""Operators that move elements, and reductions."""

from __future__ import annotations

import math

from ..dtypes import DType
from ..ir import Dim
from .base import END, Call, Type, add_dim, product_dim, rule, unknown
from .elementwise import show_shape
from .views import numbers, same


@rule("concat")
def _concat(call: Call) -> list[Type]:
    values = [call.need(k) for k in range(len(call.node.inputs))]
    if not values:
        call.fail("has no input")
    types = {v.dtype for v in values if v.dtype is not None}
    if len(types) > 1:
        call.fail(f"inputs have several element types: {', '.join(sorted(t.short for t in types))}")
    shapes = [v.shape for v in values if v.shape is not None]
    if not shapes:
        return [Type(values[0].dtype)]
    rank = len(shapes[0])
    if any(len(s) != rank for s in shapes):
        call.fail(f"inputs differ in rank: {', '.join(show_shape(s) for s in shapes)}")
    axis = call.axis(call.attr("axis"), rank)
    result: list[Dim] = []
    for k in range(rank):
        dims = [s[k] for s in shapes]
        if k == axis:
            total: Dim = 0
            for d in dims if len(shapes) == len(values) else [None]:
                total = None if total is None else add_dim(total, d)
            result.append(total)
            continue
        numbers = {d for d in dims if isinstance(d, int)}
        if len(numbers) > 1:
            call.fail(f"inputs differ on axis {k}: {', '.join(show_shape(s) for s in shapes)}")
        symbols = [d for d in dims if d is not None]
        result.append(next(iter(numbers)) if numbers else symbols[0] if symbols else None)
    known: list[Dim] | None = None
    parts = [call.elements(k) for k in range(len(values))]
    if rank == 1 and all(p is not None for p in parts):
        known = [d for p in parts if p is not None for d in p]
    return [Type(values[0].dtype, tuple(result), known=known)]


@rule("gather")
def _gather(call: Call) -> list[Type]:
    x, indices = call.need(0), call.need(1)
    if x.shape is None:
        return [Type(x.dtype)]
    axis = call.axis(call.attr("axis"), len(x.shape))
    if indices.shape is None:
        return [Type(x.dtype)]
    if call.attrs("panels"):
        return [Type(x.dtype, (*indices.shape, x.shape[1]))]
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    known, at = call.elements(0), call.ints(1)
    if known is not None and at is not None and len(shape) <= 1:
        if any(not -len(known) <= i < len(known) for i in at):
            call.fail(f"index {at} is outside a tensor of {len(known)} elements")
        return [Type(x.dtype, shape, known=[known[i] for i in at])]
    return [Type(x.dtype, shape)]


@rule("gather_elements")
def _gather_elements(call: Call) -> list[Type]:
    return [Type(call.dtype(), call.shape(1))]


@rule("gather_nd")
def _gather_nd(call: Call) -> list[Type]:
    x, indices = call.need(0), call.need(1)
    if x.shape is None or not indices.shape or not isinstance(indices.shape[-1], int):
        return [Type(x.dtype)]
    batch = call.attr("batch_dims")
    n = batch + indices.shape[-1]
    if n > len(x.shape):
        call.fail(f"indices name {n} axes of a tensor of {len(x.shape)}")
    return [Type(x.dtype, (*indices.shape[:-1], *x.shape[n:]))]


@rule("scatter_elements", "scatter_nd")
def _scatter(call: Call) -> list[Type]:
    x, updates = call.need(0), call.need(2)
    if x.dtype is not None and updates.dtype is not None and x.dtype != updates.dtype:
        call.fail(f"updates are {updates.dtype.short}, the tensor is {x.dtype.short}")
    return [Type(x.dtype, x.shape)]


@rule("pad")
def _pad(call: Call) -> list[Type]:
    x = call.need(0)
    if x.shape is None:
        return [Type(x.dtype)]
    rank = len(x.shape)
    pads = call.elements(1)
    axes = call.ints(3) if call.value(3) is not None else list(range(rank))
    if pads is None or axes is None:
        return [Type(x.dtype, unknown(rank))]
    if len(pads) != 2 * len(axes):
        call.fail(f"{len(pads)} pads for {len(axes)} axes")
    shape = list(x.shape)
    for k, axis in enumerate(axes):
        axis = call.axis(axis, rank)
        shape[axis] = add_dim(add_dim(shape[axis], pads[k]), pads[k + len(axes)])
        d = shape[axis]
        if isinstance(d, int) and d < 0:
            call.fail(f"axis {axis} gets the size {d}")
    return [Type(x.dtype, tuple(shape))]


@rule("range")
def _range(call: Call) -> list[Type]:
    """range(0, N, 1) has N elements even if N is a symbol."""
    parts = [call.elements(k) for k in range(3)]
    first = [p[0] if p else None for p in parts]
    n: Dim = None
    if all(isinstance(x, int) for x in first):
        start, limit, delta = (x for x in first if isinstance(x, int))
        if delta == 0:
            call.fail("the step is 0")
        n = max(-((start - limit) // delta), 0)
    elif first[0] == 0 and first[2] == 1:
        n = first[1]
    else:
        floats = [
            v.const
            for v in call.node.inputs
            if v is not None and v.const is not None and v.state is None
        ]
        if len(floats) == 3 and float(floats[2].reshape(-1)[0]):
            a, b, c = (float(x.reshape(-1)[0]) for x in floats)
            n = max(math.ceil((b - a) / c), 0)
    return [Type(call.dtype(), (n,))]


@rule("nonzero")
def _nonzero(call: Call) -> list[Type]:
    return [Type(DType.I64, (call.rank(), None))]


@rule("topk")
def _topk(call: Call) -> list[Type]:
    x = call.need(0)
    if x.shape is None:
        return [Type(x.dtype), Type(DType.I64)]
    shape = list(x.shape)
    k = call.elements(1)
    axis = call.axis(call.attr("axis", -1), len(shape))
    n = shape[axis]
    shape[axis] = k[0] if k else None
    if k and isinstance(k[0], int) and isinstance(n, int) and not 0 <= k[0] <= n:
        call.fail(f"k is {k[0]}, the axis has {n} elements")
    return [Type(x.dtype, tuple(shape)), Type(DType.I64, tuple(shape))]


@rule("unique")
def _unique(call: Call) -> list[Type]:
    x = call.need(0)
    axis = call.attr("axis", END)
    vector = Type(DType.I64, (None,))
    if axis == END:
        inverse: Dim = product_dim(x.shape) if x.shape is not None else None
        return [Type(x.dtype, (None,)), vector, Type(DType.I64, (inverse,)), vector]
    if x.shape is None:
        return [Type(x.dtype), vector, vector, vector]
    axis = call.axis(axis, len(x.shape))
    shape = tuple(None if k == axis else d for k, d in enumerate(x.shape))
    return [Type(x.dtype, shape), vector, Type(DType.I64, (x.shape[axis],)), vector]


@rule("reduce")
def _reduce(call: Call) -> list[Type]:
    x = call.need(0)
    keep = call.attr("keepdims")
    axes: list[int] | None = call.attrs("axes")
    if call.value(1) is not None:
        axes = call.ints(1)
    if x.shape is None:
        everything = axes == [] and not call.attr("noop") and not keep
        return [Type(x.dtype, () if everything else None)]
    rank = len(x.shape)
    if axes is None:
        n = numbers(call, 1)
        if keep:
            return [Type(x.dtype, unknown(rank))]
        return [Type(x.dtype, unknown(rank - n) if n else None)]
    if not axes:
        if call.attr("noop"):
            return [same(call)]
        axes = list(range(rank))
    gone = {call.axis(a, rank) for a in axes}
    shape = [1 if k in gone else d for k, d in enumerate(x.shape) if keep or k not in gone]
    known: list[Dim] | None = None
    if call.attr("kind") == 1 and rank == 1 and x.dtype == DType.I64 and gone:
        # The element count of a shape: ReduceProd(Shape(x)).
        items = call.elements(0)
        known = None if items is None else [product_dim(items)]
    return [Type(x.dtype, tuple(shape), known=known)]


@rule("argreduce")
def _argreduce(call: Call) -> list[Type]:
    shape = call.shape()
    if shape is None:
        return [Type(DType.I64)]
    axis = call.axis(call.attr("axis"), len(shape))
    keep = call.attr("keepdims")
    return [
        Type(
            DType.I64,
            tuple(1 if k == axis else d for k, d in enumerate(shape) if keep or k != axis),
        )
    ]


@rule("cumulative")
def _cumulative(call: Call) -> list[Type]:
    return [Type(call.dtype(), call.shape())]
