"""ArgMax and ArgMin of long rows against NumPy: equal numbers, zeros of both signs, NaN, infinities."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import whit
from whit import _native, _threads

Array = np.ndarray[Any, Any]


def model(op: str, last: int, axis: int) -> whit.Model:
    node = helper.make_node(op, ["x"], ["y"], axis=axis, keepdims=0, select_last_index=last)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["m", "n"])
    y = helper.make_tensor_value_info("y", TensorProto.INT64, ["k"])
    graph = helper.make_graph([node], "g", [x], [y])
    m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(m)
    return whit.load(whit.convert(m))


def rows(n: int) -> Array:
    """Few different numbers, so that many are equal; the later rows have NaN, infinities, only one number."""
    rng = np.random.default_rng(n)
    x = rng.integers(-3, 4, (12, n)).astype(np.float32)
    x[1] = rng.standard_normal(n)
    x[2] = -0.0
    x[3, rng.integers(n)] = 9
    x[4, rng.integers(n)] = -9
    x[5, rng.integers(0, n, 3)] = np.nan
    x[6, n - 1] = np.nan
    x[7] = np.nan
    x[8] = -np.inf
    x[9] = np.inf
    x[10, [0, n - 1]] = np.inf
    x[11, [0, n - 1]] = np.nan
    return x


@pytest.mark.parametrize("n", [1, 63, 64, 127, 128, 129, 191, 192, 1000, 4097])
@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_rows(op: str, last: int, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = rows(n)
    f = np.argmax if op == "ArgMax" else np.argmin
    want = n - 1 - f(x[:, ::-1], 1) if last else f(x, 1)
    found = _native.cpu_detected()
    for features in sorted({0, found & _native.AVX2, found}):
        monkeypatch.setattr(_threads, "cpu_features", lambda features=features: features)
        for m, feed in ((model(op, last, 1), x), (model(op, last, 0), np.ascontiguousarray(x.T))):
            instance, arrays = m.instance({"x": feed})
            np.testing.assert_array_equal(instance.run(arrays)[0], want)
