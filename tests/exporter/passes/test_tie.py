"""Embeddings that are also the last layer: stored once, with onnxruntime's answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import whit

K = 40


def table(n: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(n).standard_normal((n, K)).astype(np.float32)


def model(n: int, last: list[onnx.NodeProto], *more: np.ndarray[Any, Any]) -> onnx.ModelProto:
    """rows = words[ids]; `last` makes y of rows, words and the constants more0, more1..."""
    constants = {"words": table(n), **{f"more{k}": a for k, a in enumerate(more)}}
    graph = helper.make_graph(
        [helper.make_node("Gather", ["words", "ids"], ["rows"]), *last],
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["N"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("rows", "y")],
        [numpy_helper.from_array(a, name) for name, a in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


GEMM = [helper.make_node("Gemm", ["rows", "words"], ["y"], transB=1)]
TRANSPOSED = [
    helper.make_node("Transpose", ["words"], ["columns"], perm=[1, 0]),
    helper.make_node("MatMul", ["rows", "columns"], ["y"]),
]
COPY = [helper.make_node("MatMul", ["rows", "more0"], ["y"])]
TWICE = [
    helper.make_node("Gather", ["words", "more0"], ["others"]),
    helper.make_node("Add", ["rows", "others"], ["sum"]),
    helper.make_node("Gemm", ["sum", "words"], ["y"], transB=1),
]


@pytest.mark.parametrize("n", [64, 51])
@pytest.mark.parametrize("way", ["gemm", "transposed", "copy", "twice"])
def test_stored_once(way: str, n: int) -> None:
    more: tuple[np.ndarray[Any, Any], ...] = ()
    last = {"gemm": GEMM, "transposed": TRANSPOSED, "copy": COPY, "twice": TWICE}[way]
    if way == "copy":
        more = (np.ascontiguousarray(table(n).T),)
    elif way == "twice":
        more = (np.array([3], np.int64),)
    source = model(n, last, *more)
    data = whit.convert(source, check=True)
    assert len(data) < 1.5 * 4 * 64 * K + 1500
    subject = whit.load(data)
    session = onnxruntime.InferenceSession(source.SerializeToString())
    for ids in ([0], [n - 1, 0, 17, 16, 15, 17], [-1, -n], []):
        feeds = {"ids": np.array(ids, np.int64)}
        got = subject.run(feeds, tap=["rows"])
        rows, y = session.run(None, feeds)
        np.testing.assert_array_equal(got["rows"], rows)
        np.testing.assert_allclose(got["y"], y, rtol=1e-5, atol=1e-5)
    for bad in (n, -n - 1, 63 if n < 63 else 64):
        with pytest.raises(whit.RunError, match="out of range"):
            subject.run({"ids": np.array([bad], np.int64)})


def test_not_where_the_table_is_read_otherwise_or_differs() -> None:
    n = 64
    other = table(n).T.copy()
    other[3, 5] += 1
    scaled = [
        helper.make_node("Mul", ["words", "rows"], ["product"]),
        helper.make_node("Gemm", ["product", "words"], ["y"], transB=1),
    ]
    for source in (model(n, COPY, other), model(n, scaled)):
        data = whit.convert(source, check=True)
        assert len(data) > 2 * 4 * n * K
        feeds = {"ids": np.array([7], np.int64)}
        rows, y = onnxruntime.InferenceSession(source.SerializeToString()).run(None, feeds)
        got = whit.load(data).run(feeds)
        np.testing.assert_array_equal(got["rows"], rows)
        np.testing.assert_allclose(got["y"], y, rtol=1e-5, atol=1e-5)
