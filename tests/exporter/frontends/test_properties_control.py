"""Branches, loops, scans and sequences, on drawn examples, against onnxruntime or NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from drawn import FLOATS, SIGNED, Array, Draw, ask_onnxruntime, few, filled, make_model, shapes
from hypothesis import given, note
from hypothesis import strategies as st
from onnx import helper

import whit

pytestmark = pytest.mark.slow
UNARY = ("Neg", "Abs", "Relu", "Tanh", "Identity")
BINARY = ("Add", "Sub", "Mul", "Max")


def agree(model: onnx.ModelProto, feeds: Mapping[str, Any], rtol: float = 1e-4) -> None:
    note(onnx.printer.to_text(model))
    want = ask_onnxruntime(model, feeds)
    got = whit.load(whit.convert(model)).run(feeds)
    for port, w in zip(model.graph.output, want, strict=True):
        same(got[port.name], w, port.name, rtol)


def same(y: Any, w: Any, name: str, rtol: float) -> None:
    if isinstance(w, list):
        assert isinstance(y, list) and len(y) == len(w), name
        for a, b in zip(y, w, strict=True):
            same(a, b, name, rtol)
        return
    y, w = np.asarray(y), np.asarray(w)
    assert (y.shape, y.dtype) == (w.shape, w.dtype), (name, y.shape, w.shape)
    np.testing.assert_allclose(y, w, rtol, 1e-4, err_msg=name)


def chain(
    draw: Draw, names: Sequence[str], prefix: str, most: int = 3
) -> tuple[list[onnx.NodeProto], str]:
    """A few nodes on values of one shape; the last one's name."""
    known, nodes = list(names), []
    for k in range(draw(st.integers(1, most))):
        out = f"{prefix}{k}"
        if draw(st.booleans()):
            nodes.append(
                helper.make_node(
                    draw(st.sampled_from(UNARY)), [draw(st.sampled_from(known))], [out]
                )
            )
        else:
            two = [draw(st.sampled_from(known)) for _ in range(2)]
            nodes.append(helper.make_node(draw(st.sampled_from(BINARY)), two, [out]))
        known.append(out)
    return nodes, known[-1]


def body(
    nodes: Sequence[onnx.NodeProto], inputs: Sequence[Any], outputs: Sequence[str], name: str
) -> onnx.GraphProto:
    results = [helper.make_empty_tensor_value_info(o) for o in outputs]
    return helper.make_graph(list(nodes), name, list(inputs), results)


def info(name: str, dtype: Any, shape: Sequence[Any] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape
    )


@few
@given(st.data())
def test_branches(data: Any) -> None:
    """Two levels of them; the inner condition is drawn too, and either may be a constant."""
    draw = data.draw
    shape = draw(shapes(0, 3, 1, 4))
    arrays = {"x": filled(draw, shape), "z": filled(draw, shape)}
    for c in ("c", "d"):
        arrays[c] = np.array(draw(st.booleans()))
    inner = [
        body(*split(chain(draw, ("x", "z", "out"), f"{side}_"), []), side) for side in ("p", "q")
    ]
    outer = chain(draw, ("x", "z"), "out_")
    nodes = [*outer[0], helper.make_node("Identity", [outer[1]], ["out"])]
    nodes.append(helper.make_node("If", ["d"], ["in"], then_branch=inner[0], else_branch=inner[1]))
    last, name = chain(draw, ("in", "out", "x"), "last_")
    then = body([*nodes, *last], [], [name], "then")
    other = body(*split(chain(draw, ("x", "z"), "e_"), []), "else")
    choice = helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)
    constants = [n for n in ("c", "d", "z") if draw(st.integers(0, 3)) == 0]
    model = make_model([choice], arrays, ["y"], 21, constants, draw(st.booleans()))
    agree(model, {k: a for k, a in arrays.items() if k not in constants})


def split(
    made: tuple[list[onnx.NodeProto], str], inputs: list[Any]
) -> tuple[list[onnx.NodeProto], list[Any], list[str]]:
    return made[0], inputs, [made[1]]


@few
@given(st.data())
def test_loops(data: Any) -> None:
    """A carried value, one that may grow, a stacked output; trips and condition drawn, given or left out."""
    draw = data.draw
    shape = draw(shapes(1, 2, 1, 3))
    dtype = draw(st.sampled_from((np.float32, np.int64)))
    arrays = {"start": filled(draw, shape, dtype), "x": filled(draw, shape, dtype)}
    step, carried = (
        [helper.make_node(draw(st.sampled_from(("Add", "Sub", "Max"))), ["v", "x"], ["w"])],
        "w",
    )
    if draw(st.booleans()):
        step.append(helper.make_node(draw(st.sampled_from(("Neg", "Abs"))), ["w"], ["w2"]))
        carried = "w2"
    step.append(helper.make_node("Concat", ["g", "v"], ["longer"], axis=0))
    arrays["last"] = np.array(draw(st.integers(0, 4)), np.int64)
    step.append(helper.make_node("Less", ["i", "last"], ["go_on"]))
    inside = body(
        step, [info("i", np.int64, []), info("go", bool, []), info("v", dtype, shape), info("g", dtype, None)],
        ["go_on", carried, "longer", "v"], "step",
    )  # fmt: skip
    trips = draw(st.sampled_from((None, 0, 1, 2, 5)))
    go = draw(st.sampled_from((None, True, True, False)))
    if trips is None and go is None:
        go = True
    if trips is not None:
        arrays["trips"] = np.array(trips, np.int64)
    if go is not None:
        arrays["go"] = np.array(go)
    arrays["none"] = filled(draw, (0, *shape[1:]), dtype)
    inputs = ["trips" if trips is not None else "", "go" if go is not None else "", "start", "none"]
    node = helper.make_node("Loop", inputs, ["total", "grown", "stacked"], body=inside)
    constants = [n for n in arrays if n != "x" and draw(st.integers(0, 3)) == 0]
    model = make_model([node], arrays, ["total", "grown", "stacked"], 21, constants)
    agree(model, {k: a for k, a in arrays.items() if k not in constants})


@few
@given(st.data())
def test_scans(data: Any) -> None:
    draw = data.draw
    length, shape = draw(st.integers(1, 5)), draw(shapes(0, 2, 1, 3))
    count = draw(st.integers(1, 2))
    axes, turned, arrays = [], [], {"s0": filled(draw, shape)}
    for k in range(count):
        axis = draw(st.integers(0, len(shape)))
        axes.append(axis - len(shape) - 1 if draw(st.booleans()) else axis)
        turned.append(draw(st.integers(0, 1)))
        arrays[f"x{k}"] = filled(draw, (*shape[:axis], length, *shape[axis:]))
    nodes, name = chain(draw, ("s", *(f"e{k}" for k in range(count))), "n")
    nodes += [
        helper.make_node("Add", [name, "s"], ["s_next"]),
        helper.make_node("Sub", [name, "e0"], ["seen"]),
    ]
    inside = body(
        nodes,
        [info(n, np.float32, shape) for n in ("s", *(f"e{k}" for k in range(count)))],
        ["s_next", "seen"],
        "step",
    )
    attrs = {
        "num_scan_inputs": count, "scan_input_axes": axes, "scan_input_directions": turned,
        "scan_output_axes": [draw(st.integers(0, len(shape)))], "scan_output_directions": [draw(st.integers(0, 1))],
    }  # fmt: skip
    node = helper.make_node("Scan", list(arrays), ["state", "all"], body=inside, **attrs)
    constants = [n for n in arrays if draw(st.integers(0, 3)) == 0]
    model = make_model([node], arrays, ["state", "all"], 21, constants)
    agree(model, {k: a for k, a in arrays.items() if k not in constants})


@few
@given(st.data())
def test_sequences(data: Any) -> None:
    """A list that grows and shrinks, as Python's does; then an item, its length, and all of it joined."""
    draw = data.draw
    dtype = draw(st.sampled_from((*FLOATS, *SIGNED)))
    row = draw(shapes(0, 2, 1, 3))
    arrays: dict[str, Any] = {
        f"x{k}": filled(draw, (draw(st.integers(0, 3)), *row), dtype) for k in range(4)
    }
    mine: list[Array] = [arrays["x0"], arrays["x1"]]
    nodes = [helper.make_node("SequenceConstruct", ["x0", "x1"], ["q0"])]
    at = 0
    for k in range(draw(st.integers(0, 4))):
        place = draw(st.sampled_from((None, *range(-len(mine), len(mine) + 1)))) if mine else None
        names = [f"q{at}"]
        if mine and draw(st.booleans()):
            place = min(place, len(mine) - 1) if place is not None else None
            mine.pop(-1 if place is None else place)
            op = "SequenceErase"
        else:
            source = draw(st.sampled_from(("x0", "x1", "x2", "x3")))
            mine.insert(len(mine) if place is None else place, arrays[source])
            names.append(source)
            op = "SequenceInsert"
        if place is not None:
            arrays[f"p{k}"] = np.array(place, draw(st.sampled_from(SIGNED)))
            names.append(f"p{k}")
        nodes.append(helper.make_node(op, names, [f"q{at + 1}"]))
        at += 1
    nodes.append(helper.make_node("SequenceLength", [f"q{at}"], ["n"]))
    outs = ["n"]
    if mine:
        arrays["pick"] = np.array(draw(st.integers(-len(mine), len(mine) - 1)), np.int64)
        nodes.append(helper.make_node("SequenceAt", [f"q{at}", "pick"], ["one"]))
        nodes.append(helper.make_node("ConcatFromSequence", [f"q{at}"], ["joined"], axis=0))
        outs += ["one", "joined"]
    constants = [n for n in arrays if draw(st.integers(0, 3)) == 0]
    used = {i for n in nodes for i in n.input}
    arrays = {n: a for n, a in arrays.items() if n in used}
    model = make_model(nodes, arrays, outs, 17, [c for c in constants if c in used])
    note(onnx.printer.to_text(model))
    got = whit.load(whit.convert(model)).run(
        {k: a for k, a in arrays.items() if k not in constants}
    )
    assert got["n"] == len(mine)
    if mine:
        same(got["one"], mine[arrays["pick"]], "one", 0)
        same(got["joined"], np.concatenate(mine), "joined", 0)


@few
@given(st.data())
def test_splits_into_sequences(data: Any) -> None:
    draw = data.draw
    shape = draw(shapes(1, 3, 1, 6))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    x, size = filled(draw, shape), shape[axis]
    arrays: dict[str, Any] = {"x": x}
    kind = draw(st.sampled_from(("each", "number", "list")))
    inputs, attrs = ["x"], {"axis": axis}
    if kind == "each":
        attrs["keepdims"] = draw(st.integers(0, 1))
        want = [np.take(x, [k] if attrs["keepdims"] else k, axis) for k in range(size)]
    else:
        inputs.append("parts")
        if kind == "number":
            n = draw(st.integers(1, size))
            arrays["parts"] = np.array(n, np.int64)
            cuts = list(range(n, size, n))
        else:
            cuts = sorted(draw(st.lists(st.integers(0, size), max_size=3)))
            arrays["parts"] = np.diff([0, *cuts, size]).astype(np.int64)
        want = np.split(x, cuts, axis)
    info_of = helper.make_tensor_sequence_value_info("s", onnx.TensorProto.FLOAT, None)
    constants = ["parts"] if "parts" in arrays and draw(st.booleans()) else []
    model = make_model(
        [helper.make_node("SplitToSequence", inputs, ["s"], **attrs)],
        arrays,
        [],
        17,
        constants,
        draw(st.booleans()),
    )
    model.graph.output.append(info_of)
    got = whit.load(whit.convert(model)).run(
        {k: a for k, a in arrays.items() if k not in constants}
    )
    same(got["s"], want, "s", 0)
