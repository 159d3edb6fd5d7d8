"""Pools, reductions and transposed convolutions against onnxruntime, with the same bits on every instruction set."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import whit
from whit import _native, _threads

Array = np.ndarray[Any, Any]

MASKS = {
    "scalar": 0,
    "avx2": _native.AVX2,
    "avx512": _native.AVX2 | _native.AVX512,
    "neon": _native.NEON,
}
ISAS = [m for m in MASKS.values() if not m & ~_native.cpu_detected()]


def model(op: str, arrays: list[Array], **attributes: Any) -> onnx.ModelProto:
    names = [f"i{k}" for k in range(len(arrays))]
    node = helper.make_node(op, names, ["y"], **attributes)
    infos = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape)
        for n, a in zip(names, arrays, strict=True)
    ]
    graph = helper.make_graph([node], "one", infos, [helper.make_empty_tensor_value_info("y")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def check(monkeypatch: pytest.MonkeyPatch, op: str, *arrays: Array, **attributes: Any) -> None:
    proto = model(op, list(arrays), **attributes)
    feeds = {f"i{k}": a for k, a in enumerate(arrays)}
    want = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, feeds)[0]
    file, found = whit.convert(proto), []
    for mask in ISAS:
        monkeypatch.setattr(_threads, "cpu_features", lambda mask=mask: mask)
        for threads in (1, 2):
            found.append(whit.load(file).run(feeds, threads=threads)["y"])
    np.testing.assert_allclose(found[0], want, rtol=2e-5, atol=2e-5)
    for other in found[1:]:
        assert other.tobytes() == found[0].tobytes()


POOLS = [
    {"kernel_shape": [2, 2], "strides": [2, 2]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2]},
    {"kernel_shape": [1, 4], "strides": [3, 1], "pads": [0, 3, 0, 0]},
    {"kernel_shape": [7, 6], "strides": [1, 3], "pads": [3, 2, 3, 3]},
]


@pytest.mark.native
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("channels", [1, 3, 4, 16, 19, 33, 64, 130])
@pytest.mark.parametrize("attributes", POOLS, ids=lambda a: "_".join(str(v) for v in a.values()))
def test_pool(
    monkeypatch: pytest.MonkeyPatch, op: str, channels: int, attributes: dict[str, Any]
) -> None:
    x = np.random.default_rng(channels).standard_normal((2, channels, 9, 11)).astype(np.float32)
    check(monkeypatch, op, x, **attributes)


@pytest.mark.native
def test_max_pool_of_special_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN wins, infinities and zeros of both signs are the same bits everywhere."""
    rng = np.random.default_rng(0)
    x = rng.choice(np.float32([0.0, -0.0, 1, -1, np.inf, -np.inf]), (1, 37, 8, 8))
    check(monkeypatch, "MaxPool", x, kernel_shape=[3, 3], strides=[2, 1])
    x[0, 5, 3, 3] = np.nan
    file = whit.convert(model("MaxPool", [x], kernel_shape=[3, 3]))
    nan = np.isnan(whit.load(file).run({"i0": x})["y"])
    assert nan[0, 5, 1:4, 1:4].all() and nan.sum() == 9


@pytest.mark.native
def test_dilated_pool_and_more_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1, 20, 12, 13)).astype(np.float32)
    check(monkeypatch, "MaxPool", x, kernel_shape=[3, 2], dilations=[2, 3], pads=[2, 1, 2, 1])
    line = rng.standard_normal((2, 5, 40)).astype(np.float32)
    check(monkeypatch, "AveragePool", line, kernel_shape=[4], strides=[3], pads=[1, 2])
    cube = rng.standard_normal((1, 6, 5, 6, 7)).astype(np.float32)
    check(
        monkeypatch,
        "MaxPool",
        cube,
        kernel_shape=[2, 3, 2],
        strides=[2, 1, 2],
        pads=[0, 1, 1, 0, 1, 0],
    )


@pytest.mark.native
@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean"])
@pytest.mark.parametrize("shape", [(1, 7, 9, 20), (3, 5, 1, 130), (2, 3, 4, 5), (4, 70, 3, 33)])
@pytest.mark.parametrize("axes", [(1, 2), (1,), (0, 2), (0, 1, 2), (2, 3), (3,)])
def test_reduce(
    monkeypatch: pytest.MonkeyPatch, op: str, shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    """Over outer axes, in between, and along rows."""
    x = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    proto = {"axes": list(axes)} if op != "ReduceSum" else {}
    if op == "ReduceSum":
        found = [whit.ops.reduce_sum(x, np.array(axes))]
        np.testing.assert_allclose(found[0], x.sum(axes, keepdims=True), rtol=2e-5, atol=2e-5)
        return
    check(monkeypatch, op, x, keepdims=1, **proto)


TRANSPOSED = [
    {"strides": [2, 2], "kernel": (2, 2)},
    {"strides": [3, 2], "kernel": (3, 2), "bias": False},
    {"strides": [2, 2], "kernel": (2, 2), "output_padding": [1, 1]},
    {"strides": [2, 2], "kernel": (4, 3), "pads": [1, 1, 1, 0]},
    {"strides": [1, 2], "kernel": (3, 3), "dilations": [1, 2]},
    {"strides": [2, 2], "kernel": (3, 3), "group": 2},
]


@pytest.mark.native
@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
@pytest.mark.parametrize("channels", [(4, 2), (12, 18), (32, 16)])
def test_conv_transpose(
    monkeypatch: pytest.MonkeyPatch, case: dict[str, Any], channels: tuple[int, int]
) -> None:
    rng = np.random.default_rng(3)
    case = dict(case)
    kernel, bias = case.pop("kernel"), case.pop("bias", True)
    x = rng.standard_normal((2, channels[0], 5, 30)).astype(np.float32)
    w = rng.standard_normal((*channels, *kernel)).astype(np.float32) * np.float32(0.2)
    b = rng.standard_normal(channels[1] * case.get("group", 1)).astype(np.float32)
    check(monkeypatch, "ConvTranspose", x, w, *([b] if bias else []), **case)
