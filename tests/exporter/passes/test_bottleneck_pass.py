"""Depthwise convolutions and the 1x1 ones around them: which become one node, and that it changes no bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from patterns import Array, Net, numbers

import whit
from whit import _native, _threads
from whit.errors import WhitError
from whit_exporter import read, text, verify
from whit_exporter.convert import run_passes, to_graph
from whit_exporter.ir import Graph
from whit_exporter.passes import PIPELINE, bottleneck

ALL = {"BETWEEN": 0, "WEIGHTS": 1 << 30}
"""Where it is possible, whether it pays or not."""


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ALL.items():
        monkeypatch.setattr(bottleneck, name, value)


def conv(net: Net, x: str, n_in: int, n_out: int, kernel: int = 1, bias: bool = True, **attrs: Any) -> str:  # fmt: skip
    per = n_in // attrs.get("group", 1)
    w = numbers(n_out, per, kernel, kernel) / np.float32(kernel * per**0.5)
    return net.op("Conv", x, w, *([numbers(n_out)] if bias else []), **attrs)


def act(net: Net, x: str, kind: str) -> str:
    if kind == "relu6":
        return net.op("Clip", x, 0.0, 6.0)
    return net.op(kind, x) if kind else x


def block(
    size: tuple[int, int] = (9, 11), channels: int = 16, between: int = 40, out: int = 24, *, batch: int = 1,
    kernel: int = 3, expands: bool = True, adds: bool = False, acts: tuple[str, str, str] = ("relu6", "relu6", ""),
    bias: bool = True, free: str = "", **attrs: Any,
) -> tuple[onnx.ModelProto, dict[str, Array]]:  # fmt: skip
    """adds: what it begins with, which a convolution makes then."""
    attrs = {"pads": [kernel // 2] * 4, **attrs}
    net = Net(x=numbers(batch, channels, *size))
    start = h = conv(net, "x", channels, channels, 3, pads=[1] * 4) if adds else "x"
    if expands:
        h = act(net, conv(net, h, channels, between, bias=bias), acts[0])
    else:
        between = channels
    h = conv(net, h, between, between, kernel, bias, group=between, **attrs)
    h = conv(net, act(net, h, acts[1]), between, out, bias=bias)
    if adds:
        h = net.op("Add", h, start)
    return net.model(act(net, h, acts[2]), free=free), net.feeds


def operators(data: bytes) -> list[str]:
    return [n.op for _, n in read.read(data).walk() if n.op not in ("transpose", "reshape")]


def apart(model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The same without the pass."""
    with monkeypatch.context() as m:
        m.setattr(bottleneck, "BETWEEN", 1 << 60)
        data: bytes = whit.convert(model, optimize="speed")
    return data


def together(model: onnx.ModelProto) -> bytes:
    data: bytes = whit.convert(model, optimize="speed", check=True)
    return data


def runs(data: bytes, feeds: dict[str, Array], monkeypatch: pytest.MonkeyPatch) -> Iterator[Array]:
    """On every instruction set of this machine and several numbers of threads."""
    found = _native.cpu_detected()
    model = whit.load(data)
    for cpu in sorted({0, found & _native.AVX2, found}):
        monkeypatch.setattr(_threads, "cpu_features", lambda cpu=cpu: cpu)
        for threads in (1, 3):
            instance, arrays = model.instance(feeds, threads=threads)
            yield instance.run(arrays)[0].copy()


def check(
    model: onnx.ModelProto, feeds: dict[str, Array], monkeypatch: pytest.MonkeyPatch
) -> bytes:
    """The one node has the bits of the several, and is right. Returns its file."""
    data = together(model)
    expected = next(runs(apart(model, monkeypatch), feeds, monkeypatch))
    for got in runs(data, feeds, monkeypatch):
        assert got.tobytes() == expected.tobytes()
    want = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)[0]
    np.testing.assert_allclose(expected, want, rtol=1e-4, atol=1e-4)
    return data


# ---- the same bits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("expands", [True, False], ids=["expand", "plain"])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_windows(
    kernel: int, stride: int, expands: bool, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for n, (high, wide) in enumerate(((8, 9), (21, 33), (8, 33))):
        pads = [(n + k) % kernel for k in range(4)]
        model, feeds = block(
            (high, wide), 5 + 16 * n, 13 + 21 * n, 3 + 17 * n, batch=1 + n % 2, kernel=kernel, expands=expands,
            pads=pads, strides=[stride, stride], bias=n % 3 > 0,
        )  # fmt: skip
        found += operators(check(model, feeds, monkeypatch))
    assert found.count("bottleneck") >= 2  # one may be turned


@pytest.mark.parametrize("seed", range(24))
def test_random_shapes(seed: int, always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    kernel = int(rng.choice([1, 3, 5]))
    high, wide = (int(n) for n in rng.integers(kernel, 60, 2))
    channels, between, out = (int(n) for n in rng.integers(1, 90, 3))
    adds = bool(rng.integers(2))
    acts = rng.choice(["", "Relu", "relu6", "HardSwish", "LeakyRelu"], 3)
    if adds:
        out, acts[2] = channels, rng.choice(["", "Relu"])
    attrs = {} if adds else {
        "dilations": rng.integers(1, 3, 2).tolist(), "strides": rng.integers(1, 3, 2).tolist(), "pads": rng.integers(kernel, 2 * kernel, 4).tolist(),
    }  # fmt: skip
    model, feeds = block(
        (high, wide), channels, between, out, batch=int(rng.integers(1, 4)), kernel=kernel, adds=adds,
        expands=bool(rng.integers(2)), acts=tuple(acts), **attrs,
    )  # fmt: skip
    check(model, feeds, monkeypatch)


SHAPES: list[tuple[tuple[int, int], int, int, int]] = [
    ((40, 40), 24, 144, 24),  # several strips
    ((30, 70), 17, 300, 17),  # of a line each, channels in chunks
    ((3, 200), 8, 500, 8),
    ((64, 64), 3, 20, 3),
]


@pytest.mark.parametrize(("size", "channels", "between", "out"), SHAPES, ids=str)
@pytest.mark.parametrize("batch", [1, 3])
def test_strips_and_bands(
    size: tuple[int, int], channels: int, between: int, out: int, batch: int, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    for kernel, adds in ((3, True), (5, False)):
        model, feeds = block(size, channels, between, out, batch=batch, kernel=kernel, adds=adds)
        found = operators(check(model, feeds, monkeypatch))
        assert found == ["conv"] * adds + ["bottleneck"]


def test_not_a_number_and_infinity(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Padding beside them is zero times something, here as there."""
    model, feeds = block((12, 12), adds=True, out=16, acts=("", "relu6", ""))
    feeds["x"][0, 3, 0, 0], feeds["x"][0, 4, 11, 5], feeds["x"][0, 5, 6, 11] = np.nan, np.inf, -0.0
    data, other = together(model), apart(model, monkeypatch)
    assert operators(data) == ["conv", "bottleneck"]
    expected = next(runs(other, feeds, monkeypatch))
    assert np.isnan(expected).any() and not np.isnan(expected).all()
    for got in runs(data, feeds, monkeypatch):
        np.testing.assert_array_equal(got, expected)


# ---- which --------------------------------------------------------------------------------------------


def test_only_for_speed(always: None) -> None:
    model, _ = block()
    for optimize in ("memory", "balanced"):
        assert "bottleneck" not in operators(whit.convert(model, optimize=optimize))
    assert "bottleneck" not in operators(whit.convert(model, optimize="speed", fuse=False))
    assert operators(together(model)) == ["bottleneck"]


def mobilenet(layers: list[tuple[int, int, int, int]], side: int) -> onnx.ModelProto:
    """Blocks of (channels in, between, out, stride)."""
    net = Net(x=np.zeros((1, layers[0][0], side, side), np.float32))
    h = "x"
    for n_in, between, n_out, stride in layers:
        start = h
        h = act(net, conv(net, h, n_in, between), "relu6")
        h = conv(net, h, between, between, 3, group=between, strides=[stride] * 2, pads=[1] * 4)
        h = conv(net, act(net, h, "relu6"), between, n_out)
        if stride == 1 and n_in == n_out and start != "x":
            h = net.op("Add", h, start)
    return net.model(h)


def test_large_ones() -> None:
    """The first blocks of MobileNetV2, not those whose values between stay in the caches; nor where weights are many."""
    blocks = [(16, 96, 24, 2), (24, 144, 24, 1), (24, 144, 32, 2), (32, 192, 32, 1)]
    found = operators(together(mobilenet(blocks, 112)))
    assert found == [*["bottleneck"] * 3, "conv", "conv", "conv"]
    assert operators(together(mobilenet([(160, 960, 160, 1)], 14))) == ["conv"] * 3
    assert operators(together(mobilenet([(256, 1536, 256, 1)], 14))) == ["conv"] * 3


def test_the_larger_first(always: None) -> None:
    """A 1x1 convolution between two depthwise ones goes to where more bytes are saved."""
    net = Net(x=numbers(1, 8, 24, 24))
    h = conv(net, "x", 8, 8, 3, group=8, pads=[1] * 4)
    h = conv(net, h, 8, 64)
    h = conv(net, h, 64, 64, 3, group=64, pads=[1] * 4, strides=[2, 2])
    h = conv(net, h, 64, 16)
    graph = read.read(together(net.model(h)))
    nodes = [n for _, n in graph.walk() if n.op in ("conv", "bottleneck")]
    assert [n.op for n in nodes] == ["conv", "bottleneck"] and len(nodes[1].inputs) == 7


def refused(model: onnx.ModelProto, n_convs: int = 3) -> None:
    assert operators(together(model)).count("conv") == n_convs


def test_left_alone(always: None, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(block(free="x")[0])  # not known before the model runs
    refused(block((1, 1))[0])  # a product of one row
    refused(block(acts=("relu6", "Tanh", ""))[0])  # more than numbers
    refused(block(acts=("", "", "Softplus"))[0])
    assert operators(together(block(acts=("Tanh", "", ""))[0])) == ["conv", "bottleneck"]
    net = Net(x=numbers(1, 16, 8, 8))  # somebody else reads what is between
    h = conv(net, "x", 16, 16, 3, group=16, pads=[1] * 4)
    y = conv(net, h, 16, 8)
    refused(net.model(y, h), 2)
    net = Net(x=numbers(1, 16, 8, 8), row=numbers(1, 8, 1, 8))  # a sum with something smaller
    h = conv(net, conv(net, "x", 16, 16, 3, group=16, pads=[1] * 4), 16, 8)
    refused(net.model(net.op("Add", h, "row")), 2)
    net = Net(x=numbers(1, 16, 8, 8))  # not depthwise; 3x3 behind it
    refused(net.model(conv(net, conv(net, "x", 16, 32, 3, group=16, pads=[1] * 4), 32, 8)), 2)
    net = Net(x=numbers(1, 16, 8, 8))
    refused(net.model(conv(net, conv(net, "x", 16, 16, 3, group=16), 16, 8, 3)), 2)


@pytest.mark.parametrize("size", [(25, 5), (14, 13), (13, 14), (30, 8), (8, 30), (50, 7), (21, 21)])
@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_turned_ones(
    size: tuple[int, int], kernel: int, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where taps come along the first axis, the sums of the one node would have another order."""
    for stride, dilation in ((1, 1), (2, 1), (1, 2)):
        model, feeds = block(size, kernel=kernel, strides=[stride] * 2, dilations=[dilation] * 2)
        data = check(model, feeds, monkeypatch)
        if size[0] <= size[1]:
            assert operators(data) == ["bottleneck"]
    if kernel == 3 and size == (25, 5):
        refused(block(size)[0])


# ---- the file, and what looks at it -------------------------------------------------------------------


def test_text_and_shapes(always: None) -> None:
    model, _ = block((10, 12), adds=True, out=16, acts=("relu6", "HardSwish", ""))
    graph: Graph = run_passes(to_graph(model), optimize="speed", check=True)
    (node,) = [n for _, n in graph.walk() if n.op == "bottleneck"]
    assert node.outputs[0].shape == (1, 10, 12, 16)
    assert node.attrs["expand_finish"] == [0, 6] and len(node.attrs["depth_finish"]) == 5
    again = text.parse(text.dump(graph))
    verify.verify(again)
    assert text.dump(again) == text.dump(graph)
    assert "bottleneck" in dict(PIPELINE)


def test_what_is_between_cannot_be_tapped(always: None) -> None:
    model, feeds = block()
    loaded = whit.load(together(model))
    between = model.graph.node[2].output[0]
    with pytest.raises(WhitError, match=between):
        loaded.run(feeds, tap=[between])
