"""What follows a convolution or a product becomes its epilogue: same values, fewer nodes, everything still observable."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

import whit
from whit_exporter import read, write
from whit_exporter.dtypes import DType
from whit_exporter.micro import TileProgram

Array = np.ndarray[Any, Any]


def weights(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).normal(0, 0.2, shape).astype(np.float32)


def model(
    nodes: list[onnx.NodeProto], x: list[int], constants: dict[str, Array], opset: int = 20
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(a, name) for name, a in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def compare(m: onnx.ModelProto, x: Array, n_nodes: dict[str, int]) -> None:
    """Whit's output and every value inside against onnxruntime's; how many nodes of each kind are left."""
    names = [n.output[0] for n in m.graph.node if n.output[0] not in ("y", "before bias")]
    data = whit.convert(m, check=True)
    found = [n.op for _, n in read.read(data).walk()]
    assert {op: found.count(op) for op in n_nodes} == n_nodes
    mine = whit.load(data).run({"x": x}, tap=names)
    for name in names:
        m.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    theirs = ort.InferenceSession(m.SerializeToString()).run(None, {"x": x})
    for name, want in zip(["y", *names], theirs, strict=True):
        np.testing.assert_allclose(mine[name], want, rtol=1e-4, atol=2e-5, err_msg=name)
    assert np.array_equal(whit.load(data)(x), mine["y"])


ACTIVATIONS = {
    "relu": [("Relu", {})],
    "relu6": [("Clip", {"min": 0.0, "max": 6.0})],
    "hardswish": [("HardSwish", {})],
    "leaky": [("LeakyRelu", {"alpha": 0.2})],
    "leaky, limits": [("LeakyRelu", {"alpha": 1.5}), ("Clip", {})],
    "limits, leaky": [("Clip", {}), ("LeakyRelu", {"alpha": 0.2})],
    "gelu": [("Gelu", {})],
    "two": [("Sigmoid", {}), ("Neg", {})],
}


def activate(kind: str, x: str) -> list[onnx.NodeProto]:
    nodes = []
    for k, (op, attrs) in enumerate(ACTIVATIONS[kind]):
        y = "y" if k == len(ACTIVATIONS[kind]) - 1 else f"a{k}"
        if op == "Clip":
            nodes.append(helper.make_node("Clip", [x, "low", "high"], [y]))
        else:
            nodes.append(helper.make_node(op, [x], [y], **attrs))
        x = y
    return nodes


LIMITS = {"low": np.float32(0), "high": np.float32(6)}


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize(
    ("c_in", "c_out", "kernel", "group", "size"),
    [(3, 24, 3, 1, 13), (16, 40, 1, 1, 14), (20, 7, 3, 1, 5), (24, 24, 3, 24, 9), (8, 12, 3, 4, 6), (64, 130, 3, 1, 12)],
)  # fmt: skip
def test_conv(kind: str, c_in: int, c_out: int, kernel: int, group: int, size: int) -> None:
    conv = helper.make_node(
        "Conv", ["x", "w", "b"], ["c"], pads=[kernel // 2] * 4, group=group, name="conv"
    )
    constants = {"w": weights(c_out, c_in // group, kernel, kernel), "b": weights(c_out), **LIMITS}
    m = model([conv, *activate(kind, "c")], [2, c_in, size, size], constants)
    compare(m, weights(2, c_in, size, size) * 5, {"tile": 0, "conv": 1})


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize(("rows", "k", "n"), [(1, 30, 100), (7, 64, 31), (200, 33, 48)])
def test_matmul(kind: str, rows: int, k: int, n: int) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["before bias"], name="mm"),
        helper.make_node("Add", ["before bias", "b"], ["c"], name="bias"),
        *activate(kind, "c"),
    ]
    m = model(nodes, [3, rows, k], {"w": weights(k, n), "b": weights(n), **LIMITS})
    compare(m, weights(3, rows, k) * 5, {"tile": 0, "matmul": 1})


@pytest.mark.parametrize(("op", "n_tiles"), [("Tanh", 1), ("Relu", 0)])
def test_few_results(op: str, n_tiles: int) -> None:
    """Only what kernels do in registers is worth an epilogue where all of a result is one block."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node(op, ["a"], ["y"])]
    m = model(nodes, [1, 30], {"w": weights(30, 64)})
    compare(m, weights(1, 30), {"matmul": 1, "tile": n_tiles})


def test_residual_goes_to_the_later_of_two() -> None:
    """x's two convolutions are added and limited: one of them does it."""
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], pads=[1] * 4),
        helper.make_node("Conv", ["x", "w2"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["y"]),
    ]
    m = model(nodes, [1, 16, 9, 9], {"w1": weights(36, 16, 3, 3), "w2": weights(36, 16, 1, 1)})
    compare(m, weights(1, 16, 9, 9) * 5, {"tile": 0, "conv": 2})


def test_a_result_that_others_read_stays() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("GlobalMaxPool", ["a"], ["p"]),
        helper.make_node("Mul", ["r", "p"], ["y"]),
    ]
    m = model(nodes, [1, 16, 9, 9], {"w": weights(24, 16, 1, 1)})
    compare(m, weights(1, 16, 9, 9), {"conv": 1, "tile": 1})


def test_broadcast_operand() -> None:
    """A factor of another shape than the result is read by the program."""
    nodes = [
        helper.make_node("ReduceMax", ["x", "axes"], ["p"]),
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Mul", ["a", "p"], ["y"]),
    ]
    m = model(nodes, [2, 31, 24], {"w": weights(24, 24), "axes": np.array([1])})
    compare(m, weights(2, 31, 24), {"matmul": 1, "tile": 0})


def test_nan_and_infinity_pass_limits() -> None:
    m = model(
        [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Clip", ["m", "low", "high"], ["y"])],
        [3, 2],
        {"w": np.eye(2, 40, dtype=np.float32), **LIMITS},
    )  # fmt: skip
    x = np.array([[np.nan, 1], [-np.inf, 2], [np.inf, -3]], np.float32)
    with np.errstate(invalid="ignore"):
        want = np.clip(x @ np.eye(2, 40, dtype=np.float32), 0, 6)
    assert np.array_equal(whit.load(whit.convert(m))(x), want, equal_nan=True)


def test_without_fusion_there_is_none() -> None:
    m = model([helper.make_node("Conv", ["x", "w"], ["a"]), helper.make_node("Relu", ["a"], ["y"])], [1, 4, 3, 3], {"w": weights(4, 4, 1, 1)})  # fmt: skip
    ops = [n.op for _, n in read.read(whit.convert(m, fuse=False)).walk()]
    assert ops.count("tile") == 1


def read_again(p: TileProgram) -> int:
    """What was done to the first load does not touch the second."""
    p.op("max", p.load(0), p.imm(0.0))
    return p.load(0)


def gate_before_its_limits(p: TileProgram) -> int:
    y = p.load(0)
    gate = p.op("fma", y, p.imm(0.5), p.imm(1.0))
    p.op("clamp", gate, p.imm(0.0), p.imm(0.25))
    return p.op("mul", y, gate)


def leak_that_nothing_takes(p: TileProgram) -> int:
    y = p.load(0)
    p.op("mul", y, p.imm(0.5))
    return y


def leak_of_an_earlier_sum(p: TileProgram) -> int:
    y = p.load(0)
    half = p.op("mul", y, p.imm(0.5))
    return p.op("max", p.op("min", y, p.imm(-0.25)), half)


def leak_twice(p: TileProgram) -> int:
    y = p.load(0)
    once = p.op("max", y, p.op("mul", y, p.imm(0.5)))
    return p.op("max", once, p.op("mul", once, p.imm(0.25)))


def nothing_leaks(p: TileProgram) -> int:
    """Not a leak, for infinity times 0 is not a number."""
    y = p.load(0)
    return p.op("max", y, p.op("mul", y, p.imm(0.0)))


@pytest.mark.parametrize(
    ("write_program", "want"),
    [
        (read_again, lambda y: y),
        (gate_before_its_limits, lambda y: y * (y / 2 + 1)),
        (leak_that_nothing_takes, lambda y: y),
        (leak_of_an_earlier_sum, lambda y: np.maximum(np.minimum(y, -0.25), y / 2)),
        (leak_twice, lambda y: np.where(y < 0, y / 8, y)),
        (nothing_leaks, lambda y: np.maximum(y, y * 0)),
    ],
)
def test_programs_that_a_finish_cannot_say(
    write_program: Callable[[TileProgram], int], want: Callable[[Array], Array]
) -> None:
    """The exporter writes none of these, but a file may hold them."""
    m = model(
        [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Relu", ["a"], ["y"])],
        [2, 3],
        {"w": np.eye(3, dtype=np.float32)},
    )
    graph = read.read(whit.convert(m))
    (node,) = (n for _, n in graph.walk() if n.op == "matmul")
    node.tile = TileProgram("f32")
    node.tile.store(write_program(node.tile), 0, DType.F32)
    x = weights(2, 3)
    assert (x < 0).any()
    np.testing.assert_allclose(whit.load(write.write(graph))(x), want(x), rtol=1e-6)


@pytest.mark.parametrize("op", ["Identity", "Tanh", "Erf"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_a_product_of_one_element(op: str, shape: tuple[int, ...], beta: float) -> None:
    """Its program has no axis to go along, and divided by the length of one."""
    nodes = [
        helper.make_node("Gemm", ["a", "b", "c"], ["h"], alpha=0.5, beta=beta),
        helper.make_node(op, ["h"], ["y"]),
    ]
    feeds = {
        "a": np.full((1, 4), 0.5, np.float32),
        "b": np.full((4, 1), -0.25, np.float32),
        "c": np.full(shape, 0.125, np.float32),
    }
    infos = [helper.make_tensor_value_info(n, 1, a.shape) for n, a in feeds.items()]
    graph = helper.make_graph(nodes, "one", infos, [helper.make_tensor_value_info("y", 1, (1, 1))])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    h = -0.25 + 0.125 * beta
    want = {"Identity": h, "Tanh": np.tanh(h), "Erf": math.erf(h)}[op]
    program = whit.load(whit.convert(model))
    for _ in range(2):  # the second run finds the first one's memory
        np.testing.assert_allclose(program.run(feeds)["y"], [[want]], rtol=1e-6, atol=1e-7)
