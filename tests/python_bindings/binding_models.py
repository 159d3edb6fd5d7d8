"""Small ONNX models, written as text, for the tests of the Python package."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime

import whit


def parse(graph: str, opset: int = 21) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": {opset}]> {graph}')


def loaded(graph: str, **options: Any) -> whit.Model:
    return whit.load(whit.convert(parse(graph), **options))


def oracle(model: onnx.ModelProto, feeds: dict[str, Any]) -> dict[str, Any]:
    """What onnxruntime says."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


LINEAR = """
linear (float[batch, 3] x) => (float[batch, 2] y)
<float[3, 2] w = {1, 2, 3, 4, 5, 6}, float[2] b = {0.5, -0.5}> {
  [multiply] h = MatMul(x, w)
  [shift] s = Add(h, b)
  [squash] y = Tanh(s)
}"""

TWO_INPUTS = """
two (float[n, k] a, float[n, k] b, int64 c) => (float[n, k] sum, int64 d) {
  sum = Add(a, b)
  d = Neg(c)
}"""

NON_ZERO = """
indices (float[n] x) => (int64[rank, count] at, float[n] same) {
  at = NonZero(x)
  same = Neg(x)
}"""

COUNTER = """
counter (int64 trips, float[2] start) => (float[2] total, float[k, 2] history)
<bool yes = {1}, float two = {2}> {
  [repeat] total, history = Loop(trips, yes, start) <body = body (int64 i, bool go, float[2] sum) =>
    (bool again, float[2] next, float[2] seen) {
      again = Identity(go)
      [number] f = Cast <to = 1> (i)
      [step] grown = Add(sum, f)
      [double] doubled = Mul(grown, two)
      next = Identity(doubled)
      seen = Neg(doubled)
  }>
}"""

BRANCH = """
branch (bool which, float[3] x) => (float[3] y) {
  [choose] y = If(which) <
    then_branch = yes () => (float[3] a) { [up] p = Exp(x) [more] a = Mul(p, x) },
    else_branch = no () => (float[3] b) { [down] q = Neg(x) [less] b = Abs(q) }>
}"""

SEQUENCE = """
lists (seq(float[k]) items, int64 at) => (float[k] one, int64 n, seq(float[k]) longer) {
  one = SequenceAt(items, at)
  n = SequenceLength(items)
  longer = SequenceInsert(items, one)
}"""


def numbers(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
