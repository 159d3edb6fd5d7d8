"""Fewer micro-operations: what one of them does at once is not left to two."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace

from ..ir import Graph
from ..micro import Instruction, TileProgram

FINISH = frozenset(("load", "imm", "add", "max", "min", "store"))
"""Epilogues of these alone are left as they are: the kernels do sums and limits in registers, and finish.py knows them by these
names. A gate is known by its fused form."""


@dataclass(slots=True)
class _Program:
    """A program being rewritten in place; instructions that nobody reads any more go at the end."""

    program: TileProgram
    uses: Counter[int] = field(default_factory=Counter)

    def count(self) -> None:
        self.uses = Counter(a for i in self.program.code for a in i.args)

    def private(self, k: int, op: str) -> Instruction | None:
        """Instruction k if it is an `op` that only one other reads, and no tap."""
        i = self.program.code[k]
        return i if i.op == op and self.uses[k] == 1 and k not in self.program.names else None

    def number(self, k: int) -> float | None:
        i = self.program.code[k]
        return i.value if i.op == "imm" and not math.isnan(i.value) else None

    def split(self, i: Instruction) -> tuple[int, int] | None:
        """(the argument that is computed, the one that is a number)."""
        a, b = i.args
        if self.number(b) is not None:
            return a, b
        return (b, a) if self.number(a) is not None else None


def _clamp(p: _Program, i: Instruction) -> Instruction | None:
    """min(max(x, low), high) or max(min(x, high), low)."""
    outer = p.split(i) if i.op in ("min", "max") else None
    inner = p.private(outer[0], "max" if i.op == "min" else "min") if outer is not None else None
    parts = p.split(inner) if inner is not None else None
    if outer is None or parts is None:
        return None
    low, high = (parts[1], outer[1]) if i.op == "min" else (outer[1], parts[1])
    if p.program.code[low].value > p.program.code[high].value:
        return None
    return Instruction("clamp", (parts[0], low, high))


def _fma(p: _Program, i: Instruction) -> Instruction | None:
    """a * b + c."""
    if i.op != "add":
        return None
    for product, c in (i.args, i.args[::-1]):
        m = p.private(product, "mul")
        if m is not None and product != c:
            return Instruction("fma", (*m.args, c))
    return None


def _leaky(p: _Program, i: Instruction) -> Instruction | None:
    """x < 0 ? slope * x : x with a slope in (0, 1]."""
    if i.op != "where":
        return None
    below, scaled, x = (p.program.code[a] for a in i.args)
    if below.op != "lt" or scaled.op != "mul" or below.args[0] != i.args[2]:
        return None
    parts = p.split(scaled)
    if parts is None or parts[0] != i.args[2] or p.number(below.args[1]) != 0 or x.op == "imm":
        return None
    slope = p.number(parts[1])
    return Instruction("max", (i.args[2], i.args[1])) if slope and 0 < slope <= 1 else None


def _compact(program: TileProgram) -> None:
    """Drops what nobody reads and no tap shows."""
    kept: set[int] = set()
    for k in reversed(range(len(program.code))):
        i = program.code[k]
        if i.op == "store" or k in kept or k in program.names:
            kept.add(k)
            kept.update(i.args)
    place = {k: n for n, k in enumerate(sorted(kept))}
    program.code = [
        replace(program.code[k], args=tuple(place[a] for a in program.code[k].args)) for k in place
    ]
    program.names = {place[k]: v for k, v in program.names.items()}
    program.perms = {place[k]: v for k, v in program.perms.items() if k in place}
    program.sources = {place[k]: v for k, v in program.sources.items() if k in place}


def _simplify(program: TileProgram) -> int:
    p, changes = _Program(program), 0
    for rule in (_leaky, _clamp, _fma):
        p.count()
        for k, i in enumerate(program.code):
            found = rule(p, i)
            if found is not None:
                program.code[k] = found
                changes += 1
                p.count()
    if changes:
        _compact(program)
    return changes


def simplify_programs(g: Graph) -> int:
    """Before: tile programs as fused. After: limits from both sides are one micro-operation, a product and a sum are one that
    rounds once (results differ in the last bit), a leaky ReLU is a maximum. f32 only.

    Leaves alone what a tap shows, and epilogues that the kernels finish in registers.
    """
    changes = 0
    for _, node in g.walk():
        program = node.tile
        if program is None or program.domain != "f32":
            continue
        if node.op != "tile" and all(i.op in FINISH for i in program.code):
            continue
        changes += _simplify(program)
    return changes
