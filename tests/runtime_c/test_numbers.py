"""docs/numbers.md: integer arithmetic has one result for every input, the same on every machine and when constants are folded.

Edge values of each type meet each other in every operation. What is expected is computed with Python's integers, which have no
width: the rule of an operation, and then the low bits.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import everywhere
import numpy as np
import pytest
import runners
from onnx import helper, numpy_helper

import whit

Array = np.ndarray[Any, Any]
INTS = [
    np.dtype(t)
    for t in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)
]


def div(a: int, b: int) -> int:
    """Toward zero; by zero: 0."""
    return 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def fmod(a: int, b: int) -> int:
    """Has the sign of a; by zero: 0."""
    return 0 if b == 0 else a - b * div(a, b)


def mod(a: int, b: int) -> int:
    """Has the sign of b; by zero: 0."""
    return 0 if b == 0 else a % b


def power(a: int, b: int) -> int:
    """Low bits of the power; of a negative exponent what is whole in it. The largest u64 counts as -1 there."""
    if b < 0:
        return {1: 1, -1: -1 if b % 2 else 1, (1 << 64) - 1: -1 if b % 2 else 1}.get(a, 0)
    return pow(a, b, 1 << 64)


def shift_left(a: int, b: int) -> int:
    """By the width or more, or by a negative count: everything is shifted out."""
    return a << b if 0 <= b < 64 else 0


def shift_right(a: int, b: int) -> int:
    return a >> (b if 0 <= b < 64 else 64)


BINARY: dict[str, tuple[str, dict[str, Any], Callable[[int, int], int]]] = {
    "add": ("Add", {}, operator.add),
    "sub": ("Sub", {}, operator.sub),
    "mul": ("Mul", {}, operator.mul),
    "div": ("Div", {}, div),
    "mod": ("Mod", {}, mod),
    "fmod": ("Mod", {"fmod": 1}, fmod),
    "pow": ("Pow", {}, power),
    "left": ("BitShift", {"direction": "LEFT"}, shift_left),
    "right": ("BitShift", {"direction": "RIGHT"}, shift_right),
    "and": ("BitwiseAnd", {}, operator.and_),
    "or": ("BitwiseOr", {}, operator.or_),
    "xor": ("BitwiseXor", {}, operator.xor),
    "min": ("Min", {}, min),
    "max": ("Max", {}, max),
    "less": ("Less", {}, operator.lt),
    "less_or_equal": ("LessOrEqual", {}, operator.le),
    "equal": ("Equal", {}, operator.eq),
}
UNARY: dict[str, tuple[str, Callable[[int], int]]] = {
    "neg": ("Neg", operator.neg),
    "abs": ("Abs", abs),
    "sign": ("Sign", lambda a: (a > 0) - (a < 0)),
    "not": ("BitwiseNot", operator.invert),
    "relu": ("Relu", lambda a: max(a, 0)),
}
FOLDS: dict[str, tuple[str, Callable[[int, int], int]]] = {
    "sum": ("ReduceSum", operator.add),
    "product": ("ReduceProd", operator.mul),
    "running_sum": ("CumSum", operator.add),
}


def edges(dtype: np.dtype[Any]) -> Array:
    info = np.iinfo(dtype)
    low, high, width = int(info.min), int(info.max), info.bits
    wanted = {
        low,
        low + 1,
        low // 2,
        -width,
        -7,
        -3,
        -2,
        -1,
        0,
        1,
        2,
        3,
        7,
        width - 1,
        width,
        width + 1,
        63,
        64,
        100,
        high // 2,
        high - 1,
        high,
    }
    return np.array(sorted(v for v in wanted if low <= v <= high), dtype)


def low_bits(values: list[int], dtype: np.dtype[Any]) -> Array:
    if dtype == np.bool_:
        return np.array(values, dtype)
    word = np.dtype(f"u{dtype.itemsize}")
    return np.array([int(v) & ((1 << 8 * dtype.itemsize) - 1) for v in values], word).view(dtype)


def one(op: str, inputs: list[Array], attributes: dict[str, Any], constants: bool = False) -> bytes:
    """A model of one node; constants: all its inputs are, so that it is computed when it is converted."""
    names = [f"x{k}" for k in range(len(inputs))]
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in zip(names, inputs, strict=True)
    ]
    fixed = [numpy_helper.from_array(a, n) for n, a in zip(names, inputs, strict=True)]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], **attributes)], "one", [] if constants else infos,
        [helper.make_empty_tensor_value_info("y")], fixed if constants else [],
    )  # fmt: skip
    return whit.convert(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 28)], ir_version=13)
    )


Case = tuple[str, list[Array], dict[str, Any], Array]
"""Operator, inputs, attributes, what is expected."""


def cases() -> dict[str, Case]:
    found: dict[str, Case] = {}
    for dtype in INTS:
        x = edges(dtype)
        a, b = (np.ascontiguousarray(m).ravel() for m in np.meshgrid(x, x))
        for name, (op, attributes, rule) in BINARY.items():
            result = np.dtype(np.bool_) if op in ("Less", "LessOrEqual", "Equal") else dtype
            if op == "Pow" and dtype.kind == "u":
                result = dtype
            want = low_bits([rule(int(p), int(q)) for p, q in zip(a, b, strict=True)], result)
            found[f"{name}-{dtype}"] = (op, [a, b], attributes, want)
        for name, (op, unary) in UNARY.items():
            if op in ("Neg", "Relu") and dtype.kind == "u":
                continue
            found[f"{name}-{dtype}"] = (op, [x], {}, low_bits([unary(int(v)) for v in x], dtype))
        if dtype.itemsize < 4:
            continue
        for name, (op, rule) in FOLDS.items():
            rows = np.stack([a, b, a])
            totals, running = [int(v) for v in rows[0]], [[int(v) for v in rows[0]]]
            for row in rows[1:]:
                totals = [rule(t, int(v)) for t, v in zip(totals, row, strict=True)]
                running.append(totals)
            attributes = {} if op == "CumSum" else {"keepdims": 0}
            want = (
                np.stack([low_bits(r, dtype) for r in running])
                if op == "CumSum"
                else low_bits(totals, dtype)
            )
            axis = np.array(0) if op == "CumSum" else np.array([0])
            found[f"{name}-{dtype}"] = (op, [rows, axis], attributes, want)
    for base, exponent in (
        (INTS[4], INTS[6]),
        (INTS[7], INTS[4]),
        (INTS[2], INTS[7]),
        (INTS[1], INTS[0]),
    ):
        a, b = (m.ravel() for m in np.meshgrid(edges(base), edges(exponent), indexing="ij"))
        want = low_bits([power(int(p), int(q)) for p, q in zip(a, b, strict=True)], base)
        found[f"pow-{base}-{exponent}"] = ("Pow", [a, b], {}, want)
    for dtype in INTS[4:]:  # what MatMul has
        m = np.array([[np.iinfo(dtype).max, 3, 2], [np.iinfo(dtype).min, 7, 5]], dtype)
        product = [sum(int(p) * int(q) for p, q in zip(r, c, strict=True)) for r in m for c in m]
        found[f"matmul-{dtype}"] = (
            "MatMul",
            [m, m.T.copy()],
            {},
            low_bits(product, dtype).reshape(2, 2),
        )
    return found


CASES = cases()


def test_folded_when_converted() -> None:
    for name, (op, inputs, attributes, want) in CASES.items():
        y = whit.load(one(op, inputs, attributes, constants=True)).run({})["y"]
        np.testing.assert_array_equal(y, want, name)


@pytest.mark.native
def test_the_same_everywhere(tmp_path: Path) -> None:
    """On every kernel table of this machine, arm64 and armv7, as docs/numbers.md says."""
    models = {
        name: (one(op, inputs, attributes), {f"x{k}": a for k, a in enumerate(inputs)})
        for name, (op, inputs, attributes, _) in CASES.items()
    }
    found = everywhere.run(models, tmp_path)
    assert len(found) >= 2
    for way, answers in found.items():
        for name, (op, inputs, _, want) in CASES.items():
            answer = answers[name]
            assert isinstance(answer, bytes), (way, name, answer)
            (y,) = runners.values(answer)
            wrong = np.argwhere(y != want)
            assert y.dtype == want.dtype and not len(wrong), (
                f"{way}: {name}: {len(wrong)} wrong, {op} of {[a.ravel()[wrong[0][-1]] for a in inputs if a.size == y.size]} "
                f"is {y[tuple(wrong[0])]}, not {want[tuple(wrong[0])]}"
            )


# what floats do at their ends

TINY = {np.dtype(np.float16): 6e-8, np.dtype(np.float32): 1e-45, np.dtype(np.float64): 5e-324}
EXACT: dict[str, Callable[..., Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Min": np.minimum, "Max": np.maximum,
    "Less": np.less, "LessOrEqual": np.less_equal, "Equal": np.equal, "Mod": np.fmod,
    "Abs": np.abs, "Neg": np.negative, "Sqrt": np.sqrt, "Floor": np.floor, "Ceil": np.ceil, "Round": np.rint,
    "Sign": np.sign, "IsNaN": np.isnan, "Reciprocal": lambda x: np.asarray(1, x.dtype) / x,
    "Relu": lambda x: np.maximum(x, np.asarray(0, x.dtype)),
}  # fmt: skip
"""One correctly rounded answer, which IEEE 754 gives."""
ROUNDED = ("Exp", "Log", "Sin", "Cos", "Tanh", "Erf", "Sigmoid", "Atan", "Pow", "Softplus", "Gelu")
"""Several answers are right; which one it is must not depend on the machine."""
BINARY_FLOAT = (
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Min",
    "Max",
    "Less",
    "LessOrEqual",
    "Equal",
    "Mod",
    "Pow",
)


def ends(dtype: np.dtype[Any]) -> Array:
    info = np.finfo(dtype)
    tiny = TINY[dtype]
    some = [
        0,
        tiny,
        3 * tiny,
        float(info.tiny) - tiny,
        info.tiny,
        0.5,
        1,
        1.5,
        2.5,
        3,
        1e4 + 1,
        float(info.max) / 2,
        info.max,
        np.inf,
    ]
    return np.array([*some, *(-np.array(some, np.float64)), np.nan], dtype)


@pytest.mark.native
def test_ends_of_floats(tmp_path: Path) -> None:
    """Zeros with a sign, numbers below the normal ones, infinities and NaN: what IEEE 754 says, the same bits everywhere."""
    models = {}
    for dtype in TINY:
        x = ends(dtype)
        a, b = (np.ascontiguousarray(m).ravel() for m in np.meshgrid(x, x))
        for op in (*EXACT, *ROUNDED):
            inputs = [a, b] if op in BINARY_FLOAT else [x]
            data = one(op, inputs, {"fmod": 1} if op == "Mod" else {})
            models[f"{op}-{dtype}"] = (data, {f"x{k}": v for k, v in enumerate(inputs)})
    found = everywhere.run(models, tmp_path)
    for way, answers in found.items():
        for name, (_, feeds) in models.items():
            answer, first = answers[name], found["scalar"][name]
            assert isinstance(answer, bytes) and isinstance(first, bytes), (way, name, answer)
            assert everywhere.difference(answer, first) in everywhere.ACCEPTED, (way, name)
            op = name.split("-")[0]
            if op not in EXACT:
                continue
            (y,) = runners.values(answer)
            with np.errstate(all="ignore"):
                want = np.asarray(EXACT[op](*feeds.values()))
            signed = y.dtype.kind == "f" and op not in (
                "Min",
                "Max",
                "Relu",
                "Sign",
            )  # zeros: see docs/numbers.md
            same = (y == want) | ((y != y) & (want != want))
            if signed:
                same &= (y != y) | (np.signbit(y) == np.signbit(want))
            at = np.flatnonzero(~same)
            assert not len(at), (
                way,
                name,
                [v[at[0]] for v in feeds.values()],
                y[at[0]],
                want[at[0]],
            )


@pytest.mark.native
def test_quantising_what_is_no_number(tmp_path: Path) -> None:
    """Beyond the ends of the type, its ends; NaN gives the zero point's place 0."""
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 3.4, 2.5, -2.5, 0.5, 1.5] * 3, np.float32)
    models = {}
    for dtype in INTS[:2]:
        zero = np.array(3, dtype)
        models[str(dtype)] = (
            one("QuantizeLinear", [x, np.float32(1), zero], {}),
            {"x0": x, "x1": np.float32(1), "x2": zero},
        )
    for way, answers in everywhere.run(models, tmp_path).items():
        for dtype in INTS[:2]:
            (y,) = runners.values(answers[str(dtype)])
            info = np.iinfo(dtype)
            low, high = int(info.min), int(info.max)
            small = [3 + 3, 3 + 2, 3 - 2, 3 + 0, 3 + 2]
            np.testing.assert_array_equal(
                y, [0, high, low, high, low, *small] * 3, f"{way} {dtype}"
            )
