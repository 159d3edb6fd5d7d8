"""Lowerings of image.py, signal.py, ml.py, trees.py and training.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_node import Case, f32, ints, real, whole

IMAGE = real(1, 2, 5, 6)
UP, DOWN = f32(1, 1, 2.0, 1.5), f32(1, 1, 0.6, 0.75)
SIZES = ints(1, 2, 8, 3)
COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


def resize(mode: str, scales: Any = None, sizes: Any = None, opset: int = 19, **attrs: Any) -> Case:
    given = [IMAGE, None, scales, sizes] if sizes is not None else [IMAGE, None, scales]
    return Case("Resize", given, {"mode": mode, **attrs}, opset, const=[2, 3], rtol=1e-4, atol=1e-5)


RESIZE = [
    *[
        resize(mode, scales, coordinate_transformation_mode=c)
        for mode in ("nearest", "linear", "cubic")
        for scales in (UP, DOWN)
        for c in COORDINATES
        if c != "align_corners"
        or scales is UP  # onnx's suite has fractional sizes, onnxruntime not
    ],
    *[resize(mode, sizes=SIZES) for mode in ("nearest", "linear", "cubic")],
    *[
        resize("nearest", UP, nearest_mode=m)
        for m in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    ],
    *[resize(mode, DOWN, antialias=1) for mode in ("linear", "cubic")],
    resize("cubic", DOWN, exclude_outside=1, cubic_coeff_a=-0.5),
    Case(
        "Resize",
        [IMAGE, None, None, ints(8, 9)],
        {"mode": "linear", "axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"},
        19,
        const=[3],
        atol=1e-5,
    ),
    Case("Resize", [IMAGE, UP], {"mode": "linear"}, 10, const=[1], atol=1e-5),
    Case("Upsample", [IMAGE, UP], {"mode": "nearest"}, 9, const=[1]),
    Case("Upsample", [IMAGE], {"mode": "linear", "scales": [1.0, 1.0, 2.0, 2.0]}, 7, atol=1e-5),
]
GRID = real(1, 3, 4, 2, low=-1.3, high=1.3)
SAMPLE = [
    *[
        Case(
            "GridSample",
            [IMAGE, GRID],
            {"mode": m, "padding_mode": p, "align_corners": a},
            16,
            rtol=1e-4,
            atol=1e-5,
        )
        for m in ("bilinear", "nearest", "bicubic")
        for p in ("zeros", "border", "reflection")
        for a in (0, 1)
    ],
    Case(
        "GridSample",
        [real(1, 2, 3, 4, 5), real(1, 2, 3, 4, 3, low=-1.2, high=1.2)],
        {"mode": "linear"},
        20,
        atol=1e-5,
    ),
    Case("AffineGrid", [real(2, 2, 3), ints(2, 3, 4, 5)], opset=20, const=[1], atol=1e-5),
    Case(
        "AffineGrid",
        [real(2, 3, 4), ints(2, 3, 2, 4, 5)],
        {"align_corners": 1},
        20,
        const=[1],
        atol=1e-5,
    ),
    *[
        Case(
            "RoiAlign",
            [IMAGE, f32(0, 0, 3, 4, 1, 1, 5, 5).reshape(2, 4), ints(0, 0)],
            {
                "output_height": 2,
                "output_width": 3,
                "sampling_ratio": ratio,
                "mode": "avg",
                "spatial_scale": 0.9,
            },
            16,
            atol=1e-5,
        )
        for ratio in (2, 0)
    ],
    *[
        Case(
            "MaxRoiPool",
            [
                IMAGE,
                f32(0, 0, 0, 5, 4, 0, 1.5, 2, 2.5, 9, 0, 4, 3, 1, 1, 0, 7, 8, 9, 9).reshape(4, 5),
            ],
            {"pooled_shape": pooled, "spatial_scale": scale},
            opset=16,
        )
        for pooled in ([2, 3], [7, 1])
        for scale in (1.0, 0.5)
    ],
    Case(
        "MaxUnpool",
        [real(1, 1, 2, 2), ints(5, 7, 13, 15).reshape(1, 1, 2, 2)],
        {"kernel_shape": [2, 2], "strides": [2, 2]},
    ),
    Case("Col2Im", [real(1, 8, 9), ints(4, 4), ints(2, 2)], opset=18, const=[1, 2], atol=1e-5),
]

SIGNAL_X = real(2, 10, 1)
COMPLEX = real(2, 10, 2)


def pairs(x: Any) -> Any:
    return np.stack([x.real, x.imag], -1).astype(np.float32)


def as_complex(x: Any) -> Any:
    return x[..., 0] + 1j * x[..., 1]


HALF = np.fft.rfft(SIGNAL_X[..., 0], axis=1)
SIGNAL = [
    Case(
        "DFT",
        [SIGNAL_X, None, np.int64(1)],
        opset=20,
        const=[2],
        want=[pairs(np.fft.fft(SIGNAL_X[..., 0], axis=1))],
        atol=1e-5,
    ),
    Case(
        "DFT",
        [SIGNAL_X, np.int64(7), np.int64(1)],
        {"onesided": 1},
        20,
        const=[1, 2],
        want=[pairs(np.fft.rfft(SIGNAL_X[..., 0], 7, 1))],
        atol=1e-5,
    ),
    Case(
        "DFT",
        [COMPLEX, np.int64(16)],
        {"inverse": 1, "axis": 1},
        17,
        const=[1],
        want=[pairs(np.fft.ifft(as_complex(COMPLEX), 16, 1))],
        atol=1e-5,
    ),
    Case(
        "DFT",
        [COMPLEX],
        {"axis": 0},
        17,
        want=[pairs(np.fft.fft(as_complex(COMPLEX), axis=0))],
        atol=1e-5,
    ),
    Case(
        "DFT",
        [pairs(HALF), None, np.int64(1)],
        {"onesided": 1, "inverse": 1},
        20,
        const=[2],
        want=[SIGNAL_X],
        atol=1e-5,
    ),
    Case(
        "STFT",
        [real(1, 32, 1), np.int64(4), real(8, low=0.1, high=1.0)],
        {"onesided": 1},
        17,
        const=[1, 2],
        atol=1e-4,
    ),
    *[
        Case(op, [np.int64(9)], {"periodic": p}, 17, const=[0], atol=1e-6)
        for op in ("HannWindow", "HammingWindow", "BlackmanWindow")
        for p in (0, 1)
    ],
    Case(
        "MelWeightMatrix",
        [np.int64(6), np.int64(64), np.int64(8000), np.float32(20), np.float32(3800)],
        opset=17,
        const=[0, 1, 2, 3, 4],
        atol=1e-5,
    ),
]

ML = "ai.onnx.ml"
ROWS = real(5, 3)
LINEAR = {"coefficients": real(9).tolist(), "intercepts": real(3, seed=1).tolist()}
VECTORS = {"kernel_params": [0.3, 0.1, 3.0], "support_vectors": real(12, seed=2).tolist()}
TREE = {
    "nodes_treeids": [0] * 5 + [1] * 3,
    "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2],
    "nodes_featureids": [0, 1, 0, 0, 0, 2, 0, 0],
    "nodes_values": [0.1, -0.3, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0],
    "nodes_modes": [
        "BRANCH_LEQ",
        "BRANCH_LEQ",
        "LEAF",
        "LEAF",
        "LEAF",
        "BRANCH_LEQ",
        "LEAF",
        "LEAF",
    ],
    "nodes_truenodeids": [1, 2, 0, 0, 0, 1, 0, 0],
    "nodes_falsenodeids": [4, 3, 0, 0, 0, 2, 0, 0],
}


def votes(kind: str, ids: list[int]) -> dict[str, Any]:
    return {
        f"{kind}_treeids": [0, 0, 0, 1, 1],
        f"{kind}_nodeids": [2, 3, 4, 1, 2],
        f"{kind}_ids": ids,
        f"{kind}_weights": [0.3, 0.1, 0.5, 0.25, 0.05],
    }


LEARNT = [
    Case(
        "FeatureVectorizer",
        [real(4, 3), real(4, 2, seed=1), real(4, 1, seed=2)],
        {"inputdimensions": [3, 2, 1]},
        domain=ML,
        opset=1,
    ),
    Case("Binarizer", [ROWS], {"threshold": 0.4}, 1, ML),
    Case("Scaler", [ROWS], {"offset": [0.1, 0.2, 0.3], "scale": [1.0, 2.0, 3.0]}, 1, ML),
    *[Case("Normalizer", [ROWS], {"norm": k}, 1, ML) for k in ("L1", "L2")],
    Case("Normalizer", [np.abs(ROWS)], {"norm": "MAX"}, 1, ML),
    Case("ArrayFeatureExtractor", [ROWS, ints(2, 0)], {}, 1, ML),
    Case(
        "Imputer",
        [f32(1, np.nan, 3)[None]],
        {"imputed_value_floats": [7.0], "replaced_value_float": float("nan")},
        1,
        ML,
    ),
    Case("OneHotEncoder", [ints(3, 1, 9)], {"cats_int64s": [1, 2, 3]}, 1, ML),
    Case(
        "LabelEncoder",
        [ints(3, 1, 9)],
        {"keys_int64s": [1, 3], "values_floats": [0.5, 0.25], "default_float": -1.0},
        2,
        ML,
    ),
    Case("LinearRegressor", [ROWS], {**LINEAR, "targets": 3}, 1, ML),
    *[
        Case(
            "LinearClassifier",
            [ROWS],
            {**LINEAR, "classlabels_ints": [4, 5, 6], "post_transform": p},
            1,
            ML,
            outputs=2,
        )
        for p in ("NONE", "LOGISTIC", "SOFTMAX")
    ],
    *[
        Case(
            "SVMRegressor",
            [ROWS],
            {
                **VECTORS,
                "kernel_type": k,
                "n_supports": 4,
                "coefficients": real(4).tolist(),
                "rho": [0.2],
            },
            1,
            ML,
            rtol=1e-4,
            atol=1e-5,
        )
        for k in ("LINEAR", "POLY", "RBF", "SIGMOID")
    ],
    Case(
        "SVMClassifier",
        [ROWS],
        {
            **VECTORS,
            "kernel_type": "RBF",
            "coefficients": real(8).tolist(),
            "rho": [0.1, 0.2, 0.3],
            "vectors_per_class": [2, 1, 1],
            "classlabels_ints": [4, 5, 6],
        },
        1,
        ML,
        outputs=2,
        rtol=1e-4,
    ),
    *[
        Case(
            "TreeEnsembleRegressor",
            [ROWS],
            {
                **TREE,
                **votes("target", [0] * 5),
                "n_targets": 1,
                "aggregate_function": how,
                "base_values": [0.5],
            },
            1,
            ML,
        )
        for how in ("SUM", "AVERAGE", "MIN", "MAX")
    ],
    Case(
        "TreeEnsembleClassifier",
        [ROWS],
        {**TREE, **votes("class", [0, 1, 2, 1, 0]), "classlabels_int64s": [7, 8, 9]},
        1,
        ML,
        outputs=2,
    ),
    *[
        Case(
            "TreeEnsembleClassifier",
            [ROWS],
            {**TREE, **votes("class", [k] * 5), "classlabels_int64s": [7, 8], "post_transform": p},
            1,
            ML,
            outputs=2,
        )
        for p in ("NONE", "LOGISTIC")
        for k in (0, 1)
    ],
    Case(
        "TfIdfVectorizer",
        [whole(3, 8, low=0, high=4)],
        {
            "mode": "TFIDF",
            "min_gram_length": 1,
            "max_gram_length": 2,
            "max_skip_count": 1,
            "ngram_counts": [0, 2],
            "ngram_indexes": [0, 1, 2],
            "pool_int64s": [1, 2, 2, 3],
            "weights": [1.0, 2.0, 3.0],
        },
        9,
    ),
]


@pytest.mark.parametrize("case", [*RESIZE, *SAMPLE, *SIGNAL, *LEARNT], ids=str)
def test_against_onnxruntime(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", [*RESIZE, *[c for c in SAMPLE if c.op != "AffineGrid"]], ids=str)
def test_sizes_known_at_run_time(case: Case) -> None:
    case.check(fixed=False)
