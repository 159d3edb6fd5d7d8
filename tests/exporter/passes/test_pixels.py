"""A classifier is a convolution, where a network then needs no products."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import whit
from whit_exporter import read

SHAPES = {"w": (8, 3, 3, 3), "m": (8, 5), "t": (5, 8), "b": (5,), "v": (5, 4)}
POOLED = "c = Conv(x, w)  p = GlobalAveragePool(c)  f = Flatten(p)  "
CASES: dict[str, tuple[str, str, dict[str, int]]] = {
    "rows": (POOLED + "y = MatMul(f, m)", "2", {"matmul": 0, "conv": 2}),
    "any number of rows": (POOLED + "y = Gemm<transB = 1>(f, t, b)", "N", {"matmul": 0, "conv": 2}),
    "softmax": (POOLED + "g = Gemm(f, m, b)  y = Softmax(g)", "2", {"matmul": 0, "conv": 2}),
    "element-wise work": (POOLED + "g = Gemm(f, m, b)  y = Relu(g)", "2", {"matmul": 0, "conv": 2, "tile": 0}),
    "two products": (POOLED + "g = Gemm(f, m, b)  y = MatMul(g, v)", "2", {"matmul": 0, "conv": 3}),
    "a product of two values": (POOLED + "g = Gemm(f, m, b)  r = Transpose(g)  y = MatMul(g, r)", "2", {"matmul": 2, "conv": 1}),
    "no convolution": ("p = GlobalAveragePool(x)  f = Flatten(p)  y = Gemm(f, u, b)", "2", {"matmul": 1, "conv": 0}),
    "a picture's pixels in a row": ("c = Conv(x, w)  f = Flatten(c)  y = MatMul(f, l)", "2", {"matmul": 0, "conv": 2}),
}  # fmt: skip


def network(nodes: str, batch: str) -> onnx.ModelProto:
    text = f'<ir_version: 10, opset_import: ["": 21]> g (float[{batch}, 3, 6, 6] x) => (float y) {{ {nodes} }}'
    model = onnx.parser.parse_model(text)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    rng = np.random.default_rng(1)
    for name, shape in {**SHAPES, "u": (3, 5), "l": (128, 5)}.items():
        if f" {name}" in nodes:
            value = rng.standard_normal(shape).astype(np.float32)
            model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    return model


@pytest.mark.parametrize("case", CASES)
def test_pixels(case: str) -> None:
    nodes, batch, n_nodes = CASES[case]
    model = network(nodes, batch)
    x: np.ndarray[Any, Any] = np.random.default_rng(2).standard_normal((2, 3, 6, 6)).astype("f")
    data = whit.convert(model, check=True)
    found = [n.op for _, n in read.read(data).walk()]
    assert {op: found.count(op) for op in n_nodes} == n_nodes
    names = ["y"] + ["f"] * (
        "p = " in nodes
    )  # the weights of a picture's pixels are in another order than theirs
    got = whit.load(data).run({"x": x}, tap=names[1:] or None)
    for name in names[1:]:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, 1, None))
    want = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    for name, value in zip(names, want, strict=True):
        np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-5)
