"""Cast between every pair of element types, on every machine: docs/numbers.md has the rules.

Expected values are exact: a source element is a whole number or a fraction of Python's, and its image is looked for among all
values that the target type has (ml_dtypes says what a code means), or computed as the rule for integers says.
"""

from __future__ import annotations

import bisect
import itertools
import math
from fractions import Fraction
from functools import cache
from typing import Any

import everywhere
import ml_dtypes
import numpy as np
import pytest
import runners
from onnx import helper

import whit
from whit_exporter.dtypes import DType

Array = np.ndarray[Any, Any]
Number = int | float
"""Of an element: NaN and infinities as floats, which all others are exactly too."""
NARROW_INTS = {DType.I2: 2, DType.U2: 2, DType.I4: 4, DType.U4: 4}
NARROW_FLOATS = (
    DType.F16, DType.BF16, DType.F8E4M3FN, DType.F8E4M3FNUZ, DType.F8E5M2, DType.F8E5M2FNUZ, DType.F4E2M1,
)  # fmt: skip
F8 = NARROW_FLOATS[2:6]
INF, NAN = math.inf, math.nan


def bits_of(dtype: DType) -> int:
    return 4 if dtype == DType.F4E2M1 else NARROW_INTS.get(dtype, 8 * dtype.size)


def codes(dtype: DType) -> Array:
    """Elements of a type: all of them where it has at most 256, else edges and a draw."""
    n_bits = bits_of(dtype)
    if dtype == DType.BOOL:
        return np.array([False, True])
    word = np.dtype(f"u{dtype.size}")
    if n_bits <= 8:
        return np.arange(1 << n_bits).astype(word).view(dtype.numpy)
    rng = np.random.default_rng(n_bits)
    drawn = (
        rng.integers(0, 1 << n_bits, 150, np.uint64, endpoint=False)
        if n_bits < 64
        else rng.integers(0, 1 << 63, 150, np.uint64) * 2 + 1
    )
    if not dtype.is_float:
        powers = [1 << k for k in range(n_bits)]
        near = [p + d for p in powers for d in (-1, 0, 1)] + [
            3 * p // 2 + d for p in powers[12:] for d in (-1, 0, 1)
        ]
        signs = [v & (1 << n_bits) - 1 for v in (*near, *(-v for v in near))]
        return np.array(sorted({*signs, *map(int, drawn)}), word).view(dtype.numpy)
    found = [*drawn.astype(word).view(dtype.numpy)]
    with np.errstate(all="ignore"):
        found += [np.array(v, np.float64).astype(dtype.numpy) for v in interesting()]
    return np.array(found, dtype.numpy)


@cache
def interesting() -> list[float]:
    """Reals around what the types can hold: every f8 and f4, the middles between neighbours, and limits of integers."""
    found = [
        0.0,
        -0.0,
        NAN,
        INF,
        -INF,
        0.5,
        1.5,
        2.5,
        -0.5,
        -1.5,
        0.99999,
        255.5,
        256.5,
        1e-40,
        5e-324,
        1e300,
        -1e300,
        3.4e38,
        3.5e38,
    ]
    for dtype in (*F8, DType.F4E2M1):
        values = [v for v in table(dtype)[0] if abs(v) < INF]
        middles = [(a + b) / 2 for a, b in itertools.pairwise(values)]
        found += (
            values
            + middles
            + [m * (1 + e) for m in middles[::5] for e in (1e-6, -1e-6, 1e-14, -1e-14)]
        )
    for n_bits in (2, 4, 8, 16, 32, 64):
        for edge in (2.0**n_bits, 2.0 ** (n_bits - 1)):
            found += [
                s * v
                for s in (1, -1)
                for v in (
                    edge,
                    edge - 1,
                    edge - 0.5,
                    edge + 0.5,
                    np.nextafter(edge, 0),
                    np.nextafter(edge, INF),
                )
            ]
    f16 = [65504.0, 65519.0, 65520.0, 65536.0, 6.1e-5, 5.96e-8, 2.98e-8, 2.9802323e-8]
    return found + f16 + [2.0**k * m for k in range(-130, 129, 3) for m in (1, 1.25, 1.5, -1.75)]


@cache
def table(dtype: DType) -> tuple[list[float], list[int], Number]:
    """Values of a narrow float in order, their codes, and the largest finite one; -0 is left out."""
    n = 1 << bits_of(dtype)
    values = np.arange(n).astype(f"u{dtype.size}").view(dtype.numpy).astype(np.float64)
    pairs = sorted(
        (float(v), k)
        for k, v in enumerate(values)
        if np.isfinite(v) and not (v == 0 and np.signbit(v))
    )
    return [v for v, _ in pairs], [k for _, k in pairs], pairs[-1][0]


def nearest(x: Number, dtype: DType) -> float:
    """Of a finite number, among the type's finite values and one step beyond, which stands for an overflow; ties to even."""
    values, numbers, largest = table(dtype)
    step = values[-1] - values[-2]
    if abs(x) >= largest + step:
        return math.copysign(INF, x)
    at = bisect.bisect_left(values, x)
    around = [(values[k], numbers[k]) for k in (at - 1, at) if 0 <= k < len(values)]
    if abs(x) > largest:
        around = [
            (math.copysign(largest, x), numbers[-1]),
            (math.copysign(INF, x), numbers[-1] + 1),
        ]

    def distance(v: float) -> Fraction:
        v = math.copysign(largest + step, v) if math.isinf(v) else v
        return abs(Fraction(v) - Fraction(x))

    return min(around, key=lambda p: (distance(p[0]), p[1] & 1))[0]


def to_narrow(x: Number, dtype: DType, saturate: bool) -> float:
    if x != x:
        return -0.0 if dtype == DType.F4E2M1 else NAN
    y = x if abs(x) == INF else nearest(x, dtype)
    has_inf = dtype in (DType.F16, DType.BF16) or (dtype == DType.F8E5M2 and not saturate)
    if abs(y) == INF and not has_inf:
        return NAN if not saturate and dtype != DType.F4E2M1 else math.copysign(table(dtype)[2], y)
    return math.copysign(y, x)


def to_power_of_two(x: Number) -> float:
    """The power of two above, the nearest that f8e8m0 has where there is none: it has no sign and no zero."""
    if x != x:
        return NAN
    powers = [2.0**k for k in range(-127, 128)]
    return powers[min(bisect.bisect_left(powers, x), 254)]


def to_integer(x: Number, source: DType, dtype: DType) -> int:
    """Low bits of an integer. Of a real: toward zero, the nearest end where it is too large, NaN: 0. Types below a byte take
    the low bits of what i32 makes of a real."""
    n_bits, is_signed = bits_of(dtype), dtype.is_signed
    if source.is_float:
        wide, wide_signed = (32, True) if n_bits < 8 else (n_bits, is_signed)
        low, high = (-(1 << wide - 1), (1 << wide - 1) - 1) if wide_signed else (0, (1 << wide) - 1)
        x = (
            0
            if x != x
            else high
            if x == INF
            else low
            if x == -INF
            else min(max(math.trunc(x), low), high)
        )
    x = int(x) & (1 << n_bits) - 1
    return x - (1 << n_bits) if is_signed and x >> n_bits - 1 else x


def numbers(array: Array, dtype: DType) -> list[Number]:
    if dtype.is_float:
        return [float(v) for v in array.astype(np.float64)]
    return [int(v) for v in array]


def expected(x: Array, source: DType, target: DType, saturate: bool = True) -> Array:
    given = numbers(x, source)
    if source == target:
        return x
    if source == DType.U64 and target in (DType.BF16, DType.F8E8M0):
        given = [float(v) for v in given]  # beyond 2^53 these two are rounded twice
    with np.errstate(all="ignore"):
        match target:
            case DType.F64:
                return np.array([float(v) for v in given])
            case DType.F32:
                return np.array([once_to_f32(v) for v in given])
            case DType.BOOL:
                return np.array([v != 0 for v in given])
            case DType.F8E8M0:
                return np.array([to_power_of_two(v) for v in given]).astype(target.numpy)
            case _ if target.is_float:
                return np.array([to_narrow(v, target, saturate) for v in given]).astype(
                    target.numpy
                )
    whole = [to_integer(v, source, target) for v in given]
    return np.array(whole, np.uint64 if target == DType.U64 else np.int64).astype(target.numpy)


def once_to_f32(v: Number) -> np.float32:
    """Rounded once: a wide integer is first brought to odd where f64 has no room for it."""
    if isinstance(v, int) and abs(v) >= 1 << 53:
        size = abs(v)
        sticky = (size >> 11 << 11) | ((1 << 11) if size & 2047 else 0)
        v = math.copysign(float(sticky), v)
    return np.float32(v)


def cast_model(
    source: DType, target: DType, shape: tuple[int, ...], attributes: dict[str, Any]
) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=int(target), **attributes)], "cast",
        [helper.make_tensor_value_info("x", int(source), shape)],
        [helper.make_tensor_value_info("y", int(target), shape)],
    )  # fmt: skip
    return whit.convert(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=11)
    )


def same(y: Array, want: Array) -> Array:
    """Where the bits are the same, or both are NaN."""
    word = np.dtype(f"u{y.dtype.itemsize}")
    equal = y.view(word) == want.view(word)
    if DType(runners.dtypes.from_numpy(y.dtype)).is_float:
        equal |= np.isnan(y.astype(np.float32)) & np.isnan(want.astype(np.float32))
    return np.asarray(equal)


pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in cast")
PAIRS = [(s, t, {}) for s in DType for t in DType] + [
    (s, t, {"saturate": 0}) for s in (DType.F64, DType.F32, DType.F16, DType.BF16, DType.I32) for t in F8
]  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes | str]]:
    models = {}
    for source, target, attributes in PAIRS:
        x = codes(source)
        models[name_of(source, target, attributes)] = (
            cast_model(source, target, x.shape, attributes),
            {"x": x},
        )
    return everywhere.run(models, tmp_path_factory.mktemp("conversions"))


def name_of(source: DType, target: DType, attributes: dict[str, Any]) -> str:
    return f"{source.short}-{target.short}" + "".join(f"-{k}{v}" for k, v in attributes.items())


@pytest.mark.native
@pytest.mark.parametrize("source", DType, ids=lambda d: d.short)
def test_every_pair_everywhere(source: DType, answers: dict[str, dict[str, bytes | str]]) -> None:
    x = codes(source)
    assert len(answers) >= 2
    for _, target, attributes in (p for p in PAIRS if p[0] == source):
        want = expected(x, source, target, bool(attributes.get("saturate", 1)))
        for way, found in answers.items():
            answer = found[name_of(source, target, attributes)]
            assert isinstance(answer, bytes), (way, target, answer)
            (y,) = runners.values(answer)
            wrong = np.flatnonzero(~same(y, want))
            assert not len(wrong), (
                f"{way}: {source.short} to {target.short} {attributes}: {len(wrong)} wrong: {x[wrong[0]]!r} gives {y[wrong[0]]!r}, "
                f"not {want[wrong[0]]!r}"
            )


@pytest.mark.parametrize("source", [DType.F32, DType.F64], ids=lambda d: d.short)
@pytest.mark.parametrize(
    ("mode", "saturate", "image"),
    [
        ("up", 1, [2.0**-127, 2.0**-127, 2.0**-126, 1, 2, 2, 2.0**127, 2.0**127, 2.0**127]),
        ("down", 1, [2.0**-127, 2.0**-127, 2.0**-127, 1, 1, 1, 2.0**127, 2.0**127, 2.0**127]),
        ("nearest", 1, [2.0**-127, 2.0**-127, 2.0**-126, 1, 1, 2, 2.0**127, 2.0**127, 2.0**127]),
        ("nearest", 0, [NAN, NAN, 2.0**-126, 1, 1, 2, 2.0**127, NAN, NAN]),
    ],
)
def test_powers_of_two(source: DType, mode: str, saturate: int, image: list[float]) -> None:
    """The standard's table for f8e8m0, and values between powers; halfway is up."""
    x = [0, 2.0**-128, 1.6 * 2.0**-127, 1, 1.25, 1.5, 2.0**127, 1.25 * 2.0**127, INF]
    model = cast_model(source, DType.F8E8M0, (10,), {"round_mode": mode, "saturate": saturate})
    y = whit.load(model).run({"x": np.array([*x, NAN], source.numpy)})["y"]
    np.testing.assert_array_equal(y.astype(np.float64), [*image, NAN])


def test_the_table_is_ml_dtypes() -> None:
    """The reference itself: without overflow it is what ml_dtypes and NumPy do."""
    for dtype in NARROW_FLOATS:
        largest = table(dtype)[2]
        x = np.array([v for v in interesting() if abs(v) <= largest], np.float32)
        x = x[abs(x) <= largest]
        np.testing.assert_array_equal(expected(x, DType.F32, dtype), x.astype(dtype.numpy))
    assert ml_dtypes.finfo(ml_dtypes.float8_e4m3fn).max == table(DType.F8E4M3FN)[2]
