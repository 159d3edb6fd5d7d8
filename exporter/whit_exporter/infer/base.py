"""What the rules share: their registry, the call they see, arithmetic of dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from ..dtypes import DType
from ..errors import ConvertError
from ..ir import Dim, Node, Region, Shape, Value

Known = dict[Value, list[Dim]]
"""Elements of integer tensors of rank 0 or 1 as far as they are known."""

END = 0x7FFFFFFF
KNOWN_MAX = 64  # elements that are followed; shapes are short


@dataclass(slots=True)
class Type:
    """What a rule says about one output."""

    dtype: DType | None
    shape: Shape = None
    kind: str = "tensor"
    optional: bool = False
    known: list[Dim] | None = None


@dataclass(slots=True)
class Call:
    """A node as a rule sees it: None for whatever is not known."""

    node: Node
    known: Known = field(default_factory=dict)

    def value(self, k: int) -> Value | None:
        """Input k, or None if it is not given."""
        return self.node.inputs[k] if k < len(self.node.inputs) else None

    def need(self, k: int) -> Value:
        """Input k, which must be given."""
        v = self.value(k)
        return self.fail(f"input {k} is missing") if v is None else v

    def shape(self, k: int = 0) -> Shape:
        return self.need(k).shape

    def dtype(self, k: int = 0) -> DType | None:
        return self.need(k).dtype

    def rank(self, k: int = 0) -> int | None:
        return self.need(k).rank

    def attr(self, name: str, default: int = 0) -> int:
        """An integer attribute."""
        return int(self.node.attrs.get(name, default))

    def attrs(self, name: str) -> list[int]:
        """An attribute that is a list of integers."""
        return [int(x) for x in self.node.attrs.get(name, ())]

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front."""
        if not -rank <= axis < rank:
            self.fail(f"axis {axis} is outside a tensor of {rank} axes")
        return axis % rank

    def elements(self, k: int) -> list[Dim] | None:
        """The integers of input k as far as they are known."""
        v = self.value(k)
        return None if v is None else elements_of(v, self.known)

    def ints(self, k: int) -> list[int] | None:
        """The integers of input k if all are known."""
        items = self.elements(k)
        if items is None or not all(isinstance(x, int) for x in items):
            return None
        return [x for x in items if isinstance(x, int)]

    def fail(self, message: str) -> NoReturn:
        raise ConvertError(message, node=self.node.name, operator=self.node.op)


Rule = Callable[[Call], list[Type]]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Declares the rule of one or more operators."""

    def add(f: Rule) -> Rule:
        for name in names:
            RULES[name] = f
        return f

    return add


def widen(body: Region) -> list[Shape] | None:
    """Do the results of a loop's body fit the params that they become in the next iteration? None: they do. Otherwise
    the shapes that the carried params must have when the body is made anew."""
    shapes: list[Shape] = []
    changed = False
    for p, r in zip(body.params[1:], body.results[1:], strict=False):
        shape = p.shape if r is None else merge(p.shape, r.shape)
        changed = changed or shape != p.shape
        shapes.append(shape)
    return shapes if changed else None


def merge(a: Shape, b: Shape) -> Shape:
    """What holds of a value that has either shape."""
    if a is None or b is None or len(a) != len(b):
        return None
    return tuple(x if x == y else None for x, y in zip(a, b, strict=True))


def broadcast_dim(a: Dim, b: Dim) -> Dim:
    """One axis of a broadcast. ValueError if the numbers do not fit."""
    if a == b:
        return a
    if a == 1:
        return b
    if b == 1:
        return a
    if isinstance(a, int) and isinstance(b, int):
        raise ValueError
    if isinstance(a, int):
        return a
    return b if isinstance(b, int) else None


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """numpy broadcasting. Equal symbols stay; a symbol against a number other than 1 is that number (or the model
    fails when it runs). ValueError if numbers do not fit."""
    result: list[Dim] = []
    for shape in shapes:
        if shape is None:
            return None
        old: list[Dim] = result
        new: list[Dim] = list(shape)
        n = max(len(old), len(new))
        old, new = [*[1] * (n - len(old)), *old], [*[1] * (n - len(new)), *new]
        result = [broadcast_dim(x, y) for x, y in zip(old, new, strict=True)]
    return tuple(result)


def product(dims: Sequence[Dim]) -> tuple[int, list[str]] | None:
    """A number and the symbols it is to be multiplied by; None if a factor is unknown. 0 is 0 whatever the rest."""
    if any(isinstance(d, int) and d == 0 for d in dims):
        return 0, []
    if any(d is None for d in dims):
        return None
    return math.prod(d for d in dims if isinstance(d, int)), [d for d in dims if isinstance(d, str)]


def product_dim(dims: Sequence[Dim]) -> Dim:
    """The product as a dimension, if it can be written as one."""
    p = product(dims)
    if p is None:
        return None
    n, symbols = p
    if not symbols or n == 0:
        return n
    return symbols[0] if n == 1 and len(symbols) == 1 else None


def quotient_dim(whole: Sequence[Dim], part: Sequence[Dim]) -> Dim:
    """product(whole) / product(part). Equal factors cancel, unknown ones only if they are the same axis of both."""
    rest, divisors = list(whole), []
    for d in part:
        if isinstance(d, str) and d in rest:
            rest.remove(d)
        else:
            divisors.append(d)
    a, b = product(rest), product(divisors)
    if a is None or b is None or b[1] or b[0] == 0 or a[0] % b[0]:
        return None
    return product_dim([a[0] // b[0], *a[1]])


def add_dim(a: Dim, b: Dim) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    if a == 0:
        return b
    return a if b == 0 else None


def unknown(rank: int | None) -> Shape:
    """A shape of which only the rank is known."""
    return None if rank is None else (None,) * rank


def elements_of(v: Value, known: Known) -> list[Dim] | None:
    """The elements of an integer tensor of rank 0 or 1, as far as they are known."""
    if v.const is not None and v.state is None:
        c = v.const
        if c.ndim > 1 or c.size > KNOWN_MAX or c.dtype.kind not in "iub":
            return None
        return [int(x) for x in c.reshape(-1)]
    return known.get(v)


def is_static(shape: Shape) -> bool:
    """All dimensions are numbers."""
    return shape is not None and all(isinstance(d, int) for d in shape)


def static(shape: Shape) -> tuple[int, ...] | None:
    """The shape if all dimensions are numbers."""
    if shape is None or not all(isinstance(d, int) for d in shape):
        return None
    return tuple(d for d in shape if isinstance(d, int))


def constant_of(v: Value, known: Known) -> np.ndarray[Any, Any] | None:
    """The value as an array if its elements are all known although it was made by a node."""
    items = known.get(v)
    shape = static(v.shape)
    if items is None or shape is None or v.dtype is None or math.prod(shape) != len(items):
        return None
    numbers = [x for x in items if isinstance(x, int)]
    if len(numbers) != len(items):
        return None
    return np.array(numbers, dtype=v.dtype.numpy).reshape(shape)
