"""Micro-operations that do the work of several: which programs get them, and that the values stay the source's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import whit
from whit import _native, _threads
from whit_exporter.convert import run_passes, to_graph

Array = np.ndarray[Any, Any]
X = np.float32([[-np.inf, -7.5, -3, -0.0, 0.0, 1e-3, 0.7, 3, 5.9, 6, 6.1, 1e30, np.inf, 2.5]])
MASKS = (0, _native.AVX2, _native.AVX2 | _native.AVX512, _native.NEON)


def model(nodes: Sequence[tuple[str, list[str], str, dict[str, Any]]]) -> onnx.ModelProto:
    numbers = {"zero": 0.0, "six": 6.0, "third": 1 / 3, "half": 0.5, "minus": -1.0}
    constants = [numpy_helper.from_array(np.float32(v), n) for n, v in numbers.items()]
    graph = helper.make_graph(
        [helper.make_node(op, inputs, [y], y, **attrs) for op, inputs, y, attrs in nodes],
        "programs",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_empty_tensor_value_info("y")],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def program(proto: onnx.ModelProto) -> list[str]:
    graph = run_passes(to_graph(proto), check=True)
    return [
        i.op
        for _, node in graph.walk()
        if node.tile is not None
        for i in node.tile.code
        if i.op not in ("load", "imm", "store")
    ]


CASES = [
    ([("Clip", ["x", "zero", "six"], "y", {})], ["clamp"]),
    ([("Clip", ["x", "six", "zero"], "y", {})], ["max", "min"]),
    ([("Min", ["x", "six"], "a", {}), ("Max", ["a", "zero"], "y", {})], ["min", "max"]),
    ([("HardSwish", ["x"], "y", {})], ["fma", "clamp", "mul"]),
    ([("HardSigmoid", ["x"], "y", {"alpha": 0.2, "beta": 0.4})], ["fma", "clamp"]),
    ([("LeakyRelu", ["x"], "y", {"alpha": 0.25})], ["mul", "max"]),
    ([("LeakyRelu", ["x"], "y", {"alpha": 1.5})], ["lt", "mul", "where"]),
    ([("PRelu", ["x", "third"], "y", {})], ["mul", "max"]),
    ([("PRelu", ["x", "minus"], "y", {})], ["lt", "mul", "where"]),
    ([("Mul", ["x", "third"], "a", {}), ("Add", ["half", "a"], "y", {})], ["mul", "add"]),
]


@pytest.mark.native
@pytest.mark.parametrize(("nodes", "expected"), CASES, ids=lambda v: "-".join(map(str, v))[:60])
def test_programs(monkeypatch: pytest.MonkeyPatch, nodes: list[Any], expected: list[str]) -> None:
    """What carries a name of the source's stays: it can be tapped."""
    proto = model(nodes)
    assert program(proto) == expected
    feeds = {"x": X if nodes[0][0] != "HardSwish" else X[:, 1:-2]}
    if nodes[0][0] == "HardSwish":
        proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = X.shape[1] - 3
    want = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, feeds)[0]
    file, found = whit.convert(proto), []
    for mask in MASKS:
        if not mask & ~_native.cpu_detected():
            monkeypatch.setattr(_threads, "cpu_features", lambda mask=mask: mask)
            found.append(whit.load(file).run(feeds)["y"])
    np.testing.assert_allclose(found[0], want, rtol=1e-6, atol=1e-7)
    assert all(f.tobytes() == found[0].tobytes() for f in found)


@pytest.mark.native
def test_taps_still_see_every_value() -> None:
    proto = model(
        [
            ("HardSigmoid", ["x"], "a", {}),
            ("Mul", ["x", "a"], "b", {}),
            ("Add", ["b", "half"], "y", {}),
        ]
    )
    found = whit.load(whit.convert(proto)).run({"x": X}, tap=["a", "b"])
    a = (X * np.float32(0.2) + np.float32(0.5)).clip(0, 1)
    np.testing.assert_allclose(found["a"], a, rtol=1e-6)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(found["b"], X * a, rtol=1e-6)


@pytest.mark.native
def test_nan_stays() -> None:
    for nodes, _ in CASES:
        x = np.full(X.shape, np.nan, np.float32)
        assert np.isnan(whit.load(whit.convert(model(nodes))).run({"x": x})["y"]).all()
