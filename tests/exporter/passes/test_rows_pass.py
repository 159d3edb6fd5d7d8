"""A loop over the rows of a tensor counts these itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import whit
from whit_exporter import read, write
from whit_exporter.build import Builder
from whit_exporter.dtypes import DType, from_numpy
from whit_exporter.ir import Entry

SCAN = """<ir_version: 10, opset_import: ["": 21]>
  g (float[n] s, TYPE[t, n] x) => (float[n] s9, float[t, n] y) {
    s9, y = Scan<num_scan_inputs = 1, ATTRS body = w (float[n] a, TYPE[n] e) => (float[n] b, float[n] y0) {
      f = Cast<to = 1>(e)
      half = Constant<value_float = 0.5>()
      h = Mul(a, half)
      b = Add(h, f)
      y0 = Identity(b) }>(s, x) }"""
REVERSED = "scan_input_directions = [1],"


def operators(data: bytes) -> set[str]:
    return {n.op for _, n in read.read(data).walk()}


def compared(model: onnx.ModelProto, feeds: dict[str, Any]) -> None:
    got = whit.load(whit.convert(model, check=True)).run(feeds)
    want = ort.InferenceSession(model.SerializeToString()).run(None, feeds)
    for value, expected in zip(got.values(), want, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("attributes", ["", REVERSED, "scan_input_axes = [0]," + REVERSED])
@pytest.mark.parametrize("dtype", ["float", "bool", "int64", "double"])
def test_scan(dtype: str, attributes: str) -> None:
    model = onnx.parser.parse_model(SCAN.replace("TYPE", dtype).replace("ATTRS", attributes))
    found = operators(whit.convert(model, check=True))
    assert "loop" in found and ("shape" in found) == (dtype == "int64")
    kind = onnx.helper.tensor_dtype_to_np_dtype(model.graph.input[1].type.tensor_type.elem_type)
    for rows in (4, 1, 7):
        x = (np.arange(rows * 3).reshape(rows, 3) % 5 - 2).astype(kind)
        compared(model, {"s": np.array([1, 2, 3], np.float32), "x": x})


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("lens", [False, True])
def test_rnn(direction: str, lens: bool) -> None:
    """With lengths, steps are compared with them, and then their number is a value."""
    d = 1 + (direction == "bidirectional")
    rng = np.random.default_rng(3)
    text = f"""<ir_version: 10, opset_import: ["": 21]>
      g (float[t, 2, 3] x, int32[2] lens) => (float[t, {d}, 2, 4] y, float[{d}, 2, 4] h) {{
        y, h = RNN <hidden_size = 4, direction = "{direction}"> (x, w, r, b, {"lens" if lens else '""'}) }}"""
    model = onnx.parser.parse_model(text)
    for name, shape in {"w": (d, 4, 3), "r": (d, 4, 4), "b": (d, 8)}.items():
        value = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    found = operators(whit.convert(model, check=True))
    assert "loop" in found and (lens or "shape" not in found)
    for steps in (5, 2):
        x = rng.standard_normal((steps, 2, 3)).astype(np.float32)
        compared(model, {"x": x, "lens": np.array([steps, 1], np.int32)})


def looping(trips: np.ndarray[Any, Any]) -> list[Any]:
    """A loop of so many trips, which counts them."""
    b = Builder()
    b.graph.entries.append(Entry("main", b.region))
    x = b.param("x", from_numpy(trips.dtype), trips.shape)
    with b.sub() as body:
        i = b.param("i", DType.I64, ())
        p = b.param("p", DType.I64, ())
        body.results = [None, b.op("add", p, b.const(1)), b.op("add", i, i)]
    b.region.results = b.control("loop", [x, None, b.const(0)], [body], 2)
    return list(whit.load(write.write(b.graph))(trips))


@pytest.mark.parametrize("shape", [(3,), (0, 2), (5, 0), (1, 1, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.bool_])
def test_rows(dtype: Any, shape: tuple[int, ...]) -> None:
    count, twice = looping(np.zeros(shape, dtype))
    assert count == shape[0] and twice.tolist() == [2 * k for k in range(shape[0])]


def test_numbers() -> None:
    """An i64 is a number however many axes it has; of another type, without an axis, it is nothing."""
    assert looping(np.array([[4]], np.int64))[0] == 4
    assert looping(np.array(-4, np.int64))[0] == 0
    with pytest.raises(whit.WhitError, match="trip count"):
        looping(np.array(4, np.float32))
