"""One ONNX model through Whit and through somebody else, and the comparison of the two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime

import whit

Feeds = Mapping[str, Any]
Oracle = Callable[[dict[str, Any]], Mapping[str, Any]]

X = [1.5, -2.0, 3.0]
BOTH = [{"c": True, "x": X}, {"c": False, "x": X}, {"c": True, "x": [4.0]}, {"c": False, "x": []}]
TRIPS = [{"m": m, "x": x} for m, x in ((3, X), (0, X), (1, [2.0]), (7, X), (0, []), (2, []))]
ZERO_FIRST = [TRIPS[1], TRIPS[0], TRIPS[4], TRIPS[3]]
"""Inputs of the models that tests of control flow are made of: each is run with all of a list, so that a plan made for one trip count
or shape meets another."""


def ramp(*shape: int) -> np.ndarray:
    return (np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - 3) / 4


@dataclass(frozen=True)
class Case:
    """A model as ONNX text, the runs it goes through, and who knows the answer (None: onnxruntime)."""

    name: str
    text: str
    runs: Sequence[Feeds]
    want: Oracle | None = None
    rtol: float = 0.0
    atol: float = 0.0
    opset: int = 21

    def __str__(self) -> str:
        return self.name.replace(" ", "_")

    def check(self) -> whit.Model:
        model = parse(self.text, self.opset)
        return check(model, *self.runs, want=self.want, rtol=self.rtol, atol=self.atol)


def parse(text: str, opset: int = 21, ir_version: int = 10) -> onnx.ModelProto:
    """A model from the text of its graph."""
    header = f'<ir_version: {ir_version}, opset_import: ["": {opset}]>'
    return onnx.parser.parse_model(header + text)


def check(
    model: onnx.ModelProto,
    *runs: Feeds,
    want: Oracle | None = None,
    rtol: float = 0.0,
    atol: float = 0.0,
) -> whit.Model:
    """Runs all feeds on one whit.Model, then the first once more, and compares each answer."""
    oracle = want or onnxruntime_oracle(model)
    subject = load(model)
    names = [o.name for o in model.graph.output]
    for k, run in enumerate([*runs, runs[0]]):
        feeds = typed(model, run)
        expected = oracle(feeds)
        got = subject.run(feeds)
        assert list(got) == list(dict.fromkeys(names))
        for name in names:
            assert_same(got[name], expected[name], rtol, atol, f"run {k}, output {name!r}")
    return subject


def load(model: onnx.ModelProto) -> whit.Model:
    return whit.load(whit.convert(model))


def typed(model: onnx.ModelProto, feeds: Feeds) -> dict[str, Any]:
    """Feeds in the types of the model's inputs; plain numbers and lists become arrays."""
    types = {i.name: i.type for i in model.graph.input}
    return {name: _typed(types[name], value) for name, value in feeds.items()}


def _typed(t: onnx.TypeProto, value: Any) -> Any:
    if t.HasField("optional_type"):
        return None if value is None else _typed(t.optional_type.elem_type, value)
    if t.HasField("sequence_type"):
        return [_typed(t.sequence_type.elem_type, v) for v in value]
    return np.asarray(value, onnx.helper.tensor_dtype_to_np_dtype(t.tensor_type.elem_type))


def assert_same(got: Any, want: Any, rtol: float = 0.0, atol: float = 0.0, what: str = "") -> None:
    """Equal kind, type, shape, and values within the tolerance (|got - want| <= atol + rtol |want|)."""
    if want is None:
        assert got is None, f"{what}: expected an absent optional"
    elif isinstance(want, list):
        assert isinstance(got, list), f"{what}: expected a sequence, got {type(got).__name__}"
        assert len(got) == len(want), f"{what}: {len(got)} elements, expected {len(want)}"
        for k, (g, w) in enumerate(zip(got, want, strict=True)):
            assert_same(g, w, rtol, atol, f"{what}[{k}]")
    else:
        want = np.asarray(want)
        assert isinstance(got, np.ndarray), f"{what}: got {type(got).__name__}"
        assert (got.dtype, got.shape) == (want.dtype, want.shape), what
        np.testing.assert_allclose(got, want, rtol, atol, err_msg=what)


def onnxruntime_oracle(model: onnx.ModelProto) -> Oracle:
    """onnxruntime as written, without its optimizer."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    same = onnx.ModelProto.FromString(model.SerializeToString())
    _add_identities(same.graph, is_body=False)
    session = onnxruntime.InferenceSession(
        same.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [o.name for o in model.graph.output]
    return lambda feeds: dict(zip(names, session.run(None, feeds), strict=True))


def _add_identities(graph: onnx.GraphProto, is_body: bool) -> None:
    """Results of a region that are no value of its own, or were given already, go through an Identity.

    onnxruntime refuses the first, and gives uninitialised memory for some of the others.
    """
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _add_identities(attribute.g, is_body=True)
    fresh = {name for node in graph.node for name in node.output}
    for k, output in enumerate(graph.output if is_body else ()):
        if output.name in fresh:
            fresh.remove(output.name)
        else:
            name = f"{graph.name}_{output.name}_{k}_copy"
            graph.node.append(onnx.helper.make_node("Identity", [output.name], [name]))
            output.name = name
