"""What the passes that recognise patterns share: a region seen from the last node of a pattern backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..dtypes import DType
from ..ir import Graph, Node, Region, Value

Recognise = Callable[["Pattern", Node], "list[Node] | None"]
"""The nodes that stand for a pattern whose last node is given, in order; None if there is no pattern."""


class Pattern:
    """The nodes that a match has walked over. They may only go if nobody else reads what they make."""

    def __init__(self, region: Region, uses: dict[Value, int]) -> None:
        self.region, self.uses = region, uses
        self.here = {id(n) for n in region.nodes}
        self.inside: list[Node] = []
        self.made: dict[object, Value] = {}
        """What earlier matches in this region have made for others to use."""

    def by(self, v: Value | None, *ops: str) -> Node | None:
        """The node that makes v, if it is one of these operators and stands in this region."""
        node = None if v is None else v.producer
        return node if node is not None and node.op in ops and id(node) in self.here else None

    def take(self, *nodes: Node) -> None:
        self.inside += [n for n in nodes if not any(n is m for m in self.inside)]

    def closed(self, last: Node) -> bool:
        """Does nothing but the pattern read what its inner nodes make?"""
        count: dict[Value, int] = {}
        for node in (*self.inside, last):
            for v in node.inputs:
                if v is not None:
                    count[v] = count.get(v, 0) + 1
        made = [v for n in self.inside for v in n.outputs]
        return all(self.uses.get(v, 0) == count.get(v, 0) for v in made)

    def only_user(self, v: Value, op: str) -> Node | None:
        """The one node that reads v, once, if it is of this operator and stands in this region."""
        if self.uses.get(v) != 1:
            return None
        return next((n for n in self.region.nodes if n.op == op and v in n.inputs), None)


def recognise(g: Graph, find: Recognise, *last: str) -> int:
    """Tries every node of the operators `last`. What find returns takes the place of that node; the pattern's inner nodes go."""
    changes = 0
    uses = g.uses()
    for region in g.regions():
        pattern = Pattern(region, uses)
        gone: set[int] = set()
        instead: dict[int, list[Node]] = {}
        for node in region.nodes:
            if node.op not in last or id(node) in gone:
                continue
            pattern.inside = []
            new = find(pattern, node)
            if new is None:
                continue
            changes += 1
            gone |= {id(n) for n in pattern.inside}
            instead[id(node)] = new
            for n in pattern.inside:
                _count(uses, n, -1)
            _count(uses, node, -1)
            for n in new:
                _count(uses, n, 1)
                pattern.here.add(id(n))
                for v in n.outputs:
                    v.producer = n
        region.nodes = [
            new for n in region.nodes if id(n) not in gone for new in instead.get(id(n), [n])
        ]
    return changes


def _count(uses: dict[Value, int], node: Node, step: int) -> None:
    for v in node.inputs:
        if v is not None:
            uses[v] = uses.get(v, 0) + step


def number(v: Value | None) -> float | None:
    """v as a number, if it is a constant f32 of one element."""
    if (
        v is None
        or v.const is None
        or v.state is not None
        or v.const.size != 1
        or v.dtype != DType.F32
    ):
        return None
    return float(v.const.reshape(-1)[0])


def is_number(v: Value | None, x: float) -> bool:
    """Is v this number, as near as f32 comes?"""
    n = number(v)
    return n is not None and abs(n - x) <= 1e-6 * abs(x)


def floats(array: np.ndarray[Any, Any]) -> Value:
    """A constant of type f32."""
    array = np.ascontiguousarray(array, np.float32)
    return Value(dtype=DType.F32, shape=array.shape, const=array)


def last_axis(node: Node, kind: int) -> bool:
    """Is the node a reduction of this kind over the last axis alone, which stays as 1?"""
    x = node.inputs[0]
    if x is None or x.rank is None or any(v is not None for v in node.inputs[1:]):
        return False
    axes = [a % x.rank for a in node.attrs.get("axes", ())] if x.rank else []
    return node.attrs["kind"] == kind and node.attrs.get("keepdims") == 1 and axes == [x.rank - 1]


SUM, MAX, MEAN = 0, 2, 4
"""Kinds of reduce."""
