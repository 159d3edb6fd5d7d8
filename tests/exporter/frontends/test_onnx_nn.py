"""Lowerings of nn.py, norm.py and quant.py."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_node import Case, f32, real, whole

IMAGE = real(2, 4, 7, 6)
WAVE = real(2, 4, 9)

CONV = [
    Case("Conv", [IMAGE, real(6, 4, 3, 3)]),
    Case(
        "Conv", [IMAGE, real(6, 4, 3, 3), real(6)], {"pads": [1, 0, 2, 1]}, const=[1, 2], atol=1e-5
    ),
    Case("Conv", [IMAGE, real(6, 2, 3, 2), real(6)], {"group": 2, "strides": [2, 1]}, const=[1]),
    Case("Conv", [IMAGE, real(4, 1, 3, 3)], {"group": 4, "dilations": [2, 1]}, const=[1]),
    Case("Conv", [IMAGE, real(5, 4, 1, 1), real(5)], const=[1, 2]),
    *[
        Case("Conv", [IMAGE, real(6, 4, 3, 3)], {"auto_pad": pad, "strides": [2, 2]}, const=[1])
        for pad in ("SAME_UPPER", "SAME_LOWER", "VALID")
    ],
    Case("Conv", [WAVE, real(3, 4, 3)], {"pads": [1, 1]}, const=[1]),
    Case("Conv", [real(1, 2, 4, 5, 6), real(3, 2, 2, 2, 2)], const=[1]),
    Case("ConvTranspose", [IMAGE, real(4, 3, 3, 3), real(3)], const=[1, 2]),
    Case(
        "ConvTranspose",
        [IMAGE, real(4, 3, 3, 3)],
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
        const=[1],
    ),
    Case("ConvTranspose", [IMAGE, real(4, 3, 2, 3)], {"group": 2, "dilations": [2, 1]}, const=[1]),
    Case("ConvTranspose", [WAVE, real(4, 3, 3)], {"strides": [2]}, const=[1]),
]
KERNEL = {"kernel_shape": [3, 2]}
POOL = [
    *[
        Case(op, [IMAGE], {**KERNEL, **more}, opset=19)
        for op in ("MaxPool", "AveragePool")
        for more in (
            {},
            {"strides": [2, 2]},
            {"pads": [1, 0, 1, 1]},
            {"strides": [2, 2], "ceil_mode": 1},
            {"auto_pad": "SAME_UPPER"},
            {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
            {"dilations": [2, 2]},
        )
    ],
    Case("AveragePool", [IMAGE], {**KERNEL, "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    Case("MaxPool", [IMAGE], {**KERNEL, "strides": [2, 2]}, outputs=2),
    Case("MaxPool", [WAVE], {"kernel_shape": [3]}),
    Case("LpPool", [IMAGE], {**KERNEL, "p": 3}, opset=18, rtol=1e-4),
    Case("GlobalAveragePool", [IMAGE]),
    Case("GlobalMaxPool", [IMAGE]),
    Case("GlobalLpPool", [IMAGE], {"p": 2}),
]
SCALE, SHIFT = real(4, low=0.5, high=2.0), real(4, seed=1)
MEAN, VAR = real(4, seed=2), real(4, low=0.5, high=2.0, seed=3)
NORM = [
    Case("BatchNormalization", [IMAGE, SCALE, SHIFT, MEAN, VAR], {"epsilon": 1e-3}),
    Case("BatchNormalization", [IMAGE, SCALE, SHIFT, MEAN, VAR], const=[1, 2, 3, 4]),
    Case("BatchNormalization", [IMAGE[:, :, 0, 0], SCALE, SHIFT, MEAN, VAR], const=[1, 2, 3, 4]),
    Case("InstanceNormalization", [IMAGE, SCALE, SHIFT], rtol=1e-4, atol=1e-5),
    Case("LRN", [IMAGE], {"size": 3, "alpha": 0.1, "beta": 0.6, "bias": 2.0}),
    *[
        Case(op, [IMAGE], {"axis": a}, opset=v)
        for op in ("Softmax", "LogSoftmax")
        for a, v in ((1, 13), (-1, 13), (1, 11), (2, 11))
    ],
    Case("Softmax", [f32(1000, 999, -1000)[None]], opset=13),
    Case("Dropout", [IMAGE], opset=11),
    Case("LayerNormalization", [IMAGE, real(6), real(6, seed=1)], outputs=3, rtol=1e-4, atol=1e-5),
    Case("LayerNormalization", [IMAGE, real(7, 6)], {"axis": 2}, rtol=1e-4, atol=1e-5),
    Case("GroupNormalization", [IMAGE, SCALE, SHIFT], {"num_groups": 2}, rtol=1e-4, atol=1e-5),
    Case(
        "GroupNormalization",
        [IMAGE, SCALE[:2], SHIFT[:2]],
        {"num_groups": 2},
        opset=18,
        rtol=1e-4,
        atol=1e-5,
    ),
    Case("MeanVarianceNormalization", [IMAGE], rtol=1e-4, atol=1e-5),
    Case("LpNormalization", [IMAGE], {"axis": 1, "p": 1}),
    Case("LpNormalization", [IMAGE], {"axis": -1, "p": 2}),
]
U8 = whole(2, 3, 5, 5, low=0, high=256, dtype=np.uint8)
S8 = whole(4, 3, 3, 3, low=-128, high=128, dtype=np.int8)
STEP, ZERO = np.float32(0.05), np.uint8(120)
QUANT = [
    Case("QuantizeLinear", [IMAGE, STEP, ZERO]),
    Case(
        "QuantizeLinear",
        [IMAGE, f32(0.1, 0.2, 0.3, 0.01), np.array([0, 1, -3, 9], np.int8)],
        {"axis": 1},
    ),
    Case("DequantizeLinear", [U8, STEP, ZERO]),
    Case(
        "DequantizeLinear", [U8, f32(0.1, 0.2, 0.3), np.array([0, 100, 200], np.uint8)], {"axis": 1}
    ),
    Case("DequantizeLinear", [whole(5, dtype=np.int32), STEP]),
    Case("DynamicQuantizeLinear", [IMAGE], outputs=3),
    Case("MatMulInteger", [U8[0, 0], S8.reshape(-1, 4)[:5], np.uint8(7), np.int8(-3)]),
    Case(
        "ConvInteger",
        [U8, whole(4, 3, 3, 3, low=0, high=256, dtype=np.uint8), np.uint8(7)],
        {"pads": [1, 1, 1, 1]},
    ),
    Case(
        "QLinearMatMul",
        [U8[0, 0], STEP, ZERO, S8.reshape(-1, 4)[:5], STEP, np.int8(3), np.float32(2), ZERO],
        atol=1,
    ),
    Case(
        "QLinearConv",
        [
            U8,
            STEP,
            ZERO,
            S8,
            f32(0.01, 0.02, 0.03, 0.04),
            np.zeros(4, np.int8),
            np.float32(0.9),
            ZERO,
            whole(4, dtype=np.int32),
        ],
        {"pads": [1, 1, 1, 1]},
        const=[1, 2, 3, 4, 5, 6, 7, 8],
        atol=1,
    ),
]


@pytest.mark.parametrize("case", [*CONV, *POOL, *NORM, *QUANT], ids=str)
def test_against_onnxruntime(case: Case) -> None:
    case.check()


FREE = [c for c in [*CONV, *POOL, *NORM, *QUANT] if "Conv" not in c.op or 1 in c.const]


@pytest.mark.parametrize("case", FREE, ids=str)
def test_sizes_known_at_run_time(case: Case) -> None:
    case.check(fixed=False)


def test_batch_norm_in_training() -> None:
    axes = (0, 2, 3)
    mean, var = IMAGE.mean(axes), IMAGE.var(axes)
    view = (1, -1, 1, 1)
    y = (IMAGE - mean.reshape(view)) / np.sqrt(var.reshape(view) + 1e-5)
    want = [
        y * SCALE.reshape(view) + SHIFT.reshape(view),
        MEAN * np.float32(0.9) + mean * np.float32(0.1),
        VAR * np.float32(0.9) + var * np.float32(0.1),
    ]
    inputs = [IMAGE, SCALE, SHIFT, MEAN, VAR]
    Case(
        "BatchNormalization",
        inputs,
        {"training_mode": 1},
        opset=15,
        outputs=3,
        want=want,
        atol=1e-5,
    ).check()
