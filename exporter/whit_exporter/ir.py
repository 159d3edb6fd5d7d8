"""The intermediate representation: a Graph of Nodes over Values; control nodes own Regions.

A node's operator is either a primitive of the runtime (a WHIT_OP row, see ops.py), or an element-wise
micro-operation (`add`, `exp`, `cast`, ... see micro.py), which the fusion pass turns into `tile` nodes.
Values are in SSA form: one producer, immutable. Regions read values of enclosing regions directly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .dtypes import DType

Dim = int | str | None
"""A dimension: a number, a symbol (equal symbols are equal numbers), or None when nothing is known."""

Shape = tuple[Dim, ...] | None
"""None: not even the rank is known."""


@dataclass(slots=True, eq=False)
class Value:
    """One tensor, sequence or optional. `const` is set for constants (and only they have no producer and no region)."""

    name: str = ""
    dtype: DType | None = None
    shape: Shape = None
    const: np.ndarray[Any, Any] | None = None
    producer: Node | None = None
    kind: str = (
        "tensor"  # "tensor" | "sequence"; of a sequence, dtype and shape describe the elements
    )
    optional: bool = False
    perm: tuple[int, ...] | None = None
    """Set by the layout pass: this value is the source model's value transposed by perm."""
    source: str = ""
    """Set by the fusion pass: the source model's node that makes this value, if its producer has another name."""
    state: str | None = None
    """Name of the persistent state variable that this value reads; const holds the initial value."""

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)


@dataclass(slots=True, eq=False)
class Region:
    """Nodes in execution order, with parameters and results."""

    params: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    results: list[Value | None] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Node:
    """One operation. Missing optional inputs are None. `name` leads back to the source model's node."""

    op: str
    inputs: list[Value | None]
    outputs: list[Value]
    attrs: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    regions: list[Region] = field(default_factory=list)
    tile: Any = None
    """Of a `tile` node, or of an epilogue: its TileProgram (micro.py)."""


@dataclass(slots=True, eq=False)
class Entry:
    """An entry point: a region whose params are the model's inputs and whose results its outputs."""

    name: str
    region: Region
    updates: list[tuple[str, Value]] = field(default_factory=list)
    """(state name, new value): written when a run completes."""
    output_names: list[str] = field(default_factory=list)
    """Names of the outputs if they are not those of the result values (which passes may replace)."""


@dataclass(slots=True, eq=False)
class Graph:
    """A whole program."""

    entries: list[Entry] = field(default_factory=list)
    states: dict[str, Value] = field(default_factory=dict)
    aliases: dict[str, Value] = field(default_factory=dict)
    """Names of source-model values that another value now stands for."""
    source: str = ""

    def regions(self) -> Iterator[Region]:
        """Every region, outer before inner."""
        stack = [e.region for e in reversed(self.entries)]
        while stack:
            region = stack.pop()
            yield region
            for node in reversed(region.nodes):
                stack.extend(reversed(node.regions))

    def walk(self) -> Iterator[tuple[Region, Node]]:
        """Every node with the region it stands in, in preorder."""
        stack: list[tuple[Region, Iterator[Node]]] = [
            (e.region, iter(e.region.nodes)) for e in reversed(self.entries)
        ]
        while stack:
            region, nodes = stack[-1]
            node = next(nodes, None)
            if node is None:
                stack.pop()
                continue
            yield region, node
            stack.extend((r, iter(r.nodes)) for r in reversed(node.regions))

    def uses(self) -> dict[Value, int]:
        """How often each value is read: by nodes, as a region's result, as a state's new value."""
        count: dict[Value, int] = {}
        for _, node in self.walk():
            for v in node.inputs:
                if v is not None:
                    count[v] = count.get(v, 0) + 1
        for region in self.regions():
            for v in region.results:
                if v is not None:
                    count[v] = count.get(v, 0) + 1
        for entry in self.entries:
            for _, v in entry.updates:
                count[v] = count.get(v, 0) + 1
        return count

    def replace(self, mapping: dict[Value, Value]) -> None:
        """Puts mapping[v] wherever v is read."""

        def final(v: Value) -> Value:
            while v in mapping:
                v = mapping[v]
            return v

        for _, node in self.walk():
            node.inputs = [final(v) if v is not None else None for v in node.inputs]
        for region in self.regions():
            region.results = [final(v) if v is not None else None for v in region.results]
        for entry in self.entries:
            entry.updates = [(s, final(v)) for s, v in entry.updates]
        for name, v in list(self.aliases.items()):
            self.aliases[name] = final(v)
        for old in mapping:
            if old.name and old.const is None:
                self.aliases.setdefault(old.name, final(old))
