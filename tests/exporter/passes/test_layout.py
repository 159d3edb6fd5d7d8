"""The layout pass: few transposes left, and the same values with and without it and from onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import whit
from whit._diff import _joins_to
from whit_exporter.convert import run_passes, to_graph
from whit_exporter.passes.axes import keeps_order
from whit_exporter.write import write

Array = np.ndarray[Any, Any]


class Net:
    """A small graph between convolutions."""

    def __init__(self, seed: int = 0, channels: int = 6) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.channels = channels
        self.inputs = [("x", (2, 3, 8, 6))]

    def const(self, array: Any) -> str:
        name = f"c{len(self.constants)}"
        a = np.asarray(array)
        a = a.astype(np.float32) if a.dtype == np.float64 else a
        self.constants.append(numpy_helper.from_array(a, name))
        return name

    def noise(self, *shape: int) -> str:
        return self.const(self.rng.standard_normal(shape) * 0.5)

    def op(self, op: str, *inputs: str, **attributes: Any) -> str:
        return self.ops(op, 1, *inputs, **attributes)[0]

    def ops(self, op: str, n: int, *inputs: str, **attributes: Any) -> list[str]:
        outputs = [f"v{len(self.nodes)}_{k}" for k in range(n)]
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), outputs, name, **attributes))
        return outputs

    def conv(self, x: str, c_in: int, c_out: int, k: int = 3, axes: int = 2) -> str:
        w, b = self.noise(c_out, c_in, *[k] * axes), self.noise(c_out)
        return self.op("Conv", x, w, b, kernel_shape=[k] * axes, pads=[k // 2] * 2 * axes)

    def start(self) -> str:
        return self.conv("x", 3, self.channels)

    def end(self, *results: str) -> onnx.ModelProto:
        inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in self.inputs]
        outputs = [helper.make_empty_tensor_value_info(r) for r in results]
        graph = helper.make_graph(self.nodes, "net", inputs, outputs, self.constants)
        opsets = [helper.make_opsetid("", 18)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        return onnx.shape_inference.infer_shapes(model)

    def feeds(self) -> dict[str, Array]:
        return {n: self.rng.standard_normal(s).astype(np.float32) for n, s in self.inputs}


def moving(graph: Any) -> int:
    """Transposes that move something in memory."""
    found = 0
    for _, node in graph.walk():
        if node.op == "transpose":
            x = node.inputs[0]
            found += not keeps_order(x.shape, node.attrs["perm"])
    return found


def run(model: onnx.ModelProto, feeds: dict[str, Array], layout: bool) -> tuple[list[Array], int]:
    graph = run_passes(to_graph(model), layout=layout, check=True)
    found = whit.load(write(graph)).run(feeds)
    return list(found.values()), moving(graph)


def check(net: Net, *results: str) -> int:
    """Compares the values; returns how many transposes are left."""
    model, feeds = net.end(*results), net.feeds()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    want = session.run(None, feeds)
    plain, _ = run(model, feeds, False)
    moved, n = run(model, feeds, True)
    for a, b, c in zip(want, plain, moved, strict=True):
        assert a.shape == b.shape == c.shape
        np.testing.assert_allclose(b, a, rtol=2e-4, atol=2e-5)
        np.testing.assert_allclose(c, a, rtol=2e-4, atol=2e-5)
    return n


Rule = Callable[[Net, str], str]


def relu(n: Net, x: str) -> str:
    return n.op("Relu", x)


def prelu(n: Net, x: str) -> str:
    return n.op("PRelu", x, n.noise(6, 1, 1))


def per_channel(n: Net, x: str) -> str:
    return n.op("Add", n.op("Mul", x, n.noise(1, 6, 1, 1)), n.noise(6, 1, 1))


def positions(n: Net, x: str) -> str:
    return n.op("Add", x, n.noise(8, 6))


def excite(n: Net, x: str) -> str:
    s = n.conv(n.op("GlobalAveragePool", x), 6, 4, 1)
    return n.op("Mul", x, n.op("HardSigmoid", n.conv(n.op("Relu", s), 4, 6, 1)))


def excite_dense(n: Net, x: str) -> str:
    s = n.op("Flatten", n.op("GlobalAveragePool", x))
    s = n.op("Gemm", s, n.noise(6, 6), n.noise(6))
    s = n.op("Reshape", n.op("Sigmoid", s), n.const(np.array([0, 6, 1, 1])))
    return n.op("Mul", x, s)


def mean_squeezed(n: Net, x: str) -> str:
    s = n.op("ReduceMean", x, n.const(np.array([2, 3])), keepdims=0)
    s = n.op("Unsqueeze", s, n.const(np.array([2, 3])))
    return n.op("Sub", x, s)


def concat(n: Net, x: str) -> str:
    y = n.op("Concat", x, n.op("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4), axis=1)
    return n.conv(y, 12, 6)


def split(n: Net, x: str) -> str:
    a, b = n.ops("Split", 2, x, n.const(np.array([2, 4])), axis=1)
    return n.op("Concat", n.op("Tanh", b), a, axis=-3)


def shuffle(n: Net, x: str) -> str:
    """Channels of groups change places."""
    y = n.op("Reshape", x, n.const(np.array([2, 2, 3, 8, 6])))
    y = n.op("Transpose", y, perm=[0, 2, 1, 3, 4])
    return n.op("Reshape", y, n.const(np.array([2, 6, 8, 6])))


def pad(n: Net, x: str) -> str:
    return n.op("Pad", x, n.const(np.array([0, 0, 1, 2, 0, 0, 0, 1])), mode="reflect")


def pad_axes(n: Net, x: str) -> str:
    return n.op("Pad", x, n.const(np.array([1, 1])), "", n.const(np.array([-1])))


def part(n: Net, x: str) -> str:
    return n.op("Slice", x, n.const(np.array([0, 0, 1])), n.const(np.array([2, 6, 7])))


def nearest(n: Net, x: str) -> str:
    return n.op("Resize", x, "", n.const(np.float32([1, 1, 2, 2])), mode="nearest")


def linear(n: Net, x: str) -> str:
    return n.op("Resize", x, "", n.const(np.float32([1, 1, 2, 1.5])), mode="linear")


def softmax(n: Net, x: str) -> str:
    return n.op("Softmax", x, axis=1)


def instance_norm(n: Net, x: str) -> str:
    return n.op("InstanceNormalization", x, n.noise(6), n.noise(6))


def group_norm(n: Net, x: str, groups: int = 1) -> str:
    y = n.op("Reshape", x, n.const(np.array([0, groups, -1])))
    y = n.op("InstanceNormalization", y, n.noise(groups), n.noise(groups))
    y = n.op("Reshape", y, n.op("Shape", x))
    return n.op("Add", n.op("Mul", y, n.noise(6, 1, 1)), n.noise(6, 1, 1))


def group_norm_3(n: Net, x: str) -> str:
    return group_norm(n, x, 3)


def expand(n: Net, x: str) -> str:
    s = n.op("ReduceMax", x, n.const(np.array([2, 3])))
    return n.op("Sub", x, n.op("Expand", s, n.const(np.array([2, 6, 8, 6]))))


def where(n: Net, x: str) -> str:
    return n.op("Where", n.op("Greater", x, n.const(np.float32(0))), x, n.noise(6, 1, 1))


def cumulative(n: Net, x: str) -> str:
    return n.op("CumSum", x, n.const(np.int64(1)))


def top(n: Net, x: str) -> str:
    values, _ = n.ops("TopK", 2, x, n.const(np.array([6])), axis=1)
    return values


def flat_and_back(n: Net, x: str) -> str:
    y = n.op("Reshape", x, n.const(np.array([0, 0, -1])))
    return n.op("Reshape", n.op("Abs", y), n.const(np.array([2, 6, 8, 6])))


def one_by_one(n: Net, x: str) -> str:
    """Positions in another order, a 1x1 convolution, and back."""
    y = n.conv(n.op("Transpose", x, perm=[0, 1, 3, 2]), 6, 6, 1)
    return n.op("Transpose", y, perm=[0, 1, 3, 2])


def attention_map(n: Net, x: str) -> str:
    """Tokens: [N, HW, C] times a matrix, and back."""
    y = n.op("Reshape", x, n.const(np.array([0, 6, -1])))
    y = n.op("MatMul", n.op("Transpose", y, perm=[0, 2, 1]), n.noise(6, 6))
    return n.op("Reshape", n.op("Transpose", y, perm=[0, 2, 1]), n.const(np.array([2, 6, 8, 6])))


def pixel_shuffle(n: Net, x: str) -> str:
    y = n.op("DepthToSpace", n.conv(x, 6, 24), blocksize=2, mode="CRD")
    return n.op("SpaceToDepth", n.op("Relu", y), blocksize=2)


def small_other(n: Net, x: str) -> str:
    """The other operand comes from an input, in the source's order, and is much smaller."""
    n.inputs.append(("mask", (1, 6, 8, 1)))
    return n.op("Mul", x, "mask")


RULES = [
    (relu, 2), (prelu, 2), (per_channel, 2), (positions, 2), (excite, 2), (excite_dense, 2), (mean_squeezed, 2),
    (concat, 2), (split, 2), (shuffle, 3), (pad, 2), (pad_axes, 2), (part, 2), (nearest, 2), (linear, 2), (softmax, 2),
    (instance_norm, 2), (group_norm, 2), (group_norm_3, 2), (expand, 2), (where, 2), (cumulative, 2), (top, 2),
    (flat_and_back, 2), (one_by_one, 2), (attention_map, 2), (pixel_shuffle, 4), (small_other, 3),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "left"), RULES, ids=lambda r: getattr(r, "__name__", r))
def test_between_convolutions(rule: Rule, left: int) -> None:
    """Only the transposes at the borders are left (and those that the operator itself means)."""
    net = Net()
    y = rule(net, net.op("Relu", net.start()))
    c_in = 24 if rule is pixel_shuffle else 6
    assert check(net, net.conv(y, c_in, 5)) == left


def test_flattened_rows() -> None:
    """A matrix takes flattened channels and positions in any order."""
    net = Net()
    y = net.op("Flatten", net.op("Relu", net.start()))
    assert check(net, net.op("Gemm", y, net.noise(6 * 48, 10), net.noise(10))) == 1


def test_arg_max() -> None:
    net = Net()
    x = net.start()
    assert check(net, net.op("ArgMax", x, axis=1, keepdims=0)) == 1


def test_taps_of_joined_axes() -> None:
    """A value whose axes are kept apart shows the same elements in the same order; `whit diff` joins them."""
    net = Net()
    x = net.op("Relu", net.start())
    y = net.op("Reshape", x, net.const(np.array([0, 3, -1])))
    y = net.op("Sub", y, net.op("ReduceMean", y, net.const(np.array([2]))))
    y = net.op("Div", y, net.op("ReduceMean", net.op("Abs", y), net.const(np.array([2]))))
    y = net.op("Mul", net.op("Reshape", y, net.op("Shape", x)), net.noise(6, 1, 1))
    names = [n.output[0] for n in net.nodes if n.op_type in ("Reshape", "Div", "Mul")]
    model, feeds = net.end(net.conv(y, 6, 4)), net.feeds()
    found = whit.load(whit.convert(model)).run(feeds, tap=names)
    for name in names:
        model.graph.output.append(helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for name, want in zip(names, session.run(names, feeds), strict=True):
        assert _joins_to(found[name].shape, want.shape)
        np.testing.assert_allclose(found[name].reshape(want.shape), want, rtol=2e-4, atol=2e-5)


def test_joined_axis_that_is_read() -> None:
    """Who asks for the elements in order gets them."""
    net = Net()
    y = net.op("Reshape", net.start(), net.const(np.array([0, 1, -1])))
    y = net.op("Sub", y, net.op("ReduceMean", y, net.const(np.array([2]))))
    y = net.op("Slice", y, *(net.const(np.array([k])) for k in (5, 70, 2)))
    assert check(net, y) == 2


def test_pixels_at_the_border() -> None:
    """One copy puts them where they go."""
    net = Net(channels=12)
    assert check(net, net.op("DepthToSpace", net.start(), blocksize=2, mode="CRD")) == 2


def test_branches() -> None:
    """What both branches transpose is transposed behind them."""
    net = Net()
    x = net.start()
    branches = []
    for k in range(2):
        inner = Net(k + 1)
        inner.nodes = [helper.make_node("Identity", [x], [f"same{k}"])]
        y = inner.op("Relu" if k else "Abs", inner.conv(x, 6, 6))
        for node in inner.nodes:
            for names in (node.input, node.output):
                names[:] = [v if v == x else f"b{k}_{v}" for v in names]
        for c in inner.constants:
            c.name = f"b{k}_{c.name}"
        out = helper.make_tensor_value_info(f"b{k}_{y}", TensorProto.FLOAT, None)
        branches.append(helper.make_graph(inner.nodes, f"b{k}", [], [out], inner.constants))
    large = net.op("Greater", net.op("ReduceMax", x, keepdims=0), net.const(np.float32(0)))
    y = net.op("If", large, then_branch=branches[0], else_branch=branches[1])
    assert check(net, net.conv(y, 6, 4)) == 2


def test_batch_of_any_size() -> None:
    net = Net()
    y = group_norm(net, net.op("Relu", net.start()))
    model = net.end(net.conv(y, 6, 4))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    del model.graph.value_info[:]
    graph = run_passes(to_graph(model), check=True)
    assert moving(graph) == 2
    feeds = net.feeds()
    want, _ = run(net.end(net.nodes[-1].output[0]), feeds, False)
    found = list(whit.load(write(graph)).run(feeds).values())
    np.testing.assert_allclose(found[0], want[0], rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs(seed: int) -> None:
    """Chains of anything, joined now and then."""
    net = Net(seed)
    keep = [
        r
        for r, _ in RULES
        if r not in (nearest, linear, pad, pad_axes, part, pixel_shuffle, small_other)
    ]
    values = [net.start()]
    for _ in range(int(net.rng.integers(3, 9))):
        x = values[net.rng.integers(len(values))]
        match net.rng.integers(6):
            case 0:
                y = net.conv(x, 6, 6, int(net.rng.choice([1, 3])))
            case 1:
                y = net.op("Add", x, values[net.rng.integers(len(values))])
            case 2:
                y = net.op("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4)
            case _:
                y = keep[net.rng.integers(len(keep))](net, x)
        values.append(net.op("Clip", y, net.const(np.float32(-3)), net.const(np.float32(3))))
    check(net, *dict.fromkeys([values[-1], values[net.rng.integers(len(values))]]))
