"""Element-wise operators, reductions and what sorts, on drawn examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from drawn import (
    EXAMPLES,
    FLOATS,
    INTS,
    SIGNED,
    Array,
    Example,
    check,
    few,
    filled,
    ints,
    part_of,
    shapes,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

pytestmark = pytest.mark.slow


def truncated(a: Array, b: Array) -> Array:
    with np.errstate(all="ignore"):
        if a.dtype.kind == "f":
            return a / b
        whole = np.floor_divide(a, b)
        return np.where((np.mod(a, b) != 0) & (whole < 0), whole + 1, whole).astype(a.dtype)


ARITHMETIC: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": truncated,
    "Max": np.maximum,
    "Min": np.minimum,
    "Equal": np.equal,
    "Less": np.less,
    "GreaterOrEqual": np.greater_equal,
    "LessOrEqual": np.less_equal,
    "Greater": np.greater,
    "BitwiseAnd": np.bitwise_and,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
    "Mod": np.mod,
}


@settings(few, max_examples=5 * EXAMPLES)
@given(st.sampled_from(list(ARITHMETIC)), st.data())
def test_arithmetic(op: str, data: Any) -> None:
    draw = data.draw
    only_ints = op.startswith("Bit") or op == "Mod"
    dtype = draw(st.sampled_from(INTS if only_ints else (*FLOATS, *INTS)))
    shape = draw(shapes())
    a, b = filled(draw, shape, dtype), filled(draw, part_of(draw, shape), dtype)
    if op in ("Div", "Mod"):
        b = np.where(b == 0, np.array(3, dtype), b)
    if draw(st.booleans()):
        a, b = b, a
        if op in ("Div", "Mod"):
            b = np.where(b == 0, np.array(3, dtype), b)
    with np.errstate(all="ignore"):
        want = np.asarray(ARITHMETIC[op](a, b))
    check(draw, Example(op, [a, b], want=[want]))


@few
@given(st.data(), st.sampled_from(("And", "Or", "Xor")))
def test_logic(data: Any, op: str) -> None:
    draw = data.draw
    shape = draw(shapes())
    a, b = filled(draw, shape, bool), filled(draw, part_of(draw, shape), bool)
    check(draw, Example(op, [a, b]))


@few
@given(st.data(), st.sampled_from(("Sum", "Mean", "Max", "Min")))
def test_variadic(data: Any, op: str) -> None:
    draw = data.draw
    dtype = draw(st.sampled_from(FLOATS if op in ("Sum", "Mean") else (*FLOATS, *INTS)))
    shape = draw(shapes())
    inputs = [filled(draw, part_of(draw, shape), dtype) for _ in range(draw(st.integers(1, 5)))]
    rule = {"Sum": np.add, "Mean": np.add, "Max": np.maximum, "Min": np.minimum}[op]
    want = inputs[0]
    for x in inputs[1:]:
        want = rule(want, x)
    want = np.asarray(want / len(inputs) if op == "Mean" else want, dtype)
    check(draw, Example(op, inputs, want=[want]))


@few
@given(st.data(), st.sampled_from((np.uint8, np.uint16, np.uint32, np.uint64)))
def test_shift(data: Any, dtype: Any) -> None:
    draw = data.draw
    shape = draw(shapes())
    x, by = (
        filled(draw, shape, dtype) * dtype(13),
        filled(draw, part_of(draw, shape), dtype) % dtype(8),
    )
    direction = draw(st.sampled_from(("LEFT", "RIGHT")))
    want = np.left_shift(x, by) if direction == "LEFT" else np.right_shift(x, by)
    check(draw, Example("BitShift", [x, by], {"direction": direction}, want=[np.asarray(want)]))
    check(draw, Example("BitwiseNot", [x], want=[np.asarray(~x)]))


@few
@given(st.data())
def test_slopes_and_shrinking(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1))
    x = filled(draw, shape)
    slope = filled(draw, part_of(draw, shape)) / 8
    check(draw, Example("PRelu", [x, slope], want=[np.where(x < 0, x * slope, x)]))
    attrs = {"lambd": draw(st.sampled_from((0.5, 2.0))), "bias": draw(st.sampled_from((0.0, 1.5)))}
    check(draw, Example("Shrink", [x], attrs))


UNARY = [
    "Abs",
    "Neg",
    "Ceil",
    "Floor",
    "Round",
    "Sqrt",
    "Exp",
    "Log",
    "Sin",
    "Cos",
    "Tan",
    "Atan",
    "Tanh",
    "Erf",
    "Sign",
    "Sigmoid",
    "Relu",
    "Reciprocal",
    "Softplus",
    "Softsign",
    "Asin",
    "Acos",
    "Asinh",
    "Acosh",
    "Atanh",
    "Sinh",
    "Cosh",
    "Gelu",
    "HardSwish",
    "Mish",
    "LeakyRelu",
    "Elu",
    "Selu",
    "Celu",
    "HardSigmoid",
    "ThresholdedRelu",
]


@few
@given(st.data(), st.sampled_from(UNARY))
def test_unary(data: Any, op: str) -> None:
    draw = data.draw
    x = filled(draw, draw(shapes()), np.float32)
    if op in ("Asin", "Acos", "Atanh"):
        x = x / 16
    if op in ("Sqrt", "Log"):
        x = abs(x) + np.float32(0.25)
    x = abs(x) + 1 if op == "Acosh" else x
    x = np.where(x == 0, np.float32(1), x) if op == "Reciprocal" else x
    check(draw, Example(op, [np.asarray(x, np.float32)], rtol=2e-5, atol=2e-6))


@few
@given(st.data(), st.sampled_from((*FLOATS, *INTS, bool)), st.sampled_from((*FLOATS, *INTS, bool)))
def test_cast(data: Any, source: Any, target: Any) -> None:
    draw = data.draw
    x = filled(draw, draw(shapes()), source, low=0)
    to = helper.np_dtype_to_tensor_dtype(np.dtype(target))
    check(draw, Example("Cast", [x], {"to": to}, want=[np.asarray(x.astype(target))]))


@few
@given(st.data())
def test_where_clip(data: Any) -> None:
    draw = data.draw
    shape, dtype = draw(shapes()), draw(st.sampled_from((*FLOATS, *SIGNED)))
    x, y = filled(draw, shape, dtype), filled(draw, part_of(draw, shape), dtype)
    condition = filled(draw, part_of(draw, shape), bool)
    check(draw, Example("Where", [condition, x, y], want=[np.where(condition, x, y)]))
    low, high = (np.array(v, dtype) for v in (-2, 4))
    check(draw, Example("Clip", [x, low, high], want=[np.clip(x, low, high)]))


# reductions

REDUCE = ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSum", "LogSumExp"]


@few
@given(st.data(), st.sampled_from(REDUCE))
def test_reduce(data: Any, kind: str) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 5))
    real = kind in ("Mean", "L2", "LogSum", "LogSumExp")
    x = filled(draw, shape, draw(st.sampled_from(FLOATS if real else (*FLOATS, *SIGNED))), low=1)
    if kind == "Prod" and x.dtype in SIGNED:
        x = np.sign(x)  # onnxruntime does not wrap
    axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True))
    axes = [a - len(shape) if draw(st.booleans()) else a for a in axes]
    attrs = {"keepdims": draw(st.integers(0, 1)), "noop_with_empty_axes": draw(st.integers(0, 1))}
    if (
        not axes
        and attrs["noop_with_empty_axes"]
        and kind not in ("Sum", "Mean", "Max", "Min", "Prod")
    ):
        attrs["noop_with_empty_axes"] = 0  # onnxruntime leaves out what it does before reducing
    check(draw, Example("Reduce" + kind, [x, ints(axes)], attrs, opset=18))


@few
@given(st.data(), st.sampled_from(("ArgMax", "ArgMin")))
def test_arg_reduce(data: Any, op: str) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 5))
    x = filled(draw, shape, draw(st.sampled_from((np.float32, np.int32))))
    attrs = {
        "axis": draw(st.integers(-len(shape), len(shape) - 1)),
        "keepdims": draw(st.integers(0, 1)),
        "select_last_index": draw(st.integers(0, 1)),
    }
    check(draw, Example(op, [x], attrs))


@few
@given(st.data())
def test_cumsum(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 5))
    x = filled(draw, shape, draw(st.sampled_from((*FLOATS, *SIGNED))))
    attrs = {"exclusive": draw(st.integers(0, 1)), "reverse": draw(st.integers(0, 1))}
    axis = np.array(draw(st.integers(-len(shape), len(shape) - 1)), np.int64)
    check(draw, Example("CumSum", [x, axis], attrs))


@few
@given(st.data())
def test_topk(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 6))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    x = filled(draw, shape, draw(st.sampled_from((*FLOATS, *SIGNED))))
    k, largest = draw(st.integers(1, shape[axis])), draw(st.integers(0, 1))
    attrs = {"axis": axis, "largest": largest}
    check(draw, Example("TopK", [x, ints([k])], attrs, outputs=2))


@few
@given(st.data(), st.sampled_from(("Softmax", "LogSoftmax", "LayerNormalization")))
def test_softmax_and_norm(data: Any, op: str) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 5))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    inputs = [filled(draw, shape)]
    if op == "LayerNormalization":
        inputs += [filled(draw, shape[axis:]), filled(draw, shape[axis:])]
    check(draw, Example(op, inputs, {"axis": axis}, rtol=1e-4, atol=1e-4))
