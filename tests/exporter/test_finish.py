"""What of epilogues is said in numbers. Programs that are more than a finish: tests/exporter/passes/test_epilogue.py."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from whit_exporter.dtypes import DType
from whit_exporter.finish import finish_of
from whit_exporter.micro import TileProgram

INF = math.inf


def limits(p: TileProgram, x: int) -> int:
    return p.op("min", p.op("max", p.imm(-1), x), p.imm(6))


def leak(p: TileProgram, x: int) -> int:
    return p.op("max", p.op("mul", x, p.imm(0.25)), x)


def gate(p: TileProgram, x: int) -> int:
    factor = p.op("fma", x, p.imm(0.5), p.imm(0.25))
    return p.op("mul", p.op("clamp", factor, p.imm(0), p.imm(1)), x)


CASES: dict[str, tuple[Callable[[TileProgram], int], int, list[float]]] = {
    "nothing": (lambda p: p.load(0), 0, [-INF, INF]),
    "limits": (lambda p: limits(p, p.load(0)), 0, [-1, 6]),
    "crossed limits": (lambda p: p.op("max", p.op("min", p.load(0), p.imm(1)), p.imm(2)), 0, [2, 2]),
    "sum": (lambda p: p.op("add", p.load(1), p.load(0)), 1, [-INF, INF]),
    "leak": (lambda p: leak(p, p.load(0)), 0, [-INF, INF, 0.25]),
    "sum, leak, limits": (lambda p: limits(p, leak(p, p.op("add", p.load(0), p.load(1)))), 1, [-1, 6, 0.25]),
    "gate": (lambda p: gate(p, p.load(0)), 0, [0, 1, 1, 0.5, 0.25]),
    "an input that is not added": (lambda p: p.op("max", p.load(0), p.imm(0)), 1, []),
    "a product of two": (lambda p: p.op("mul", p.load(0), p.load(1)), 1, []),
    "a sum of three": (lambda p: p.op("add", p.op("add", p.load(0), p.load(1)), p.load(2)), 2, []),
    "limits, leak": (lambda p: leak(p, limits(p, p.load(0))), 0, []),
    "sum, gate": (lambda p: gate(p, p.op("add", p.load(0), p.load(1))), 1, []),
    "twice itself": (lambda p: p.op("add", p.load(0), p.load(0)), 0, []),
    "a limit that is no number": (lambda p: p.op("max", p.load(0), p.imm(math.nan)), 0, []),
    "a leak that is 0 in the file": (lambda p: p.op("max", z := p.load(0), p.op("mul", z, p.imm(1e-50))), 0, []),
    "another operation": (lambda p: p.op("tanh", p.load(0)), 0, []),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_finish(name: str) -> None:
    write_program, n_more, want = CASES[name]
    program = TileProgram("f32")
    program.store(write_program(program), 0, DType.F32)
    assert finish_of(program, n_more) == want
