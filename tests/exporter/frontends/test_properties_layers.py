"""Norms, softmax, quantised layers, attention and recurrent layers, on drawn examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn import FLOATS, Array, Draw, Example, check, few, filled, ints, shapes, window
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.slow
BYTES = (np.int8, np.uint8)


def positive(draw: Draw, shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
    return np.asarray(abs(filled(draw, shape, dtype)) / 8 + dtype(0.25), dtype)


@few
@given(st.data())
def test_batch_norm(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(2, 5, 1, 5))
    c = (shape[1],)
    x, scale, bias, mean = (filled(draw, s) for s in (shape, c, c, c))
    inputs = [x, scale, bias, mean, positive(draw, c)]
    attrs: dict[str, Any] = {"epsilon": draw(st.sampled_from((1e-5, 1e-2)))}
    outputs = 1
    if draw(st.integers(0, 3)) == 0:
        attrs |= {"training_mode": 1, "momentum": draw(st.sampled_from((0.9, 0.5)))}
        outputs = 3
    check(
        draw, Example("BatchNormalization", inputs, attrs, outputs, opset=15, rtol=1e-4, atol=1e-4)
    )


@few
@given(st.data())
def test_instance_and_group_norm(data: Any) -> None:
    draw = data.draw
    groups, each = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    shape = (draw(st.integers(1, 3)), groups * each, *draw(shapes(1, 3, 1, 5)))
    attrs: dict[str, Any] = {"epsilon": draw(st.sampled_from((1e-5, 1e-2)))}
    c = (shape[1],)
    x, scale, bias = (filled(draw, s) for s in (shape, c, c))
    check(draw, Example("InstanceNormalization", [x, scale, bias], attrs, rtol=1e-4, atol=1e-3))
    rows = x.reshape(shape[0], groups, -1).astype(np.float64)
    rows = (rows - rows.mean(-1, keepdims=True)) / np.sqrt(
        rows.var(-1, keepdims=True) + attrs["epsilon"]
    )
    along = (-1, *[1] * (len(shape) - 2))
    want = rows.reshape(shape) * scale.reshape(along) + bias.reshape(along)
    example = Example(
        "GroupNormalization", [x, scale, bias], {**attrs, "num_groups": groups},
        want=[want.astype(np.float32)], rtol=1e-4, atol=1e-3,
    )  # fmt: skip
    check(draw, example)


@few
@given(st.data())
def test_norms_of_rows(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 6))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    x, scale = filled(draw, shape), filled(draw, shape[axis:])
    mean = np.square(x.astype(np.float64)).mean(
        tuple(range(axis % len(shape), len(shape))), keepdims=True
    )
    want = x / np.sqrt(mean + 1e-5) * scale
    rms = Example(
        "RMSNormalization",
        [x, scale],
        {"axis": axis},
        opset=23,
        want=[want.astype(np.float32)],
        rtol=1e-4,
    )
    check(draw, rms)
    attrs = {"axis": axis, "p": draw(st.integers(1, 2))}
    check(draw, Example("LpNormalization", [x + np.float32(0.125)], attrs, rtol=1e-4))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    if len(shape) == 4:
        wide, along = x.astype(np.float64), tuple(axes)
        want = (wide - wide.mean(along, keepdims=True)) / (wide.std(along, keepdims=True) + 1e-9)
        example = Example(
            "MeanVarianceNormalization", [x], {"axes": axes}, opset=13, want=[want.astype(np.float32)],
            rtol=1e-3, atol=1e-3,
        )  # fmt: skip
        check(draw, example)
    check(draw, Example("Hardmax", [x], {"axis": axis}, opset=13))


@few
@given(st.data())
def test_local_response_norm(data: Any) -> None:
    draw = data.draw
    shape = (*draw(shapes(2, 2, 1, 7)), *draw(shapes(2, 2, 1, 4)))
    attrs = {
        "size": draw(st.sampled_from((1, 3, 5))),
        "alpha": 0.05,
        "beta": draw(st.sampled_from((0.75, 0.5))),
        "bias": 1.5,
    }
    check(draw, Example("LRN", [filled(draw, shape)], attrs, rtol=1e-4))


# quantised


def scales(draw: Draw, shape: tuple[int, ...]) -> Array:
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return np.asarray(2.0 ** rng.integers(-4, 1, shape)).astype(np.float32)


@few
@given(st.data(), st.sampled_from(BYTES), st.sampled_from(("whole", "axis", "block")))
def test_quantise(data: Any, dtype: Any, kind: str) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 6))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    attrs: dict[str, Any] = {"axis": axis}
    small: tuple[int, ...] = () if kind == "whole" else (shape[axis],)
    if kind == "block":
        block = draw(st.integers(1, shape[axis]))
        small = tuple(-(-d // block) if k == axis % len(shape) else d for k, d in enumerate(shape))
        attrs["block_size"] = block
        if len(shape) == 1:
            return  # for onnxruntime a scale of one axis is per axis
    scale = scales(draw, small)
    zero = filled(draw, small, dtype) if draw(st.booleans()) else np.zeros(small, dtype)
    x = filled(draw, shape)
    check(draw, Example("QuantizeLinear", [x, scale, zero], attrs))
    check(draw, Example("DequantizeLinear", [filled(draw, shape, dtype), scale, zero], attrs))


@few
@given(st.data())
def test_dynamic_quantise(data: Any) -> None:
    draw = data.draw
    x = filled(draw, draw(shapes(1, 3, 1, 6)))
    check(draw, Example("DynamicQuantizeLinear", [x], outputs=3, opset=11))


@few
@given(st.data(), st.sampled_from(BYTES), st.sampled_from(BYTES))
def test_integer_products(data: Any, left: Any, right: Any) -> None:
    draw = data.draw
    m, k, n = (draw(st.integers(1, 9)) for _ in range(3))
    lead = draw(shapes(0, 2, 1, 3))
    a, b = filled(draw, (*lead, m, k), left), filled(draw, (k, n), right)
    zero_a, zero_b = filled(draw, (), left), filled(draw, (), right)
    want = (a.astype(np.int32) - zero_a) @ (b.astype(np.int32) - zero_b)
    check(draw, Example("MatMulInteger", [a, b, zero_a, zero_b], want=[want]))
    if left != right and left == np.int8:
        return  # onnxruntime has u8 with both, i8 with i8
    scale = [scales(draw, ()) for _ in range(3)]
    inputs = [a, scale[0], zero_a, b, scale[1], zero_b, scale[2], filled(draw, (), left)]
    check(draw, Example("QLinearMatMul", inputs))


@few
@given(st.data())
def test_integer_convolutions(data: Any) -> None:
    draw = data.draw
    attrs = window(draw, 2)
    group, each, out = (draw(st.integers(1, 3)) for _ in range(3))
    size = [draw(st.integers(5, 7)) for _ in range(2)]
    x = filled(draw, (1, group * each, *size), np.uint8)
    w = filled(draw, (group * out, each, *attrs["kernel_shape"]), np.uint8)
    zero_x, zero_w = filled(draw, (), np.uint8), filled(draw, (), np.uint8)
    check(draw, Example("ConvInteger", [x, w, zero_x, zero_w], {**attrs, "group": group}))
    scale = [scales(draw, ()) for _ in range(3)]
    bias = filled(draw, (group * out,), np.int32) if draw(st.booleans()) else None
    inputs = [x, scale[0], zero_x, w, scale[1], zero_w, scale[2], filled(draw, (), np.uint8), bias]
    check(draw, Example("QLinearConv", inputs, {**attrs, "group": group}))


# attention and recurrent layers


@few
@given(st.data())
def test_attention(data: Any) -> None:
    draw = data.draw
    n, heads, q_len, kv_len = (draw(st.integers(1, 4)) for _ in range(4))
    group, width, v_width = (
        draw(st.integers(1, 2)),
        draw(st.integers(1, 8)),
        draw(st.integers(1, 8)),
    )
    q = filled(draw, (n, heads * group, q_len, width)) / 8
    k, v = filled(draw, (n, heads, kv_len, width)) / 8, filled(draw, (n, heads, kv_len, v_width))
    mask = None
    if draw(st.booleans()):
        mask = filled(draw, (q_len, kv_len), draw(st.sampled_from((np.float32, bool))))
        if mask.dtype == bool:
            mask[:, 0] = True  # a row without anything to look at is nobody's
    attrs: dict[str, Any] = {"is_causal": draw(st.integers(0, 1)) if mask is None else 0}
    if draw(st.booleans()):
        attrs["scale"] = 0.5
    if draw(st.integers(0, 3)) == 0:
        attrs["softcap"] = 2.0
    inputs: list[Array | None] = [q, k, v, mask]
    if draw(st.booleans()):
        flat = [
            np.ascontiguousarray(x.transpose(0, 2, 1, 3).reshape(n, x.shape[2], -1))
            for x in (q, k, v)
        ]
        inputs = [*flat, mask]
        attrs |= {"q_num_heads": heads * group, "kv_num_heads": heads}
    outputs = 1
    if draw(st.integers(0, 2)) == 0:
        past = draw(st.integers(1, 3))
        attrs["is_causal"] = (
            0  # onnxruntime lines up the last query with the last key, the standard the first with the past
        )
        inputs += [
            filled(draw, (n, heads, past, width)) / 8,
            filled(draw, (n, heads, past, v_width)),
        ]
        if mask is not None:
            inputs[3] = np.concatenate([np.ones((q_len, past), mask.dtype), mask], 1)
        outputs = 3
    check(draw, Example("Attention", inputs, attrs, outputs, opset=23, rtol=1e-4, atol=1e-4))


@few
@given(st.data(), st.sampled_from((("RNN", 1), ("GRU", 3), ("LSTM", 4))))
def test_recurrent(data: Any, kind: tuple[str, int]) -> None:
    draw = data.draw
    op, gates = kind
    t, b, i, h = (draw(st.integers(1, 4)) for _ in range(4))
    direction = draw(st.sampled_from(("forward", "reverse", "bidirectional")))
    d = 2 if direction == "bidirectional" else 1
    maybe = draw(st.lists(st.booleans(), min_size=5, max_size=5))

    def drawn(*shape: int) -> Array:
        return np.asarray(filled(draw, shape) / 8, np.float32)

    inputs: list[Array | None] = [drawn(t, b, i), drawn(d, gates * h, i), drawn(d, gates * h, h)]
    inputs.append(drawn(d, 2 * gates * h) if maybe[0] else None)
    lens = np.array([draw(st.integers(1, t)) for _ in range(b)], np.int32)
    inputs.append(lens if maybe[1] else None)
    inputs.append(drawn(d, b, h) if maybe[2] else None)
    attrs: dict[str, Any] = {"hidden_size": h, "direction": direction}
    if op == "LSTM":
        inputs.append(drawn(d, b, h) if maybe[3] else None)
        inputs.append(drawn(d, 3 * h) if maybe[4] else None)
    if op == "GRU":
        attrs["linear_before_reset"] = draw(st.integers(0, 1))
    if op != "LSTM" and draw(st.integers(0, 3)) == 0:
        attrs["clip"] = (
            0.75  # onnxruntime does not clip the cell on its way into the last activation
        )
    if draw(st.integers(0, 3)) == 0:
        names = {"RNN": 1, "GRU": 2, "LSTM": 3}[op]
        some = draw(
            st.lists(st.sampled_from(("Relu", "Tanh", "Sigmoid")), min_size=names, max_size=names)
        )
        attrs["activations"] = some * d
    check(
        draw, Example(op, inputs, attrs, 3 if op == "LSTM" else 2, opset=14, rtol=1e-4, atol=1e-5)
    )


# images


@few
@given(st.data())
def test_grid_sample(data: Any) -> None:
    draw = data.draw
    n, c = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    size = draw(shapes(2, 2, 1, 5))
    grid = np.random.default_rng(draw(st.integers(0, 999))).uniform(
        -1.3, 1.3, (n, *draw(shapes(2, 2, 1, 4)), 2)
    )
    attrs = {
        "mode": draw(st.sampled_from(("linear", "nearest", "cubic"))),
        "padding_mode": draw(st.sampled_from(("zeros", "border", "reflection"))),
        "align_corners": draw(st.integers(0, 1)),
    }
    x = filled(draw, (n, c, *size))
    check(
        draw,
        Example("GridSample", [x, grid.astype(np.float32)], attrs, opset=20, rtol=1e-3, atol=1e-3),
    )


@few
@given(st.data(), st.sampled_from(("RoiAlign", "MaxRoiPool")))
def test_regions(data: Any, op: str) -> None:
    draw = data.draw
    n, c, rois = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 4))
    x = filled(draw, (n, c, *draw(shapes(2, 2, 2, 8))))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    start = rng.integers(0, 20, (rois, 2)) / 4
    boxes = np.concatenate([start, start + rng.integers(1, 24, (rois, 2)) / 4], 1).astype(
        np.float32
    )
    batch = rng.integers(0, n, rois)
    high, wide = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    scale = draw(st.sampled_from((1.0, 0.5)))
    if op == "MaxRoiPool":
        rows = np.concatenate([batch[:, None].astype(np.float32), boxes], 1)
        check(draw, Example(op, [x, rows], {"pooled_shape": [high, wide], "spatial_scale": scale}))
        return
    attrs = {
        "output_height": high, "output_width": wide, "sampling_ratio": draw(st.integers(0, 3)), "spatial_scale": scale,
        "coordinate_transformation_mode": draw(st.sampled_from(("half_pixel", "output_half_pixel"))),
    }  # fmt: skip
    check(draw, Example(op, [x, boxes, batch], attrs, opset=16, rtol=1e-4, atol=1e-4))


@few
@given(st.data())
def test_blocks(data: Any) -> None:
    draw = data.draw
    block, c = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    n, high, wide = draw(shapes(3, 3, 1, 3))
    dtype = draw(st.sampled_from(FLOATS))
    deep = filled(draw, (n, c * block * block, high, wide), dtype)
    flat = filled(draw, (n, c, high * block, wide * block), dtype)
    mode = draw(st.sampled_from(("DCR", "CRD")))
    check(draw, Example("DepthToSpace", [deep], {"blocksize": block, "mode": mode}, opset=13))
    check(draw, Example("SpaceToDepth", [flat], {"blocksize": block}, opset=13))


@few
@given(st.data())
def test_nms(data: Any) -> None:
    draw = data.draw
    n, classes, boxes = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    at = rng.integers(0, 12, (n, boxes, 2)).astype(np.float32)
    size = rng.integers(1, 9, (n, boxes, 2)).astype(np.float32)
    centre = draw(st.integers(0, 1))
    corners = np.concatenate([at, size] if centre else [at, at + size], -1)
    scores = rng.permutation(n * classes * boxes).reshape(n, classes, boxes).astype(np.float32)
    limits = [ints([draw(st.integers(0, 4))]), np.float32([draw(st.sampled_from((0.0, 0.3, 0.7)))])]
    least = np.float32([draw(st.integers(-1, boxes))]) if draw(st.booleans()) else None
    inputs = [corners, scores, *limits, least]
    check(draw, Example("NonMaxSuppression", inputs, {"center_point_box": centre}, opset=11))
