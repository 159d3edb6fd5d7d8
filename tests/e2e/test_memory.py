"""An iteration allocates nothing: a loop's memory does not depend on how often it runs."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest

import whit

COUNTING = """<ir_version: 10, opset_import: ["": 21]> g (int64 m, float[n] x) => (float[n] y) {
  y = Loop(m, "", x) <body = b (int64 i, bool k, float[n] a) => (bool k, float[n] c) {
    s = Softmax(a)
    c = Add(s, x) }>
}"""
WHILE = """<ir_version: 10, opset_import: ["": 21]> g (float limit, float[n] x) => (float[n] y) <float one = {1}> {
  y = Loop("", "", x) <body = b (int64 i, bool k, float[n] a) => (bool go, float[n] c) {
    c = Add(a, one)
    m = ReduceMax<keepdims = 0>(c)
    go = Less(m, limit) }>
}"""
GROWING = """<ir_version: 10, opset_import: ["": 21]> g (int64 m, float[1, 64] x, float[s, 64] start) => (float[t, 64] y) {
  y = Loop(m, "", start) <body = b (int64 i, bool k, float[s, 64] a) => (bool k, float[r, 64] c) {
    c = Concat<axis = 0>(a, x) }>
}"""


def arena_after(text: str, feeds: dict[str, np.ndarray]) -> int:
    model = whit.load(whit.convert(onnx.parser.parse_model(text)))
    instance, arrays = model.instance(feeds)
    instance.run(arrays)
    return int(instance.arena.nbytes)


@pytest.mark.parametrize(
    ("text", "times"), [(COUNTING, "m"), (WHILE, "limit")], ids=["trips", "condition"]
)
def test_memory_does_not_depend_on_trips(text: str, times: str) -> None:
    x = np.zeros(1000, np.float32)
    kind = np.int64 if times == "m" else np.float32
    sizes = [arena_after(text, {times: np.asarray(n, kind), "x": x}) for n in (1, 10, 3000)]
    assert sizes[0] == sizes[1] == sizes[2]


def test_a_growing_value_takes_what_it_needs() -> None:
    """Old blocks are used again: memory stays within a small multiple of the final value."""
    feeds = {
        "m": np.asarray(400, np.int64),
        "x": np.ones((1, 64), np.float32),
        "start": np.zeros((0, 64), np.float32),
    }
    final = 400 * 64 * 4
    assert arena_after(GROWING, feeds) < 6 * final
