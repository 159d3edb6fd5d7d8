"""Operators that move elements against onnxruntime: all versions, and with everything known only when it runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from test_onnx_oracle import check, parse

F = np.float32
I = np.int64  # noqa: E741


def ints(*values: int) -> np.ndarray:
    return np.array(values, I)


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape).astype(F)


def node(
    op: str,
    arrays: list[np.ndarray | None],
    *,
    opset: int = 21,
    outputs: int = 1,
    dynamic: bool = False,
    constant: bool = False,
    **attributes: Any,
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """A model of one node. dynamic: all dimensions are symbols; constant: inputs but the first are initialisers."""
    names = [f"x{k}" if a is not None else "" for k, a in enumerate(arrays)]
    given = {n: a for n, a in zip(names, arrays, strict=True) if a is not None}
    fixed = [n for n in given if constant and n != "x0"]
    infos = [
        helper.make_tensor_value_info(
            n,
            helper.np_dtype_to_tensor_dtype(a.dtype),
            [f"{n}d{k}" for k in range(a.ndim)] if dynamic and n == "x0" else a.shape,
        )
        for n, a in given.items()
        if n not in fixed
    ]
    names_out = [f"y{k}" for k in range(outputs)]
    outs = [helper.make_empty_tensor_value_info(n) for n in names_out]
    tensors = [onnx.numpy_helper.from_array(given[n], n) for n in fixed]
    made = helper.make_node(op, names, names_out, **attributes)
    graph = helper.make_graph([made], "g", infos, outs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(typed(model, op, given)), {
        i.name: given[i.name] for i in infos
    }


def typed(model: onnx.ModelProto, op: str, given: dict[str, np.ndarray]) -> onnx.ModelProto:
    """Outputs need an element type for the model to be valid: those of x0, but indices are int64."""
    of_indices = {"Shape": [0], "Size": [0], "NonZero": [0], "TopK": [1], "Unique": [1, 2, 3]}
    first = given["x1" if op == "Where" else "x0"]
    for k, output in enumerate(model.graph.output):
        dtype = onnx.TensorProto.INT64
        if k not in of_indices.get(op, []):
            dtype = helper.np_dtype_to_tensor_dtype(first.dtype)
        output.type.tensor_type.elem_type = dtype
    return model


X = data(2, 3, 4)
CASES: list[tuple[str, list[np.ndarray | None], dict[str, Any]]] = [
    ("Reshape", [X, ints(4, -1)], {}),
    ("Reshape", [X, ints(0, -1, 2)], {}),
    ("Reshape", [X, ints(-1, 0, 4)], {}),
    ("Reshape", [data(0, 3), ints(3, 0)], {"allowzero": 1}),
    ("Transpose", [X], {}),
    ("Transpose", [X], {"perm": [2, 0, 1]}),
    ("Squeeze", [data(1, 3, 1), ints(-1)], {}),
    ("Squeeze", [data(1, 3, 1), ints(0, 2)], {}),
    ("Unsqueeze", [data(3), ints(0, -1)], {}),
    ("Unsqueeze", [data(3, 2), ints(3, 1)], {}),
    ("Unsqueeze", [np.array(2, F), ints(0)], {}),
    ("Flatten", [X], {"axis": 2}),
    ("Flatten", [X], {"axis": -1}),
    ("Flatten", [X], {"axis": 0}),
    ("Shape", [X], {"start": -2}),
    ("Shape", [X], {"start": 1, "end": -1}),
    ("Shape", [X], {"start": 5}),
    ("Size", [X], {}),
    ("Slice", [X, ints(0, 1), ints(9, 3), ints(2, -2)], {}),
    ("Slice", [X, ints(-1), ints(-9), ints(1), ints(-2)], {}),
    ("Slice", [X, ints(1), ints(2**62)], {}),
    ("Slice", [X, np.array([3], np.int32), np.array([0], np.int32), np.array([2], np.int32), np.array([-1], np.int32)], {}),
    ("Split", [X, ints(1, 3)], {"axis": 2, "outputs": 2}),
    ("Split", [data(7, 2)], {"num_outputs": 3, "outputs": 3}),
    ("Split", [X], {"axis": -1, "num_outputs": 2, "outputs": 2}),
    ("Concat", [X, data(2, 1, 4), data(2, 0, 4)], {"axis": -2}),
    ("Gather", [X, ints(1, -1, 0)], {"axis": 2}),
    ("Gather", [X, np.array(-1, np.int32)], {"axis": 1}),
    ("Gather", [X, np.zeros((2, 0), I)], {"axis": 0}),
    ("GatherElements", [X, np.array([[[0, -1, 2, 1]]], I)], {"axis": 1}),
    ("GatherND", [X, np.array([[0, 1], [1, -1]], I)], {}),
    ("GatherND", [X, np.array([[1], [2]], I)], {"batch_dims": 1}),
    ("ScatterElements", [X, np.array([[[1, 0, 2, 1]]], I), data(1, 1, 4)], {"axis": 1}),
    ("ScatterElements", [X, np.array([[[1, 1, 1, 1]]], I), data(1, 1, 4)], {"axis": 2, "reduction": "add"}),
    ("ScatterElements", [X, np.array([[[0, 3, 0, 3]]], I), data(1, 1, 4)], {"axis": 2, "reduction": "max"}),
    ("ScatterND", [X, np.array([[0, 1], [1, 2]], I), data(2, 4)], {}),
    ("ScatterND", [X, np.array([[0], [0]], I), data(2, 3, 4)], {"reduction": "mul"}),
    ("ReverseSequence", [data(4, 3), ints(1, 4, 2)], {}),
    ("ReverseSequence", [data(3, 4, 2), ints(1, 4, 2)], {"batch_axis": 0, "time_axis": 1}),
    ("Compress", [X, np.array([True, False, True])], {"axis": 1}),
    ("Compress", [X, np.array([False, True, True, False, True])], {}),
    ("NonZero", [np.array([[0, 1, 2], [0, 0, 3]], F)], {}),
    ("Unique", [np.array([3, 1, 3, 2, 1], F)], {"outputs": 4}),
    ("Unique", [np.array([3, 1, 3, 2, 1], F)], {"outputs": 4, "sorted": 0}),
    ("Unique", [np.array([[1, 0], [1, 0], [0, 2]], F)], {"outputs": 4, "axis": 0}),
    ("TopK", [X, ints(2)], {"outputs": 2}),
    ("TopK", [X, ints(2)], {"outputs": 2, "axis": 1, "largest": 0}),
    ("TopK", [np.array([1, 2, 2, 1], F), ints(3)], {"outputs": 2}),
    ("Pad", [X, ints(0, 1, 0, 2, 0, 1)], {}),
    ("Pad", [X, ints(0, 1, -1, 2, -1, 1), np.array(2.5, F)], {}),
    ("Pad", [X, ints(1, 2), None, ints(-1)], {"mode": "reflect"}),
    ("Pad", [X, ints(1, 2, 2, 0), None, ints(0, 2)], {"mode": "edge"}),
    ("Pad", [X, ints(1, 2), None, ints(1)], {"mode": "wrap"}),
    ("Tile", [X, ints(2, 1, 3)], {}),
    ("Tile", [X, ints(1, 1, 1)], {}),
    ("Tile", [X, ints(1, 0, 1)], {}),
    ("Expand", [data(3, 1), ints(2, 1, 4)], {}),
    ("Range", [np.array(1, I), np.array(9, I), np.array(3, I)], {}),
    ("Range", [np.array(5, F), np.array(1, F), np.array(-1.5, F)], {}),
    ("Range", [np.array(5, I), np.array(1, I), np.array(2, I)], {}),
    ("EyeLike", [data(3, 4)], {"k": 1}),
    ("EyeLike", [data(3, 4)], {"k": -1}),
    ("Trilu", [data(2, 3, 4)], {"upper": 0}),
    ("Trilu", [data(3, 4), np.array(1, I)], {}),
    ("Trilu", [data(4, 3), np.array(-2, I)], {"upper": 0}),
    ("Where", [np.array([[True], [False]]), data(1, 3), data(3)], {}),
    ("DepthToSpace", [data(1, 8, 2, 3)], {"blocksize": 2}),
    ("DepthToSpace", [data(1, 8, 2, 3)], {"blocksize": 2, "mode": "CRD"}),
    ("SpaceToDepth", [data(2, 1, 4, 6)], {"blocksize": 2}),
    ("CenterCropPad", [data(4, 5), ints(7, 2)], {}),
    ("CenterCropPad", [data(4, 5, 2), ints(3, 8)], {"axes": [1, 0]}),
]  # fmt: skip


@pytest.mark.parametrize("how", ["run time", "constant", "symbols"])
@pytest.mark.parametrize(
    ("op", "arrays", "options"), CASES, ids=[f"{k}-{c[0]}" for k, c in enumerate(CASES)]
)
def test_operator(
    op: str, arrays: list[np.ndarray | None], options: dict[str, Any], how: str
) -> None:
    model, feeds = node(op, arrays, dynamic=how == "symbols", constant=how != "run time", **options)
    check(model, feeds, feeds)


OLD: list[tuple[str, list[np.ndarray | None], int, dict[str, Any]]] = [
    ("Squeeze", [data(1, 3, 1)], 11, {"axes": [0]}),
    ("Squeeze", [data(1, 3, 1)], 11, {}),
    ("Unsqueeze", [data(3)], 11, {"axes": [0, 2]}),
    ("Slice", [X], 9, {"starts": [1, -2], "ends": [9, -1], "axes": [0, 2]}),
    ("Split", [X], 11, {"axis": 2, "split": [1, 3], "outputs": 2}),
    ("Split", [X], 13, {"axis": 2, "outputs": 2}),
    ("Pad", [X], 10, {"pads": [0, 1, 0, 2, 0, 1], "value": 1.5}),
    ("Pad", [X], 10, {"pads": [0, 1, 1, 0, 1, 1], "mode": "reflect"}),
    ("TopK", [X], 9, {"k": 2, "outputs": 2}),
    ("TopK", [X, ints(2)], 10, {"axis": 1, "outputs": 2}),
    ("Scatter", [X, np.array([[[1, 0, 2, 1]]], I), data(1, 1, 4)], 9, {"axis": 1}),
    ("DepthToSpace", [data(1, 8, 2, 3)], 9, {"blocksize": 2}),
    ("Flatten", [X], 9, {}),
]


@pytest.mark.parametrize(
    ("op", "arrays", "opset", "options"), OLD, ids=[f"{k}-{c[0]}-{c[2]}" for k, c in enumerate(OLD)]
)
def test_old_version(
    op: str, arrays: list[np.ndarray | None], opset: int, options: dict[str, Any]
) -> None:
    model, feeds = node(op, arrays, opset=opset, **options)
    check(model, feeds)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("depth", ["float[1] depth", "int64 depth"])
def test_one_hot(axis: int, depth: str) -> None:
    """Indices below 0 count from the end; those out of range are off."""
    model = parse(f"""g (int64[2, 2] x, {depth}, float[2] values) => (float[A, B, C] y) {{
        y = OneHot<axis={axis}>(x, depth, values) }}""")
    n = np.array([3], F) if "float" in depth else np.array(3, I)
    check(model, {"x": np.array([[0, 2], [-1, 5]], I), "depth": n, "values": np.array([2, 7], F)})


def test_constants_of_every_kind() -> None:
    model = parse("""g (float[2] x) => (float[2] y, float f, float[2] fs, int64 i, int64[3] is, float[0] e) {
        y = Identity(x)
        f = Constant<value_float=1.5>()
        fs = Constant<value_floats=[1.5, 2.5]>()
        i = Constant<value_int=3>()
        is = Constant<value_ints=[1, 2, 3]>()
        e = Constant<value = float[0] {}>()
    }""")
    check(model, {"x": data(2)})


def test_sparse_constants() -> None:
    values = helper.make_tensor("", 1, [2], [2.5, -1.0])
    flat = helper.make_sparse_tensor(values, helper.make_tensor("", 7, [2], [1, 5]), [2, 3])
    pairs = helper.make_sparse_tensor(
        values, helper.make_tensor("", 7, [2, 2], [0, 1, 1, 2]), [2, 3]
    )
    nodes = [
        helper.make_node("Constant", [], [name], sparse_value=s)
        for name, s in (("a", flat), ("b", pairs))
    ]
    nodes.append(helper.make_node("Add", ["a", "b"], ["y"]))
    y = helper.make_tensor_value_info("y", 1, [2, 3])
    model = helper.make_model(
        helper.make_graph(nodes, "g", [], [y]), opset_imports=[helper.make_opsetid("", 21)]
    )
    want = np.array([[0, 5, 0], [0, 0, -2]], F)
    check(model, {}, want={"y": want})


@pytest.mark.parametrize("value", ["", "value = int64[1] {7}"])
def test_constant_of_shape(value: str) -> None:
    attribute = f"<{value}>" if value else ""
    kind = "int64" if value else "float"
    model = parse(f"g (int64[N] s) => ({kind}[A, B] y) {{ y = ConstantOfShape{attribute}(s) }}")
    check(model, {"s": ints(2, 3)}, {"s": ints(0, 3)})


@pytest.mark.parametrize("mode", ["linear", "circular"])
def test_tensor_scatter(mode: str) -> None:
    model = parse(
        f"""g (float[2, 4, 3] cache, float[2, 2, 3] new, int64[2] at) => (float[2, 4, 3] y) {{
        y = TensorScatter<mode="{mode}", axis=1>(cache, new, at) }}""",
        opset=24,
        ir=11,
    )
    cache, new = np.zeros((2, 4, 3), F), data(2, 2, 3)
    at = ints(3, 1) if mode == "circular" else ints(2, 0)
    want = cache.copy()
    for row in range(2):
        for k in range(2):
            want[row, (at[row] + k) % 4] = new[row, k]
    check(model, {"cache": cache, "new": new, "at": at}, want={"y": want})


def test_squeeze_of_axes_known_when_it_runs() -> None:
    model = parse("g (float[N, 3] x) => (float y) { s = Squeeze(x)  y = ReduceSum<keepdims=0>(s) }")
    check(model, {"x": data(1, 3)}, {"x": data(2, 3)})
    squeezed = parse("g (float[N, 3, M] x) => (float[A] y) { y = Squeeze(x) }")
    del squeezed.graph.output[0].type.tensor_type.shape.dim[:]
    squeezed.graph.output[0].type.tensor_type.ClearField("shape")
    check(squeezed, {"x": data(1, 3, 2)}, {"x": data(1, 3, 1)}, {"x": data(2, 3, 4)})
