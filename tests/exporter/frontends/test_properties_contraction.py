"""Products, windows and resampling, on drawn examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn import FLOATS, Example, check, few, filled, ints, part_of, shapes, window
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.slow


@few
@given(st.data())
def test_matmul(data: Any) -> None:
    draw = data.draw
    batch, dtype = draw(shapes(0, 2, 1, 3)), draw(st.sampled_from((*FLOATS, np.int32)))
    m, k, n = (draw(st.integers(1, 20)) for _ in range(3))
    a = filled(draw, (*part_of(draw, batch), m, k), dtype)
    b = filled(draw, (*part_of(draw, batch), k, n), dtype)
    if draw(st.integers(0, 4)) == 0:
        a = np.ascontiguousarray(a[..., 0, :]) if a.ndim == 2 else a
    if draw(st.integers(0, 4)) == 0:
        b = np.ascontiguousarray(b[..., 0]) if b.ndim == 2 else b
    check(draw, Example("MatMul", [a, b], want=[np.asarray(np.matmul(a, b))], rtol=1e-4, atol=1e-3))


@few
@given(st.data())
def test_gemm(data: Any) -> None:
    draw = data.draw
    m, k, n = (draw(st.integers(1, 18)) for _ in range(3))
    attrs: dict[str, Any] = {"transA": draw(st.integers(0, 1)), "transB": draw(st.integers(0, 1))}
    attrs |= {"alpha": draw(st.sampled_from((1.0, 0.5))), "beta": draw(st.sampled_from((1.0, 2.0)))}
    a = filled(draw, (k, m) if attrs["transA"] else (m, k))
    b = filled(draw, (n, k) if attrs["transB"] else (k, n))
    c = filled(draw, part_of(draw, (m, n))) if draw(st.booleans()) else None
    check(draw, Example("Gemm", [a, b, c], attrs, rtol=1e-4, atol=1e-3))


@few
@given(st.data())
def test_conv(data: Any) -> None:
    draw = data.draw
    attrs = window(draw, draw(st.integers(1, 3)))
    group, each, out = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 9))
    if draw(st.integers(0, 3)) == 0:
        group, each, out = draw(st.integers(2, 20)), 1, 1  # one filter a channel
    size = [draw(st.integers(5, 8)) for _ in attrs["kernel_shape"]]
    x = filled(draw, (draw(st.integers(1, 2)), group * each, *size))
    w = filled(draw, (group * out, each, *attrs["kernel_shape"]))
    bias = filled(draw, (group * out,)) if draw(st.booleans()) else None
    check(draw, Example("Conv", [x, w, bias], {**attrs, "group": group}, rtol=1e-4, atol=1e-3))


@few
@given(st.data())
def test_conv_transpose(data: Any) -> None:
    draw = data.draw
    attrs = window(draw, draw(st.integers(1, 3)))
    group, each, out = (draw(st.integers(1, 3)) for _ in range(3))
    size = [draw(st.integers(3, 5)) for _ in attrs["kernel_shape"]]
    if attrs.get("auto_pad", "").startswith("SAME"):
        del attrs["auto_pad"]
    x, w = (
        filled(draw, (1, group * each, *size)),
        filled(draw, (group * each, out, *attrs["kernel_shape"])),
    )
    if draw(st.booleans()):
        attrs["output_padding"] = [draw(st.integers(0, s - 1)) for s in attrs["strides"]]
    check(draw, Example("ConvTranspose", [x, w], {**attrs, "group": group}, rtol=1e-4, atol=1e-3))


@few
@given(st.data(), st.sampled_from(("MaxPool", "AveragePool", "LpPool")))
def test_pool(data: Any, op: str) -> None:
    draw = data.draw
    attrs = window(draw, draw(st.integers(1, 3)), dilated=op != "LpPool")
    if op == "AveragePool":
        attrs["count_include_pad"] = draw(st.integers(0, 1))
    if op != "LpPool" and "auto_pad" not in attrs:
        attrs["ceil_mode"] = draw(st.integers(0, 1))
    size = [draw(st.integers(5, 8)) for _ in attrs["kernel_shape"]]
    x = filled(draw, (draw(st.integers(1, 2)), draw(st.integers(1, 4)), *size))
    outputs = draw(st.integers(1, 2)) if op == "MaxPool" else 1
    check(draw, Example(op, [x], attrs, outputs, rtol=1e-4, atol=1e-4))


@few
@given(st.data())
def test_resize(data: Any) -> None:
    draw = data.draw
    shape = (1, 2, *(draw(st.integers(2, 5)) for _ in range(2)))
    mode = draw(st.sampled_from(("nearest", "linear", "cubic")))
    where = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
    attrs: dict[str, Any] = {
        "mode": mode,
        "coordinate_transformation_mode": draw(st.sampled_from(where)),
    }
    if mode == "nearest":
        near = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
        attrs["nearest_mode"] = draw(st.sampled_from(near))
    x = filled(draw, shape)
    # Of the two readings of align_corners where scale * size is not whole, onnxruntime has the other.
    factors = (
        (1.0, 2.0, 3.0) if "align" in attrs["coordinate_transformation_mode"] else (0.5, 1.0, 2.0)
    )
    scales = np.array([1, 1, *(draw(st.sampled_from(factors)) for _ in range(2))])
    sizes = ints([*shape[:2], *(draw(st.integers(1, 9)) for _ in range(2))])
    by_scale = draw(st.booleans())
    inputs = [x, None, scales.astype(np.float32)] if by_scale else [x, None, None, sizes]
    check(draw, Example("Resize", inputs, attrs, rtol=1e-4, atol=1e-4))


@few
@given(st.data())
def test_einsum(data: Any) -> None:
    draw = data.draw
    sizes = {c: draw(st.integers(1, 4)) for c in "abcd"}
    words = [
        draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True))
        for _ in range(2)
    ]
    used = sorted({c for w in words for c in w})
    result = draw(st.lists(st.sampled_from(used), unique=True))
    equation = ",".join("".join(w) for w in words) + "->" + "".join(result)
    arrays = [filled(draw, [sizes[c] for c in w]) for w in words]
    want = np.asarray(np.einsum(equation, *arrays))
    check(
        draw, Example("Einsum", arrays, {"equation": equation}, want=[want], rtol=1e-4, atol=1e-3)
    )
