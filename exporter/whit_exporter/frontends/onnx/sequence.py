"""Sequences and optionals. An optional that is there is its contents; only a missing one is a thing of its own."""

from __future__ import annotations

import numpy as np
import onnx

from ...dtypes import DType
from ...ir import Shape, Value
from .control import element_of, empty_sequence, inserted
from .movement import number, vector
from .registry import NodeContext, dtype_of, lower
from .types import join


def _position(n: NodeContext, i: int) -> Value | None:
    return None if n.opt(i) is None else number(n, i)


@lower("SequenceEmpty")
def sequence_empty(n: NodeContext) -> Value:
    return empty_sequence(n, n.dtype_attr("dtype", DType.F32) or DType.F32)


@lower("SequenceConstruct")
def sequence_construct(n: NodeContext) -> Value:
    items = n.values()
    v = n.b.op("seq_make", *items)
    element = items[0]
    for i, item in enumerate(items[1:], 1):
        element = join(n, element, item, f"input {i - 1}", f"input {i}", n.importer)
    v.kind, v.dtype, v.shape = "sequence", element.dtype, element.shape
    return v


@lower("SequenceInsert")
def sequence_insert(n: NodeContext) -> Value:
    return inserted(n, n.value(0), n.value(1), _position(n, 2))


@lower("SequenceErase")
def sequence_erase(n: NodeContext) -> Value:
    v = n.b.op("seq_erase", n.value(0), _position(n, 1))
    v.kind, v.dtype, v.shape = "sequence", n.value(0).dtype, n.value(0).shape
    return v


@lower("SequenceAt")
def sequence_at(n: NodeContext) -> Value:
    v = n.b.op("seq_at", n.value(0), number(n, 1))
    v.kind, v.dtype, v.shape = "tensor", n.value(0).dtype, n.value(0).shape
    return v


@lower("SequenceLength")
def sequence_length(n: NodeContext) -> Value:
    return n.b.op("seq_length", n.value(0))


@lower("SplitToSequence")
def split_to_sequence(n: NodeContext) -> Value:
    b, x = n.b, n.value(0)
    axis = n.int("axis", 0) % n.rank(0)
    sizes = None if n.opt(1) is None else vector(n, 1)
    keepdims = int(sizes is not None or n.int("keepdims", 1) != 0)
    v = b.op("split_to_sequence", x, sizes, axis=axis, keepdims=keepdims)
    v.kind, v.dtype = "sequence", x.dtype
    front, back = n.shape(0)[:axis], n.shape(0)[axis + 1 :]
    v.shape = (*front, _part(n), *back) if keepdims else (*front, *back)
    return v


def _part(n: NodeContext) -> int | None:
    """The length of every part of a split, if it is one number."""
    if n.opt(1) is None:
        return 1
    sizes = n.const_ints(1)
    if sizes is None or n.value(1).rank == 0:
        return None
    return sizes[0] if len(set(sizes)) == 1 else None


@lower("ConcatFromSequence")
def concat_from_sequence(n: NodeContext) -> Value:
    s, axis, new_axis = n.value(0), n.int("axis"), n.int("new_axis", 0)
    v = n.b.op("seq_concat", s, axis=axis, new_axis=new_axis)
    v.kind, v.dtype = "tensor", s.dtype
    v.shape = _concatenated(element_of(s).shape, axis, bool(new_axis))
    return v


def _concatenated(shape: Shape, axis: int, new_axis: bool) -> Shape:
    if shape is None:
        return None
    dims = list(shape)
    if new_axis:
        dims.insert(axis % (len(dims) + 1), None)
    elif dims:
        dims[axis % len(dims)] = None
    return tuple(dims)


@lower("Optional")
def optional(n: NodeContext) -> Value:
    if n.opt(0) is not None:
        return n.value(0)
    if not n.has("type"):
        raise n.fail("it has neither an input nor a type")
    proto: onnx.TypeProto = n.attributes["type"].tp
    if proto.HasField("optional_type"):
        proto = proto.optional_type.elem_type
    sequence = proto.HasField("sequence_type")
    tensor = proto.sequence_type.elem_type if sequence else proto
    v = n.b.op("opt_none", kind=int(sequence))
    v.kind, v.optional, v.shape = "sequence" if sequence else "tensor", True, None
    v.dtype = dtype_of(tensor.tensor_type.elem_type)
    n.importer.empty.add(v)
    return v


@lower("OptionalHasElement")
def optional_has_element(n: NodeContext) -> Value:
    v = n.opt(0)
    if v is None or not v.optional:
        return n.b.const(np.array(v is not None), DType.BOOL)
    return n.b.op("opt_has", v)


@lower("OptionalGetElement")
def optional_get_element(n: NodeContext) -> Value:
    x = n.value(0)
    if not x.optional:
        return x
    v = n.b.op("opt_get", x)
    v.kind, v.dtype, v.shape, v.optional = x.kind, x.dtype, x.shape, False
    return v
