"""The builder: types and symbolic shapes of what it emits, and constants that it computes on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from whit import _native
from whit_exporter import infer, verify, write
from whit_exporter.build import Builder
from whit_exporter.dtypes import DType
from whit_exporter.errors import ConvertError
from whit_exporter.ir import Entry, Graph, Shape, Value

Make = Callable[[Builder, Value], Value]


def build(shape: Shape = ("N", 3, "S", 4), dtype: DType = DType.F32) -> tuple[Builder, Value]:
    """A builder whose graph has an entry point with one input."""
    b = Builder()
    b.graph.entries.append(Entry("main", b.region))
    return b, b.param("x", dtype, shape)


def i64(b: Builder, *items: int) -> Value:
    return b.const(np.array(items, np.int64))


def dim(b: Builder, x: Value, k: int) -> Value:
    return b.op("gather", b.shape_of(x), b.const(k), axis=0)


SHAPES: list[tuple[str, Make, Shape]] = [
    ("add scalar", lambda b, x: b.op("add", x, b.const(1.0)), ("N", 3, "S", 4)),
    ("broadcast symbol", lambda b, x: b.op("add", x, b.op("reduce", x, axes=[0], keepdims=1)), ("N", 3, "S", 4)),
    ("broadcast number", lambda b, x: b.op("mul", x, b.const(np.ones((2, 1, 5, 1), np.float32))), (2, 3, 5, 4)),
    ("broadcast unknown", lambda b, x: b.op("add", x, b.slice(x, [0], [2], [0])), (None, 3, "S", 4)),
    ("compare", lambda b, x: b.op("lt", x, x), ("N", 3, "S", 4)),
    ("copy axes", lambda b, x: b.reshape_to(x, [("dim", 0), -1, ("dim", 2)]), ("N", 12, "S")),
    ("join axes", lambda b, x: b.reshape_to(x, [("dim", 0), ("prod", 1, 4)]), ("N", None)),
    ("unsqueeze", lambda b, x: b.unsqueeze(x, [0, -1]), (1, "N", 3, "S", 4, 1)),
    ("squeeze", lambda b, x: b.squeeze(b.unsqueeze(x, [1]), [1]), ("N", 3, "S", 4)),
    ("transpose", lambda b, x: b.transpose(x, [0, 2, 3, 1]), ("N", "S", 4, 3)),
    ("slice", lambda b, x: b.slice(x, [1, 0], [3, 2**31 - 1], [1, 2]), ("N", 2, "S", 4)),
    ("slice unknown", lambda b, x: b.slice(x, [1], [5], [0]), (None, 3, "S", 4)),
    ("reverse", lambda b, x: b.slice(x, [-1], [-(2**63)], [0], [-1]), ("N", 3, "S", 4)),
    ("empty slice", lambda b, x: b.slice(x, [2], [2], [0]), (0, 3, "S", 4)),
    ("concat", lambda b, x: b.concat([x, x], 1), ("N", 6, "S", 4)),
    ("concat symbols", lambda b, x: b.concat([x, x], 0), (None, 3, "S", 4)),
    (
        "shape of the source",
        lambda b, x: b.op(
            "reshape", x, b.concat([b.shape_of(x, 0, 1), b.const(np.array([-1, 4]))], 0)
        ),
        ("N", None, 4),
    ),
    (
        "shape arithmetic",
        lambda b, x: b.op(
            "expand",
            b.const(0.0),
            b.concat([b.unsqueeze(b.op("mul", dim(b, x, 0), b.const(1)), [0]), i64(b, 7)], 0),
        ),
        ("N", 7),
    ),
    ("range", lambda b, x: b.op("range", b.const(0), dim(b, x, 2), b.const(1)), ("S",)),
    ("gather", lambda b, x: b.op("gather", x, i64(b, 0, 2), axis=1), ("N", 2, "S", 4)),
    ("gather_nd", lambda b, x: b.op("gather_nd", x, b.const(np.zeros((5, 2), np.int64))), (5, "S", 4)),
    ("reduce", lambda b, x: b.op("reduce", x, axes=[1, -1], keepdims=0), ("N", "S")),
    ("reduce keep", lambda b, x: b.op("reduce", x, keepdims=1), (1, 1, 1, 1)),
    ("argreduce", lambda b, x: b.op("argreduce", x, axis=1, keepdims=1), ("N", 1, "S", 4)),
    ("pad", lambda b, x: b.op("pad", x, i64(b, 0, 1, 0, 0, 0, 2, 0, 0)), ("N", 6, "S", 4)),
    ("pad symbol", lambda b, x: b.op("pad", x, i64(b, 1, 0), None, i64(b, 0)), (None, 3, "S", 4)),
    ("nonzero", lambda b, x: b.op("nonzero", x), (4, None)),
    ("diagonal", lambda b, x: b.op("diagonal", x, axis1=1, axis2=3), ("N", "S", 3)),
    (
        "matmul",
        lambda b, x: b.op("matmul", x, b.const(np.ones((4, 9), np.float32))),
        ("N", 3, "S", 9),
    ),
    (
        "conv",
        lambda b, x: b.op(
            "conv", x, b.const(np.ones((3, 3, 4, 8), np.float32)), group=1, pads=[1, 1, 1, 1],
        ),
        ("N", 3, "S", 8),
    ),
    (
        "max_pool",
        lambda b, x: b.op("max_pool", x, kernel=[2, 2], strides=[2, 2], pads=[0, 0, 1, 0]),
        ("N", 2, None, 4),
    ),
    ("topk", lambda b, x: b.multi("topk", 2, x, i64(b, 2), axis=1, largest=1, sorted=1)[1], ("N", 2, "S", 4)),
]  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), [c[1:] for c in SHAPES], ids=[c[0] for c in SHAPES])
def test_shape(make: Make, expected: Shape) -> None:
    b, x = build()
    assert make(b, x).shape == expected


@pytest.mark.parametrize("make", [c[1] for c in SHAPES], ids=[c[0] for c in SHAPES])
def test_shape_holds_when_it_runs(make: Make) -> None:
    """What was said about every value is true of the one that the runtime makes."""
    b, x = build()
    y = make(b, x)
    b.region.results = [y, *(v for n in b.region.nodes for v in n.outputs if v is not y)]
    verify.verify(b.graph)
    size = {"N": 2, "S": 5}
    shape = [size["N"], 3, size["S"], 4]
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    for v, got in zip(
        b.region.results, _native.run_bytes(write.write(b.graph), [data]), strict=True
    ):
        assert v is not None and v.dtype is not None and v.shape is not None
        assert got.dtype == v.dtype.numpy
        assert len(got.shape) == len(v.shape)
        for said, d in zip(v.shape, got.shape, strict=True):
            assert said is None or (size[said] if isinstance(said, str) else said) == d


FOLDS: list[tuple[str, Callable[[Builder], Value], Any]] = [
    ("add", lambda b: b.op("add", b.const([1.0, 2.0]), b.const(3.0)), np.array([4, 5], np.float32)),
    ("cast", lambda b: b.cast(b.const([1.5, -2.7]), DType.I32), np.array([1, -2], np.int32)),
    ("transpose", lambda b: b.transpose(b.const(np.eye(2, 3)), [1, 0]), np.eye(3, 2)),
    ("reshape", lambda b: b.reshape_to(b.const([[1, 2]]), [-1]), np.array([1, 2])),
    ("nonzero", lambda b: b.op("nonzero", b.const([0, 1, 1])), np.array([[1, 2]])),
    ("equal", lambda b: b.op("eq", b.const([1, 2]), b.const(2)), np.array([False, True])),
    ("shape", lambda b: b.shape_of(b.const(np.zeros((2, 0, 3)))), np.array([2, 0, 3])),
]


@pytest.mark.parametrize(("make", "expected"), [c[1:] for c in FOLDS], ids=[c[0] for c in FOLDS])
def test_fold(make: Callable[[Builder], Value], expected: np.ndarray[Any, Any]) -> None:
    b = Builder()
    y = make(b)
    assert y.const is not None and not b.region.nodes
    np.testing.assert_array_equal(y.const, expected)
    assert y.const.dtype == expected.dtype and y.shape == expected.shape


def test_fold_bfloat16() -> None:
    b = Builder()
    y = b.cast(b.const([1.0, 0.1]), DType.BF16)
    assert y.const is not None and y.const.dtype == DType.BF16.numpy
    assert [float(v) for v in y.const] == [1.0, 0.10009765625]


def test_without_fold_nodes_stay_but_shapes_are_constant() -> None:
    b = Builder(fold=False)
    assert b.op("add", b.const(1.0), b.const(2.0)).const is None
    assert b.ints(b.shape_of(b.const(np.zeros((4, 5))))) == [4, 5]
    assert b.ints(b.op("add", b.const([1, 2]), b.const(1))) == [2, 3]


def test_shape_of_a_partly_known_value() -> None:
    b, x = build()
    assert b.ints(b.shape_of(x, 1, 2)) == [3]
    assert b.ints(b.shape_of(x)) is None
    assert b.partial(b.shape_of(x)) == ["N", 3, "S", 4]
    assert b.ints(b.op("gather", b.shape_of(x), b.const([1, -1]), axis=0)) == [3, 4]
    size = b.op("reduce", b.shape_of(x, 2), kind=1)
    assert b.partial(size) == [None]
    assert b.partial(b.op("eq", dim(b, x, 0), b.const(-1))) == [0]


def test_what_fails_when_run_stays_a_node() -> None:
    b = Builder()
    y = b.op("gather", b.const(np.zeros((3, 2), np.float32)), b.const(np.array([[7]])), axis=0)
    assert y.const is None and len(b.region.nodes) == 1


def test_large_results_fold_only_if_they_do_not_grow() -> None:
    b = Builder()
    weight = b.const(np.zeros((1100, 1000), np.float32))
    assert b.transpose(weight, [1, 0]).const is not None
    reshaped = b.reshape_to(weight, [-1]).const
    assert reshaped is not None and np.shares_memory(reshaped, weight.const)
    assert b.op("expand", b.const(0.0), i64(b, 2000, 1000)).const is None


def test_state_is_not_constant() -> None:
    b = Builder()
    state = b.const(1.0)
    state.state = "counter"
    assert b.op("add", state, state).const is None
    assert b.ints(state) is None


ERRORS: list[tuple[str, Make, str]] = [
    ("broadcast", lambda b, x: b.op("add", x, b.const(np.ones(3, np.float32))), "do not broadcast"),
    ("types", lambda b, x: b.op("add", x, b.const(1)), "one element type"),
    ("condition", lambda b, x: b.op("where", x, x, x), "must be bool"),
    ("arguments", lambda b, x: b.op("add", x), "takes 2 inputs"),
    ("operator", lambda b, x: b.op("frobnicate", x), "neither an operator"),
    ("reshape", lambda b, x: b.op("reshape", b.const(np.ones(6)), i64(b, 4, -1)), "cannot be given"),
    ("two unknowns", lambda b, x: b.op("reshape", x, i64(b, -1, -1)), "at most one"),
    ("axis", lambda b, x: b.op("gather", x, i64(b, 0), axis=4), "outside a tensor of 4 axes"),
    ("matmul", lambda b, x: b.op("matmul", x, b.const(np.ones((5, 2), np.float32))), "inner dimensions"),
    ("concat", lambda b, x: b.concat([x, b.const(np.ones((1, 4), np.float32))], 0), "differ in rank"),
    ("squeeze", lambda b, x: b.squeeze(x, [1]), "squeeze of axis 1"),
    ("squeeze all", lambda b, x: b.squeeze(x), "rank would depend"),
    ("outputs", lambda b, x: b.multi("identity", 2, x)[0], "makes 1 outputs"),
    ("perm", lambda b, x: b.op("transpose", x, perm=[0, 0, 1, 2]), "does not fit"),
    ("missing", lambda b, x: b.op("gather", x, None), "is missing"),
    ("constant", lambda b, x: b.const(np.array(["text"])), "cannot be stored"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), [c[1:] for c in ERRORS], ids=[c[0] for c in ERRORS])
def test_error_names_the_node(make: Make, message: str) -> None:
    b, x = build()
    b.name = "layer7"
    with pytest.raises(ConvertError, match=message) as e:
        make(b, x)
    assert e.value.node == "layer7"


def growing_loop(b: Builder, x: Value, shape: Shape) -> list[Value]:
    """Appends a row to x three times."""
    with b.sub() as body:
        b.param("i", DType.I64, ())
        cache = b.param("cache", DType.F32, shape)
        row = b.op("reduce", cache, kind=2, axes=[0], keepdims=1)
        body.results = [b.const(True), b.concat([cache, row], 0), row]
    if infer.widen(body) is not None:
        wider = infer.widen(body)
        assert wider is not None
        return growing_loop(b, x, wider[0])
    return b.control("loop", [b.const(3), None, x], [body], 2)


def test_loop() -> None:
    b, x = build((2, 4))
    last, rows = growing_loop(b, x, x.shape)
    assert last.shape == (None, 4) and rows.shape == (3, 1, 4)
    node = b.region.nodes[-1]
    assert node.attrs == {"n_carried": 1, "scans": [int(DType.F32), 2, 1, 4]}
    b.region.results = [last, rows]
    verify.verify(b.graph)
    data = np.arange(8, dtype=np.float32).reshape(2, 4)
    got = _native.run_bytes(write.write(b.graph), [data])
    np.testing.assert_array_equal(got[0], np.concatenate([data, *[data[1:]] * 3]))
    np.testing.assert_array_equal(got[1], np.stack([data[1:]] * 3))


def test_loop_whose_body_assumes_too_much() -> None:
    b, x = build((2, 4))
    with b.sub() as body:
        b.param("i", DType.I64, ())
        cache = b.param("cache", DType.F32, (2, 4))
        body.results = [None, b.concat([cache, cache], 0)]
    with pytest.raises(ConvertError, match="must be made with what both have in common"):
        b.control("loop", [b.const(3), None, x], [body], 1)


@pytest.mark.parametrize("taken", [True, False])
def test_if(taken: bool) -> None:
    b, x = build(("N", 4))
    with b.sub() as yes:
        yes.results = [b.concat([x, x], 1), x]
    with b.sub() as no:
        no.results = [b.op("neg", x), x]
    cond = b.op("eq", b.op("reduce", x, kind=0, keepdims=0), b.const(6.0 if taken else 0.0))
    y, same = b.control("if", [cond], [yes, no], 2)
    assert y.shape == ("N", None) and same.shape == ("N", 4)
    b.region.results = [y, same]
    verify.verify(b.graph)
    data = np.arange(4, dtype=np.float32).reshape(1, 4)
    got = _native.run_bytes(write.write(b.graph), [data])
    np.testing.assert_array_equal(got[0], np.concatenate([data, data], 1) if taken else -data)
    np.testing.assert_array_equal(got[1], data)


def test_if_with_different_types() -> None:
    b, x = build()
    with b.sub() as yes:
        yes.results = [x]
    with b.sub() as no:
        no.results = [b.cast(x, DType.I64)]
    with pytest.raises(ConvertError, match="f32 in one branch and i64 in the other"):
        b.control("if", [b.const(True)], [yes, no], 1)


def test_sequences() -> None:
    b, x = build()
    s = b.op("seq_insert", b.op("seq_make"), x)
    assert (s.kind, s.dtype, s.shape) == ("sequence", DType.F32, ("N", 3, "S", 4))
    y = b.op("seq_at", s, b.const(0))
    assert (y.kind, y.shape) == ("tensor", ("N", 3, "S", 4))
    assert b.op("seq_concat", s, axis=1, new_axis=0).shape == ("N", None, "S", 4)
    parts = b.op("split_to_sequence", x, b.const(1), axis=1, keepdims=1)
    assert parts.shape == ("N", 1, "S", 4)
    assert b.op("opt_has", b.op("opt_none", kind=0)).dtype == DType.BOOL


def test_infer_graph_finds_the_same_again() -> None:
    b, x = build((2, 4))
    last, rows = growing_loop(b, x, x.shape)
    b.region.results = [last, rows]
    graph: Graph = b.graph
    before = [(v.dtype, v.shape) for _, n in graph.walk() for v in n.outputs]
    for _, n in graph.walk():
        for v in n.outputs:
            v.dtype, v.shape = None, None
    infer.infer_graph(graph)
    assert [(v.dtype, v.shape) for _, n in graph.walk() for v in n.outputs] == before


def test_verify_finds_a_value_out_of_scope() -> None:
    b, x = build()
    with b.sub() as yes:
        inner = b.op("neg", x)
        yes.results = [inner]
    with b.sub() as no:
        no.results = [x]
    y = b.control("if", [b.const(True)], [yes, no], 1)[0]
    b.region.results = [b.op("add", y, inner)]
    with pytest.raises(ConvertError, match="not in scope"):
        verify.verify(b.graph)
