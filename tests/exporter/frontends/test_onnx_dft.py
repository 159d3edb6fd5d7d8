"""DFT over sizes with all kinds of factors, and along an axis that comes at run time; the oracle is NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

import whit


def model_of(shape: tuple[int, ...], inverse: int, axis: int | None) -> whit.Model:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    constants = []
    if axis is None:
        inputs.append(helper.make_tensor_value_info("axis", TensorProto.INT64, []))
    else:
        constants.append(helper.make_tensor("axis", TensorProto.INT64, [], [axis]))
    graph = helper.make_graph(
        [helper.make_node("DFT", ["x", "", "axis"], ["y"], inverse=inverse)],
        "g",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    opsets = [helper.make_opsetid("", 20)]
    return whit.load(whit.convert(helper.make_model(graph, opset_imports=opsets, ir_version=10)))


def check(y: np.ndarray, x: np.ndarray, inverse: int, axis: int) -> None:
    transform = np.fft.ifft if inverse else np.fft.fft
    z = transform(x[..., 0].astype(np.float64) + 1j * x[..., 1], axis=axis % x.ndim)
    expected = np.stack([z.real, z.imag], -1)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=0, atol=2e-6 * max(1.0, abs(expected).max()))


@pytest.mark.parametrize("inverse", [0, 1])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 9, 10, 12, 13, 16, 30, 49, 97, 100])
def test_sizes(size: int, inverse: int) -> None:
    x = np.random.default_rng(size).standard_normal((2, size, 3, 2)).astype(np.float32)
    check(model_of(x.shape, inverse, 1)(x), x, inverse, 1)


@pytest.mark.parametrize("inverse", [0, 1])
def test_axis_at_run_time(inverse: int) -> None:
    x = np.random.default_rng(1).standard_normal((6, 10, 7, 2)).astype(np.float32)
    model = model_of(x.shape, inverse, None)
    for axis in (0, 1, 2, -2, -3):
        check(model.run({"x": x, "axis": np.int64(axis)})["y"], x, inverse, axis)
