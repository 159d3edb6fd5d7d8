"""The primitives of transformers, softmax, norm and attention, against NumPy in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import whit
from whit_exporter import write
from whit_exporter.dtypes import DType, from_numpy
from whit_exporter.ir import Entry, Graph, Node, Region, Value

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(7)


def numbers(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def run(
    op: str, inputs: list[Any], perms: dict[int, list[int]] | None = None, **attrs: Any
) -> Array:
    """One primitive on inputs that come at run time; input k first goes through a transpose by perms[k], a view."""
    params = [
        Value(f"i{k}", from_numpy(a.dtype), a.shape) for k, a in enumerate(inputs) if a is not None
    ]
    left = iter(params)
    values: list[Value | None] = [None if a is None else next(left) for a in inputs]
    nodes = []
    for k, perm in (perms or {}).items():
        nodes.append(Node("transpose", [values[k]], [Value()], {"perm": perm}))
        values[k] = nodes[-1].outputs[0]
    nodes.append(Node(op, values, [Value(dtype=DType.F32)], attrs))
    region = Region(params, nodes, [nodes[-1].outputs[0]])
    file = write.write(Graph([Entry("main", region, output_names=["y"])]))
    feeds = {p.name: a for p, a in zip(params, (a for a in inputs if a is not None), strict=True)}
    results = [whit.load(file).run(feeds, threads=t)["y"] for t in (1, 3)]
    assert results[0].tobytes() == results[1].tobytes(), "threads change the bits"
    return np.asarray(results[0])


def softmax(x: Array) -> Array:
    x = x.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        e = np.exp(x - x.max(-1, keepdims=True))
        return np.asarray(e / e.sum(-1, keepdims=True))


# ---- softmax ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape",
    [(1,), (5, 1), (3, 15), (2, 16), (7, 17), (2, 3, 64), (4, 1000), (300, 197), (3, 0), (0, 3)],
)
@pytest.mark.parametrize("log", [0, 1])
def test_softmax(shape: tuple[int, ...], log: int) -> None:
    x = numbers(*shape) * 4
    y = run("softmax", [x], log=log)
    expected = softmax(x) if x.size else x
    np.testing.assert_allclose(
        y, np.log(expected) if log else expected, rtol=2e-6, atol=2e-6 if log else 1e-30
    )


def test_softmax_of_large_and_infinite_numbers() -> None:
    inf, nan = np.inf, np.nan
    x = np.array(
        [[1e38, -1e38, 0], [-inf, 0, 1], [-inf, -inf, -inf], [nan, 0, 0], [0, 0, nan], [inf, 0, 0]],
        np.float32,
    )
    for pad in (0, 40):
        wide = np.pad(x, ((0, 0), (pad, 0)), constant_values=-inf)
        np.testing.assert_allclose(run("softmax", [wide], log=0), softmax(wide), rtol=1e-6)
    with np.errstate(invalid="ignore"):
        d = x.astype(np.float64) - x.max(-1, keepdims=True)
        np.testing.assert_allclose(
            run("softmax", [x], log=1), d - np.log(np.exp(d).sum(-1, keepdims=True)), rtol=1e-6
        )


@pytest.mark.parametrize(
    ("x", "log", "cause"),
    [
        (np.float32(1), 0, "no axis"),
        (np.zeros(3), 0, "f32"),
        (np.zeros(3, np.float32), 2, "log must be"),
    ],
)
def test_softmax_refuses(x: Array, log: int, cause: str) -> None:
    with pytest.raises(whit.WhitError, match=cause):
        run("softmax", [np.asarray(x)], log=log)


# ---- norm ---------------------------------------------------------------------------------------------


def norm(
    x: Array, scale: Array | None, bias: Array | None, axis: int, groups: int, rms: int, eps: float
) -> Array:
    axis %= x.ndim
    wide = np.moveaxis(x.astype(np.float64), -1, axis)
    split = wide.reshape(*x.shape[:axis], groups or x.shape[-1], -1)
    if not rms:
        split = split - split.mean(-1, keepdims=True)
    y = (split / np.sqrt((split**2).mean(-1, keepdims=True) + eps)).reshape(wide.shape)
    y = np.moveaxis(y, axis, -1) * (1 if scale is None else scale)
    return np.asarray(y + (0 if bias is None else bias))


NORMS = [
    # shape, axis, groups
    ((4, 384), -1, 1),
    ((2, 3, 17), -1, 1),
    ((5, 1), -1, 1),
    ((2, 35, 6), 1, 1),
    ((2, 35, 12), 1, 3),
    ((3, 7, 5, 33), 1, 0),
    ((3, 7, 5, 33), 2, 11),
    ((1, 2000, 24), 1, 8),
    ((2, 1, 6), 1, 3),
    ((40, 6), 1, 2),
    ((3000, 40), -1, 1),
    ((1, 999, 24), 1, 1),
    ((1, 8, 1024), 1, 1),
    ((1, 9217, 1), 1, 1),
    ((3, 400, 17), 1, 1),
]


@pytest.mark.parametrize(("shape", "axis", "groups"), NORMS)
@pytest.mark.parametrize("rms", [0, 1])
@pytest.mark.parametrize("affine", ["", "s", "b", "sb"])
def test_norm(shape: tuple[int, ...], axis: int, groups: int, rms: int, affine: str) -> None:
    x, n = numbers(*shape) * 3 + 5, shape[-1]
    scale, bias = (numbers(n) if c in affine else None for c in "sb")
    y = run("norm", [x, scale, bias], axis=axis, groups=groups, rms=rms, eps=1e-5)
    np.testing.assert_allclose(
        y, norm(x, scale, bias, axis, groups, rms, 1e-5), rtol=2e-5, atol=2e-5
    )


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 4, 0)])
def test_norm_of_nothing(shape: tuple[int, ...]) -> None:
    y = run(
        "norm",
        [np.zeros(shape, np.float32), None, None],
        axis=1,
        groups=0,
        rms=0,
        eps=1e-5,
    )
    assert y.shape == shape


def test_norm_of_numbers_that_drift() -> None:
    """Segments of a sample have means of their own, far apart."""
    x = (numbers(1, 3000, 7) + np.linspace(-500, 1000, 3000)[:, None]).astype(np.float32)
    y = run("norm", [x, None, None], axis=1, groups=1, rms=0, eps=0.0)
    np.testing.assert_allclose(y, norm(x, None, None, 1, 1, 0, 0.0), rtol=1e-5, atol=1e-6)


def test_norm_of_far_numbers() -> None:
    """The mean is taken off before squaring."""
    x = (numbers(3, 500) + 4000).astype(np.float32)
    y = run("norm", [x, None, None], axis=-1, groups=1, rms=0, eps=0.0)
    np.testing.assert_allclose(y, norm(x, None, None, -1, 1, 0, 0.0), atol=2e-3)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"axis": 3}, "no such axis"),
        ({"groups": 5}, "divide"),
        ({"groups": -2}, "divide"),
        ({"rms": 2}, "rms must be"),
        ({"scale": np.zeros(3, np.float32)}, "scale and bias"),
        ({"bias": np.zeros((6, 1), np.float32)}, "scale and bias"),
        ({"bias": np.zeros(6)}, "scale and bias"),
        ({"x": np.zeros((2, 6))}, "f32"),
        ({"x": np.float32(1)}, "no such axis"),
    ],
)
def test_norm_refuses(change: dict[str, Any], cause: str) -> None:
    given: dict[str, Any] = {
        "x": numbers(2, 6),
        "scale": None,
        "bias": None,
        "axis": 1,
        "groups": 1,
        "rms": 0,
    }
    given |= change
    inputs = [
        None if given[k] is None else np.asarray(given.pop(k)) for k in ("x", "scale", "bias")
    ]
    with pytest.raises(whit.WhitError, match=cause):
        run("norm", inputs, eps=1e-5, **{k: v for k, v in given.items() if v is not None})


# ---- attention ----------------------------------------------------------------------------------------


def attention(q: Array, k: Array, v: Array, mask: Array | None, scale: float, causal: int) -> Array:
    q, k, v = (a.astype(np.float64) for a in (q, k, v))
    k, v = (np.repeat(a, q.shape[1] // max(a.shape[1], 1), 1) for a in (k, v))
    scores = q @ k.swapaxes(2, 3) * scale + (0 if mask is None else mask)
    if causal:
        n, keys = scores.shape[2:]
        seen = np.arange(keys) <= np.arange(n)[:, None] + (keys - n if causal == 2 else 0)
        scores = np.where(seen, scores, -np.inf)
    return softmax(scores) @ v


SIZES = [
    # batch, heads, kv heads, queries, keys, dim, v dim
    (1, 2, 2, 128, 128, 64, 64),
    (2, 3, 3, 7, 9, 5, 3),
    (1, 4, 2, 197, 197, 16, 16),
    (2, 6, 2, 1, 65, 48, 48),
    (1, 2, 1, 3, 40, 33, 70),
    (1, 1, 1, 1, 1, 1, 1),
    (2, 2, 2, 5, 1, 8, 8),
    (1, 1, 1, 3, 3000, 20, 20),
    (1, 1, 1, 70, 9000, 12, 12),
    (3, 8, 4, 33, 50, 32, 17),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("merge", [0, 1])
@pytest.mark.parametrize("causal", [0, 1, 2])
def test_attention(size: tuple[int, ...], merge: int, causal: int) -> None:
    b, h, kvh, n, keys, d, dv = size
    if causal == 2 and keys < n:
        causal = 0
    q, k, v = numbers(b, h, n, d), numbers(b, kvh, keys, d), numbers(b, kvh, keys, dv)
    y = run("attention", [q, k, v], scale=0.3, causal=causal, merge=merge)
    expected = attention(q, k, v, None, 0.3, causal)
    np.testing.assert_allclose(
        y, expected.swapaxes(1, 2) if merge else expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("n", [1, 3, 6, 90])
@pytest.mark.parametrize(
    "shape", [(17,), (1, 1, 1, 17), (2, 1, 1, 17), (3, 1, 17), (-1, 17), (2, 3, -1, 17)]
)
def test_attention_masks(n: int, shape: tuple[int, ...]) -> None:
    q, k, v = numbers(2, 3, n, 8), numbers(2, 3, 17, 8), numbers(2, 3, 17, 8)
    mask = numbers(*(n if d == -1 else d for d in shape))
    mask[mask > 0.8] = -np.inf
    y = run("attention", [q, k, v, mask], scale=1.0, causal=0, merge=0)
    np.testing.assert_allclose(y, attention(q, k, v, mask, 1.0, 0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", [2, 20])
def test_attention_where_nothing_is_seen(n: int) -> None:
    q, k, v = numbers(1, 1, n, 8), numbers(1, 1, 17, 8), numbers(1, 1, 17, 8)
    mask = np.zeros((n, 17), np.float32)
    mask[1] = -np.inf
    y = run("attention", [q, k, v, mask], scale=1.0, causal=0, merge=0)
    assert np.isnan(y[0, 0, 1]).all()
    assert not np.isnan(y[0, 0, 0]).any()


@pytest.mark.parametrize("n", [1, 30])
def test_attention_of_views(n: int) -> None:
    """[batch, sequence, heads, dim] as projections leave it, and keys whose innermost axis is the sequence."""
    q, k, v = numbers(2, n, 4, 24), numbers(2, 4, 24, 19), numbers(2, 19, 4, 24)
    perms = {0: [0, 2, 1, 3], 1: [0, 1, 3, 2], 2: [0, 2, 1, 3]}
    y = run("attention", [q, k, v], perms, scale=0.2, causal=0, merge=1)
    expected = attention(*(a.transpose(perms[i]) for i, a in enumerate((q, k, v))), None, 0.2, 0)
    np.testing.assert_allclose(y, expected.swapaxes(1, 2), rtol=1e-5, atol=1e-5)
    y = run(
        "attention",
        [q.transpose(3, 0, 1, 2).copy(), k, v],
        {**perms, 0: [1, 3, 2, 0]},
        scale=0.2,
        causal=0,
        merge=1,
    )
    np.testing.assert_allclose(y, expected.swapaxes(1, 2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("zero", range(7))
def test_attention_of_nothing(zero: int) -> None:
    sizes = [2, 2, 2, 9, 7, 4, 5]
    sizes[zero] = 0
    if zero in (1, 2):
        sizes[1] = sizes[2] = 0
    b, h, kvh, n, keys, d, dv = sizes
    q, k, v = numbers(b, h, n, d), numbers(b, kvh, keys, d), numbers(b, kvh, keys, dv)
    y = run("attention", [q, k, v], scale=1.0, causal=0, merge=0)
    expected = np.zeros((b, h, n, dv)) if zero == 4 else attention(q, k, v, None, 1.0, 0)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"k": (2, 4, 9, 7)}, "do not fit"),
        ({"k": (1, 4, 9, 8)}, "do not fit"),
        ({"k": (2, 3, 9, 8), "v": (2, 3, 9, 8)}, "do not fit"),
        ({"k": (2, 0, 9, 8), "v": (2, 0, 9, 8)}, "do not fit"),
        ({"v": (2, 4, 8, 8)}, "do not fit"),
        ({"v": (2, 2, 9, 8)}, "do not fit"),
        ({"q": (4, 5, 8)}, "four axes"),
        ({"mask": (5, 8)}, "mask"),
        ({"mask": (5, 1)}, "mask"),
        ({"mask": (4, 9)}, "mask"),
        ({"mask": (3, 1, 5, 9)}, "mask"),
        ({"mask": (1, 2, 4, 5, 9)}, "mask"),
        ({"causal": 3}, "causal must be"),
        ({"merge": -1}, "causal must be"),
    ],
)
def test_attention_refuses(change: dict[str, Any], cause: str) -> None:
    given: dict[str, Any] = {
        "q": (2, 4, 5, 8),
        "k": (2, 4, 9, 8),
        "v": (2, 4, 9, 8),
        "mask": (5, 9),
        "causal": 0,
        "merge": 0,
    }
    given |= change
    inputs = [numbers(*given.pop(name)) for name in ("q", "k", "v", "mask")]
    with pytest.raises(whit.WhitError, match=cause):
        run("attention", inputs, scale=1.0, **given)
