"""Whole families of operators on drawn shapes, types and attributes, against onnxruntime or NumPy.

Every example also draws how the model is made: dimensions as numbers or as symbols, later inputs as constants or not, and
a view in front of the first input, so that the runtime meets strides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

import whit

Array = np.ndarray[Any, Any]
Draw = Callable[[Any], Any]
few = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

FLOATS = (np.float32, np.float64)
SIGNED = (np.int32, np.int64)
INTS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)


pytestmark = pytest.mark.slow


@dataclass
class Example:
    """A node. want: its outputs (None: what onnxruntime says)."""

    op: str
    inputs: Sequence[Array | None]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1
    opset: int = 21
    want: Sequence[Array] | None = None
    rtol: float = 1e-5
    atol: float = 1e-5

    def nodes(self) -> tuple[list[onnx.NodeProto], dict[str, Array], list[str]]:
        names = [f"x{k}" if a is not None else "" for k, a in enumerate(self.inputs)]
        arrays = {n: a for n, a in zip(names, self.inputs, strict=True) if a is not None}
        outs = [f"y{k}" for k in range(self.outputs)]
        return [helper.make_node(self.op, names, outs, **self.attrs)], arrays, outs


def make_model(
    nodes: Sequence[onnx.NodeProto],
    arrays: Mapping[str, Array],
    outs: Sequence[str],
    opset: int,
    constants: Sequence[str] = (),
    symbolic: bool = False,
) -> onnx.ModelProto:
    infos = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(a.dtype),
            [f"{name}_{k}" for k in range(a.ndim)] if symbolic else a.shape,
        )
        for name, a in arrays.items()
        if name not in constants
    ]
    results = [helper.make_empty_tensor_value_info(o) for o in outs]
    fixed = [numpy_helper.from_array(arrays[name], name) for name in constants]
    graph = helper.make_graph(list(nodes), "drawn", infos, results, fixed)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def ask_onnxruntime(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    inferred = onnx.shape_inference.infer_shapes(model)
    for o in inferred.graph.output:
        if not o.type.tensor_type.elem_type:
            o.ClearField("type")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        inferred.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, dict(feeds)))


def behind_view(draw: Draw, x: Array) -> tuple[Array, list[onnx.NodeProto], dict[str, Array]]:
    """An array, and nodes with constants of theirs that make x of it by a view."""
    kind = draw(st.sampled_from(("none", "none", "transpose", "flip", "step")))
    if kind == "none" or x.ndim == 0:
        return x, [], {}
    if kind == "transpose":
        perm = draw(st.permutations(range(x.ndim)))
        back = [int(i) for i in np.argsort(perm)]
        made = helper.make_node("Transpose", ["x0_"], ["x0"], perm=back)
        return np.ascontiguousarray(x.transpose(perm)), [made], {}
    axis = draw(st.integers(0, x.ndim - 1))
    names = ["v_start", "v_end", "v_axis", "v_step"]
    made = helper.make_node("Slice", ["x0_", *names], ["x0"])
    if kind == "flip":
        numbers, source = (-1, -(2**31), axis, -1), np.flip(x, axis)
    else:
        numbers, source = (0, 2**31 - 1, axis, 2), np.repeat(x, 2, axis)
    slots = {n: np.array([v], np.int64) for n, v in zip(names, numbers, strict=True)}
    return np.ascontiguousarray(source), [made], slots


def check(draw: Draw, e: Example) -> None:
    note(repr(e))
    nodes, arrays, outs = e.nodes()
    want = e.want
    if want is None:
        want = ask_onnxruntime(make_model(nodes, arrays, outs, e.opset), arrays)
    constants = [n for n in arrays if n != "x0" and draw(st.booleans())]
    feeds = dict(arrays)
    if "x0" in feeds and feeds["x0"].dtype in (*FLOATS, *SIGNED):
        first, views, slots = behind_view(draw, feeds["x0"])
        if views:
            del feeds["x0"]
            feeds = {"x0_": first, **feeds, **slots}
            nodes, constants = [*views, *nodes], [*constants, *slots]
    model = make_model(nodes, feeds, outs, e.opset, constants, draw(st.booleans()))
    got = whit.load(whit.convert(model)).run({k: a for k, a in feeds.items() if k not in constants})
    for name, w in zip(outs, want, strict=True):
        y = np.asarray(got[name])
        assert (y.shape, y.dtype) == (w.shape, w.dtype), (name, y.shape, y.dtype, w.shape, w.dtype)
        np.testing.assert_allclose(y, w, e.rtol, e.atol, err_msg=name)


# what is drawn


def shapes(min_rank: int = 0, max_rank: int = 4, low: int = 0, high: int = 5) -> Any:
    return st.lists(st.integers(low, high), min_size=min_rank, max_size=max_rank).map(tuple)


def filled(draw: Draw, shape: Sequence[int], dtype: Any = np.float32, low: int = -9) -> Array:
    """Multiples of 1/4 in the types that have them, so that equal elements occur."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.asarray(rng.integers(0, 2, shape)).astype(dtype)
    low = 0 if kind == "u" else low
    whole = np.asarray(rng.integers(low, 10, shape))
    return np.asarray(whole + rng.integers(0, 4, shape) / 4 if kind == "f" else whole).astype(dtype)


def part_of(draw: Draw, shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that broadcasts to this one."""
    kept = shape[draw(st.integers(0, len(shape))) :]
    return tuple(1 if draw(st.booleans()) else d for d in kept)


def ints(values: Sequence[int]) -> Array:
    return np.array(values, np.int64)


# element-wise


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
    "BitwiseAnd": np.bitwise_and,
    "BitwiseXor": np.bitwise_xor,
    "Mod": np.mod,
}


@settings(few, max_examples=200)
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


# movement


def sliced(shape: Sequence[int], axes: Any, starts: Any, ends: Any, steps: Any) -> list[slice]:
    """As the standard has it. (onnxruntime takes the largest end for the front if the step is negative.)"""
    result = [slice(None)] * len(shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step < 0 and (end := end + shape[axis] if end < 0 else end) < 0:
            end = None
        too_low = step < 0 and start + shape[axis] < 0  # Python starts nowhere, ONNX at the front
        result[axis] = slice(0 if too_low else start, end, step)
    return result


@few
@given(st.data())
def test_slice(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 0, 6))
    x = filled(draw, shape, draw(st.sampled_from((*FLOATS, *INTS, bool))))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    bound = st.one_of(st.integers(-8, 8), st.sampled_from((-(2**63) + 1, 2**63 - 1)))
    starts, ends = ([draw(bound) for _ in axes] for _ in range(2))
    steps = [draw(st.sampled_from((1, 1, 2, 3, -1, -2, -9))) for _ in axes]
    axes = [a - len(shape) if draw(st.booleans()) else a for a in axes]
    want = x[tuple(sliced(shape, axes, starts, ends, steps))]
    check(draw, Example("Slice", [x, *map(ints, (starts, ends, axes, steps))], want=[want]))


def indices(draw: Draw, shape: Sequence[int], size: int) -> Array:
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    dtype = draw(st.sampled_from(SIGNED))
    return np.asarray(rng.integers(-size, size, shape)).astype(dtype)


@few
@given(st.data())
def test_gather(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 5))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    x = filled(draw, shape, draw(st.sampled_from((*FLOATS, *INTS, bool))))
    index = indices(draw, draw(shapes(0, 3)), shape[axis])
    check(draw, Example("Gather", [x, index], {"axis": axis}))


@few
@given(st.data())
def test_gather_elements(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 5))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    x = filled(draw, shape, draw(st.sampled_from((*FLOATS, *SIGNED))))
    smaller = [draw(st.integers(1, d)) for d in shape]
    smaller[axis] = draw(st.integers(1, 6))
    index = indices(draw, smaller, shape[axis])
    check(draw, Example("GatherElements", [x, index], {"axis": axis}))


def tuples(draw: Draw, lead: Sequence[int], sizes: Sequence[int], unique: bool = False) -> Array:
    """Index tuples [*lead, len(sizes)]."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    n, total = int(np.prod(lead, dtype=int)), int(np.prod(sizes, dtype=int))
    flat = rng.choice(total, n, replace=not unique)
    columns = np.stack(np.unravel_index(flat, sizes), -1).reshape(*lead, len(sizes))
    return (columns - np.array(sizes) * rng.integers(0, 2, columns.shape)).astype(np.int64)


@few
@given(st.data())
def test_gather_nd(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 4))
    batch = draw(st.integers(0, len(shape) - 1))
    width = draw(st.integers(1, len(shape) - batch))
    x = filled(draw, shape, draw(st.sampled_from((*FLOATS, *SIGNED))))
    lead = (*shape[:batch], *draw(shapes(0, 2, 1, 3)))
    index = tuples(draw, lead, shape[batch : batch + width])
    check(draw, Example("GatherND", [x, index], {"batch_dims": batch}))


REDUCTION = st.sampled_from(("none", "add", "mul", "max", "min"))


@few
@given(st.data(), REDUCTION)
def test_scatter_elements(data: Any, reduction: str) -> None:
    draw = data.draw
    shape = draw(shapes(1, 3, 1, 5))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    dtype = draw(st.sampled_from((*FLOATS, *SIGNED)))
    smaller = [draw(st.integers(1, d)) for d in shape]
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    index = np.argsort(rng.random((*smaller[:axis], shape[axis], *smaller[axis:][1:])), axis)
    index = np.take(index, range(smaller[axis]), axis)  # no index twice
    if reduction != "none":
        index = rng.integers(-shape[axis], shape[axis], smaller)
    attrs = {"axis": axis, "reduction": reduction}
    inputs = [filled(draw, shape, dtype), index.astype(np.int64), filled(draw, smaller, dtype)]
    check(draw, Example("ScatterElements", inputs, attrs, opset=18))


@few
@given(st.data(), REDUCTION)
def test_scatter_nd(data: Any, reduction: str) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 4))
    width = draw(st.integers(1, len(shape)))
    sizes, rest = shape[:width], shape[width:]
    count = draw(st.integers(1, int(np.prod(sizes))))
    index = tuples(draw, (count,), sizes, unique=reduction == "none")
    dtype = draw(st.sampled_from((*FLOATS, *SIGNED)))
    inputs = [filled(draw, shape, dtype), index, filled(draw, (count, *rest), dtype)]
    check(draw, Example("ScatterND", inputs, {"reduction": reduction}, opset=18))


@few
@given(st.data(), st.sampled_from(("constant", "edge", "reflect", "wrap")))
def test_pad(data: Any, mode: str) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 2, 5))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    most = [3 if mode in ("constant", "edge") else shape[a] - 1 for a in axes]
    pads = [draw(st.integers(0, m)) for m in most * 2]
    if mode == "constant" and draw(st.booleans()):
        pads = [
            -(shape[a] // 2) if draw(st.booleans()) else p
            for a, p in zip(axes * 2, pads, strict=True)
        ]
    dtype = draw(st.sampled_from((*FLOATS, *SIGNED)))
    value = filled(draw, (), dtype) if mode == "constant" else None
    axes = [a - len(shape) if draw(st.booleans()) else a for a in axes]
    inputs = [filled(draw, shape, dtype), ints(pads), value, ints(axes)]
    check(draw, Example("Pad", inputs, {"mode": mode}, opset=19))


@few
@given(st.data())
def test_concat(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 0, 4))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    dtype = draw(st.sampled_from((*FLOATS, *INTS, bool)))
    parts = []
    for _ in range(draw(st.integers(1, 5))):
        own = list(shape)
        own[axis] = draw(st.integers(0, 4))
        parts.append(filled(draw, own, dtype))
    check(draw, Example("Concat", parts, {"axis": axis}, want=[np.concatenate(parts, axis)]))


@few
@given(st.data())
def test_split(data: Any) -> None:
    draw = data.draw
    shape = list(draw(shapes(1, 4, 1, 4)))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    sizes = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    shape[axis] = sum(sizes)
    x = filled(draw, shape, draw(st.sampled_from((*FLOATS, *SIGNED))))
    want = np.split(x, np.cumsum(sizes)[:-1], axis)
    check(draw, Example("Split", [x, ints(sizes)], {"axis": axis}, len(sizes), want=want))


@few
@given(st.data())
def test_split_evenly(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 3, 1, 7))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    parts = draw(st.integers(1, shape[axis]))
    each = -(-shape[axis] // parts)
    if each * (parts - 1) >= shape[axis]:
        return  # onnxruntime and the standard's text do not agree on these
    x = filled(draw, shape)
    check(draw, Example("Split", [x], {"axis": axis, "num_outputs": parts}, parts))


@few
@given(st.data())
def test_reshape_and_axes(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 4, 1, 4))
    x = filled(draw, shape, draw(st.sampled_from((*FLOATS, *INTS, bool))))
    perm = draw(st.permutations(range(len(shape))))
    check(draw, Example("Transpose", [x], {"perm": perm}, want=[x.transpose(perm)]))
    at = draw(st.integers(0, len(shape) - 1))
    target = [*shape[:at], -1] if draw(st.booleans()) else [-1, *shape[at + 1 :]]
    target = [
        0 if d == s and draw(st.booleans()) else d for d, s in zip(target, shape, strict=False)
    ]
    check(draw, Example("Reshape", [x, ints(target)]))
    axes = draw(st.lists(st.integers(0, len(shape)), min_size=1, max_size=2, unique=True))
    rank = len(shape) + len(axes)
    axes = [a - rank if draw(st.booleans()) else a for a in axes]
    wide = np.expand_dims(x, tuple(axes))
    check(draw, Example("Unsqueeze", [x, ints(axes)], want=[wide]))
    check(draw, Example("Squeeze", [wide, ints(axes)], want=[x]))
    check(draw, Example("Squeeze", [wide], want=[np.squeeze(x)]))
    axis = draw(st.integers(-len(shape), len(shape)))
    check(draw, Example("Flatten", [x], {"axis": axis}))


@few
@given(st.data())
def test_expand_and_tile(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(0, 4, 0, 4))
    x = filled(draw, part_of(draw, shape), draw(st.sampled_from((*FLOATS, *SIGNED))))
    target = [1 if d in x.shape and draw(st.booleans()) else d for d in shape]
    want = np.broadcast_to(x, np.broadcast_shapes(x.shape, target))
    check(
        draw,
        Example("Expand", [x, ints(target)], want=[np.ascontiguousarray(want).reshape(want.shape)]),
    )
    repeats = [draw(st.integers(0, 3)) for _ in x.shape]
    check(draw, Example("Tile", [x, ints(repeats)], want=[np.tile(x, repeats)]))


@few
@given(st.data())
def test_unique_nonzero_compress(data: Any) -> None:
    draw = data.draw
    x = filled(draw, draw(shapes(1, 3, 1, 5)), draw(st.sampled_from((np.float32, np.int64))), low=8)
    attrs: dict[str, Any] = {"sorted": draw(st.integers(0, 1))}
    if draw(st.booleans()):
        attrs["axis"] = draw(st.integers(-x.ndim, x.ndim - 1))
    check(draw, Example("Unique", [x], attrs, outputs=4))
    z = filled(draw, x.shape, draw(st.sampled_from((np.float32, np.int64, bool))), low=-1) // 4
    z = z.astype(np.float32)
    check(draw, Example("NonZero", [z], want=[np.stack(np.nonzero(z)).astype(np.int64)]))
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    keep = filled(draw, (draw(st.integers(0, x.shape[axis])),), bool)
    check(draw, Example("Compress", [x, keep], {"axis": axis}, want=[np.compress(keep, x, axis)]))


@few
@given(st.data())
def test_range_trilu_one_hot(data: Any) -> None:
    draw = data.draw
    dtype = draw(st.sampled_from((np.float32, np.int64, np.int32)))
    start, limit = (np.array(draw(st.integers(-9, 9)), dtype) for _ in range(2))
    delta = np.array(draw(st.sampled_from((1, 2, -1, -3, 4))), dtype)
    check(
        draw, Example("Range", [start, limit, delta], want=[np.arange(start, limit, delta, dtype)])
    )
    x = filled(draw, draw(shapes(2, 4, 0, 4)), draw(st.sampled_from((*FLOATS, *SIGNED))))
    k, upper = draw(st.integers(-5, 5)), draw(st.integers(0, 1))
    want = np.triu(x, k) if upper else np.tril(x, k)
    check(draw, Example("Trilu", [x, np.array(k)], {"upper": upper}, want=[want]))
    index = indices(draw, draw(shapes(1, 3)), 5)
    axis = draw(st.integers(-index.ndim - 1, index.ndim))
    inputs = [index.astype(np.int64), np.array(5, np.int64), np.array([2, 7], np.float32)]
    check(draw, Example("OneHot", inputs, {"axis": axis}))


# contraction and windows


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


def window(draw: Draw, spatial: int, dilated: bool = True) -> dict[str, Any]:
    kernel = [draw(st.integers(1, 3)) for _ in range(spatial)]
    attrs: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": [draw(st.integers(1, 3)) for _ in kernel],
    }
    auto = draw(st.sampled_from(("NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")))
    if auto != "NOTSET":
        return {**attrs, "auto_pad": auto}
    attrs["pads"] = [draw(st.integers(0, k - 1)) for k in kernel * 2]
    if dilated:
        attrs["dilations"] = [draw(st.integers(1, 2)) for _ in kernel]
    return attrs


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
    attrs = window(draw, draw(st.integers(1, 2)))
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


# small graphs: what passes merge, move and drop


def grow(draw: Draw, names: list[str], k: int) -> tuple[onnx.NodeProto, dict[str, Array]]:
    """One more node on values of the shape [2, 3, 4]; all of them keep it."""
    kind = draw(st.sampled_from(("unary", "binary", "constant", "turn", "norm", "flip", "both")))
    x, y, out = draw(st.sampled_from(names)), draw(st.sampled_from(names)), f"v{k}"
    if kind == "unary":
        return helper.make_node(
            draw(st.sampled_from(("Tanh", "Abs", "Neg", "Sigmoid", "Relu"))), [x], [out]
        ), {}
    if kind == "binary":
        return helper.make_node(
            draw(st.sampled_from(("Add", "Sub", "Mul", "Max"))), [x, y], [out]
        ), {}
    if kind == "constant":
        c = filled(draw, part_of(draw, (2, 3, 4)))
        return helper.make_node(
            draw(st.sampled_from(("Add", "Mul", "Min"))), [x, f"c{k}"], [out]
        ), {f"c{k}": c}
    if kind == "turn":
        return helper.make_node("MatMul", [x, f"c{k}"], [out]), {f"c{k}": filled(draw, (4, 4)) / 16}
    if kind == "norm":
        return helper.make_node("Softmax", [x], [out], axis=draw(st.integers(-3, 2))), {}
    if kind == "flip":
        slots = {
            f"{n}{k}": ints([v])
            for n, v in (("s", -1), ("e", -99), ("a", draw(st.integers(0, 2))), ("t", -1))
        }
        return helper.make_node("Slice", [x, *slots], [out]), slots
    return helper.make_node("Where", ["mask", x, y], [out]), {}


@settings(few, max_examples=100)
@given(st.data())
def test_graphs(data: Any) -> None:
    draw = data.draw
    inputs = {
        "x": filled(draw, (2, 3, 4)),
        "z": filled(draw, (2, 3, 4)),
        "mask": filled(draw, (2, 3, 4), bool),
    }
    names, nodes, constants = ["x", "z"], [], {}
    for k in range(draw(st.integers(2, 12))):
        node, extra = grow(draw, names, k)
        nodes.append(node)
        names.append(node.output[0])
        constants |= extra
        if draw(st.integers(0, 3)) == 0:  # there and back again: pairs that cancel, or nearly
            perm = draw(st.permutations(range(3)))
            back = [int(i) for i in np.argsort(perm)]
            nodes.append(helper.make_node("Transpose", [names[-1]], [f"there{k}"], perm=perm))
            nodes.append(helper.make_node("Relu", [f"there{k}"], [f"on{k}"]))
            nodes.append(helper.make_node("Transpose", [f"on{k}"], [f"back{k}"], perm=back))
            names.append(f"back{k}")
    outs = sorted({names[-1], draw(st.sampled_from(names[2:]))})
    arrays = {**inputs, **constants}
    model = make_model(nodes, arrays, outs, 21, list(constants), draw(st.booleans()))
    want = ask_onnxruntime(model, inputs)
    got = whit.load(whit.convert(model)).run(inputs)
    for name, w in zip(outs, want, strict=True):
        np.testing.assert_allclose(
            got[name], w, 1e-4, 1e-4 * max(1.0, float(abs(w).max())), err_msg=name
        )
