"""The transforms are Winograd's, their points well chosen, and the choice of layers does what `optimize` says."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import whit
from whit_exporter import read, text
from whit_exporter.ir import Graph, Node
from whit_exporter.passes import winograd
from whit_exporter.passes.panels import from_panels

Array = np.ndarray[Any, Any]


def transforms(points: tuple[float, ...]) -> tuple[Array, Array, Array]:
    """A^T, B^T and G of F(4, 3) at five points and infinity, from the definition: evaluate, multiply, interpolate."""
    at = np.array([[p**i for p in points] + [float(i == 3)] for i in range(4)])
    bt = np.zeros((6, 6))
    g = np.zeros((6, 3))
    for k, p in enumerate(points):
        others = [q for q in points if q != p]
        bt[k, :5] = np.poly(others)[::-1]
        g[k] = [p**i / np.prod([p - q for q in others]) for i in range(3)]
    bt[5], g[5] = np.poly(points)[::-1], [0, 0, 1]
    return at, bt, g


def test_transforms_are_a_convolution() -> None:
    at, bt, g = transforms(winograd.POINTS)
    np.testing.assert_allclose(winograd.filter_transform(), g, rtol=1e-15)
    rng = np.random.default_rng(0)
    d, w = rng.standard_normal((6, 6)), rng.standard_normal((3, 3))
    want = [[(d[i : i + 3, j : j + 3] * w).sum() for j in range(4)] for i in range(4)]
    y = at @ ((g @ w @ g.T) * (bt @ d @ bt.T)) @ at.T
    np.testing.assert_allclose(y, want, rtol=1e-12, atol=1e-12)


def test_filters_are_rounded_once() -> None:
    w = np.random.default_rng(1).standard_normal((3, 3, 5, 20)).astype(np.float32)
    u = winograd.transform_filters(w)
    assert u.shape == (36, 2, 5, 16) and u.dtype == np.float32
    assert not u[:, 1, :, 4:].any()
    g = winograd.filter_transform()
    for p in range(36):
        want = np.einsum("k,klcm,l->cm", g[p // 6], w.astype(np.float64), g[p % 6])
        np.testing.assert_allclose(from_panels(u[p], 20), want, rtol=1e-7, atol=1e-9)


def test_the_runtimes_numbers_are_exact() -> None:
    _, a, _, b, _ = winograd.POINTS
    for x in (a, b, a * a, b * b, a**3, b**3, a * a + b * b, a * a * b * b):
        assert float(np.float32(x)) == x


def noise(points: tuple[float, ...]) -> float:
    """Mean error of a layer computed in f32, over its largest result."""
    at, bt, g = transforms(points)
    rng = np.random.default_rng(2)
    d, w = rng.standard_normal((64, 64, 6, 6)), rng.standard_normal((64, 3, 3))
    f = np.float32
    v = bt.astype(f) @ d.astype(f) @ bt.T.astype(f)
    m = (v * (g @ w @ g.T).astype(f)).sum(1)
    d, w = d.astype(f).astype(np.float64), w.astype(np.float64)
    want = sum(d[:, :, i : i + 4, j : j + 4] * w[:, i, j, None, None] for i in range(3) for j in range(3)).sum(1)  # fmt: skip
    return float(np.abs(at.astype(f) @ m @ at.T.astype(f) - want).mean() / np.abs(want).max())


def test_points_make_half_the_error_of_the_usual_ones() -> None:
    assert noise(winograd.POINTS) < 0.6 * noise((0.0, 1.0, -1.0, 2.0, -2.0))


# ---- which layers -------------------------------------------------------------------------------------

Layer = tuple[int, int, int]
"""Channels in, channels out, pixels of a side."""


def model(layers: list[Layer], *, size: int | str | None = None, shared: bool = False, **attrs: Any) -> onnx.ModelProto:  # fmt: skip
    """Convolutions beside each other, each of an input of its own."""
    nodes, inputs, outputs, weights = [], [], [], []
    attrs = {"pads": [1] * 4, **attrs}
    for k, (c, m, side) in enumerate(layers):
        rng = np.random.default_rng(k)
        name = "w0" if shared else f"w{k}"
        if name not in [t.name for t in weights]:
            w = rng.standard_normal((m, c // attrs.get("group", 1), 3, 3)).astype(np.float32)
            weights.append(numpy_helper.from_array(w, name))
        nodes.append(helper.make_node("Conv", [f"x{k}", name], [f"y{k}"], f"conv{k}", **attrs))
        dims = [1, c, size or side, size or side]
        inputs.append(helper.make_tensor_value_info(f"x{k}", TensorProto.FLOAT, dims))
        outputs.append(helper.make_tensor_value_info(f"y{k}", TensorProto.FLOAT, None))
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def chosen(m: onnx.ModelProto, optimize: str, panels: int = 2) -> list[int]:
    """Which of the convolutions have filters stored so: 2 transformed, 3 to be transformed."""
    data = whit.convert(m, optimize=optimize, check=True)
    nodes: list[Node] = [n for _, n in read.read(data).walk() if n.op == "conv"]
    assert all(n.attrs["panels"] in (1, 2, 3) for n in nodes)
    return sorted(int(n.name[4:]) for n in nodes if n.attrs["panels"] == panels)


RESNET: list[Layer] = [(64, 64, 56), (128, 128, 28), (256, 256, 14), (512, 512, 7)]


def test_resnet() -> None:
    m = model(RESNET)
    assert (chosen(m, "memory"), chosen(m, "memory", 3)) == ([], [])  # Values are small there.
    assert (chosen(m, "balanced"), chosen(m, "balanced", 3)) == ([0], [])
    assert (chosen(m, "speed"), chosen(m, "speed", 3)) == ([0, 1, 2], [])


def test_default_is_balanced_and_grows_by_a_tenth_at_most() -> None:
    m = model([(64, 64, 56)] * 4 + [(128, 128, 28)] * 4 + [(256, 256, 14)] * 4)
    sizes = {o: len(whit.convert(m, optimize=o)) for o in ("memory", "balanced", "speed")}
    assert len(whit.convert(m)) == sizes["balanced"]
    assert sizes["memory"] < sizes["balanced"] < 1.1 * sizes["memory"] < sizes["speed"]


def test_filters_for_large_pictures_need_no_bytes() -> None:
    m = model([(64, 64, 224), (64, 64, 112), (64, 64, 28)])
    for way in ("memory", "balanced"):
        assert (chosen(m, way), chosen(m, way, 3)) == ([], [0, 1, 2])
    assert chosen(m, "speed") == [0, 1, 2]


def test_stored_where_that_gains_most_a_byte() -> None:
    """Filters of 16 -> 32 channels take a thirtieth of the bytes of all: there is room for these."""
    m = model([(64, 64, 224)] * 4 + [(16, 32, 32)])
    assert (chosen(m, "balanced"), chosen(m, "balanced", 3)) == ([4], [0, 1, 2, 3])


@pytest.mark.parametrize("layer", [(3, 16, 224), (1, 64, 64), (16, 16, 8), (512, 512, 7)], ids=str)
def test_where_it_does_not_pay(layer: Layer) -> None:
    for panels in (2, 3):
        assert chosen(model([layer]), "speed", panels) == []


def test_the_arena_grows_by_a_twentieth_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large first layer, whose memory later ones find free, and one for which it is not enough."""
    nodes, weights, x = [], [], "x"
    for k, (c, m) in enumerate([(3, 64), (64, 64), (64, 64), (64, 192), (192, 192), (192, 192)]):
        w = np.random.default_rng(k).standard_normal((m, c, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(w, f"w{k}"))
        nodes.append(helper.make_node("Conv", [x, f"w{k}"], [f"y{k}"], f"conv{k}", pads=[1] * 4))
        x = f"y{k}"
        if k in (0, 3):
            nodes.append(helper.make_node("MaxPool", [x], [f"p{k}"], kernel_shape=[2, 2], strides=[2, 2]))  # fmt: skip
            x = f"p{k}"
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 112, 112])]
    outputs = [helper.make_tensor_value_info(x, TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    feeds = {"x": np.zeros((1, 3, 112, 112), np.float32)}

    def arena(optimize: str) -> int:
        data = whit.convert(m, optimize=optimize)
        return int(whit.load(data).instance(feeds)[0].arena.nbytes)

    assert chosen(m, "memory", 3) == [1, 2, 4, 5]
    ours = arena("memory")
    monkeypatch.setattr(winograd, "saving", lambda *_, stored: float(not stored))
    beyond = arena("speed")  # All of them.
    monkeypatch.setattr(winograd, "saving", lambda *_, stored: 0.0)
    plain = arena("memory")
    assert ours <= 1.05 * plain < beyond


def test_what_is_concatenated_is_in_memory_from_the_first_part_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And no part beside the whole."""
    m = model([(32, 32, 16)] * 3)
    m.graph.node[1].input[0] = m.graph.node[2].input[0] = "x0"
    m.graph.node.append(helper.make_node("Concat", ["y0", "y1", "y2"], ["y"], axis=1))
    del m.graph.output[:]
    m.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    found: list[dict[Node, int]] = []
    living = winograd._living

    def spy(g: Graph) -> dict[Node, int]:
        found.append(living(g))
        return found[-1]

    monkeypatch.setattr(winograd, "_living", spy)
    whit.convert(m)
    part = 32 * 16 * 16 * 4  # and so is the picture, channels last
    seen = {(n.op, n_bytes) for n, n_bytes in found[0].items() if n.op in ("conv", "concat")}
    assert seen == {("conv", 3 * part + part), ("concat", 3 * part)}


def test_unknown_sizes_are_images() -> None:
    layers = [(64, 64, 0), (256, 256, 0)]
    assert chosen(model(layers, size="side"), "speed") == [0, 1]


@pytest.mark.parametrize(
    "attrs", [{"strides": [2, 2]}, {"strides": [1, 2]}, {"dilations": [2, 2]}, {"group": 2}], ids=str
)  # fmt: skip
def test_what_it_cannot_do(attrs: dict[str, Any]) -> None:
    assert chosen(model([(64, 64, 56)], **attrs), "speed") == []


def test_filters_that_two_share_are_stored_once() -> None:
    m = model([(64, 64, 56), (64, 64, 28)], shared=True)
    assert chosen(m, "speed") == [0, 1]
    assert len(whit.convert(m, optimize="speed")) < 36 * 64 * 64 * 4 + 4096
    mixed = model([(64, 64, 56), (64, 64, 2)], shared=True)
    assert (
        chosen(mixed, "speed") == []
    )  # The second would be slower, and the first alone would store both.


def test_filters_that_are_transformed_each_time_are_stored_as_they_are() -> None:
    m = model([(64, 64, 224)] * 2, shared=True)
    assert chosen(m, "memory", 3) == [0, 1]
    assert len(whit.convert(m, optimize="memory")) < 9 * 64 * 64 * 4 + 4096


def test_filters_that_are_read_otherwise_stay() -> None:
    m = model([(64, 64, 56)])
    m.graph.node.append(helper.make_node("ReduceSum", ["w0"], ["y1"], keepdims=0))
    m.graph.node.append(helper.make_node("Mul", ["y0", "y1"], ["y2"]))
    m.graph.output.append(helper.make_tensor_value_info("y2", TensorProto.FLOAT, None))
    assert chosen(m, "speed") == [0]  # The sum is a constant by then.


def test_text_keeps_it() -> None:
    for optimize, panels in ("speed", 2), ("memory", 3):
        data = whit.convert(model([(64, 64, 224)]), optimize=optimize)
        dumped = text.dump(read.read(data))
        assert f"panels={panels}" in dumped
        assert text.dump(text.parse(dumped)) == dumped


def test_no_such_option() -> None:
    with pytest.raises(whit.ConvertError, match="optimize must be 'memory', 'balanced' or 'speed'"):
        whit.convert(model([(64, 64, 56)]), optimize="size")
