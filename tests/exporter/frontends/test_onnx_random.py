"""Random numbers, dropout that trains, non-maximum suppression, and bits read as another type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_node import Case, f32, ints, real
from test_onnx_oracle import check, parse

import whit


def model_of(text: str, opset: int = 22) -> whit.Model:
    return whit.load(whit.convert(parse(text, opset)))


UNIFORM = (
    "g () => (float[2000] y) { y = RandomUniform<shape = [2000], low = -1.0, high = 3.0%s>() }"
)


def test_uniform() -> None:
    model = model_of(UNIFORM % "")
    first, second = (model.run({})["y"] for _ in range(2))
    assert not np.array_equal(first, second), "a run must not repeat the run before"
    both = np.concatenate([first, second])
    assert both.min() >= -1 and both.max() < 3 and np.unique(both).size > 3990
    assert abs(both.mean() - 1) < 0.1 and abs(both.std() - 4 / 12**0.5) < 0.05
    assert abs(np.corrcoef(both[:-1], both[1:])[0, 1]) < 0.05
    again = model_of(UNIFORM % "")
    np.testing.assert_array_equal(again.run({})["y"], first)
    np.testing.assert_array_equal(again.run({})["y"], second)


def test_seeds_differ_and_hold() -> None:
    a, b, c = (model_of(UNIFORM % f", seed = {s}").run({})["y"] for s in ("1.5", "2.5", "1.5"))
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(a, c)


def test_two_nodes_are_not_one() -> None:
    y = model_of(
        "g (float[50] x) => (float[50] y) { a = RandomNormalLike(x)  b = RandomNormalLike(x)  y = Sub(a, b) }"
    ).run({"x": np.zeros(50, np.float32)})["y"]
    assert np.count_nonzero(y) == 50


def test_each_iteration_draws_anew() -> None:
    text = """g (int64 n) => (float[n, 3] y) {
      true = Constant<value_int = 1>()
      go = Cast<to = 9>(true)
      y = Loop(n, go) <body = b (int64 i, bool c) => (bool c_out, float[3] s) {
        c_out = Identity(c)
        s = RandomUniform<shape = [3]>()
      }>
    }"""
    model = model_of(text)
    y = np.concatenate([model.run({"n": np.int64(4)})["y"] for _ in range(2)])
    assert np.unique(y).size == 24


@pytest.mark.parametrize(
    ("to", "name"), [(1, "float"), (10, "float16"), (11, "double"), (16, "bfloat16")]
)
def test_normal(to: int, name: str) -> None:
    text = f"g (float[N] x) => ({name}[N] y) {{ y = RandomNormalLike<mean = 2.0, scale = 0.5, dtype = {to}>(x) }}"
    y = model_of(text).run({"x": np.zeros(5000, np.float32)})["y"].astype(np.float64)
    assert np.isfinite(y).all() and abs(y.mean() - 2) < 0.03 and abs(y.std() - 0.5) < 0.02
    assert abs((abs(y - 2) < 0.5).mean() - 0.683) < 0.03


def test_shape_known_when_it_runs() -> None:
    model = model_of(
        "g (float[N, M] x) => (double[N, M] y) { y = RandomUniformLike<dtype = 11>(x) }"
    )
    for shape in ((3, 4), (0, 2), (7, 1)):
        y = model.run({"x": np.zeros(shape, np.float32)})["y"]
        assert y.shape == shape and y.dtype == np.float64


def test_integers_are_refused() -> None:
    with pytest.raises(whit.ConvertError, match=r"RandomUniform.*i32.*float type"):
        model_of("g () => (int32[4] y) { y = RandomUniform<shape = [4], dtype = 6>() }")


def test_bernoulli() -> None:
    p = np.repeat(f32(0, 0.25, 1), 2000)
    y = model_of("g (float[6000] p) => (bool[6000] y) { y = Bernoulli<dtype = 9>(p) }").run(
        {"p": p}
    )["y"]
    share = y.reshape(3, 2000).mean(1)
    assert share[0] == 0 and share[2] == 1 and abs(share[1] - 0.25) < 0.04


@pytest.mark.parametrize("dtype", [6, 7])
def test_multinomial(dtype: int) -> None:
    p = np.array([[0.1, 0.2, 0.7], [1, 0, 0]])
    with np.errstate(divide="ignore"):
        x = (np.log(p) + 5).astype(np.float32)
    name = "int32" if dtype == 6 else "int64"
    text = f"g (float[2, 3] x) => ({name}[2, 4000] y) {{ y = Multinomial<sample_size = 4000, dtype = {dtype}>(x) }}"
    y = model_of(text).run({"x": x})["y"]
    assert y.shape == (2, 4000) and y.dtype == (np.int32 if dtype == 6 else np.int64)
    for row, share in zip(y, p, strict=True):
        np.testing.assert_allclose(np.bincount(row, minlength=3) / 4000, share, atol=0.03)


DROPOUT = "g (float[100, 20] x, float r, bool t) => (float[100, 20] y, bool[100, 20] m) { y, m = Dropout(x, r, t) }"


def test_dropout_in_training() -> None:
    model, x = model_of(DROPOUT), real(100, 20, low=1)
    got = model.run({"x": x, "r": np.float32(0.25), "t": np.True_})
    assert abs(got["m"].mean() - 0.75) < 0.05
    np.testing.assert_allclose(got["y"], np.where(got["m"], x / np.float32(0.75), 0), rtol=1e-6)
    got = model.run({"x": x, "r": np.float32(0.25), "t": np.False_})
    assert got["m"].all()
    np.testing.assert_array_equal(got["y"], x)


def boxes(n: int, k: int, seed: int, centre: bool) -> np.ndarray:
    rng = np.random.default_rng(seed)
    at, size = rng.uniform(0, 10, (n, k, 2)), rng.uniform(0, 5, (n, k, 2))
    parts = [at, size] if centre else [at, at + size * rng.choice((-1, 1), (n, k, 1))]
    return np.concatenate(parts, -1).astype(np.float32)


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("centre", [0, 1])
@pytest.mark.parametrize(
    "limits", [(3, 0.5, 0.2), (100, 0.1, None), (0, None, None), (2, None, 0.5)]
)
def test_nms(limits: tuple[Any, ...], centre: int, fixed: bool) -> None:
    most, iou, least = limits
    scores = np.round(np.random.default_rng(1).uniform(0, 1, (2, 3, 40)), 1).astype(np.float32)
    inputs = [
        boxes(2, 40, 7, bool(centre)),
        scores,
        ints(most),
        None if iou is None else f32(iou),
        None if least is None else f32(least),
    ]
    Case("NonMaxSuppression", inputs, {"center_point_box": centre}, opset=11).check(fixed)


def test_nms_without_boxes() -> None:
    inputs = [np.zeros((1, 0, 4), np.float32), np.zeros((1, 2, 0), np.float32), ints(3)]
    Case("NonMaxSuppression", inputs, opset=11, want=[np.zeros((0, 3), np.int64)]).check(False)


BITS = [
    (np.float32, 6),
    (np.int64, 11),
    (np.float16, 4),
    (np.int8, 2),
    (np.uint32, 1),
    (np.float64, 11),
]


@pytest.mark.parametrize(("source", "to"), BITS)
def test_bit_cast(source: Any, to: int) -> None:
    x = np.random.default_rng(0).integers(-100, 100, (2, 3)).astype(source)
    want = x.view({1: np.float32, 2: np.uint8, 4: np.uint16, 6: np.int32, 11: np.float64}[to])
    Case("BitCast", [x], {"to": to}, opset=26, want=[want]).check()
    Case("BitCast", [x], {"to": to}, opset=26, want=[want], const=[0]).check()


def test_bit_cast_below_a_byte() -> None:
    text = """g (int8[4] x) => (int8[4] y) {
      a = Cast<to = 22>(x)
      b = BitCast<to = 23>(a)
      c = BitCast<to = 21>(b)
      y = Cast<to = 3>(c)
    }"""
    check(
        parse(text, 26, 12),
        {"x": np.array([-8, -1, 0, 7], np.int8)},
        want={"y": np.array([8, 15, 0, 7], np.int8)},
    )


def test_bit_cast_to_another_size() -> None:
    with pytest.raises(whit.ConvertError, match=r"BitCast.*f32 and i64 differ in size"):
        whit.convert(parse("g (float[2] x) => (int64[2] y) { y = BitCast<to = 7>(x) }", 26, 12))


def test_squeeze_of_unknown_sizes() -> None:
    for shape in ((1, 3, 1), (2, 3, 4), (1, 1, 1)):
        Case("Squeeze", [real(*shape)]).check(fixed=False)
