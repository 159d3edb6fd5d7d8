"""Lowerings of math.py: element-wise operators, contractions, reductions, in all their versions."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_node import Case, f32, ints, real, whole

import whit

X = real(2, 3, 4)
HALF = real(2, 3, 4, dtype=np.float16)
EDGE = f32(0.0, -0.0, 1e-6, -1e-3, 0.3, -0.3, 1.0, 5.0, -5.0, 30.0, -30.0, 80.0, np.inf, -np.inf)
UNIT = f32(-1.0, -0.9999, -0.5, -1e-4, 0.0, 1e-6, 0.5, 0.9999, 1.0)

UNARY = [
    *[Case(op, [X]) for op in ("Abs", "Neg", "Ceil", "Floor", "Round", "Exp", "Sin", "Cos", "Tan")],
    *[Case(op, [X]) for op in ("Atan", "Sinh", "Cosh", "Tanh", "Sign", "Reciprocal", "Erf")],
    *[Case(op, [np.abs(X)]) for op in ("Sqrt", "Log")],
    *[Case(op, [UNIT]) for op in ("Asin", "Acos", "Atanh")],
    Case("Asinh", [f32(0, 1e-6, -1e-3, 0.5, -2, 1e4, -1e20, 1e30)]),
    Case("Acosh", [f32(1, 1.000001, 1.5, 10, 1e4, 1e20, 1e30)]),
    Case("Sinh", [f32(0, 1e-6, -1e-3, 0.999, 1.001, -8, 80)]),
    *[Case(op, [EDGE]) for op in ("Softplus", "Relu", "HardSwish", "Sigmoid", "Tanh")],
    *[Case(op, [EDGE[:-2]]) for op in ("Softsign", "Mish", "Elu", "Selu", "Celu")],
    Case("Relu", [whole(3, 4, dtype=np.int32)]),
    Case("Gelu", [X], opset=20),
    Case("Gelu", [X], {"approximate": "tanh"}, opset=20, atol=1e-5),
    Case("Gelu", [HALF], opset=20, rtol=2e-3, atol=1e-3),
    Case("LeakyRelu", [X], {"alpha": 0.1}),
    Case("Elu", [X], {"alpha": 2.0}),
    Case("Celu", [X], {"alpha": 2.0}),
    Case("Selu", [X], {"alpha": 2.0, "gamma": 3.0}),
    Case("HardSigmoid", [X], {"alpha": 0.3, "beta": 0.4}),
    Case("ThresholdedRelu", [X], {"alpha": 0.7}),
    Case("Shrink", [X], {"lambd": 0.5, "bias": 0.2}),
    Case("Swish", [X], {"alpha": 0.5}, opset=24, want=[X / (1 + np.exp(-0.5 * X))]),
    Case("IsNaN", [f32(0, np.nan, np.inf)]),
    Case("IsInf", [EDGE]),
    Case("IsInf", [EDGE], {"detect_negative": 0}),
    Case("IsInf", [EDGE], {"detect_positive": 0}),
    Case("Not", [X > 0]),
    Case("BitwiseNot", [whole(3, dtype=np.int16)], opset=18),
    Case("Clip", [X], {"min": -1.0, "max": 0.5}, opset=6),
    Case("Clip", [X], {"max": 0.5}, opset=6),
    Case("Clip", [X, None, np.float32(1)], opset=13),
    Case("Clip", [whole(4), np.int64(-2), np.int64(3)], opset=13),
    Case("PRelu", [X, f32(0.1, 0.2, 0.3, 0.4)]),
    Case("PRelu", [X, f32(0.1, 0.2, 0.3).reshape(3, 1)]),
]

A, B = real(2, 3, 4), real(3, 1, seed=1)
SMALL = whole(2, 6, low=1, high=5)
BINARY = [
    *[Case(op, [A, B]) for op in ("Add", "Sub", "Mul", "Div", "Less", "Greater", "Max", "Min")],
    *[Case(op, [whole(9), whole(9, seed=3)]) for op in ("Add", "Mul", "LessOrEqual", "Equal")],
    *[Case(op, [A > 0, B > 0]) for op in ("And", "Or", "Xor", "Equal")],
    Case("Div", [whole(9), ints(3, -3, 2, 7, -1, 5, 4, -2, 9)]),
    Case("Mod", [whole(9), ints(3, -3, 2, 7, -4, 5, 4, -2, 9)]),
    Case("Mod", [whole(9), ints(3, -3, 2, 7, -4, 5, 4, -2, 9)], {"fmod": 1}),
    Case("Mod", [A, B], {"fmod": 1}),
    Case("Max", [A, B, np.float32(0)]),
    Case("Sum", [A, B, B]),
    Case("Mean", [A, B, B]),
    Case("Pow", [np.abs(A), B], rtol=1e-4),
    *[Case("Pow", [np.abs(A), np.float32(e)]) for e in (0.5, 1, 2, 3, -1)],
    *[Case("Pow", [np.abs(A), np.float32(e)], const=[1]) for e in (0.5, 1, 2, 3, -1)],
    Case("Pow", [A, np.int64(3)], const=[1]),
    Case("Pow", [SMALL, whole(2, 6, low=0, high=4, seed=1)]),
    Case("Pow", [SMALL.astype(np.int32), np.float32(1.5)]),
    Case(
        "BitShift",
        [whole(4, low=0, dtype=np.uint8), f32(1, 2, 9, 0).astype(np.uint8)],
        {"direction": "LEFT"},
    ),
    Case("BitwiseAnd", [whole(4), whole(4, seed=1)], opset=18),
    Case(
        "Add",
        [X, f32(1, 2, 3)],
        {"broadcast": 1, "axis": 1},
        opset=6,
        want=[X + f32(1, 2, 3)[:, None]],
    ),
    Case("PRelu", [X, f32(1, 2, 3)], opset=6, want=[np.where(X < 0, X * f32(1, 2, 3)[:, None], X)]),
]

I32 = np.array([200, -1, 70000, 1], np.int32)
CASTS = [
    Case("Cast", [f32(1.9, -1.9, 0, 100)], {"to": 7}),
    Case("Cast", [f32(0.1, 0.0, -0.0, np.nan)], {"to": 9}),
    Case("Cast", [I32], {"to": 3}),
    Case("Cast", [I32], {"to": 4}),
    Case("Cast", [I32], {"to": 9}),
    Case("Cast", [X > 0], {"to": 1}),
    Case("Cast", [X], {"to": 10}),
    Case("Cast", [X.astype(np.float64)], {"to": 1}),
    Case("CastLike", [X, np.zeros(1, np.int32)]),
]

CONTRACT = [
    Case("MatMul", [real(3, 4), real(4, 5)]),
    Case("MatMul", [real(2, 1, 3, 4), real(5, 4, 2)]),
    Case("MatMul", [real(4), real(4, 5)]),
    Case("MatMul", [real(2, 3, 4), real(4)]),
    Case("MatMul", [real(4), real(4, seed=1)]),
    *[
        Case(
            "Gemm",
            [real(4, 3) if ta else real(3, 4), real(5, 4) if tb else real(4, 5), c],
            {"transA": ta, "transB": tb, "alpha": alpha, "beta": beta},
            const=const,
        )
        for ta, tb in ((0, 0), (1, 0), (0, 1), (1, 1))
        for alpha, beta, c in ((1.0, 1.0, real(5)), (0.5, 2.0, real(3, 1)), (2.0, 0.0, real(1, 5)))
        for const in ((), (1, 2))
    ],
    Case("Gemm", [real(3, 4), real(4, 5)]),
    Case("Gemm", [real(3, 4), real(4, 5), np.float32(2)]),
    *[
        Case("Einsum", inputs, {"equation": equation})
        for equation, inputs in (
            ("ij,jk->ik", [real(3, 4), real(4, 5)]),
            ("ij,jk", [real(3, 4), real(4, 5)]),
            ("bij,bjk->bik", [real(2, 3, 4), real(2, 4, 5)]),
            ("...ij,...jk->...ik", [real(2, 3, 4), real(2, 4, 5)]),
            ("bhid,bhjd->bhij", [real(2, 3, 4, 5), real(2, 3, 6, 5)]),
            ("abc,cd,def->abef", [real(2, 3, 4), real(4, 5), real(5, 2, 3)]),
            ("ii->i", [real(4, 4)]),
            ("ii", [real(4, 4)]),
            ("ij->ji", [real(3, 4)]),
            ("ij->", [real(3, 4)]),
            ("i,j->ij", [real(3), real(4)]),
            ("i,i->", [real(3), real(3, seed=1)]),
            ("ij,kl->", [real(3, 4), real(2, 5)]),
            ("bij,kj->bik", [real(2, 3, 4), real(5, 4)]),
        )
    ],
    Case("CumSum", [X, np.array(1, np.int32)], const=[1]),
    Case("CumSum", [X, np.array(-1, np.int32)], {"exclusive": 1, "reverse": 1}),
    Case("Det", [real(3, 3)], want=[np.linalg.det(real(3, 3)).astype(np.float32)], rtol=1e-4),
    Case("Det", [real(2, 4, 4)], want=[np.linalg.det(real(2, 4, 4)).astype(np.float32)], rtol=1e-4),
]

REDUCTIONS = ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp"]
POSITIVE = np.abs(X) + 0.1
REDUCE = [
    *[
        Case(f"Reduce{r}", [X], {"axes": [1], "keepdims": k}, opset=11)
        for r in REDUCTIONS
        for k in (0, 1)
    ],
    *[Case(f"Reduce{r}", [X, ints(0, -1)], opset=18, const=[1]) for r in REDUCTIONS],
    *[Case(f"Reduce{r}", [X, ints(0, 2)], {"keepdims": 0}, opset=18) for r in REDUCTIONS],
    *[Case(f"Reduce{r}", [X], {"keepdims": 0}, opset=18) for r in REDUCTIONS],
    Case("ReduceLogSum", [POSITIVE], {"axes": [1]}, opset=11),
    Case("ReduceLogSumExp", [f32(1000, 999, -1000)], opset=11),
    Case("ReduceLogSumExp", [f32(-np.inf, -np.inf)], opset=11, want=[f32(-np.inf)]),
    Case("ReduceSum", [X, ints()], {"noop_with_empty_axes": 1}, opset=13, const=[1]),
    Case("ReduceSum", [whole(3, 4), ints(1)], opset=13, const=[1]),
    Case("ReduceMax", [X > 0, ints(1)], opset=20, want=[(X > 0).max(1, keepdims=True)], const=[1]),
    *[
        Case(op, [f32(1, 3, 3, 0, 0)], {"select_last_index": last, "keepdims": k}, opset=13)
        for op in ("ArgMax", "ArgMin")
        for last in (0, 1)
        for k in (0, 1)
    ],
    Case("ArgMax", [X], {"axis": -1}, opset=13),
    Case("Hardmax", [X], opset=13),
    Case("Hardmax", [X], {"axis": 1}, opset=11),
]


@pytest.mark.parametrize("case", [*UNARY, *BINARY, *CASTS, *CONTRACT, *REDUCE], ids=str)
def test_against_onnxruntime(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("case", [c for c in [*CONTRACT, *REDUCE] if c.op != "Det"], ids=str)
def test_sizes_known_at_run_time(case: Case) -> None:
    case.check(fixed=False)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (Case("BitCast", [X], {"to": 7}, opset=26), "BitCast.*differ in size"),
        (Case("Celu", [X], {"alpha": 0.0}), "Celu.*do not fit"),
        (Case("Cast", [X], {"to": 8}), "STRING"),
        (Case("Einsum", [X], {"equation": "ij->i"}), "does not fit"),
    ],
    ids=lambda p: str(p),
)
def test_refused(case: Case, message: str) -> None:
    with pytest.raises(whit.ConvertError, match=message):
        whit.convert(case.model(True))
