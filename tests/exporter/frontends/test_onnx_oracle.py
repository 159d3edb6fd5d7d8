"""`check`, with which the other files compare a model's outputs with those of onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx.checker
import onnx.parser
import onnxruntime

import whit

Feeds = Mapping[str, Any]


def parse(text: str, opset: int = 21, ir: int = 10) -> onnx.ModelProto:
    """A model from onnx's textual form of a graph."""
    model = onnx.parser.parse_model(f'<ir_version: {ir}, opset_import: ["" : {opset}]>\n{text}')
    onnx.checker.check_model(model)
    return model


def expected(model: onnx.ModelProto, feeds: Feeds) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def compare(got: Any, want: Any, tolerance: float, name: str) -> None:
    if isinstance(want, list):
        assert isinstance(got, list) and len(got) == len(want), f"{name}: {got} is not {want}"
        for g, w in zip(got, want, strict=True):
            compare(g, w, tolerance, name)
        return
    if want is None:
        assert got is None, f"{name}: {got} is not None"
        return
    want = np.asarray(want)
    assert got.dtype == want.dtype, f"{name}: {got.dtype} is not {want.dtype}"
    assert got.shape == want.shape, f"{name}: {got.shape} is not {want.shape}"
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=name)


def check(
    model: onnx.ModelProto,
    *runs: Feeds,
    want: Mapping[str, Any] | None = None,
    tolerance: float = 1e-5,
) -> None:
    """Converts the model once and runs it on each of the feeds, which must give what onnxruntime gives, or `want`."""
    loaded = whit.load(whit.convert(model))
    for feeds in runs or ({},):
        reference = expected(model, feeds) if want is None else want
        got = loaded.run(dict(feeds))
        assert list(got) == [o.name for o in model.graph.output]
        for name, value in reference.items():
            compare(got[name], value, tolerance, name)


def test_a_difference_is_found() -> None:
    model = parse("g (float[2] x) => (float[2] y) { y = Add(x, x) }")
    x = np.array([1, 2], np.float32)
    check(model, {"x": x})
    try:
        check(model, {"x": x}, want={"y": x})
    except AssertionError:
        return
    raise RuntimeError("check does not compare")
