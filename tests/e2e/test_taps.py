"""Values inside the model, read while it runs. The oracle is onnxruntime on the same model with those values made
outputs: of the graph, of the branch that is taken, or stacked by the loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from helpers import Oracle, assert_same, load, onnxruntime_oracle, parse, typed
from onnx import helper

import whit

TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}


def exposed(model: onnx.ModelProto) -> Oracle:
    """An oracle for every value of the main graph; those of loop bodies stacked over the iterations."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    stack(model.graph)
    model = onnx.shape_inference.infer_shapes(model)
    known = {o.name for o in model.graph.output}
    types = {v.name: v for v in model.graph.value_info}
    for node in model.graph.node:
        model.graph.output.extend(types[o] for o in node.output if o in types and o not in known)
    return onnxruntime_oracle(model)


def stack(graph: onnx.GraphProto) -> None:
    """Makes values of loop bodies outputs of their loops, from the inside out."""
    for node in graph.node:
        if node.op_type != "Loop":
            continue
        body = node.attribute[0].g
        stack(body)
        given = {o.name for o in body.output}
        for name in [o for n in body.node for o in n.output if o not in given]:
            body.output.append(helper.make_empty_tensor_value_info(name))
            node.output.append(f"{name}_stacked")


def check_taps(
    model: onnx.ModelProto, feeds: Mapping[str, Any], names: Iterable[str], **options: Any
) -> None:
    """All at once, each alone, and the outputs as without taps."""
    subject = whit.load(whit.convert(model, **options))
    want = exposed(model)(typed(model, feeds))
    feeds = typed(model, feeds)
    plain = subject.run(feeds)
    names = list(names)
    for wanted in (names, *([n] for n in names)):
        got = subject.run(feeds, tap=wanted)
        assert set(got) == {*wanted, *plain}
        for name in wanted:
            assert_same(got[name], want[name], **TOLERANCE, what=name)
        for name, value in plain.items():
            assert_same(got[name], value, what=name)


def ramp(*shape: int) -> np.ndarray:
    return np.sin(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)


# ---- chains that become one program -----------------------------------------------------------------------

CHAIN = """g (float[n, 3] x, float[3] w) => (float[n, 3] y) <float two = {2}> {
  [minus] a = Neg(x)
  [power] b = Exp(a)
  [plus] c = Add(b, w)
  [root] d = Sqrt(c)
  [half] e = Div(d, two)
  [bend] f = Tanh(e)
  [times] y = Mul(f, x)
}"""


@pytest.mark.parametrize("fuse", [True, False])
def test_inside_a_fused_chain(fuse: bool) -> None:
    feeds = {"x": ramp(4, 3), "w": [1, 2, 3]}
    check_taps(parse(CHAIN), feeds, ["a", "b", "c", "d", "e", "f"], fuse=fuse)


def test_types_inside_a_fused_chain() -> None:
    model = parse(
        """g (float[n] x, int64[n] k, uint8[n] u) => (float[n] y, int64[n] z, uint8[n] w) <float zero = {0}> {
             up = Greater(x, zero)
             down = Not(up)
             p = Where(down, zero, x)
             whole = Floor(p)
             y = Mul(whole, x)
             k2 = Mul(k, k)
             k3 = Add(k2, k)
             small = Cast<to = 6>(k3)
             back = Cast<to = 7>(small)
             z = Sub(back, k)
             u2 = Add(u, u)
             u3 = Mul(u2, u)
             w = Add(u3, u2)
           }"""
    )
    feeds = {"x": ramp(5) * 4, "k": [1, -2, 3, -40000, 5], "u": [1, 100, 200, 3, 255]}
    check_taps(model, feeds, ["up", "down", "p", "whole", "k2", "k3", "small", "u2", "u3"])


def test_by_node_and_by_glob() -> None:
    model = parse(CHAIN)
    subject = load(model)
    feeds = typed(model, {"x": ramp(4, 3), "w": [1, 2, 3]})
    want = exposed(model)(feeds)
    for tap, names in (
        ("minus", {"a"}),
        (["root", "b"], {"d", "b"}),
        ("?", set("abcdefxw")),
        ("[ab]", {"a", "b"}),
        ("p*", {"b", "c"}),
        ("x", {"x"}),
        (["y", "times"], set()),
    ):
        got = subject.run(feeds, tap=tap)
        assert set(got) == {"y", *names}, tap
        for name, value in got.items():
            assert_same(value, feeds.get(name, want.get(name)), **TOLERANCE, what=name)


def test_names_that_are_not_there() -> None:
    subject = load(parse(CHAIN))
    feeds = {"x": ramp(4, 3), "w": np.float32([1, 2, 3])}
    with pytest.raises(whit.RunError, match="minus"):
        subject.run(feeds, tap="minvs")
    with pytest.raises(whit.RunError, match="nothing"):
        subject.run(feeds, tap="nothing*")
    stripped = whit.load(whit.convert(parse(CHAIN), strip=True))
    with pytest.raises(whit.RunError, match="strip"):
        stripped.run(feeds, tap="a")


# ---- channels-last ----------------------------------------------------------------------------------------


def network() -> onnx.ModelProto:
    """Convolutions, a residual, a concatenation, pools, a head; values in the source's NCHW."""
    model = parse(
        """g (float[n, 3, h, w] x) => (float[n, 4] y) <float[1, 8, 1, 1] scale = {1, 2, 3, 4, 5, 6, 7, 8}> {
             [stem_conv] c1 = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x, w1, b1)
             [stem_relu] r1 = Relu(c1)
             [body_conv] c2 = Conv<pads = [1, 1, 1, 1], group = 8>(r1, w2)
             [body_act] s2 = Sigmoid(c2)
             [body_mul] m2 = Mul(s2, scale)
             [body_add] a2 = Add(m2, r1)
             [pool] p2 = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a2)
             [left] l3 = Conv(p2, w3)
             [right] q3 = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(p2)
             [join] j3 = Concat<axis = 1>(l3, q3)
             [down] d3 = ReduceMean<keepdims = 1>(j3, axes)
             [flat] f3 = Flatten(d3)
             [head] h3 = Gemm(f3, w4)
             [out] y = Softmax(h3)
           }"""
    )
    rng = np.random.default_rng(3)
    shapes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 1, 3, 3), "w3": (5, 8, 1, 1), "w4": (13, 4)}
    for name, shape in shapes.items():
        array = rng.normal(size=shape).astype(np.float32) / 3
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 3]), "axes"))
    return model


@pytest.mark.parametrize("layout", [True, False])
def test_values_come_back_in_the_source_layout(layout: bool) -> None:
    names = ["c1", "r1", "c2", "s2", "m2", "a2", "p2", "l3", "q3", "j3", "d3", "f3", "h3"]
    check_taps(network(), {"x": ramp(2, 3, 12, 8)}, names, layout=layout)


def test_nodes_come_back_in_the_source_layout() -> None:
    model = network()
    feeds = {"x": ramp(1, 3, 12, 8)}
    want = exposed(model)(feeds)
    got = load(model).run(feeds, tap=[n.name for n in model.graph.node])
    assert set(got) == {n.output[0] for n in model.graph.node}
    for name, value in got.items():
        assert_same(value, want[name], **TOLERANCE, what=name)


# ---- branches and loops -------------------------------------------------------------------------------------

BRANCHES = """g (bool c, float[n] x) => (float[n] y) {
  [before] p = Neg(x)
  [choose] y = If(c)
    <then_branch = t () => (float[n] a2) { [one] a1 = Exp(p)  [two] a2 = Add(a1, x) },
     else_branch = e () => (float[n] b2) { [three] b1 = Abs(p)  [four] b2 = Sqrt(b1) }>
}"""


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("tap", [["*a1", "*b1", "p"], ["*one", "*three", "before"], "*"])
def test_inside_branches(taken: bool, tap: str | list[str]) -> None:
    """The branch that did not run has no values to show."""
    x = ramp(5)
    inner = np.exp(-x) if taken else np.abs(x)
    got = load(parse(BRANCHES)).run({"c": np.array(taken), "x": x}, tap=tap)
    tails = {name.rpartition("/")[2]: value for name, value in got.items()}
    assert ("a1" in tails, "b1" in tails) == (taken, not taken)
    assert_same(tails["a1" if taken else "b1"], inner, **TOLERANCE)
    assert_same(tails["p"], -x)


LOOP = """g (int64 m, float[3] x) => (float[3] y, float[k, 3] ys) {
  [repeat] y, ys = Loop(m, "", x) <body = b (int64 i, bool k, float[3] a) => (bool k, float[3] d, float[3] f) {
    [exp] e = Sin(a)
    [sum] d = Add(e, x)
    [neg] f = Neg(d) }>
}"""


def stacked(model: onnx.ModelProto, feeds: Mapping[str, Any], name: str) -> np.ndarray:
    """The values of a name in a loop's body, all iterations."""
    return np.asarray(exposed(model)(typed(model, feeds))[f"{name}_stacked"])


def test_iterations_of_a_loop() -> None:
    model = parse(LOOP)
    feeds = typed(model, {"m": 5, "x": [0.5, 1, 2]})
    e = stacked(model, feeds, "e")
    subject = load(model)
    for tap, want in (("*/e@3", e[3]), ("*/e@0", e[0]), ("repeat/exp@4", e[4]), ("*/e", e[-1])):
        got = {n: v for n, v in subject.run(feeds, tap=tap).items() if n not in ("y", "ys")}
        assert got
        for value in got.values():
            assert_same(value, want, **TOLERANCE, what=tap)
    got = subject.run(feeds, tap="repeat/*@2")
    ends = {name.rpartition("/")[2] for name in got}
    assert {"e", "e@2", "d", "d@2", "f", "f@2"} <= ends
    every = [v for n, v in subject.run(feeds, tap="*/e@*").items() if n.endswith("/e@*")]
    assert_same(every[0], list(e), **TOLERANCE)


def test_iteration_that_never_came() -> None:
    model = parse(LOOP)
    subject = load(model)
    for m, tap in ((5, "*/e@5"), (0, "*/e"), (0, "*/e@0")):
        got = subject.run(typed(model, {"m": m, "x": [0.5, 1, 2]}), tap=tap)
        assert set(got) == {"y", "ys"}


def test_iterations_of_nested_loops() -> None:
    model = parse(
        """g (float[2] x) => (float[2] y) <int64 three = {3}> {
             [outer] y = Loop(three, "", x) <body = b (int64 i, bool k, float[2] a) => (bool k, float[2] d) {
               [start] s = Sin(a)
               [inner] d = Loop(three, "", s) <body = b2 (int64 j, bool k2, float[2] f) =>
                                                      (bool k2, float[2] h) {
                 [step] u = Cos(f)
                 [add] h = Add(u, a) }> }>
           }"""
    )
    feeds = {"x": ramp(2)}
    u = np.asarray(exposed(model)(feeds)["u_stacked_stacked"])
    assert u.shape == (3, 3, 2)
    subject = load(model)
    for tap, want in (
        ("*/u@1.2", u[1, 2]),
        ("*/u@0.0", u[0, 0]),
        ("*/u@2", u[2, 2]),  # the innermost loop's iteration 2, last seen in the last outer one
        ("*/u@*.1", list(u[:, 1])),
        ("*/u@1.*", list(u[1])),
        ("*/u@*.*", list(u.reshape(9, 2))),
        ("outer/start@1", stacked(model, feeds, "s")[1]),
    ):
        got = [v for n, v in subject.run(feeds, tap=tap).items() if "@" in n]
        assert len(got) == 1, tap
        assert_same(got[0], want, **TOLERANCE, what=tap)


def test_branch_in_a_loop_by_iteration() -> None:
    """Only the iterations that took the branch have its values."""
    model = parse(
        """g (int64 m, float[2] x) => (float[2] y) <int64 two = {2}> {
             [repeat] y = Loop(m, "", x) <body = b (int64 i, bool k, float[2] a) => (bool k, float[2] d) {
               odd0 = Mod(i, two)
               odd = Cast<to = 9>(odd0)
               [pick] d = If(odd) <then_branch = t () => (float[2] p2) { p1 = Sin(a)  p2 = Add(p1, x) },
                                   else_branch = e () => (float[2] q) { q = Sub(x, a) }> }>
           }"""
    )
    x = ramp(2) + 1
    a, odd = x, {}
    for i in range(5):
        if i % 2:
            odd[i] = np.sin(a)
            a = odd[i] + x
        else:
            a = x - a
    subject = load(model)
    for i in range(5):
        got = [
            v
            for n, v in subject.run({"m": np.array(5), "x": x}, tap=f"*/p1@{i}").items()
            if "@" in n
        ]
        assert len(got) == i % 2
        if got:
            assert_same(got[0], odd[i], **TOLERANCE)
    every = [
        v for n, v in subject.run({"m": np.array(5), "x": x}, tap="*/p1@*").items() if "@" in n
    ]
    assert_same(every[0], list(odd.values()), **TOLERANCE)


def test_sequences_and_dynamic_shapes() -> None:
    model = parse(
        """g (float[n] x) => (float[m] y) {
             at = NonZero(x)
             picked = Gather<axis = 0>(x, at)
             s = SequenceConstruct(x, picked)
             last = Constant<value_int = -1>()
             v = SequenceAt(s, last)
             minus = Constant<value_ints = [-1]>()
             w = Reshape(v, minus)
             y = Exp(w)
           }"""
    )
    x = np.float32([0, 1, 0, 2])
    got = load(model).run({"x": x}, tap=["at", "picked", "s", "w"])
    np.testing.assert_array_equal(got["at"], [[1, 3]])
    assert_same(got["picked"], np.float32([[1, 2]]))
    assert_same(got["s"], [x, np.float32([[1, 2]])])
    assert_same(got["w"], np.float32([1, 2]))
