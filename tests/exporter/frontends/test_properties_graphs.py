"""Small drawn graphs: what passes merge, move and drop."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from drawn import EXAMPLES, Array, Draw, ask_onnxruntime, few, filled, ints, make_model, part_of
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

import whit

pytestmark = pytest.mark.slow


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


@settings(few, max_examples=2 * EXAMPLES)
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
