"""Axes under transposes and reshapes: which axes of one shape are which of another."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..ir import Dim, Node, Shape, Value

Perm = tuple[int, ...]


def inverse(perm: Sequence[int]) -> Perm:
    out = [0] * len(perm)
    for i, p in enumerate(perm):
        out[p] = i
    return tuple(out)


def permuted(shape: Shape, perm: Sequence[int]) -> Shape:
    return None if shape is None else tuple(shape[p] for p in perm)


def count(shape: Shape) -> int | None:
    """Elements, if every dimension is a number."""
    if shape is None or not all(isinstance(d, int) for d in shape):
        return None
    return math.prod(d for d in shape if isinstance(d, int))


def keeps_order(shape: Shape, perm: Sequence[int]) -> bool:
    """Does a transpose of such a tensor leave every element where it is in memory? Axes of size 1 may go anywhere."""
    if shape is None:
        return False
    moved = [p for p in perm if shape[p] != 1]
    return moved == sorted(moved)


@dataclass(slots=True, frozen=True)
class Size:
    """A product of a number and of symbols; an unknown dimension is a symbol of its own."""

    number: int
    symbols: tuple[str, ...] = ()

    def times(self, other: Size) -> Size:
        return Size(self.number * other.number, tuple(sorted((*self.symbols, *other.symbols))))

    def over(self, other: Size) -> Size | None:
        """The quotient, if it is whole."""
        left = Counter(self.symbols)
        left.subtract(other.symbols)
        if other.number == 0 or self.number % other.number or any(n < 0 for n in left.values()):
            return None
        return Size(self.number // other.number, tuple(sorted(left.elements())))


ONE = Size(1)


def _size(d: Dim, k: int) -> Size:
    if isinstance(d, int):
        return Size(d)
    return Size(1, (d if d is not None else f"?{k}",))


def shape_sizes(v: Value) -> list[Size] | None:
    return None if v.shape is None else [_size(d, k) for k, d in enumerate(v.shape)]


def _product(sizes: Sequence[Size]) -> Size:
    total = ONE
    for s in sizes:
        total = total.times(s)
    return total


def sizes_of_reshape(node: Node) -> tuple[list[Size], list[Size]] | None:
    """Sizes of a reshape's input and output axes in one algebra; None if they cannot be told or an axis is empty."""
    x, y = node.inputs[0], node.outputs[0]
    if x is None or x.shape is None or y.shape is None:
        return None
    before = [_size(d, k) for k, d in enumerate(x.shape)]
    after: list[Size | None] = []
    words = node.attrs.get("dims") or []
    from_words = len(node.inputs) < 2 or node.inputs[1] is None
    for k, d in enumerate(y.shape):
        word = words[k] if from_words else -1
        if word < -1:
            after.append(_product(before[(-2 - word) >> 4 : (-2 - word) & 15]))
        elif word >= 0:
            after.append(Size(word))
        else:
            after.append(None if d is None else _size(d, k))
    if after.count(None) == 1:
        known = _product([s for s in after if s is not None])
        after[after.index(None)] = _product(before).over(known)
    found = [s for s in after if s is not None]
    if len(found) != len(after) or any(s.number == 0 for s in (*before, *found)):
        return None
    return before, found


Block = tuple[list[int], list[int]]
"""Axes of one shape and axes of another that hold the same elements."""


def blocks(a: Sequence[Size], b: Sequence[Size]) -> list[Block] | None:
    """Cuts two shapes of the same elements into the smallest blocks that agree. Axes of size 1 are blocks of their own."""
    found: list[Block] = []
    i = j = 0
    while i < len(a) or j < len(b):
        if i < len(a) and a[i] == ONE:
            found.append(([i], []))
            i += 1
            if j < len(b) and b[j] == ONE:
                found[-1][1].append(j)
                j += 1
            continue
        if j < len(b) and b[j] == ONE:
            found.append(([], [j]))
            j += 1
            continue
        if i == len(a) or j == len(b):
            return None
        ours, theirs = [i], [j]
        left, right = a[i], b[j]
        while left != right:
            longer = left.over(right) is not None
            if not longer and right.over(left) is None:
                longer = left.number > right.number
            if longer and theirs[-1] + 1 < len(b):
                theirs.append(theirs[-1] + 1)
                right = right.times(b[theirs[-1]])
            elif ours[-1] + 1 < len(a):
                ours.append(ours[-1] + 1)
                left = left.times(a[ours[-1]])
            else:
                return None
        found.append((ours, theirs))
        i, j = ours[-1] + 1, theirs[-1] + 1
    return found


def dims_words(wanted: Sequence[Size], before: Sequence[Size]) -> list[int] | None:
    """Attribute dims of a reshape from `before` to `wanted`; None if no words say it."""
    words: list[int] = []
    for s in wanted:
        if not s.symbols:
            words.append(s.number)
            continue
        for start in range(len(before)):
            end = next(
                (e for e in range(start + 1, len(before) + 1) if _product(before[start:e]) == s),
                None,
            )
            if end is not None:
                words.append(-2 - (start << 4 | end))
                break
        else:
            words.append(-1)
    return words if words.count(-1) <= 1 else None
