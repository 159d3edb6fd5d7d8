"""A reduction drops its axes itself where a reshape did."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import whit
from whit_exporter import read

CASES: dict[str, tuple[str, str, int]] = {
    "flattened mean": ("p = GlobalAveragePool(x)  y = Flatten(p)", "2, 3, 4, 5", 0),
    "any number of pictures": ("p = GlobalAveragePool(x)  y = Flatten(p)", "N, 3, 4, 5", 0),
    "other axes": ("p = ReduceMax<keepdims = 1>(x, axes)  y = Squeeze(p, axes)", "2, 3, 4, 5", 0),
    "not all of them": ("p = GlobalAveragePool(x)  y = Squeeze(p, axes)", "2, 3, 4, 5", 1),
    "read twice": ("p = GlobalAveragePool(x)  f = Flatten(p)  s = ReduceSum<keepdims = 0>(p)  y = Add(f, s)", "2, 3, 4, 5", 1),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_keepdims(case: str) -> None:
    nodes, shape, n_reshapes = CASES[case]
    text = (
        f'<ir_version: 10, opset_import: ["": 21]> g (float[{shape}] x) => (float y) {{ {nodes} }}'
    )
    model = onnx.parser.parse_model(text)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    axes = np.array([2], np.int64)
    if "axes)" in nodes:
        model.graph.initializer.append(onnx.numpy_helper.from_array(axes, "axes"))
    x: np.ndarray[Any, Any] = np.random.default_rng(3).standard_normal((2, 3, 4, 5)).astype("f")
    data = whit.convert(model)
    found = [n.op for _, n in read.read(data).walk()]
    assert found.count("reshape") == n_reshapes, found
    want = ReferenceEvaluator(model).run(None, {"x": x})[0]
    got = whit.load(data).run({"x": x})["y"]
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
