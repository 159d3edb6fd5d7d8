"""Values of the source model, by name: constants, inputs, fused values, branches, iterations."""

from __future__ import annotations

import numpy as np
import pytest
from binding_models import BRANCH, COUNTER, LINEAR, loaded, numbers, oracle, parse

import whit


@pytest.fixture(scope="module", params=[True, False], ids=["fused", "plain"])
def fuse(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture(scope="module")
def counter(fuse: bool) -> whit.Model:
    return loaded(COUNTER, fuse=fuse)


def totals(n: int) -> list[np.ndarray]:
    """The carried value after each iteration of COUNTER, from zero."""
    total, found = np.zeros(2, np.float32), []
    for k in range(n):
        total = (total + k) * 2
        found.append(total)
    return found


FEEDS = {"trips": 6, "start": np.zeros(2, np.float32)}


def test_values_by_name(fuse: bool) -> None:
    model = loaded(LINEAR, fuse=fuse)
    x = numbers(2, 3)
    source = parse(LINEAR)
    source.graph.output.add().name = "s"
    expected = oracle(source, {"x": x})
    out = model.run({"x": x}, tap=["s"])
    assert set(out) == {"y", "s"}
    for name in set(out) & set(expected):
        np.testing.assert_allclose(out[name], expected[name], rtol=1e-5)
        assert out[name].dtype == expected[name].dtype


def test_nodes_inputs_and_outputs() -> None:
    model = loaded(LINEAR)
    x = numbers(2, 3)
    plain = model.run({"x": x})
    assert list(plain) == ["y"]
    tapped = model.run({"x": x}, tap=["squash", "x", "y"])
    np.testing.assert_array_equal(tapped["x"], x)
    np.testing.assert_array_equal(tapped["y"], plain["y"])
    assert list(model.run({"x": x})) == ["y"]


def test_last_iteration(counter: whit.Model) -> None:
    out = counter.run(FEEDS, tap="doubled")
    np.testing.assert_array_equal(out["doubled"], totals(6)[-1])


@pytest.mark.parametrize("k", [0, 1, 5])
def test_chosen_iteration(counter: whit.Model, k: int) -> None:
    out = counter.run(FEEDS, tap=f"doubled@{k}")
    np.testing.assert_array_equal(out["doubled"], totals(6)[k])
    np.testing.assert_array_equal(out[f"doubled@{k}"], totals(6)[k])


def test_value_inside_a_fused_program(counter: whit.Model) -> None:
    """`grown` lies between two element-wise operators."""
    before = [np.zeros(2, np.float32), *totals(6)]
    out = counter.run(FEEDS, tap=["grown@4", "f@*"])
    np.testing.assert_array_equal(out["grown"], before[4] + 4)
    assert [float(v) for v in out["f"]] == [0, 1, 2, 3, 4, 5]


def test_all_iterations_and_globs(counter: whit.Model) -> None:
    out = counter.run(FEEDS, tap=["doub*@*", "repeat/[gx]rown@2"])
    np.testing.assert_array_equal(np.array(out["repeat/doubled"]), np.array(totals(6)))
    np.testing.assert_array_equal(out["repeat/grown@2"], totals(6)[1] + 2)


def test_iteration_that_never_came(counter: whit.Model) -> None:
    out = counter.run(FEEDS, tap=["doubled@77", "doubled@1.1"])
    assert "doubled" not in out
    assert counter.run(FEEDS, tap="doubled@*")["doubled@*"] is not None
    assert "doubled" not in counter.run(FEEDS | {"trips": 0}, tap="doubled")


def test_growth_while_tapped(counter: whit.Model) -> None:
    out = counter.run(FEEDS | {"trips": 30_000}, tap="number@29999")
    assert float(out["repeat/f"]) == 29999
    assert out["history"].shape == (30_000, 2)


def test_branches(fuse: bool) -> None:
    model = loaded(BRANCH, fuse=fuse)
    x = numbers(3)
    yes = model.run({"which": np.array(True), "x": x}, tap=["p", "q"])
    np.testing.assert_allclose(yes["p"], np.exp(x), rtol=1e-6)
    assert "q" not in yes
    no = model.run({"which": np.array(False), "x": x}, tap=["p", "q"])
    np.testing.assert_array_equal(no["q"], -x)
    assert "p" not in no


def test_nested_loops() -> None:
    graph = """
    nested (int64 n) => (int64 sum) <bool yes = {1}, int64 zero = {0}, int64 three = {3}, int64 ten = {10}> {
      [outer] sum = Loop(n, yes, zero) <body = o (int64 i, bool go, int64 a) => (bool again, int64 b) {
        again = Identity(go)
        [inner] b = Loop(three, yes, a) <body = p (int64 j, bool go2, int64 c) => (bool again2, int64 d) {
          again2 = Identity(go2)
          [scale] t = Mul(i, ten)
          [code] u = Add(t, j)
          [sum] d = Add(c, u)
        }>
      }>
    }"""
    model = loaded(graph)
    out = model.run({"n": 4}, tap=["u@2", "u@1.2", "u@*.0", "u@*"])
    assert out["u@2"] == 32  # of the last outer iteration
    assert out["u@1.2"] == 12
    assert [int(v) for v in out["u@*.0"]] == [0, 10, 20, 30]
    assert [int(v) for v in out["u@*"]] == [10 * i + j for i in range(4) for j in range(3)]
    assert out["sum"] == sum(10 * i + j for i in range(4) for j in range(3))


def test_layout_is_undone() -> None:
    """Images are channels-last inside; a tapped value has the source model's axes."""
    graph = """
    image (float[1, 2, 6, 6] x, float[4, 2, 3, 3] w) => (float[1, 4, 2, 2] y) {
      [conv] c = Conv <pads = [1, 1, 1, 1]> (x, w)
      [relu] r = Relu(c)
      [pool] y = MaxPool <kernel_shape = [3, 3], strides = [3, 3]> (r)
    }"""
    source = parse(graph)
    source.graph.initializer.append(
        __import__("onnx").numpy_helper.from_array(numbers(4, 2, 3, 3), "w")
    )
    del source.graph.input[1]
    for name in ("c", "r"):
        source.graph.output.add().name = name
    x = numbers(1, 2, 6, 6, seed=3)
    expected = oracle(source, {"x": x})
    del source.graph.output[1:]
    out = whit.load(whit.convert(source)).run({"x": x}, tap="*")
    shared = {"c", "r", "y"} & set(out)
    assert shared >= {"r", "y"}
    for name in shared:
        np.testing.assert_allclose(out[name], expected[name], rtol=1e-4, atol=1e-5)


def test_constants() -> None:
    model = loaded("k (float[2] x) => (float[2] y) <float[2] c = {3, 4}> { [n] y = Add(x, c) }")
    out = model.run({"x": np.ones(2, np.float32)}, tap="*")
    if "c" in out:
        np.testing.assert_array_equal(out["c"], [3, 4])


def test_unknown_names(counter: whit.Model) -> None:
    with pytest.raises(whit.RunError, match=r"close: .*double"):
        counter.run(FEEDS, tap="doublet")
    with pytest.raises(whit.RunError, match="no value or node"):
        counter.run(FEEDS, tap="zzz*")


def test_stripped_model() -> None:
    model = loaded(LINEAR, strip=True)
    x = numbers(1, 3)
    with pytest.raises(whit.RunError, match="strip"):
        model.run({"x": x}, tap="h")
    assert model.run({"x": x})["y"].shape == (1, 2)


def test_same_result_with_and_without_tap(counter: whit.Model) -> None:
    for tap in (None, "*", "*@*"):
        out = counter.run(FEEDS, tap=tap)
        np.testing.assert_array_equal(out["total"], totals(6)[-1])
        np.testing.assert_array_equal(out["history"], -np.array(totals(6)))
