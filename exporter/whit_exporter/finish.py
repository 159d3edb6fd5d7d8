"""Finishes: the epilogues that the runtime's kernels do in registers, on a sum's way to memory (whit_finish in
runtime_c/src/internal.h)."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from .micro import Instruction, TileProgram

FIRST_INPUT = 3
"""Where the tensors that an epilogue reads stand among its node's inputs: behind x, w and bias."""


def finish_of(program: TileProgram, n_more: int, port: int = 0) -> list[float]:
    """The numbers of attribute `finish`: low, high, leak, slope, shift, as many as it takes. Empty: the epilogue is more than that.

    With z the node's own result, which the program loads from a port, plus the other tensor if there is one (n_more):
    min(high, max(low, max(z, z * leak))). Five numbers are a gate: z * min(high, max(low, z * slope + shift)).
    """
    code = program.code
    results = [k for k, i in enumerate(code) if i.op == "load" and i.port == port]
    steps = [k for k, i in enumerate(code) if i.op not in ("load", "imm")]
    if program.domain != "f32" or len(results) != 1 or n_more > 1 or steps[-1] != len(code) - 1:
        return []
    return _gate(code, steps, results[0], n_more) or _limits(code, steps, results[0], n_more)


def _number(code: Sequence[Instruction], k: int) -> float | None:
    """A literal as the file has it, if it is a number."""
    value = code[k].value
    if code[k].op != "imm" or math.isnan(value):
        return None
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def _other(i: Instruction, z: int) -> int | None:
    """The argument besides z of an operation on two."""
    if len(i.args) != 2 or i.args.count(z) != 1:
        return None
    return i.args[1 - i.args.index(z)]


def _gate(code: Sequence[Instruction], steps: Sequence[int], z: int, n_more: int) -> list[float]:
    """z * (z * slope + shift), or with limits around the second factor."""
    ops = [code[k].op for k in steps]
    if n_more or ops not in (["fma", "mul", "store"], ["fma", "clamp", "mul", "store"]):
        return []
    gate = steps[0]
    slope, shift = (_number(code, a) for a in code[gate].args[1:])
    low: float | None = -math.inf
    high: float | None = math.inf
    if code[gate].args[0] != z:
        return []
    if ops[1] == "clamp":
        if code[steps[1]].args[0] != gate:
            return []
        gate = steps[1]
        low, high = (_number(code, a) for a in code[gate].args[1:])
    product = code[steps[-2]]
    if _other(product, z) != gate or code[steps[-1]].args != (steps[-2],):
        return []
    if low is None or high is None or slope is None or shift is None:
        return []
    return [low, high, 1.0, slope, shift]


def _limits(code: Sequence[Instruction], steps: Sequence[int], z: int, n_more: int) -> list[float]:
    """A sum, then a leak, then limits, each as it may be."""
    low, high, leak = -math.inf, math.inf, 1.0
    n_added = 0
    leaked: int | None = None  # z * leak, until it is taken
    for k in steps[:-1]:
        i, other = code[k], _other(code[k], z)
        if other is None:
            return []
        number = _number(code, other)
        first = (low, high, leak, leaked) == (-math.inf, math.inf, 1.0, None)
        if i.op == "mul" and first and number and math.isfinite(number):
            leak, leaked = number, k
            continue
        if i.op == "add" and first and code[other].op == "load" and not n_added:
            n_added = 1
        elif i.op == "max" and other == leaked:
            leaked = None
        elif i.op in ("max", "min") and number is not None and leaked is None:
            pick = max if i.op == "max" else min
            low, high = pick(low, number), pick(high, number)
        else:
            return []
        z = k
    if code[steps[-1]].args != (z,) or n_added != n_more or leaked is not None:
        return []
    return [low, high] if leak == 1 else [low, high, leak]
