"""What a loop or a branch makes and nobody reads: no memory, no work; the rest stays as it was."""

from __future__ import annotations

import numpy as np
import onnx.parser
import onnxruntime as ort
import pytest

import whit

LOOP = """
<ir_version: 10, opset_import: ["": 21]>
loop (int64 trips, float[4] x) => (float[4] last, float[n, 4] squares) <bool yes = {1}> {
  last, wide, squares, sums = Loop(trips, yes, x) <body = body (int64 i, bool go, float[4] v)
      => (bool again, float[4] next, float[4, 4] outer, float[4] square, float total) <int64[2] column = {4, 1}, int64[2] row = {1, 4}> {
    again = Identity(go)
    next = Add(v, v)
    a = Reshape(v, column)
    b = Reshape(v, row)
    outer = MatMul(a, b)
    square = Mul(v, v)
    total = ReduceSum<keepdims = 0>(v)
  }>
}
"""
BRANCH = """
<ir_version: 10, opset_import: ["": 21]>
branch (bool c, float[3] x) => (float[3] y) {
  unread, y = If(c) <
    then_branch = then () => (float[3] p, float[3] q) { p = Exp(x)  q = Neg(x) },
    else_branch = other () => (float[3] r, float[3] s) { r = Sin(x)  s = Abs(x) }>
}
"""


def test_stacks_of_a_loop() -> None:
    model = onnx.parser.parse_model(LOOP)
    subject = whit.load(whit.convert(model, fuse=False))
    feeds = {"trips": np.array(5), "x": np.arange(4, dtype=np.float32)}
    want = ort.InferenceSession(model.SerializeToString()).run(None, feeds)
    for name, value in zip(("last", "squares"), want, strict=True):
        np.testing.assert_array_equal(subject.run(feeds)[name], value)
    assert subject.last_steps == 1 + 5 * 2  # the loop; Add and Mul a trip


@pytest.mark.parametrize("c", [True, False])
def test_results_of_branches(c: bool) -> None:
    model = onnx.parser.parse_model(BRANCH)
    subject = whit.load(whit.convert(model))
    feeds = {"c": np.array(c), "x": np.array([1, -2, 3], np.float32)}
    want = ort.InferenceSession(model.SerializeToString()).run(None, feeds)
    np.testing.assert_array_equal(subject.run(feeds)["y"], want[0])
    assert subject.last_steps == 2  # the `if` and one node in its branch
