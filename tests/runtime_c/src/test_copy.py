"""Strided copies: transposes, joins and slices of every element size and of odd shapes, against NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import whit

Array = np.ndarray[Any, Any]
TYPES = [np.uint8, np.float16, np.float32, np.int64]
SHAPES = [(3, 37), (37, 3), (1, 50), (16, 16), (129, 67), (4, 4), (5, 1000), (2, 3)]


def run(nodes: list[onnx.NodeProto], feeds: dict[str, Array], threads: int = 1) -> Array:
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in feeds.items()
    ]
    graph = helper.make_graph(nodes, "copy", infos, [helper.make_empty_tensor_value_info("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    found: Array = whit.load(whit.convert(model)).run(feeds, threads=threads)["y"]
    return found


def numbers(shape: tuple[int, ...], dtype: Any) -> Array:
    return np.random.default_rng(len(shape)).integers(0, 200, shape).astype(dtype)


@pytest.mark.native
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_transpose(shape: tuple[int, ...], dtype: Any) -> None:
    x = numbers(shape, dtype)
    np.testing.assert_array_equal(run([helper.make_node("Transpose", ["x"], ["y"])], {"x": x}), x.T)


@pytest.mark.native
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("perm", list(itertools.permutations(range(4))))
def test_permutations(perm: tuple[int, ...], dtype: Any) -> None:
    for shape in ((2, 3, 9, 11), (1, 4, 5, 18)):
        x = numbers(shape, dtype)
        node = helper.make_node("Transpose", ["x"], ["y"], perm=perm)
        np.testing.assert_array_equal(run([node], {"x": x}), x.transpose(perm))


@pytest.mark.native
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 64])
@pytest.mark.parametrize("threads", [1, 2])
def test_pictures(channels: int, threads: int) -> None:
    """Planes to pixels and back, large enough for several threads."""
    x = numbers((2, channels, 181, 203), np.float32)
    node = helper.make_node("Transpose", ["x"], ["y"], perm=[0, 2, 3, 1])
    y = run([node], {"x": x}, threads)
    np.testing.assert_array_equal(y, x.transpose(0, 2, 3, 1))
    node = helper.make_node("Transpose", ["x"], ["y"], perm=[0, 3, 1, 2])
    np.testing.assert_array_equal(run([node], {"x": y}, threads), x)


@pytest.mark.native
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_concat(axis: int, dtype: Any) -> None:
    feeds = {}
    for k, n in enumerate((1, 3, 4, 16, 7)):
        shape = [5, 6, 9]
        shape[axis] = n
        feeds[f"x{k}"] = numbers(tuple(shape), dtype) + np.asarray(k, dtype)
    node = helper.make_node("Concat", list(feeds), ["y"], axis=axis)
    np.testing.assert_array_equal(run([node], feeds), np.concatenate(list(feeds.values()), axis))


@pytest.mark.native
@pytest.mark.parametrize("dtype", TYPES)
def test_blocks(dtype: Any) -> None:
    """Short runs of elements along the last axis."""
    for n in (1, 2, 3, 4, 5, 8):
        x = numbers((4, 7, 6, n), dtype)
        node = helper.make_node("Transpose", ["x"], ["y"], perm=[0, 2, 1, 3])
        np.testing.assert_array_equal(run([node], {"x": x}), x.transpose(0, 2, 1, 3))


@pytest.mark.native
def test_reversed_steps() -> None:
    x = numbers((9, 21), np.float32)
    nodes = [
        helper.make_node("Constant", [], ["first"], value_ints=[-1, -1]),
        helper.make_node("Constant", [], ["end"], value_ints=[-100, -100]),
        helper.make_node("Constant", [], ["axes"], value_ints=[0, 1]),
        helper.make_node("Constant", [], ["steps"], value_ints=[-1, -2]),
        helper.make_node("Slice", ["x", "first", "end", "axes", "steps"], ["part"]),
        helper.make_node("Transpose", ["part"], ["y"], perm=[1, 0]),
    ]
    np.testing.assert_array_equal(run(nodes, {"x": x}), x[::-1, ::-2].T)
