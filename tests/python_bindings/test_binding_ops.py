"""whit.ops: one operator on arrays, against onnxruntime and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from binding_models import numbers, oracle
from onnx import helper, numpy_helper

import whit

X = numbers(2, 3, 8, 8)
W = numbers(5, 3, 3, 3, seed=1)
B = numbers(5, seed=2)
M = numbers(4, 6, seed=3)


def onnx_says(op: str, inputs: list[Any], n_outputs: int = 1, **attributes: Any) -> list[Any]:
    """The operator as a model of its own, run by onnxruntime."""
    names = ["" if i is None else f"i{k}" for k, i in enumerate(inputs)]
    node = helper.make_node(op, names, [f"o{k}" for k in range(n_outputs)], **attributes)
    tensors = [(n, np.asarray(i)) for n, i in zip(names, inputs, strict=True) if i is not None]
    graph = helper.make_graph(
        [node],
        "g",
        [],
        [onnx.ValueInfoProto(name=o) for o in node.output],
        [numpy_helper.from_array(a, n) for n, a in tensors],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return list(oracle(model, {}).values())


CASES: list[tuple[str, list[Any], dict[str, Any], dict[str, Any]]] = [
    # whit's name, inputs, keywords for whit, attributes for ONNX
    ("conv", [X, W, B], {"strides": 2}, {"strides": [2, 2]}),
    ("conv", [X, W], {"pads": 1, "dilations": 2}, {"pads": [1] * 4, "dilations": [2, 2]}),
    ("Conv", [X, W], {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_UPPER"}),
    (
        "max_pool",
        [X],
        {"kernel_shape": 2, "strides": 2},
        {"kernel_shape": [2, 2], "strides": [2, 2]},
    ),
    ("average_pool", [X], {"kernel_shape": [3, 3]}, {"kernel_shape": [3, 3]}),
    ("relu", [X], {}, {}),
    ("softmax", [X], {"axis": 1}, {"axis": 1}),
    ("LayerNormalization", [X, numbers(8, seed=4)], {}, {}),
    ("gemm", [M, M], {"transB": 1, "alpha": 0.5}, {"transB": 1, "alpha": 0.5}),
    ("transpose", [X], {"perm": [0, 2, 3, 1]}, {"perm": [0, 2, 3, 1]}),
    ("concat", [M, M, M], {"axis": 1}, {"axis": 1}),
    ("leaky_relu", [M], {"alpha": 0.1}, {"alpha": 0.1}),
    ("cast", [M], {"to": "int64"}, {"to": 7}),
    ("cast", [M], {"to": np.float16}, {"to": 10}),
    ("arg_max", [M], {"axis": 1, "keepdims": False}, {"axis": 1, "keepdims": 0}),
]


@pytest.mark.parametrize(("name", "inputs", "keywords", "attributes"), CASES)
def test_against_onnxruntime(name: str, inputs: list, keywords: dict, attributes: dict) -> None:
    got = getattr(whit.ops, name)(*inputs, **keywords)
    op = "".join(p[0].upper() + p[1:] for p in name.split("_"))
    (expected,) = onnx_says(op, inputs, **attributes)
    assert got.dtype == expected.dtype and got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_numbers_and_lists_are_constants() -> None:
    np.testing.assert_array_equal(whit.ops.reshape(M, [2, -1]), M.reshape(2, -1))
    np.testing.assert_array_equal(whit.ops.add(M, 1), M + 1)
    np.testing.assert_array_equal(whit.ops.mul(np.array([2, 3]), 4), [8, 12])
    np.testing.assert_array_equal(whit.ops.clip(M, max=0.25), np.minimum(M, np.float32(0.25)))
    np.testing.assert_array_equal(whit.ops.clip(M, -1, 1), np.clip(M, -1, 1))
    np.testing.assert_array_equal(whit.ops.where(M > 0, M, 0), np.maximum(M, 0))
    np.testing.assert_allclose(
        whit.ops.reduce_sum(X, [1, 3]), X.sum((1, 3), keepdims=True), rtol=1e-4
    )
    np.testing.assert_array_equal(whit.ops.slice(M, [1], [3], [0]), M[1:3])


def test_several_outputs() -> None:
    values, indices = whit.ops.top_k(M, [2], axis=1)
    np.testing.assert_array_equal(indices, np.argsort(-M, 1)[:, :2])
    np.testing.assert_array_equal(values, np.take_along_axis(M, indices, 1))
    a, b = whit.ops.split(M, axis=1, num_outputs=2)
    np.testing.assert_array_equal(np.concatenate([a, b], 1), M)
    a, b, c = whit.ops.split(M, [1, 2, 3], axis=1)
    assert [p.shape[1] for p in (a, b, c)] == [1, 2, 3]
    pooled, where = whit.ops.max_pool(X, kernel_shape=2, strides=2, outputs=2)
    np.testing.assert_array_equal(X.reshape(-1)[where], pooled)


def test_shapes_change_between_calls() -> None:
    for n in (1, 5, 1, 0):
        np.testing.assert_array_equal(whit.ops.neg(numbers(n, 2)), -numbers(n, 2))


def test_calls_are_cached() -> None:
    whit.ops.sqrt(np.abs(M))
    before = dict(whit.ops._cache)
    whit.ops.sqrt(np.abs(M) + 1)
    assert whit.ops._cache == before


def test_other_opset() -> None:
    np.testing.assert_allclose(
        whit.ops.softmax(X, opset=11),
        onnx_says("Softmax", [X.reshape(2, -1)])[0].reshape(X.shape),
        rtol=1e-5,
    )
    with pytest.raises(whit.RunError, match="opset 1 has no operator Gelu"):
        whit.ops.gelu(M, opset=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: whit.ops.conv(X), "input 'W' is missing"),
        (lambda: whit.ops.relu(X, X), "2 inputs given, at most 1"),
        (lambda: whit.ops.softmax(X, axes=1), "no input or attribute 'axes'"),
        (lambda: whit.ops.cast(X, to="float17"), "expected a number or an element type"),
        (lambda: whit.ops.add(M, "text"), "expected an array or numbers|no support for arrays"),
        (lambda: whit.ops.relu(np.array(["a"])), "no support for arrays"),
    ],
)
def test_wrong_use(call: Any, message: str) -> None:
    with pytest.raises(whit.WhitError, match=message):
        call()


def test_unknown_operator() -> None:
    with pytest.raises(AttributeError, match="did you mean 'softmax'"):
        whit.ops.sofmax  # noqa: B018
    assert "conv" in dir(whit.ops) and "layer_normalization" in dir(whit.ops)
    assert "Conv" in whit.ops.conv.__doc__
