"""An axis of one element has any stride; operators that count with it must not see what a view left there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

import whit

Array = np.ndarray[Any, Any]
SHAPES = [(1,), (1, 1, 1, 1), (2, 1, 3), (1, 4), (3, 1)]
OPERATORS: dict[str, tuple[dict[str, Any], list[Array]]] = {
    "TopK": ({"largest": 0}, [np.array([1])]),
    "ArgMax": ({}, []),
    "ArgMin": ({}, []),
    "CumSum": ({}, []),
    "Softmax": ({}, []),
    "Hardmax": ({}, []),
    "LpNormalization": ({}, []),
    "GatherElements": ({}, []),
    "ScatterElements": ({}, []),
    "Concat": ({}, []),
    "Gather": ({}, [np.array([0, -1, 0])]),
    "Unique": ({}, []),
}


def want(op: str, x: Array, axis: int) -> Array:
    n = x.shape[axis]
    match op:
        case "TopK":
            return np.min(x, axis, keepdims=True)
        case "ArgMax" | "ArgMin":
            found = np.argmax(x, axis) if op == "ArgMax" else np.argmin(x, axis)
            return np.expand_dims(found, axis)
        case "CumSum":
            return np.cumsum(x, axis)
        case "Softmax":
            e = np.exp(x - x.max(axis, keepdims=True))
            return e / e.sum(axis, keepdims=True)
        case "Hardmax":
            return (
                np.expand_dims(np.argmax(x, axis), axis)
                == np.arange(n).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
            ) * 1.0
        case "LpNormalization":
            return x / np.sqrt(np.square(x).sum(axis, keepdims=True))
        case "GatherElements":
            return np.flip(x, axis)
        case "ScatterElements":
            return np.flip(-x, axis)
        case "Concat":
            return np.concatenate([x, x], axis)
        case "Gather":
            return np.take(x, [0, -1, 0], axis)
    return np.unique(x, axis=axis)


@pytest.mark.parametrize("known", [True, False], ids=["known", "symbols"])
@pytest.mark.parametrize("cut", ["step", "turn", "both"])
@pytest.mark.parametrize("op", OPERATORS)
def test_views(op: str, cut: str, known: bool) -> None:
    for shape in SHAPES:
        x = np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)
        for axis in range(len(shape)):
            for one in (a for a, n in enumerate(shape) if n == 1):
                check(op, x, axis, one, cut, known)


def check(op: str, x: Array, axis: int, one: int, cut: str, known: bool) -> None:
    attributes, constants = OPERATORS[op]
    backwards = np.flip(
        np.arange(x.shape[axis]).reshape([-1 if a == axis else 1 for a in range(x.ndim)]), axis
    )
    backwards = np.ascontiguousarray(np.broadcast_to(backwards, x.shape)).astype(np.int64)
    more = {
        "CumSum": [np.array(axis)], "GatherElements": [backwards], "ScatterElements": [backwards, -x],
    }.get(op, constants)  # fmt: skip
    if op != "CumSum":
        attributes = {**attributes, "axis": axis}
    arrays = {f"c{k}": a for k, a in enumerate(more)}
    source, nodes, name = x, [], "x"
    if cut != "turn":  # every second element, where there is one: its stride is 2
        source = source.repeat(2, one)
        arrays |= {
            "start": np.array([0]),
            "end": np.array([2]),
            "axes": np.array([one]),
            "steps": np.array([2]),
        }
        nodes.append(helper.make_node("Slice", ["x", "start", "end", "axes", "steps"], ["cut"]))
        name = "cut"
    if cut != "step":  # turned twice, so that strides come in another order
        back = list(range(x.ndim))[::-1]
        source = np.ascontiguousarray(source.transpose(back)) if cut == "turn" else source
        nodes.append(helper.make_node("Transpose", [name], ["turned"], perm=back))
        name = "turned"
        if cut == "both":
            nodes.append(helper.make_node("Transpose", [name], ["again"], perm=back))
            name = "again"
    inputs = [name, name] if op == "Concat" else [name, *(f"c{k}" for k in range(len(more)))]
    nodes.append(helper.make_node(op, inputs, ["y"], **attributes))
    dims = source.shape if known else [f"d{a}" for a in range(source.ndim)]
    graph = helper.make_graph(
        nodes, "view", [helper.make_tensor_value_info("x", 1, dims)], [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(a, n) for n, a in arrays.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    y = whit.load(whit.convert(model)).run({"x": source})["y"]
    np.testing.assert_allclose(
        y, want(op, x, axis), rtol=1e-6, err_msg=f"{x.shape}, axis {axis}, cut {one}"
    )
