"""The importer around the operators: files, functions, interface, names, state, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from test_onnx_oracle import check, expected, parse

import whit
from whit_exporter.frontends.onnx import import_model
from whit_exporter.ir import Graph

F = np.float32
I = np.int64  # noqa: E741
X = np.array([1, 2], F)


def imported(text: str, opset: int = 21) -> Graph:
    return import_model(parse(text, opset))


# files


def test_external_data(tmp_path: Path) -> None:
    weight = np.arange(2048, dtype=F).reshape(2, 1024)
    model = parse("g (float[N, 2] x, float[2, 1024] w) => (float[N, 1024] y) { y = MatMul(x, w) }")
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    path = tmp_path / "model.onnx"
    x = np.array([[1, -1]], F)
    want = expected(model, {"x": x})
    onnx.save_model(model, str(path), save_as_external_data=True, location="weights.bin")
    assert (tmp_path / "weights.bin").stat().st_size >= weight.nbytes
    for source in (str(path), path):
        got = whit.load(whit.convert(source)).run({"x": x})
        np.testing.assert_allclose(got["y"], want["y"])
    with pytest.raises(whit.ConvertError, match="path"):
        whit.convert(path.read_bytes())


def test_bytes_and_proto_and_path_are_the_same(tmp_path: Path) -> None:
    model = parse("g (float[2] x) => (float[2] y) { y = Neg(x) }")
    path = tmp_path / "m.onnx"
    onnx.save(model, str(path))
    assert whit.convert(model) == whit.convert(model.SerializeToString()) == whit.convert(path)


@pytest.mark.parametrize("bad", [b"", b"not a model", b"\x00" * 64])
def test_bytes_that_are_no_model(bad: bytes) -> None:
    with pytest.raises(whit.ConvertError, match="not an ONNX model"):
        import_model(bad)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(whit.ConvertError, match=r"none\.onnx"):
        import_model(tmp_path / "none.onnx")


# the interface


def test_initialiser_as_input_is_a_constant() -> None:
    model = parse("g (float[2] x, float[2] w = {3, 4}) => (float[2] y) { y = Mul(x, w) }")
    loaded = whit.load(whit.convert(model))
    assert [i.name for i in loaded.inputs] == ["x"]
    np.testing.assert_array_equal(loaded.run({"x": X})["y"], [3, 8])


def test_symbols() -> None:
    graph = imported(
        "g (float[batch, ?, 3] x, float[batch, d0] z, float[?] u) => (float[A] y) { y = Neg(u) }"
    )
    shapes = [p.shape for p in graph.entries[0].region.params]
    assert shapes == [("batch", "d1", 3), ("batch", "d0"), ("d2",)]


def test_outputs_that_are_inputs_constants_or_twice_the_same() -> None:
    model = parse("""g (float[2] x) => (float[2] x1, float[2] c, float[2] a, float[2] b) {
        x1 = Identity(x)  c = Constant<value_floats=[1.0, 2.0]>()  a = Neg(x)  b = Identity(a) }""")
    check(model, {"x": X})


def test_optional_inputs() -> None:
    model = parse("""g (optional(float[2]) o) => (bool has, float[2] y) {
        has = OptionalHasElement(o)
        y = If (has) <then_branch: graph = t () => (float[2] a) { a = OptionalGetElement(o) },
                      else_branch: graph = e () => (float[2] b) { b = Constant<value_floats=[7.0, 8.0]>() }>
    }""")
    check(model, {"o": X}, want={"has": np.array(True), "y": X})
    check(model, {"o": None}, want={"has": np.array(False), "y": np.array([7, 8], F)})


def test_sequence_inputs() -> None:
    model = parse("""g (seq(float[N]) s, int64 i) => (float[N] y, int64 n) {
        y = SequenceAt(s, i)  n = SequenceLength(s) }""")
    check(model, {"s": [X, np.array([3, 4, 5], F)], "i": np.array(1, I)})


# names


def test_names_lead_back() -> None:
    graph = imported("""g (bool c, float[2] x) => (float[2] y) {
        [first] h = Neg(x)
        same = Identity(h)
        y = If (c) <then_branch: graph = t () => (float[2] a) { a = Exp(same) },
                    else_branch: graph = e () => (float[2] b) { [inner] b = Abs(h) }>
    }""")
    nodes = {node.name: node for _, node in graph.walk()}
    assert {"first", "If_2", "If_2/Exp_0", "If_2/inner"} <= set(nodes)
    assert nodes["first"].outputs[0].name == "h"
    assert graph.aliases["same"] is nodes["first"].outputs[0]
    assert nodes["If_2/inner"].outputs[0].name == "If_2/b"


# functions

FUNCTION = """<ir_version: 10, opset_import: ["" : 21, "mine" : 1]>
g (float[2, 2] x) => (float[2, 2] y, float[2, 2] z) { y = mine.scaled<by=3.0>(x)  z = mine.scaled(y, x) }
<domain: "mine", opset_import: ["" : 13]>
scaled<by: float = 2.0>(a, b) => (c) {
    f = Constant<value_float: float = @by>()
    m = Mul(a, f)
    d = Softmax(m)
    c = Max(d, m)
}"""


def test_local_functions() -> None:
    """One with an attribute given and one with its default; b is left out once."""
    model = onnx.parser.parse_model(FUNCTION)
    check(model, {"x": np.array([[1, 2], [3, 5]], F)})
    names = {node.name for _, node in import_model(model).walk()}
    assert {"scaled_0/Softmax_2", "scaled_1/Softmax_2"} <= names


def test_function_in_a_branch_and_an_input_left_out() -> None:
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 21, "mine" : 1]>
    g (bool c, float[2] x) => (float[2] y) {
        y = If (c) <then_branch: graph = t () => (float[2] a) { a = mine.clipped(x) },
                    else_branch: graph = e () => (float[2] b) { one = Constant<value_float=1.5>()  b = mine.clipped(x, one) }>
    }
    <domain: "mine", opset_import: ["" : 21]>
    clipped (v, low) => (w) { w = Clip(v, low) }""")
    for c, want in ((True, X), (False, np.array([1.5, 2], F))):
        check(model, {"c": np.array(c), "x": X}, want={"y": want})


def test_function_that_calls_itself_is_refused() -> None:
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 21, "mine" : 1]>
    g (float[2] x) => (float[2] y) { y = mine.f(x) }
    <domain: "mine", opset_import: ["" : 21, "mine" : 1]>
    f (v) => (w) { w = mine.f(v) }""")
    with pytest.raises(whit.ConvertError, match="calls itself"):
        import_model(model)


def test_local_function_stands_before_the_standard_one() -> None:
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 21, "com.acme" : 1]>
    g (float[2] x) => (float[2] y) { y = com.acme.Relu(x) }
    <domain: "com.acme", opset_import: ["" : 21]>
    Relu (v) => (w) { w = Neg(v) }""")
    check(model, {"x": X}, want={"y": -X})


# state


def test_state() -> None:
    model = parse("""g (float[2] x, float[2] total) => (float[2] next, float[2] y) {
        next = Add(total, x)  y = Mul(next, x) }""")
    graph = import_model(model, state={"total": "next"})
    entry = graph.entries[0]
    assert [p.name for p in entry.region.params] == ["x"]
    assert [v.name for v in entry.region.results if v is not None] == ["y"]
    assert [name for name, _ in entry.updates] == ["total"]
    assert graph.states["total"].const is not None
    loaded = whit.load(whit.convert(model, state={"total": "next"}))
    for k in (1, 2, 3):
        np.testing.assert_array_equal(loaded.run({"x": X})["y"], k * X * X)


def test_state_starts_from_its_initialiser() -> None:
    model = parse("""g (float[2] x, float[2] total = {5, 6}) => (float[2] next, float[2] y) {
        next = Add(total, x)  y = Identity(next) }""")
    loaded = whit.load(whit.convert(model, state={"total": "next"}))
    np.testing.assert_array_equal(loaded.run({"x": X})["y"], [6, 8])
    np.testing.assert_array_equal(loaded.run({"x": X})["y"], [7, 10])


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"none": "y"}, "no input 'none'"),
        ({"x": "none"}, "no output 'none'"),
        ({"x": "y"}, "numbers"),
    ],
)
def test_state_that_does_not_fit(state: dict[str, str], why: str) -> None:
    model = parse("g (float[N] x) => (float[N] y) { y = Neg(x) }")
    with pytest.raises(whit.ConvertError, match=why):
        import_model(model, state=state)


# old models


@pytest.mark.parametrize("opset", [6, 7])
def test_broadcast_of_old(opset: int) -> None:
    attributes = {"broadcast": 1, "axis": 1} if opset < 7 else {}
    bias = np.array([10, 20, 30], F).reshape([3] if opset < 7 else [3, 1])
    infos = [
        helper.make_tensor_value_info("x", 1, [2, 3, 2]),
        helper.make_tensor_value_info("b", 1, bias.shape),
    ]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "b"], ["y"], **attributes)],
        "g",
        infos,
        [helper.make_tensor_value_info("y", 1, [2, 3, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3)
    x = np.arange(12, dtype=F).reshape(2, 3, 2)
    check(model, {"x": x, "b": bias}, want={"y": x + np.array([[10], [20], [30]], F)})


# what is refused


def test_all_unsupported_operators_in_one_message() -> None:
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 21, "com.acme" : 3]>
    g (bool c, float[2] x) => (float[2] y) {
        h = com.acme.Fancy(x)
        y = If (c) <then_branch: graph = t () => (float[2] a) { a = com.acme.Fancier(h) },
                    else_branch: graph = e () => (float[2] b) { [named] b = com.acme.Fancy(h) }>
    }""")
    with pytest.raises(whit.ConvertError) as e:
        import_model(model)
    text = str(e.value)
    for part in ("com.acme.Fancy", "'Fancy_0'", "'If_1/named'", "com.acme.Fancier", "opset 3"):
        assert part in text
    assert (e.value.node, e.value.operator, e.value.opset) == ("Fancy_0", "com.acme.Fancy", 3)


def test_unsupported_operator_in_a_branch_that_is_never_taken() -> None:
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 21, "com.acme" : 3]>
    g (float[2] x) => (float[2] y) {
        c = Constant<value = bool {1}>()
        y = If (c) <then_branch: graph = t () => (float[2] a) { a = Neg(x) },
                    else_branch: graph = e () => (float[2] b) { b = com.acme.Fancy(x) }>
    }""")
    check(model, {"x": X}, want={"y": -X})


def test_strings_are_refused() -> None:
    model = parse("g (string[2] x) => (bool[2] y) { y = Equal(x, x) }")
    with pytest.raises(whit.ConvertError, match=r"'x'.*STRING"):
        import_model(model)


def test_newer_opset_is_refused() -> None:
    model = parse("g (float[2] x) => (float[2] y) { y = Neg(x) }")
    model.opset_import[0].version = 999
    with pytest.raises(whit.ConvertError, match="999"):
        import_model(model)


def test_unknown_rank_names_the_node() -> None:
    model = parse("g (float[2] x) => (float y) { [flat] y = Flatten(x) }")
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(whit.ConvertError, match="axes of input 0") as e:
        import_model(model)
    assert e.value.node == "flat"


def test_value_that_nothing_makes() -> None:
    model = parse("g (float[2] x) => (float[2] y) { y = Neg(x) }")
    model.graph.node[0].input[0] = "ghost"
    with pytest.raises(whit.ConvertError, match="ghost"):
        import_model(model)
