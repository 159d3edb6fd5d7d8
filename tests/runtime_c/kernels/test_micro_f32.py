"""Errors of the element-wise functions over the whole range of f32, in units in the last place (ULP) against double precision.

The bounds are those that kernels/micro_f32.inc states. Every 521st float is taken, infinities, NaN and subnormals among them;
every instruction set of this machine must give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import whit
from whit import _native, _threads

Array = np.ndarray[Any, Any]

STEP = 521
"""A prime, so that all bits of the mantissa change."""


def floats(step: int = STEP) -> Array:
    every = np.arange(0, 1 << 32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)
    edges = [
        0.0,
        -0.0,
        np.inf,
        -np.inf,
        np.nan,
        1.0,
        -1.0,
        2**-126,
        -(2**-149),
        88.7,
        -103.9,
        3.4e38,
    ]
    return np.concatenate([every, np.array(edges, np.float32)])


def model(op: str, n_inputs: int) -> whit.Model:
    names = [f"x{k}" for k in range(n_inputs)]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n"]) for n in names]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])
    attrs = {"fmod": 1} if op == "Mod" else {}
    graph = helper.make_graph([helper.make_node(op, names, ["y"], **attrs)], "g", infos, [out])
    m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(m)
    return whit.load(whit.convert(m))


def on_every_isa(m: whit.Model, inputs: list[Array], monkeypatch: pytest.MonkeyPatch) -> Array:
    """The result, which is the same bits on each; NaN is NaN whatever its bits."""
    found = _native.cpu_detected()
    results = []
    for features in sorted({0, found & _native.AVX2, found}):
        monkeypatch.setattr(_threads, "cpu_features", lambda features=features: features)
        instance, arrays = m.instance({f"x{k}": x for k, x in enumerate(inputs)})
        y = instance.run(arrays)[0]
        results.append(np.where(np.isnan(y), np.float32(np.nan), y))
        assert results[-1].tobytes() == results[0].tobytes(), features
    return results[0]


def ulp(y: Array, want: Array) -> Array:
    """Distance from the true result in units in the last place of f32 there; 0 where both are the same infinity or NaN."""
    near = want.astype(np.float32)
    same = (np.isnan(y) & np.isnan(want)) | (y == near)
    _, e = np.frexp(np.where(np.isfinite(want) & (want != 0), want, 1.0))
    unit = np.ldexp(1.0, np.maximum(e, -125) - 24)
    with np.errstate(invalid="ignore"):
        away = np.abs(y.astype(np.float64) - want) / unit
    # the largest float and infinity are neighbours
    away = np.where(np.isinf(y) != np.isinf(near), np.abs(np.clip(y, -3.4028235e38, 3.4028235e38) - np.clip(want, -3.4028236e38, 3.4028236e38)) / unit + 1, away)  # fmt: skip
    return np.where(same, np.minimum(np.nan_to_num(away, nan=0.0, posinf=0.0), 0.5), away)


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


FUNCTIONS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "Exp": (np.exp, 1.0),
    "Log": (np.log, 0.8),
    "Sin": (np.sin, 1.6),
    "Cos": (np.cos, 1.6),
    "Atan": (np.arctan, 1.8),
    "Tanh": (np.tanh, 2.6),
    "Sigmoid": (sigmoid, 2.3),
    "Sqrt": (np.sqrt, 0.5),
    "Reciprocal": (np.reciprocal, 0.5),
}


@pytest.mark.parametrize("op", FUNCTIONS)
def test_one_argument(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    f, bound = FUNCTIONS[op]
    x = floats()
    y = on_every_isa(model(op, 1), [x], monkeypatch)
    with np.errstate(all="ignore"):
        away = ulp(y, f(x.astype(np.float64)))
    worst = int(np.argmax(np.nan_to_num(away, nan=np.inf)))
    assert away[worst] <= bound + 0.06, f"{op}({x[worst]!r}) = {y[worst]!r}: {away[worst]:.2f} ULP"


def test_erf(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.concatenate([floats(50021), np.linspace(-6, 6, 40001, dtype=np.float32)])
    y = on_every_isa(model("Erf", 1), [x], monkeypatch)
    away = ulp(y, np.array([math.erf(v) for v in x.tolist()]))
    worst = int(np.argmax(np.nan_to_num(away, nan=np.inf)))
    assert away[worst] <= 1.46, f"erf({x[worst]!r}) = {y[worst]!r}: {away[worst]:.2f} ULP"


PAIRS: dict[str, tuple[Callable[[Array, Array], Array], float]] = {
    "Pow": (np.power, 0.51),
    "Mod": (np.fmod, 0.0),
    "Div": (np.divide, 0.5),
}


@pytest.mark.parametrize("op", PAIRS)
def test_two_arguments(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random pairs of all sizes, pairs whose result is near 1, and every pair of edges."""
    f, bound = PAIRS[op]
    rng = np.random.default_rng(1)
    a, b = (rng.integers(0, 1 << 32, 200_000, dtype=np.uint32).view(np.float32) for _ in range(2))
    near = np.exp(rng.uniform(-20, 20, 200_000)).astype(np.float32)
    power = (rng.uniform(-30, 30, 200_000) / np.maximum(np.abs(np.log(near)), 1)).astype(np.float32)
    edges = floats(1 << 28)
    x = np.concatenate([a, near, np.repeat(edges, len(edges))])
    z = np.concatenate([b, power, np.tile(edges, len(edges))])
    y = on_every_isa(model(op, 2), [x, z], monkeypatch)
    with np.errstate(all="ignore"):
        away = ulp(y, f(x.astype(np.float64), z.astype(np.float64)))
    worst = int(np.argmax(np.nan_to_num(away, nan=np.inf)))
    assert away[worst] <= bound + 0.01, f"{op}({x[worst]!r}, {z[worst]!r}) = {y[worst]!r}: {away[worst]:.2f} ULP"  # fmt: skip
