"""The simple loops of the size profile (WHIT_SMALL) give the bits of the fast ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runners
from onnx import TensorProto, helper, numpy_helper

import whit

pytestmark = pytest.mark.native


def conv(x: tuple[int, ...], w: tuple[int, ...], op: str = "Conv", **attrs: Any) -> Any:
    return pytest.param(op, x, w, attrs, id=f"{op}-{x}-{w}-{attrs}".replace(" ", ""))


CASES = [
    conv((1, 3, 23, 19), (8, 3, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1]),  # few channels
    conv((2, 24, 9, 7), (20, 24, 3, 3), pads=[1, 0, 2, 1]),
    conv((1, 24, 9, 8), (18, 12, 3, 2), group=2, dilations=[2, 3], pads=[2, 3, 2, 3]),
    conv((1, 40, 30, 31), (50, 40, 1, 1)),  # x itself, in more than one strip
    conv((1, 40, 1, 1), (50, 40, 1, 1)),  # one row
    conv((1, 12, 6, 6), (6, 4, 1, 1), group=3),
    conv(
        (1, 16, 20, 20), (40, 16, 3, 3), pads=[1, 1, 1, 1]
    ),  # by Winograd's method where that is chosen
    conv((1, 37, 16, 15), (37, 1, 3, 3), group=37, pads=[1, 1, 1, 1]),
    conv((2, 32, 25, 5), (32, 1, 5, 5), group=32, pads=[2, 2, 2, 2]),  # along the other axis
    conv((1, 200, 15, 13), (200, 1, 3, 3), group=200, strides=[2, 2], pads=[0, 1, 1, 0]),
    conv((1, 18, 30, 4), (18, 1, 3, 3), group=18, dilations=[2, 1], pads=[2, 1, 2, 1]),
    conv((1, 3, 9, 11), (3, 1, 3, 3), group=3, pads=[1, 1, 1, 1]),  # fewer than a vector
    conv((1, 5, 40), (5, 1, 7), group=5, pads=[3, 3]),
    conv((1, 2, 0, 4), (3, 2, 3, 3), pads=[2, 2, 2, 2]),  # padding alone
    conv((1, 16, 0, 4), (16, 1, 3, 3), group=16, pads=[2, 2, 2, 2]),
    conv((1, 8, 6, 5), (8, 3, 2, 2), "ConvTranspose", strides=[2, 2]),
    conv((1, 8, 6, 5), (8, 5, 3, 3), "ConvTranspose", strides=[2, 2], pads=[1, 1, 1, 1]),
    conv((1, 21, 9, 10), (), "MaxPool", kernel_shape=[3, 3], strides=[1, 2], pads=[1, 1, 1, 1]),
    conv((1, 3, 9, 10), (), "AveragePool", kernel_shape=[3, 4], pads=[1, 1, 1, 1]),
    conv((7, 33), (33, 50), "MatMul"),
    conv((1, 66), (66, 50), "MatMul"),
    conv((2, 30, 17), (2, 17, 19), "MatMul"),
    conv((300, 20), (20, 3), "MatMul"),
    conv((5, 37), (), "Softmax"),
    conv((3, 2, 3), (), "LogSoftmax"),
    conv((9, 37), (37,), "LayerNormalization"),
    conv((4, 1, 150), (7, 1), "Add"),  # by lines
    conv((70, 3), (3,), "Mul"),
    conv((2, 5, 40), (2, 5, 40), "Sub"),
    conv((90, 1), (), "Sin"),
]


@pytest.mark.parametrize("after", ["", "Relu", "HardSwish", "LeakyRelu", "Tanh"])
@pytest.mark.parametrize(("op", "x", "w", "attrs"), CASES)
def test_bits(
    op: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    attrs: dict[str, Any],
    after: str,
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(7)
    names, weights = ["x"], []
    if w:
        weights.append(numpy_helper.from_array(rng.normal(size=w).astype(np.float32), "w"))
        names.append("w")
    if op.startswith("Conv"):
        n = w[0] if op == "Conv" else w[1]
        weights.append(numpy_helper.from_array(rng.normal(size=n).astype(np.float32), "b"))
        names.append("b")
    nodes = [helper.make_node(op, names, ["y"], **attrs)]
    if after:
        nodes.append(helper.make_node(after, ["y"], ["z"]))
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, x)
    made = helper.make_tensor_value_info("z" if after else "y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [given], [made], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    path, inputs = tmp_path / "m.whit", tmp_path / "inputs"
    whit.convert(tmp_path / "m.onnx", path)
    data = rng.normal(size=x).astype(np.float32)
    data.flat[:: data.size // 3 or 1] = -0.0
    runners.write_inputs(whit.load(path), {"x": data}, inputs)
    expected = runners.answer(runners.native(), path, inputs, "scalar")
    for isa in ("scalar", *runners.isas()):
        for threads in (1, 3):
            assert (
                runners.answer(runners.small(), path, inputs, isa, threads=threads) == expected
            ), (isa, threads)
