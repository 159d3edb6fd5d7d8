"""Sequences and optionals."""

from __future__ import annotations

from collections.abc import Sequence

from ..dtypes import DType
from ..ir import Dim, Shape, Value
from .base import Call, Type, merge, rule


def _join(call: Call, values: Sequence[Value | None]) -> tuple[DType | None, Shape]:
    """Element type and shape of a sequence that holds all of the values."""
    given = [v for v in values if v is not None]
    types = {v.dtype for v in given if v.dtype is not None}
    if len(types) > 1:
        call.fail(f"elements have several types: {', '.join(sorted(t.short for t in types))}")
    shape = given[0].shape if given else None
    for v in given[1:]:
        shape = merge(shape, v.shape)
    return next(iter(types), None), shape


@rule("seq_make")
def _seq_make(call: Call) -> list[Type]:
    dtype, shape = _join(call, call.node.inputs)
    if dtype is None and "dtype" in call.node.attrs:
        dtype = DType(call.node.attrs["dtype"])
    return [Type(dtype, shape, "sequence")]


@rule("seq_insert")
def _seq_insert(call: Call) -> list[Type]:
    s, x = call.need(0), call.need(1)
    dtype, shape = _join(call, [s, x])
    empty = s.producer is not None and s.producer.op == "seq_make" and not s.producer.inputs
    return [Type(dtype, x.shape if empty else shape, "sequence")]


@rule("seq_erase")
def _seq_erase(call: Call) -> list[Type]:
    return [Type(call.dtype(), call.shape(), "sequence")]


@rule("seq_at")
def _seq_at(call: Call) -> list[Type]:
    return [Type(call.dtype(), call.shape())]


@rule("seq_length")
def _seq_length(call: Call) -> list[Type]:
    return [Type(DType.I64, ())]


@rule("seq_concat")
def _seq_concat(call: Call) -> list[Type]:
    shape = call.shape()
    if shape is None:
        return [Type(call.dtype())]
    dims = list(shape)
    if call.attr("new_axis"):
        dims.insert(call.axis(call.attr("axis"), len(dims) + 1), None)
    else:
        dims[call.axis(call.attr("axis"), len(dims))] = None
    return [Type(call.dtype(), tuple(dims))]


@rule("split_to_sequence")
def _split_to_sequence(call: Call) -> list[Type]:
    shape = call.shape()
    if shape is None:
        return [Type(call.dtype(), None, "sequence")]
    axis = call.axis(call.attr("axis"), len(shape))
    dims: list[Dim] = list(shape)
    dims[axis] = None
    if call.value(1) is None:
        dims[axis] = 1
        if not call.attr("keepdims", 1):
            del dims[axis]
    else:
        sizes = call.ints(1)
        split_rank = call.rank(1)
        if sizes and len(set(sizes)) == 1 and (split_rank == 1 or sizes == [1]):
            dims[axis] = sizes[
                0
            ]  # One size for all; of other single numbers the last part may be smaller.
    return [Type(call.dtype(), tuple(dims), "sequence")]


@rule("opt_has")
def _opt_has(call: Call) -> list[Type]:
    return [Type(DType.BOOL, ())]


@rule("opt_none")
def _opt_none(call: Call) -> list[Type]:
    kind = "sequence" if call.attr("kind") & 1 else "tensor"
    return [Type(DType(call.attr("dtype", DType.F32)), None, kind, True)]


@rule("opt_get")
def _opt_get(call: Call) -> list[Type]:
    v = call.need(0)
    return [Type(v.dtype, v.shape, v.kind)]
