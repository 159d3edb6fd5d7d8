"""What is known of a value on two ways to it: the types of branches and of loop-carried values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from ...ir import Dim, Shape, Value

if TYPE_CHECKING:
    from . import Importer
    from .registry import NodeContext


def like(v: Value, importer: Importer) -> Value:
    """A new value of the same type."""
    new = Value("", v.dtype, v.shape, kind=v.kind, optional=v.optional)
    if v in importer.empty:
        new.shape = None
        importer.empty.add(new)
    return new


def join_shapes(a: Shape, b: Shape) -> Shape:
    """What holds for both."""
    if a is None or b is None or len(a) != len(b):
        return None
    return tuple(x if x == y else None for x, y in zip(a, b, strict=True))


def join(n: NodeContext, a: Value, b: Value, what_a: str, what_b: str, importer: Importer) -> Value:
    """A value whose type covers both. Fails if they are different things."""
    if a.kind != b.kind:
        raise n.fail(f"{what_a} is a {a.kind}, {what_b} a {b.kind}")
    if a.dtype is not None and b.dtype is not None and a.dtype != b.dtype:
        raise n.fail(f"{what_a} has type {a.dtype.short}, {what_b} {b.dtype.short}")
    joined = like(a, importer)
    joined.optional = a.optional or b.optional
    joined.dtype = a.dtype or b.dtype
    if b in importer.empty:
        return joined
    if a in importer.empty:
        importer.empty.discard(joined)
        joined.shape = b.shape
    else:
        joined.shape = join_shapes(a.shape, b.shape)
    return joined


def same_type(a: Value, b: Value, importer: Importer) -> bool:
    return (a.kind, a.dtype, a.shape, a.optional) == (b.kind, b.dtype, b.shape, b.optional) and (
        a in importer.empty
    ) == (b in importer.empty)


def meet_declared(v: Value, proto: onnx.TypeProto) -> None:
    """Adds the numbers that a declared shape knows to those of a tensor."""
    if not proto.HasField("tensor_type") or not proto.tensor_type.HasField("shape"):
        return
    declared: list[Dim] = [
        d.dim_value if d.HasField("dim_value") else None for d in proto.tensor_type.shape.dim
    ]
    if v.shape is None:
        v.shape = tuple(declared)
    elif len(v.shape) == len(declared):
        v.shape = tuple(
            d if x is None and isinstance(d, int) else x
            for x, d in zip(v.shape, declared, strict=True)
        )
