"""Values with Python's arithmetic: `(x * 2 + y).exp()` emits the nodes. Lowerings are written with these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

from ...dtypes import DType
from ...ir import Value

if TYPE_CHECKING:
    from ...build import Builder

Operand = Union["Expr", Value, int, float]


class Expr:
    """A value and the builder that emits into the graph. Numbers take the type of the other operand."""

    __slots__ = ("b", "v")

    def __init__(self, b: Builder, v: Value) -> None:
        self.b, self.v = b, v

    def lift(self, other: Operand) -> Value:
        """Any operand as a value of this one's type."""
        if isinstance(other, Expr):
            return other.v
        return other if isinstance(other, Value) else self.b.scalar(self.v, other)

    def op(self, name: str, *others: Operand | None, **attrs: Any) -> Expr:
        """The primitive `name` of this value and others."""
        inputs = [None if o is None else self.lift(o) for o in others]
        return Expr(self.b, self.b.op(name, self.v, *inputs, **attrs))

    def rop(self, name: str, first: Operand) -> Expr:
        """The primitive `name` with this value as its second input."""
        return Expr(self.b, self.b.op(name, self.lift(first), self.v))

    def __add__(self, other: Operand) -> Expr:
        return self.op("add", other)

    def __radd__(self, other: Operand) -> Expr:
        return self.rop("add", other)

    def __sub__(self, other: Operand) -> Expr:
        return self.op("sub", other)

    def __rsub__(self, other: Operand) -> Expr:
        return self.rop("sub", other)

    def __mul__(self, other: Operand) -> Expr:
        return self.op("mul", other)

    def __rmul__(self, other: Operand) -> Expr:
        return self.rop("mul", other)

    def __truediv__(self, other: Operand) -> Expr:
        return self.op("div", other)

    def __rtruediv__(self, other: Operand) -> Expr:
        return self.rop("div", other)

    def __floordiv__(self, other: Operand) -> Expr:
        """Of integers that are not negative."""
        return self.op("div", other)

    def __mod__(self, other: Operand) -> Expr:
        return self.op("mod", other)

    def __rpow__(self, other: Operand) -> Expr:
        return self.rop("pow", other)

    def __pow__(self, other: Operand) -> Expr:
        return self.op("pow", other)

    def __neg__(self) -> Expr:
        return self.op("neg")

    def __and__(self, other: Operand) -> Expr:
        return self.op("and", other)

    def __or__(self, other: Operand) -> Expr:
        return self.op("or", other)

    def __invert__(self) -> Expr:
        """Logical not."""
        return self.op("not")

    def __lt__(self, other: Operand) -> Expr:
        return self.op("lt", other)

    def __le__(self, other: Operand) -> Expr:
        return self.op("le", other)

    def __gt__(self, other: Operand) -> Expr:
        return self.rop("lt", other)

    def __ge__(self, other: Operand) -> Expr:
        return self.rop("le", other)

    def eq(self, other: Operand) -> Expr:
        return self.op("eq", other)

    def abs(self) -> Expr:
        return self.op("abs")

    def exp(self) -> Expr:
        return self.op("exp")

    def log(self) -> Expr:
        return self.op("log")

    def sqrt(self) -> Expr:
        return self.op("sqrt")

    def floor(self) -> Expr:
        return self.op("floor")

    def min(self, other: Operand) -> Expr:
        return self.op("min", other)

    def max(self, other: Operand) -> Expr:
        return self.op("max", other)

    def clip(self, low: Operand, high: Operand) -> Expr:
        return self.max(low).min(high)

    def where(self, yes: Operand, no: Operand) -> Expr:
        """yes where this BOOL value is true, else no. One of the two must be a value."""
        like = yes if isinstance(yes, Expr | Value) else no
        if not isinstance(like, Expr | Value):
            raise TypeError("where needs a value to take the type from")
        typed = like if isinstance(like, Expr) else Expr(self.b, like)
        return Expr(self.b, self.b.op("where", self.v, typed.lift(yes), typed.lift(no)))

    def cast(self, dtype: DType) -> Expr:
        return Expr(self.b, self.b.cast(self.v, dtype))

    def reduce(self, kind: str, axes: Sequence[int], keepdims: bool = True) -> Expr:
        """Reduces over the axes; none when there are no axes."""
        if not axes:
            return self
        return self.op("reduce", kind=REDUCE[kind], keepdims=int(keepdims), noop=0, axes=[*axes])

    def mean(self, axes: Sequence[int], keepdims: bool = True) -> Expr:
        return self.reduce("mean", axes, keepdims)

    def sum(self, axes: Sequence[int], keepdims: bool = True) -> Expr:
        return self.reduce("sum", axes, keepdims)

    def transpose(self, perm: Sequence[int]) -> Expr:
        return Expr(self.b, self.b.transpose(self.v, list(perm)))

    def reshape(self, dims: Sequence[Any]) -> Expr:
        """Reshapes to what Builder.reshape_to takes: numbers, -1, ("dim", k), ("prod", a, b)."""
        return Expr(self.b, self.b.reshape_to(self.v, list(dims)))

    def reshape_like(self, other: Operand) -> Expr:
        """Reshapes to the shape that another value has."""
        shape = self.b.shape_of(self.lift(other))
        return Expr(self.b, self.b.op("reshape", self.v, shape, dims=[], allowzero=1))

    def unsqueeze(self, *axes: int) -> Expr:
        return Expr(self.b, self.b.unsqueeze(self.v, list(axes)))

    def squeeze(self, *axes: int) -> Expr:
        return Expr(self.b, self.b.squeeze(self.v, list(axes)))

    def gather(self, indices: Operand, axis: int) -> Expr:
        return self.op("gather", indices, axis=axis)

    def matmul(self, other: Operand) -> Expr:
        return self.op("matmul", other, panels=0, n=0, trans_a=0, trans_b=0)

    def slice(self, start: int, end: int, axis: int) -> Expr:
        return Expr(self.b, self.b.slice(self.v, [start], [end], [axis]))

    def dim(self, axis: int) -> Expr:
        """The size of an axis, an i64 scalar."""
        end = axis + 1 if axis != -1 else None
        return Expr(self.b, self.b.squeeze(self.b.shape_of(self.v, axis, end), [0]))

    def to_axis(self, axis: int, rank: int) -> Expr:
        """A vector laid along one axis of a tensor of this rank: [n] -> [1, ..., n, ..., 1]."""
        return self if rank == 1 else self.reshape([1] * axis + [-1] + [1] * (rank - 1 - axis))


REDUCE = {"sum": 0, "prod": 1, "max": 2, "min": 3, "mean": 4}
INF_END = 0x7FFFFFFF


def arange(b: Builder, n: Operand, dtype: DType = DType.I64) -> Expr:
    """0, 1, ... n-1 in a type; n is a number or an i64 scalar."""
    if isinstance(n, int):
        n = Expr(b, b.const(n))
    if not isinstance(n, Expr):
        raise TypeError("arange of a number or an i64 scalar")
    r = n.b.op("range", b.const(0), n.v, b.const(1))
    return Expr(b, r).cast(dtype)


def constant(b: Builder, value: Any, dtype: DType) -> Expr:
    """A constant."""
    return Expr(b, b.const(value, dtype))
