"""What a tile makes for two results of a loop's body is stored twice, not copied."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import whit
from whit_exporter import read


def _gru(batch: int) -> onnx.ModelProto:
    rng = np.random.default_rng(3)
    text = f"""<ir_version: 10, opset_import: ["": 21]>
      g (float[N, {batch}, 3] x) => (float[N, 1, {batch}, 4] y, float[1, {batch}, 4] h) {{
        y, h = GRU <hidden_size = 4> (x, w, r, b) }}"""
    model = onnx.parser.parse_model(text)
    for name, shape in {"w": (1, 12, 3), "r": (1, 12, 4), "b": (1, 24)}.items():
        value = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    return model


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("steps", [1, 5])
def test_a_state_that_is_stacked(batch: int, steps: int) -> None:
    model = _gru(batch)
    data = whit.convert(model, check=True)
    nodes = [n for _, n in read.read(data).walk()]
    assert "identity" not in {n.op for n in nodes}
    assert max(len(n.outputs) for n in nodes if n.op == "tile") == 2
    x = np.random.default_rng(4).standard_normal((steps, batch, 3)).astype(np.float32)
    got = whit.load(data).run({"x": x})
    want = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    for name, value in zip("yh", want, strict=True):
        np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-6)


def test_outputs_of_a_model_keep_their_names() -> None:
    """A value under two names stays one value and a copy of it."""
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["": 21]>
      g (float[3] x) => (float[3] y, float[3] z) { y = Relu(x)  z = Identity(y) }""")
    got = whit.load(whit.convert(model, check=True)).run({"x": np.array([-1, 0, 2], np.float32)})
    assert got["y"].tolist() == got["z"].tolist() == [0, 0, 2]
