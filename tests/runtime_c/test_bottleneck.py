"""Convolutions done line by line together (bottleneck) beside the same apart (conv): the same bits on every machine, and no file that
is damaged gets past the shape function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import runners
from onnx import TensorProto, helper, numpy_helper

import whit
from whit.errors import WhitError
from whit_exporter import read, write
from whit_exporter.dtypes import from_numpy
from whit_exporter.ir import Node, Value
from whit_exporter.passes import bottleneck

Array = np.ndarray[Any, Any]
HUGE = 2**31 - 1


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is possible, whether it pays or not."""
    monkeypatch.setattr(bottleneck, "BETWEEN", 0)
    monkeypatch.setattr(bottleneck, "WEIGHTS", 1 << 30)


def model(size: tuple[int, int], channels: int, between: int, *, stride: int = 1, kernel: int = 3, batch: int = 1,
          joins: bool = False) -> onnx.ModelProto:  # fmt: skip
    """A convolution, a block that adds its result, one without an expansion, perhaps beside what went before it."""
    rng = np.random.default_rng(between)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def constant(name: str, a: Any) -> str:
        weights.append(numpy_helper.from_array(np.asarray(a, np.float32), name))
        return name

    def node(op: str, *inputs: str, **attrs: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [f"v{len(nodes)}"], **attrs))
        return str(nodes[-1].output[0])

    def conv(x: str, n: int, m: int, k: int = 1, group: int = 1, s: int = 1) -> str:
        name = f"{len(nodes)}"
        w = rng.standard_normal((m, n // group, k, k)) / (k * (n // group) ** 0.5)
        w_name, b = constant("w" + name, w), constant("b" + name, rng.standard_normal(m))
        attrs = {"group": group, "strides": [s, s], "pads": [k // 2] * 4}
        return node("Conv", x, w_name, b, **attrs)

    low, high = constant("low", 0), constant("high", 6)
    start = h = conv("x", channels, channels, 3)
    h = node("Clip", conv(h, channels, between), low, high)
    h = node("HardSwish", conv(h, between, between, kernel, between))
    start = node("Add", conv(h, between, channels), start)
    h = node("Clip", conv(start, channels, channels, kernel, channels, stride), low, high)
    h = node("LeakyRelu", conv(h, channels, 20), alpha=0.125)
    if joins:
        h = node("Concat", h, conv(conv(start, channels, channels, 3, channels), channels, 3), axis=1)  # fmt: skip
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, channels, *size])
    y = helper.make_tensor_value_info(h, TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


CASES: dict[str, dict[str, Any]] = {
    "small": {"size": (8, 9), "channels": 16, "between": 33},
    "few": {"size": (11, 12), "channels": 3, "between": 5, "batch": 2},
    "strips": {"size": (42, 42), "channels": 24, "between": 144, "stride": 2},
    "lines": {"size": (9, 130), "channels": 12, "between": 400, "kernel": 5},
    "joined": {"size": (19, 21), "channels": 18, "between": 70, "joins": True, "batch": 3},
}
EACH = pytest.mark.parametrize("case", CASES)


def stored(case: str, folder: Path) -> tuple[Path, Path, Path]:
    """The model together and apart, and its input."""
    source = model(**CASES[case])
    together, apart, inputs = folder / f"{case}.whit", folder / f"{case}-apart.whit", folder / case
    whit.convert(source, together, optimize="speed", check=True)
    with pytest.MonkeyPatch.context() as m:
        m.setattr(bottleneck, "BETWEEN", 1 << 60)
        whit.convert(source, apart, optimize="speed")
    found = [n.op for _, n in read.read(together.read_bytes()).walk()].count("bottleneck")
    assert found == 2 + CASES[case].get("joins", 0)
    shape = [d.dim_value for d in source.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    runners.write_inputs(whit.load(together), {"x": x}, inputs)
    return together, apart, inputs


@pytest.mark.native
@EACH
def test_isas_and_threads(case: str, tmp_path: Path) -> None:
    together, apart, inputs = stored(case, tmp_path)
    want = runners.answer(runners.native(), apart, inputs, "scalar")
    assert len(want) > 8
    for command in (runners.native(), runners.small()):
        for isa in ("scalar", *runners.isas()):
            for threads in (1, 2, 5):
                got = runners.answer(command, together, inputs, isa, threads=threads)
                assert got == want, (command, isa, threads)


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.skipif(not runners.ARM64_CC or not runners.QEMU, reason=runners.NO_ARM64)
@EACH
def test_arm64(case: str, tmp_path: Path) -> None:
    together, apart, inputs = stored(case, tmp_path)
    want = runners.answer(runners.native(), apart, inputs, "scalar")
    for isa in ("scalar", "neon"):
        assert runners.answer(runners.arm64(), together, inputs, isa) == want, isa


def test_no_result() -> None:
    def empty(node: Node) -> None:
        node.attrs["pads"] = [0, 0, 0, 0]
        node.inputs[7] = None

    data = damaged(empty, shape=(2, 2, 9, 16))
    assert whit.load(data)(np.zeros((2, 2, 9, 16), np.float32)).size == 0


# ---- files that are wrong -----------------------------------------------------------------------------


def damaged(change: Callable[[Node], None], shape: tuple[int, ...] | None = None) -> bytes:
    """A single node, [1, 8, 9, 16] expanded to 33 channels and back, of which something is not as it was. shape: of its input."""
    g = read.read(whit.convert(model((8, 9), 16, 33), optimize="speed"))
    region = g.entries[0].region
    node = next(n for n in region.nodes if n.op == "bottleneck")
    x, add = node.inputs[0], node.inputs[7]
    assert x is not None and x is add
    x.producer, x.const, x.name = None, None, "x"
    node.outputs[0].shape = None
    x.shape = shape or x.shape
    region.params, region.nodes, region.results = [x], [node], node.outputs[:1]
    change(node)
    return write.write(g)


def constant(k: int, shape: tuple[int, ...], dtype: Any = np.float32) -> Callable[[Node], None]:
    def change(node: Node) -> None:
        node.inputs[k] = Value(dtype=from_numpy(np.dtype(dtype)), shape=shape, const=np.zeros(shape, dtype))  # fmt: skip

    return change


def attrs(**new: Any) -> Callable[[Node], None]:
    return lambda node: node.attrs.update(new)


def without(k: int) -> Callable[[Node], None]:
    def change(node: Node) -> None:
        node.inputs[k] = None

    return change


WRONG: dict[str, Callable[[Node], None]] = {
    "depth of three axes": constant(1, (3, 3, 33)),
    "depth of five axes": constant(1, (3, 3, 1, 33, 1)),
    "depth of groups": constant(1, (3, 3, 2, 33)),
    "other channels": constant(1, (3, 3, 1, 32)),
    "no channels": constant(1, (3, 3, 1, 0)),
    "other kernel": constant(1, (3, 5, 1, 33)),
    "empty kernel": constant(1, (0, 3, 1, 33)),
    "other type": constant(1, (3, 3, 1, 33), np.float64),
    "project of fewer rows": constant(2, (1, 1, 32, 16)),
    "project of three axes": constant(2, (1, 33, 16)),
    "project of another type": constant(2, (1, 1, 33, 16), np.float64),
    "long bias": constant(3, (34,)),
    "short bias": constant(4, (15,)),
    "square bias": constant(4, (16, 1)),
    "expand to fewer": constant(5, (1, 2, 16, 16)),
    "expand from more": constant(5, (1, 3, 17, 16)),
    "short expand bias": constant(6, (16,)),
    "no expansion": without(5),
    "add of another shape": constant(7, (1, 8, 9, 17)),
    "add of one line": constant(7, (1, 1, 9, 16)),
    "channels 0": attrs(channels=0),
    "channels -1": attrs(channels=-1),
    "more channels": attrs(channels=17),
    "most channels": attrs(channels=HUGE),
    "strides 0": attrs(strides=[0, 1]),
    "strides -1": attrs(strides=[1, -1]),
    "a stride": attrs(strides=[1]),
    "pads -1": attrs(pads=[1, 1, -1, 1]),
    "large pads": attrs(pads=[HUGE, 0, HUGE, 0]),
    "many lines": attrs(pads=[1 << 28, 1, 1, 1]),
    "most lines": attrs(pads=[HUGE - 16, 0, 0, 0], strides=[1, 40], channels=1),
    "no window": attrs(pads=[0, 0, 0, 0], dilations=[40, 40]),
    "dilations 0": attrs(dilations=[1, 0]),
    "large dilations": attrs(dilations=[HUGE, 1], pads=[HUGE, 1, 1, 1]),
    "a long finish": attrs(depth_finish=[0.0] * 6),
    "a gate that adds": attrs(project_finish=[0.0] * 5),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name: str) -> None:
    x = np.zeros((1, 8, 9, 16), np.float32)
    with pytest.raises(WhitError, match=r"bottleneck|kernel|window|add"):
        whit.load(damaged(WRONG[name]))(x)


def test_odd_but_right() -> None:
    """What no exporter writes, and what conv would do: far padding, wide steps, windows that see nothing."""
    x = np.random.default_rng(1).standard_normal((1, 8, 9, 16)).astype(np.float32)
    for given in (
        {"pads": [9, 2, 30, 5], "strides": [1, 1]}, {"pads": [40, 0, 0, 40], "strides": [7, 5]},
        {"dilations": [3, 4], "pads": [20, 20, 20, 20]}, {"strides": [5, 6], "pads": [0, 0, 0, 0]},
    ):  # fmt: skip

        def change(node: Node, given: dict[str, Any] = given) -> None:
            node.attrs.update(given)
            node.inputs[7] = None

        y = whit.load(damaged(change))(x)
        assert np.isfinite(y).all() and y.size


def test_other_input() -> None:
    """Channels and rank that the weights are not for."""

    def change(node: Node) -> None:
        assert node.inputs[0] is not None
        node.inputs[0].shape = None

    loaded = whit.load(damaged(change))
    for shape in ((1, 8, 9, 17), (1, 8, 9), (1, 8, 9, 16, 1), (16,)):
        with pytest.raises(WhitError):
            loaded(np.zeros(shape, np.float32))
    assert loaded(np.zeros((1, 8, 9, 16), np.float32)).shape == (1, 8, 9, 16)
    assert loaded(np.zeros((0, 8, 9, 16), np.float32)).size == 0
