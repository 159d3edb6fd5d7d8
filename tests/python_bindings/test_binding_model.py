"""whit.load and whit.Model."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from binding_models import (
    BRANCH,
    COUNTER,
    LINEAR,
    NON_ZERO,
    SEQUENCE,
    TWO_INPUTS,
    loaded,
    numbers,
    oracle,
    parse,
)

import whit
from whit import model as model_module


@pytest.fixture(scope="module")
def linear() -> whit.Model:
    return loaded(LINEAR)


def linear_by_numpy(x: np.ndarray) -> np.ndarray:
    w = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    return np.tanh(x @ w + np.array([0.5, -0.5], np.float32))


# ---- loading ----


def test_ports(linear: whit.Model) -> None:
    (x,), (y,) = linear.inputs, linear.outputs
    assert (x.name, x.dtype, x.shape, x.kind, x.optional) == (
        "x",
        np.float32,
        ("batch", 3),
        "tensor",
        False,
    )
    assert (y.name, y.dtype, y.shape) == ("y", np.float32, ("batch", 2))
    assert list(linear.entries) == [linear.entry(None).name]
    assert "batch" in repr(linear)


def test_load_from_path_bytes_and_views(tmp_path: Path) -> None:
    path = tmp_path / "linear.whit"
    assert whit.convert(parse(LINEAR), path) == path
    x = numbers(2, 3)
    expected = linear_by_numpy(x)
    data = path.read_bytes()
    for source in (path, str(path), data, bytearray(data), memoryview(data)):
        np.testing.assert_allclose(whit.load(source)(x), expected, rtol=1e-5)


def test_path_is_mapped_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "linear.whit"
    whit.convert(parse(LINEAR), path)
    mapped = Path("/proc/self/maps")
    if not mapped.exists():
        pytest.skip("no /proc")
    model = whit.load(path)
    assert str(path) in mapped.read_text()
    del model


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 200, b"PK\3\4" * 50])
def test_not_a_model(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.whit"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(whit.LoadError) as e:
            whit.load(source)
        assert e.value.offset is not None
        assert isinstance(e.value, whit.WhitError)


def test_missing_file_and_onnx_file(tmp_path: Path) -> None:
    with pytest.raises(whit.LoadError, match="is a folder"):
        whit.load(tmp_path)
    with pytest.raises(whit.LoadError, match="No such file"):
        whit.load(tmp_path / "none.whit")
    (tmp_path / "m.onnx").write_bytes(parse(LINEAR).SerializeToString())
    with pytest.raises(whit.LoadError, match="converted first"):
        whit.load(tmp_path / "m.onnx")


# ---- running ----


def test_call_and_run(linear: whit.Model) -> None:
    x = numbers(4, 3)
    np.testing.assert_allclose(linear(x), linear_by_numpy(x), rtol=1e-5)
    out = linear.run({"x": x})
    assert list(out) == ["y"]
    np.testing.assert_array_equal(out["y"], linear(x))
    assert linear.last_steps > 0


def test_outputs_are_fresh_arrays(linear: whit.Model) -> None:
    a = linear(numbers(2, 3))
    kept = a.copy()
    b = linear(numbers(2, 3, seed=1))
    np.testing.assert_array_equal(a, kept)
    assert not np.shares_memory(a, b)
    assert a.flags.owndata and a.flags.writeable


def test_inputs_in_any_layout(linear: whit.Model) -> None:
    x = numbers(3, 4).T
    expected = linear_by_numpy(np.array(x))
    read_only = np.array(x)
    read_only.flags.writeable = False
    for version in (
        x,
        np.asfortranarray(x),
        x.astype(">f4"),
        numbers(3, 8)[:, ::2].T * 0 + x,
        read_only,
    ):
        np.testing.assert_allclose(linear(version), expected, rtol=1e-5)
        np.testing.assert_allclose(linear.run({"x": version})["y"], expected, rtol=1e-5)


def test_python_numbers_as_inputs() -> None:
    model = loaded(TWO_INPUTS)
    total, d = model([[1, 2]], [[0.5, 0.25]], 7)
    np.testing.assert_array_equal(total, np.array([[1.5, 2.25]], np.float32))
    assert d == -7 and d.dtype == np.int64 and d.shape == ()


def test_many_shapes_one_model(linear: whit.Model) -> None:
    """Alternating shapes keep their plans, and there is a limit to them."""
    for n in [1, 2, 1, 2, *range(1, 40), 0, 1]:
        x = numbers(n, 3, seed=n)
        np.testing.assert_allclose(linear(x), linear_by_numpy(x), rtol=1e-5)
    assert len(linear._main.idle) <= model_module.MAX_PLANS
    first = linear._main.idle[((1, 3),)][0]
    linear(numbers(1, 3))
    assert linear._main.idle[((1, 3),)][0] is first


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "'a' is missing: expected float32 [n, k]"),
        ({"a": numbers(2, 2), "b": numbers(2, 2)}, "'c' is missing"),
        ({"a": 1, "b": 2, "cc": 3}, "no input 'cc'; did you mean 'c'"),
        (
            {"a": numbers(2), "b": numbers(2, 2), "c": 1},
            "input 'a': expected float32 [n, k], got float32 [2]",
        ),
        (
            {"a": numbers(2, 2), "b": numbers(2, 3), "c": 1},
            "dimension 'k' is 3, but 2 in input 'a'",
        ),
        (
            {"a": np.zeros((2, 2)), "b": numbers(2, 2), "c": 1},
            "input 'a': expected float32 [n, k], got float64 [2, 2]",
        ),
        (
            {"a": numbers(2, 2), "b": numbers(2, 2), "c": 1.5},
            "input 'c': expected int64 [], got float64 []",
        ),
        ({"a": None, "b": numbers(2, 2), "c": 1}, "input 'a': expected float32 [n, k], got None"),
        ({"a": "text", "b": numbers(2, 2), "c": 1}, "got a str"),
        ({"a": [[1], [1, 2]], "b": numbers(2, 2), "c": 1}, "input 'a'"),
        ({"a": [[np.array("x")]], "b": numbers(1, 1), "c": 1}, "input 'a'"),
    ],
)
def test_wrong_inputs(feeds: dict, message: str) -> None:
    with pytest.raises(whit.RunError) as e:
        loaded(TWO_INPUTS).run(feeds)
    assert message in str(e.value)


def test_wrong_number_of_positional_inputs(linear: whit.Model) -> None:
    with pytest.raises(whit.RunError, match="2 inputs given, the model has 1"):
        linear(numbers(1, 3), numbers(1, 3))
    with pytest.raises(whit.RunError, match="'x' is missing"):
        linear()


def test_unknown_entry_and_bad_options(linear: whit.Model) -> None:
    x = numbers(1, 3)
    with pytest.raises(whit.RunError, match="no entry point 'nope'"):
        linear.run({"x": x}, entry="nope")
    with pytest.raises(whit.RunError, match="threads=0"):
        linear.run({"x": x}, threads=0)


def test_data_dependent_shapes() -> None:
    model = loaded(NON_ZERO)
    for x in ([0, 1, 0, 2], [0, 0, 0, 0], [1, 1, 1, 1], []):
        out = model.run({"x": np.array(x, np.float32)})
        np.testing.assert_array_equal(out["at"], np.array(np.nonzero(x)).reshape(1, -1))
        np.testing.assert_array_equal(out["same"], -np.array(x, np.float32))
        assert out["at"].dtype == np.int64


def test_arena_grows() -> None:
    """A loop of unknown length: the arena is enlarged in the middle of the run."""
    model = loaded(COUNTER)
    total, history = np.zeros(2, np.float32), []
    for k in range(12):
        total = (total + k) * 2
        history.append(-total)
    for trips in (12, 0, 12):
        out = model.run({"trips": trips, "start": np.zeros(2, np.float32)})
        np.testing.assert_allclose(out["total"], total if trips else np.zeros(2))
        np.testing.assert_allclose(out["history"], np.array(history[:trips]).reshape(trips, 2))
    long = model.run({"trips": 100_000, "start": np.zeros(2, np.float32)})["history"]
    assert long.shape == (100_000, 2)
    assert np.isneginf(long[-1]).all()


def test_step_budget() -> None:
    model = loaded(COUNTER)
    feeds = {"trips": 1000, "start": np.zeros(2, np.float32)}
    with pytest.raises(whit.RunError, match="step budget") as e:
        model.run(feeds, max_steps=50)
    assert e.value.status == 0x45
    model.run(feeds)


def test_only_the_branch_taken_counts() -> None:
    model = loaded(BRANCH, fuse=False)
    x = numbers(3)
    feeds = {"which": np.array(True), "x": x}
    np.testing.assert_allclose(model.run(feeds)["y"], np.exp(x) * x, rtol=1e-6)
    then = model.last_steps
    np.testing.assert_array_equal(model.run(feeds | {"which": np.array(False)})["y"], np.abs(x))
    assert then <= len(model.file.nodes) - 2
    assert model.last_steps <= len(model.file.nodes) - 2


def test_sequences() -> None:
    model = loaded(SEQUENCE)
    assert model.inputs[0].kind == "sequence"
    items = [numbers(2, seed=1), numbers(3, seed=2)]
    out = model.run({"items": items, "at": 1})
    np.testing.assert_array_equal(out["one"], items[1])
    assert out["n"] == 2
    assert isinstance(out["longer"], list) and len(out["longer"]) == 3
    np.testing.assert_array_equal(out["longer"][0], items[0])
    with pytest.raises(whit.RunError):
        model.run({"items": [], "at": 0})
    with pytest.raises(whit.RunError, match="expected a list of arrays"):
        model.run({"items": items[0], "at": 0})
    with pytest.raises(whit.RunError, match=r"items\[1\]"):
        model.run({"items": [items[0], items[1].astype(np.float64)], "at": 0})
    again = model.run({"items": items, "at": 0})
    np.testing.assert_array_equal(again["one"], items[0])


def test_error_in_a_run_names_the_node() -> None:
    graph = """pick (float[3] x, int64[k] i) => (float[k] y) { [picker] y = Gather(x, i) }"""
    model = loaded(graph)
    x = numbers(3)
    with pytest.raises(whit.RunError) as e:
        model.run({"x": x, "i": np.array([0, 5])})
    assert e.value.node == "picker" and e.value.operator == "gather" and e.value.status == 0x42
    np.testing.assert_array_equal(model.run({"x": x, "i": np.array([-1, 2])})["y"], x[[-1, 2]])


def test_matches_onnxruntime() -> None:
    source = parse(COUNTER)
    feeds = {"trips": np.array(5), "start": numbers(2)}
    ours, theirs = whit.load(whit.convert(source)).run(feeds), oracle(source, feeds)
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6)


# ---- state ----

ACCUMULATE = """
accumulate (float[2] x, float[2] sum_in) => (float[2] sum_out, float[2] twice) {
  sum_out = Add(x, sum_in)
  twice = Add(sum_out, sum_out)
}"""


def test_state() -> None:
    model = loaded(ACCUMULATE, state={"sum_in": "sum_out"})
    assert "sum_in" not in [p.name for p in model.inputs]
    x = np.array([1, 2], np.float32)
    for k in range(1, 4):
        twice = model.run({"x": x})["twice"]
        np.testing.assert_array_equal(twice, 2 * k * x)
    (state,) = model.state.values()
    np.testing.assert_array_equal(state, 3 * x)
    state[...] = 10
    np.testing.assert_array_equal(model.run({"x": x})["twice"], 2 * (10 + x))
    model.reset_state()
    np.testing.assert_array_equal(model.run({"x": x})["twice"], 2 * x)
    other = whit.load(model._bytes.tobytes())
    np.testing.assert_array_equal(other.run({"x": x})["twice"], 2 * x)


def test_stateless_model_has_no_state(linear: whit.Model) -> None:
    assert linear.state == {}
    linear.reset_state()


# ---- threads ----


def test_one_model_many_threads(linear: whit.Model) -> None:
    wrong: list[int] = []

    def work(seed: int) -> None:
        for k in range(200):
            x = numbers(1 + (seed + k) % 5, 3, seed=seed * 1000 + k)
            if not np.allclose(linear(x), linear_by_numpy(x), rtol=1e-4, atol=1e-5):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_state_and_threads() -> None:
    """Calls of a model with state take turns: no update is lost."""
    model = loaded(ACCUMULATE, state={"sum_in": "sum_out"})
    x = np.array([1, 2], np.float32)

    def work() -> None:
        for _ in range(100):
            model(x)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    np.testing.assert_array_equal(next(iter(model.state.values())), 600 * x)


def test_results_do_not_depend_on_threads() -> None:
    graph = "m (float[n, 300] x, float[300, 200] w) => (float[n, 200] y) { y = MatMul(x, w) }"
    model = loaded(graph)
    feeds = {"x": numbers(64, 300), "w": numbers(300, 200, seed=1)}
    one = model.run(feeds)["y"]
    np.testing.assert_allclose(one, feeds["x"] @ feeds["w"], rtol=1e-3, atol=1e-3)
    for n in (2, 3, 7):
        np.testing.assert_array_equal(model.run(feeds, threads=n)["y"], one)


def one_row() -> tuple[whit.Model, dict[str, np.ndarray], np.ndarray]:
    """A product of one row, large enough to be divided, with a last panel that is not full."""
    w = numbers(601, 500, seed=1)
    source = parse("m (float[n, 601] x) => (float[n, 500] y) { y = MatMul(x, w) }")
    source.graph.initializer.append(onnx.numpy_helper.from_array(w, "w"))
    x = numbers(1, 601)
    return whit.load(whit.convert(source)), {"x": x}, (x.astype(np.float64) @ w).astype(np.float32)


def test_one_row_does_not_depend_on_threads() -> None:
    model, feeds, want = one_row()
    one = model.run(feeds)["y"]
    np.testing.assert_allclose(one, want, rtol=1e-4, atol=1e-4)
    for n in (2, 3, 7):
        for _ in range(20):
            np.testing.assert_array_equal(model.run(feeds, threads=n)["y"], one)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.native
def test_threads_after_fork() -> None:
    """The child runs what the parent has opened, and then with threads of its own."""
    model, feeds, _ = one_row()
    one = model.run(feeds, threads=3)["y"]
    for _ in range(10):
        child = os.fork()
        if not child:
            right = all(np.array_equal(model.run(feeds, threads=n)["y"], one) for n in (3, 1, 2, 3))
            os._exit(0 if right else 1)
        assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(model.run(feeds, threads=3)["y"], one)


def test_small_floats() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    model = loaded("b (bfloat16[n] x) => (bfloat16[n] y) { y = Neg(x) }")
    assert model.inputs[0].dtype == ml_dtypes.bfloat16
    x = np.array([1, -2.5], ml_dtypes.bfloat16)
    np.testing.assert_array_equal(model(x).astype(np.float32), [-1, 2.5])
