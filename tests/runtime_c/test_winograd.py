"""Winograd's convolution, filters stored transformed (conv, panels = 2) or not (3), against NumPy in f64 and onnxruntime, on every shape of its borders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import runners
from onnx import TensorProto, helper, numpy_helper

import whit
from whit.errors import RunError, WhitError
from whit_exporter import read, write
from whit_exporter.ir import Graph, Node
from whit_exporter.passes import winograd

Array = np.ndarray[Any, Any]

BOUND = 1e-5
"""Largest error over the layer's largest result. Seen: 4e-6 on weights as networks have them, 7e-6 on the worst below."""


@pytest.fixture(autouse=True, params=[2, 3], ids=["stored", "plain"])
def panels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Winograd wherever it is possible, whether it pays or not."""
    kind: int = request.param
    monkeypatch.setattr(winograd, "saving", lambda *_, stored: float(stored == (kind == 2)))
    return kind


def model(
    x: tuple[int, ...], w: Array, b: Array | None = None, after: list[onnx.NodeProto] | None = None, **attrs: Any
) -> onnx.ModelProto:  # fmt: skip
    constants = {"w": w} if b is None else {"w": w, "b": b}
    nodes = [helper.make_node("Conv", ["x", *constants], ["c" if after else "y"], **attrs)]
    graph = helper.make_graph(
        [*nodes, *(after or [])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def converted(m: onnx.ModelProto) -> bytes:
    data: bytes = whit.convert(m, optimize="speed", check=True)
    assert [n.attrs["panels"] for n in convs(read.read(data))] in ([2], [3])
    return data


def convs(g: Graph) -> list[Node]:
    return [n for _, n in g.walk() if n.op == "conv"]


def exact(
    x: Array, w: Array, b: Array | None = None, pads: tuple[int, ...] = (1, 1, 1, 1)
) -> Array:
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    h, v = x.shape[2] - 2, x.shape[3] - 2
    y: Array = np.zeros((x.shape[0], w.shape[0], h, v))
    for i in range(3):
        for j in range(3):
            taps = w[:, :, i, j].astype(np.float64)
            y += np.einsum("nchw,mc->nmhw", x[:, :, i : i + h, j : j + v], taps, optimize=True)
    return y if b is None else y + b.astype(np.float64)[:, None, None]


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def error(got: Array, want: Array) -> float:
    assert got.shape == want.shape and got.dtype == np.float32
    return float(np.abs(got - want).max() / np.abs(want).max())


SHAPES: list[tuple[tuple[int, int, int, int], int, tuple[int, int, int, int]]] = [
    ((1, 16, 8, 8), 16, (1, 1, 1, 1)),
    ((1, 16, 4, 4), 32, (0, 0, 0, 0)),      # a result smaller than a tile
    ((1, 16, 3, 3), 1, (0, 0, 0, 0)),        # one pixel
    ((1, 31, 1, 1), 1, (1, 1, 1, 1)),
    ((2, 18, 7, 9), 5, (0, 2, 1, 0)),       # fewer channels out than a vector has
    ((3, 17, 5, 6), 33, (0, 1, 2, 2)),      # one more than a vector has; batch
    ((1, 24, 13, 11), 40, (2, 2, 2, 2)),
    ((1, 20, 31, 6), 7, (1, 0, 0, 1)),
    ((1, 28, 6, 50), 48, (7, 9, 8, 12)),     # tiles of nothing but padding
    ((2, 64, 30, 30), 64, (1, 1, 1, 1)),    # several blocks of tiles
    ((1, 300, 14, 14), 300, (1, 1, 1, 1)),  # few tiles: threads share the channels; k in blocks
    ((1, 40, 21, 21), 1000, (1, 1, 1, 1)),  # channels in parts
]  # fmt: skip


@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize(("x", "m", "pads"), SHAPES, ids=str)
def test_shapes(
    x: tuple[int, int, int, int], m: int, pads: tuple[int, int, int, int], bias: bool
) -> None:
    a, w = normal(*x), normal(m, x[1], 3, 3) / np.float32(3 * np.sqrt(x[1]))
    b = normal(m) if bias else None
    loaded = whit.load(converted(model(x, w, b, pads=pads)))
    one = loaded.run({"x": a})["y"]
    assert error(one, exact(a, w, b, pads)) <= BOUND
    for threads in (2, 3, 5):
        assert np.array_equal(loaded.run({"x": a}, threads=threads)["y"], one), threads


def test_automatic_padding() -> None:
    a, w = normal(1, 16, 9, 10), normal(16, 16, 3, 3)
    y = whit.load(converted(model(a.shape, w, auto_pad="SAME_LOWER")))(a)
    assert error(y, exact(a, w)) <= BOUND


Data = Callable[[np.random.Generator, int], tuple[Array, Array]]
SIZE, OUT = 20, 32


def scaled(rng: np.random.Generator, *shape: int) -> Array:
    return np.asarray(10 ** rng.uniform(-3, 3, shape))


DATA: dict[str, Data] = {
    "normal": lambda r, c: (r.standard_normal((1, c, SIZE, SIZE)), r.standard_normal((OUT, c, 3, 3))),
    "after relu": lambda r, c: (r.standard_normal((1, c, SIZE, SIZE)).clip(0), r.standard_normal((OUT, c, 3, 3))),
    "heavy tails": lambda r, c: (r.standard_t(2, (1, c, SIZE, SIZE)), r.standard_t(3, (OUT, c, 3, 3))),
    "all positive": lambda r, c: (r.random((1, c, SIZE, SIZE)), r.random((OUT, c, 3, 3))),
    "offset of 100, filters that sum to 0": lambda r, c: (
        100 + r.standard_normal((1, c, SIZE, SIZE)), np.diff(r.standard_normal((OUT, c, 3, 4)), axis=3)),
    "channels from 1e-3 to 1e3, and weights": lambda r, c: (
        r.standard_normal((1, c, SIZE, SIZE)) * scaled(r, 1, c, 1, 1), r.standard_normal((OUT, c, 3, 3)) * scaled(r, 1, c, 1, 1)),
    "filters from 1e-3 to 1e3": lambda r, c: (
        r.standard_normal((1, c, SIZE, SIZE)), r.standard_normal((OUT, c, 3, 3)) * scaled(r, OUT, 1, 1, 1)),
    "taps from 1e-3 to 1e3": lambda r, c: (
        r.standard_normal((1, c, SIZE, SIZE)), r.standard_normal((OUT, c, 3, 3)) * scaled(r, 1, 1, 3, 3)),
    "a pixel in a hundred 1000 times as large": lambda r, c: (
        r.standard_normal((1, c, SIZE, SIZE)) * np.where(r.random((1, c, SIZE, SIZE)) < 0.01, 1000, 1),
        r.standard_normal((OUT, c, 3, 3))),
    "laplace of a smooth image": lambda r, c: (
        r.standard_normal((1, c, SIZE, SIZE)).cumsum(2).cumsum(3),
        np.broadcast_to([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], (OUT, c, 3, 3))),
}  # fmt: skip


@pytest.mark.parametrize("channels", [16, 64, 256, 512])
@pytest.mark.parametrize("kind", DATA)
def test_error_bound(kind: str, channels: int) -> None:
    x, w = (a.astype(np.float32) for a in DATA[kind](np.random.default_rng(channels), channels))
    y = whit.load(converted(model(x.shape, w, pads=[1] * 4)))(x)
    assert error(y, exact(x, w)) <= BOUND


AFTER: dict[str, list[onnx.NodeProto]] = {
    "relu": [helper.make_node("Relu", ["c"], ["y"])],
    "add p": [helper.make_node("Add", ["c", "p"], ["y"])],
    "add p, relu": [helper.make_node("Add", ["c", "p"], ["s"]), helper.make_node("Relu", ["s"], ["y"])],
    "leaky relu": [helper.make_node("LeakyRelu", ["c"], ["y"], alpha=0.2)],
    "add p, leaky relu": [helper.make_node("Add", ["c", "p"], ["s"]), helper.make_node("LeakyRelu", ["s"], ["y"], alpha=0.2)],
    "silu": [helper.make_node("Sigmoid", ["c"], ["s"]), helper.make_node("Mul", ["c", "s"], ["y"])],
    "gelu, add p": [helper.make_node("Gelu", ["c"], ["s"]), helper.make_node("Add", ["s", "p"], ["y"])],
}  # fmt: skip


@pytest.mark.parametrize("shape", [(1, 16, 9, 9), (2, 21, 30, 29), (1, 250, 14, 13)], ids=str)
@pytest.mark.parametrize("kind", AFTER)
def test_epilogues(kind: str, shape: tuple[int, int, int, int]) -> None:
    x, c = normal(*shape), shape[1]
    m = model(
        shape, normal(c, c, 3, 3) / np.float32(3 * np.sqrt(c)), normal(c), AFTER[kind], pads=[1] * 4
    )
    m.graph.node[0].input[0] = "p"  # made inside the model, so that it is channels-last
    pool = helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[3, 3], pads=[1] * 4)
    m.graph.node.insert(0, pool)
    data = converted(m)
    assert convs(read.read(data))[0].tile is not None
    want = ort.InferenceSession(m.SerializeToString()).run(None, {"x": x})[0]
    for threads in (1, 2, 4):
        y = whit.load(data).run({"x": x}, threads=threads)["y"]
        np.testing.assert_allclose(y, want, rtol=1e-4, atol=2e-5)


def test_no_result(tmp_path: Path) -> None:
    """An empty batch, and no channels in."""
    data = converted(model(("n", 16, 8, 8), normal(16, 16, 3, 3)))  # type: ignore[arg-type]
    assert whit.load(data)(np.zeros((0, 16, 8, 8), np.float32)).shape == (0, 16, 6, 6)


# ---- files that lie -----------------------------------------------------------------------------------


def damaged(change: Callable[[Node], None], channels: int = 20) -> bytes:
    g = read.read(converted(model((1, 20, 8, 8), normal(24, 20, 3, 3), pads=[1] * 4)))
    g.entries[0].region.params[0].shape = (1, channels, 8, 8)
    change(convs(g)[0])
    return write.write(g)


def filters(shape: tuple[int, ...]) -> Callable[[Node], None]:
    def change(node: Node) -> None:
        w = node.inputs[1]
        assert w is not None and w.const is not None and w.const.shape != shape
        w.const, w.shape = np.zeros(shape, np.float32), shape

    return change


@pytest.mark.parametrize(
    "shape",
    [(35, 2, 20, 16), (36, 1, 20, 16), (36, 3, 20, 16), (36, 2, 19, 16), (36, 2, 20, 8), (36, 2, 320), (1, 2, 180, 16), (36, 2, 20, 16),
     (1, 1, 180, 16), (1, 2, 179, 16), (2, 180, 16), ()],
    ids=str,
)  # fmt: skip
def test_wrong_filters(shape: tuple[int, ...], panels: int) -> None:
    if shape == {2: (36, 2, 20, 16), 3: (1, 2, 180, 16)}[panels]:
        return  # Those of the other kind are wrong.
    with pytest.raises(RunError, match="panels of w do not fit x and channels"):
        whit.load(damaged(filters(shape)))(np.zeros((1, 20, 8, 8), np.float32))


@pytest.mark.parametrize(
    "attrs", [{"kernel": [3, 2]}, {"strides": [1, 2]}, {"dilations": [2, 1]}, {"group": 2}], ids=str
)
def test_wrong_window(attrs: dict[str, Any]) -> None:
    data = damaged(lambda node: node.attrs.update(attrs))
    with pytest.raises(RunError, match=r"panels = 2 and 3 take .* one group, 3 x 3"):
        whit.load(data)(np.zeros((1, 20, 8, 8), np.float32))


@pytest.mark.parametrize("channels", [-1, 0, 16, 33, 2**31 - 1])
def test_wrong_channels(channels: int) -> None:
    data = damaged(lambda node: node.attrs.update(channels=channels))
    with pytest.raises(WhitError, match=r"panels = 2 and 3|channels"):
        whit.load(data)(np.zeros((1, 20, 8, 8), np.float32))


def test_no_channels() -> None:
    """A result without an element, of filters without one."""

    def change(node: Node) -> None:
        w = node.inputs[1]
        assert w is not None and w.const is not None
        node.attrs.update(channels=0)
        w.const = np.ascontiguousarray(w.const[:, :0])
        w.shape = w.const.shape

    loaded = whit.load(damaged(change))
    for threads in (1, 2):
        y = loaded.run({"x": np.zeros((1, 20, 8, 8), np.float32)}, threads=threads)["y"]
        assert y.shape == (1, 0, 8, 8)


def test_few_channels() -> None:
    """The kernel's vectors need 16 channels."""

    def change(node: Node) -> None:
        w = node.inputs[1]
        assert w is not None and w.const is not None
        few = 15 * w.const.shape[2] // 20
        w.const = np.ascontiguousarray(w.const[:, :, :few])
        w.shape = w.const.shape

    with pytest.raises(RunError, match="C from 16 on"):
        whit.load(damaged(change, channels=15))(np.zeros((1, 15, 8, 8), np.float32))


def test_other_input() -> None:
    """Channels and rank that the filters are not for."""
    g = read.read(converted(model((1, 20, 8, 8), normal(24, 20, 3, 3))))
    for entry in g.entries:
        entry.region.params[0].shape = None
    data = write.write(g)
    for x in (normal(1, 21, 8, 8), normal(1, 20, 8), normal(1, 20, 8, 8, 8)):
        with pytest.raises(WhitError):
            whit.load(data)(x)


# ---- the same bits ------------------------------------------------------------------------------------


BITS = [SHAPES[k] for k in (0, 4, 5, 6, 9)]


def stored(folder: Path, k: int) -> tuple[Path, Path]:
    """A model and its input."""
    x, m, pads = BITS[k]
    path, inputs = folder / f"{k}.whit", folder / f"inputs-{k}"
    path.write_bytes(
        converted(model(x, normal(m, x[1], 3, 3), normal(m), AFTER["relu"], pads=pads))
    )
    runners.write_inputs(whit.load(path), {"x": normal(*x)}, inputs)
    return path, inputs


@pytest.mark.native
@pytest.mark.parametrize("k", range(len(BITS)))
def test_isas_of_this_machine(k: int, tmp_path: Path) -> None:
    native = runners.native()
    path, inputs = stored(tmp_path, k)
    scalar = runners.answer(native, path, inputs, "scalar")
    assert len(scalar) > 8
    for isa in runners.isas():
        assert runners.answer(native, path, inputs, isa) == scalar, isa


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.skipif(not runners.ARM64_CC or not runners.QEMU, reason=runners.NO_ARM64)
def test_arm64(tmp_path: Path) -> None:
    native, arm64 = runners.native(), runners.arm64()
    for k in range(len(BITS)):
        path, inputs = stored(tmp_path, k)
        want = runners.answer(native, path, inputs, "scalar")
        for isa in ("scalar", "neon"):
            assert runners.answer(arm64, path, inputs, isa) == want, isa
