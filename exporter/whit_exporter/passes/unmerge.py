"""Axes that a reshape joins stay apart where nobody asks for their order.

A group norm makes [N, G, C/G * T] of [N, C, T], takes means along the last axis, works element by element, and makes
[N, C, T] of it again. Of a transposed value the joined axis would have to be copied into order; kept apart, it need not.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from ..ir import Node, Region, Value
from ..ops import is_elementwise
from .axes import ONE, Size, blocks, dims_words, shape_sizes, sizes_of_reshape
from .sink import Sweep, perm_of


@dataclass(slots=True)
class Refinement:
    """Axes fine enough for both sides of a reshape: `fine` in order, and which of them each axis of the result is."""

    before: list[Size]
    after: list[Size]
    fine: list[Size] = field(default_factory=list)
    parts: list[list[int]] = field(default_factory=list)

    def joined(self) -> list[int]:
        """Axes of the result that are several fine ones."""
        return [j for j, parts in enumerate(self.parts) if len(parts) > 1]


def _cuts(sizes: list[Size]) -> list[int] | None:
    """Products of the first sizes: 2, 6, 24 of 2, 3, 4."""
    if any(s.symbols for s in sizes):
        return None
    return [math.prod(s.number for s in sizes[: k + 1]) for k in range(len(sizes))]


def _refine(before: list[Size], after: list[Size]) -> Refinement | None:
    r = Refinement(before, after, parts=[[] for _ in after])
    for ours, theirs in blocks(before, after) or []:
        ours = ours if len(ours) == 1 else [a for a in ours if before[a] != ONE]
        start = len(r.fine)
        if len(ours) <= 1 and len(theirs) <= 1:
            r.fine += [before[a] for a in ours]
            for j in theirs:
                r.parts[j] = list(range(start, len(r.fine)))
            continue
        mine, other = _cuts([before[a] for a in ours]), _cuts([after[j] for j in theirs])
        if mine is None or other is None:
            return None
        at = 1
        for cut in sorted({*mine, *other} - {1}):
            if cut % at:
                return None
            r.fine.append(Size(cut // at))
            at = cut
            j = next(k for k, c in enumerate(other) if c >= cut)
            r.parts[theirs[j]].append(len(r.fine) - 1)
    return r


def _plain(sizes: list[Size], like: Value) -> tuple[int | str | None, ...]:
    """Sizes as dimensions."""
    known = {d for d in like.shape or () if isinstance(d, str)}
    return tuple(
        s.number
        if not s.symbols
        else s.symbols[0]
        if s.symbols[0] in known and s.number == 1
        else None
        for s in sizes
    )


def _reads_inside(node: Node, values: set[Value]) -> bool:
    stack = list(node.regions)
    while stack:
        region = stack.pop()
        if values.intersection(v for v in region.results if v is not None):
            return True
        for inner in region.nodes:
            if values.intersection(v for v in inner.inputs if v is not None):
                return True
            stack += inner.regions
    return False


@dataclass(slots=True)
class Unmerge:
    """One reshape, and everything that is computed from it until the joined axes are reduced or cut again."""

    start: Node
    r: Refinement
    full: set[Value] = field(default_factory=set)
    done: dict[Value, Value] = field(default_factory=dict)
    """Of reduced values: the one with the fine axes."""
    made: list[Node] = field(default_factory=list)

    # ---- may it be done? ----

    def _operand(self, v: Value) -> list[Size] | None:
        """Fine sizes of something that is combined with values of the reshape's shape."""
        sizes = shape_sizes(v)
        n = len(self.r.after)
        if v.kind != "tensor" or sizes is None or len(sizes) > n:
            return None
        sizes = [ONE] * (n - len(sizes)) + sizes
        fine = [ONE] * len(self.r.fine)
        for j, parts in enumerate(self.r.parts):
            if sizes[j] == ONE:
                continue
            if len(parts) == 1:
                fine[parts[0]] = sizes[j]
            elif sizes[j] == self.r.after[j] and parts:
                for f in parts:
                    fine[f] = self.r.fine[f]
            else:
                return None
        return fine

    def _reduced(self, node: Node) -> list[int] | None:
        """Fine axes of a reduction that leaves nothing of the joined ones."""
        axes = node.attrs.get("axes") or []
        if not node.attrs.get("keepdims") or any(node.inputs[1:]):
            return None
        named = {a % len(self.r.parts) for a in axes}
        if not named.issuperset(self.r.joined()):
            return None
        return sorted(f for j in named for f in self.r.parts[j])

    def _allowed(self, node: Node) -> bool:
        y, shape = node.outputs[0], self.start.outputs[0].shape
        if node.op == "reduce":
            return bool(self._reduced(node))
        if node.op == "reshape":
            x = self.start.inputs[0]
            return x is not None and y.shape == x.shape
        if not is_elementwise(node.op) or y.shape != shape:
            return False
        if any(
            v not in self.full and self._operand(v) is None for v in node.inputs if v is not None
        ):
            return False
        self.full.add(y)
        return True

    def possible(self, nodes: deque[Node], region: Region, pinned: frozenset[Value]) -> bool:
        self.full = {self.start.outputs[0]}
        for node in nodes:
            if _reads_inside(node, self.full):
                return False
            if self.full.intersection(
                v for v in node.inputs if v is not None
            ) and not self._allowed(node):
                return False
        return not self.full & (pinned | {v for v in region.results if v is not None})

    # ---- doing it ----

    def _view(self, x: Value, sizes: list[Size], out: Value) -> bool:
        words = dims_words(sizes, shape_sizes(x) or [])
        if words is None:
            return False
        node = Node("reshape", [x], [out], {"dims": words, "allowzero": 0}, self.start.name)
        out.producer = node
        self.made.append(node)
        return True

    def _fine(self, v: Value | None) -> Value | None:
        if v is None or v in self.full or v.rank == 0:
            return v
        if v in self.done:
            return self.done[v]
        sizes = self._operand(v) or []
        shape = _plain(sizes, v)
        if v.const is not None and v.state is None:
            array = np.ascontiguousarray(v.const.reshape([s.number for s in sizes]))
            return Value(name=v.name, dtype=v.dtype, shape=array.shape, const=array)
        out = Value(dtype=v.dtype, shape=shape)
        self._view(v, sizes, out)
        return out

    def _rewrite(self, node: Node, sweep: Sweep) -> None:
        y = node.outputs[0]
        if is_elementwise(node.op):
            node.inputs = [self._fine(v) for v in node.inputs]
            y.shape = _plain(self.r.fine, y)
            self.made.append(node)
        elif node.op == "reduce":
            axes = self._reduced(node) or []
            sizes = [ONE if f in axes else s for f, s in enumerate(self.r.fine)]
            inner = Value(dtype=y.dtype, shape=_plain(sizes, y), producer=node)
            node.attrs["axes"], node.outputs[0] = axes, inner
            self.made.append(node)
            self.done[y] = inner
            self._view(inner, shape_sizes(y) or [], y)
        elif self.r.fine == self.r.before:
            value = node.inputs[0]
            assert value is not None
            sweep.mapping[y] = value
        else:
            value = node.inputs[0]
            assert value is not None
            self._view(value, self.r.before, y)

    def run(self, sweep: Sweep, nodes: deque[Node]) -> None:
        rest = list(nodes)
        for node in rest:
            if self.full.intersection(v for v in node.inputs if v is not None):
                self._rewrite(node, sweep)
            else:
                self.made.append(node)
        nodes.clear()
        nodes.extend(self.made)


def unmerge(node: Node, sweep: Sweep, pending: deque[Node], region: Region) -> int:
    """Before: reshape, the latest node of the sweep, joins axes of a transposed value; element-wise nodes and reductions over
    the joined axes; reshapes back. After: the same on the axes apart, the reshape cutting at most.

    Not if anything else reads a value with the joined axis. A tap of such a value shows the axes apart.
    """
    x, y = node.inputs[0], node.outputs[0]
    sizes = sizes_of_reshape(node) if perm_of(x) is not None else None
    if x is None or sizes is None or any(s.symbols and s.symbols[0][0] == "?" for s in sizes[0]):
        return 0
    r = _refine(*sizes)
    if r is None or not r.joined() or len(r.fine) > 8:
        return 0
    task = Unmerge(node, r)
    words = dims_words(r.fine, r.before)
    if words is None or not task.possible(pending, region, sweep.pinned):
        return 0
    task.run(sweep, pending)
    sweep.nodes.pop()
    if r.fine == r.before:
        sweep.mapping[y] = x
    else:
        node.inputs, node.attrs = [x], {"dims": words, "allowzero": 0}
        y.shape = _plain(r.fine, y)
        pending.appendleft(node)
    return 1
