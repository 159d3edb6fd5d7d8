"""Shapes that depend on data, but that something known before a run limits: their memory is planned, and nothing is taken while running."""

from __future__ import annotations

import subprocess
from pathlib import Path

import built
import numpy as np
import pytest
import runners
from helpers import Case, load, parse, typed

import whit
from whit import _native, _select
from whit._native import lib
from whit_exporter import write
from whit_exporter.build import Builder
from whit_exporter.dtypes import DType
from whit_exporter.ir import Entry

X = [1.5, -2.0, 3.0, 0.25]
STOPS = [{"x": X, "limit": limit, "go": go} for limit, go in ((20, 1), (1, 1), (1e9, 1), (20, 0), (6, 1))]  # fmt: skip
"""A loop that doubles x ends by its condition, at once, by its trip count, before it begins, and by its condition again."""
DOUBLE = """(int64 i, bool k, float[4] a) => (bool on, float[4] d, {}) {{
  d = Add(a, a)
  most = ReduceMax<keepdims = 0>(d)
  on = Less(most, limit)
  {} }}"""


def to_a_limit(name: str, outputs: str, more: str, slices: str, body: str = "") -> Case:
    """A loop of at most six trips over x; more: what becomes of its stacked outputs."""
    return Case(
        name,
        f"""g (float[4] x, float limit, bool go) => ({outputs}) <int64 m = {{6}}, int64[1] zero = {{0}},
              int64[1] one = {{1}}, int64[1] end = {{100}}, int64[2] flat = {{1, -1}}> {{
              {more.replace("LOOP", "Loop(m, go, x) <body = b " + DOUBLE.format(slices, body) + ">")} }}""",
        STOPS,
    )


LIMITED = [
    to_a_limit("slices", "float[4] y, float[k, 4] ys", "y, ys = LOOP", "float[4] d"),
    to_a_limit(
        "slices of every rank and of no elements",
        "float[4] y, float[k] m1, bool[k] c, int64[k] n, float[k, 1, 4] r, float[k, 0, 4] none",
        "y, m1, c, n, r, none = LOOP",
        "float most, bool c0, int64 n0, float[1, 4] row, float[0, 4] none0",
        """c0 = Not(k)
           n0 = Identity(i)
           row = Unsqueeze(d, zero)
           none0 = Slice(row, one, end, zero)""",
    ),
    to_a_limit(
        "parts, other axes and turns of them",
        "float[4] y, float[p, 4] part, float[1, q] line, float[4, p] turned, float[n, 4] last",
        """y, ys = LOOP
           part = Slice(ys, one, end, zero)
           line = Reshape(part, flat)
           turned = Transpose<perm = [1, 0]>(part)
           last = Slice(part, one, end, zero)""",
        "float[4] d",
    ),
    Case(
        "a part that data choose",
        """g (float[5, 2] x, int64[1] from, int64[1] to) => (float[p, 2] y, float[q] flat, float[2, p] t)
           <int64[1] zero = {0}, int64[1] line = {-1}> {
             p = Exp(x)
             y = Slice(p, from, to, zero)
             flat = Reshape(y, line)
             t = Transpose<perm = [1, 0]>(y)
           }""",
        [{"x": np.arange(10).reshape(5, 2) / 8, "from": [a], "to": [b]} for a, b in ((0, 5), (1, 3), (4, 2), (-2, 9))],
        rtol=1e-6,
    ),
    Case(
        "branches of two lengths, in a branch",
        """g (float[4] x, bool c, bool d) => (float[k] y, float[l] z) <int64[1] zero = {0}, int64[1] two = {2}> {
             y, z = If(c)
               <then_branch = t () => (float[p] a, float[n] a2) {
                  a = If(d) <then_branch = tt () => (float[q] b) { b = Concat<axis = 0>(x, x, x) },
                             else_branch = te () => (float[q] b2) { b2 = Slice(x, zero, two) }>
                  a2 = Neg(x) },
                else_branch = e () => (float[4] f, float[0] f2) {
                  f = Abs(x)
                  f2 = Slice(x, zero, zero) }>
           }""",
        [{"x": X, "c": c, "d": d} for c in (1, 0) for d in (0, 1)],
    ),
    Case(
        "a loop in a branch",
        """g (float[4] x, float limit, bool go, int64[1] to) => (float[k, 4] y, float[l, 4] z)
           <int64 m = {6}, int64[1] zero = {0}, int64[1] one = {1}> {
             y = If(go)
               <then_branch = t () => (float[p, 4] ys) {
                  dead, ys = Loop(m, "", x) <body = b """
        + DOUBLE.format("float[4] d", "")
        + """> },
                else_branch = e () => (float[1, 4] row) { row = Unsqueeze(x, zero) }>
             z = Slice(y, zero, to, zero)
           }""",
        [{**s, "to": [n]} for s in STOPS for n in (0, 2)],
    ),
    Case(
        "a loop in a loop, whose slices nobody outside sees",
        """g (float[4] x, int64[3] stops) => (float[4] y, int64[3] n)
           <int64 m = {3}, int64 most = {5}, int64[1] zero = {0}, int64[1] end = {100}, float one = {1}> {
             y, n = Loop(m, "", x) <body = b (int64 i, bool k, float[4] a) => (bool k, float[4] d, int64 stop) {
               stop = Gather<axis = 0>(stops, i)
               d, rows = Loop(most, "", a) <body = c (int64 j, bool l, float[4] f) =>
                                                   (bool on, float[4] h, float[4] h) {
                 h = Add(f, x)
                 on = Less(j, stop) }>
               part = Slice(rows, zero, end, zero) }>
           }""",
        [{"x": X, "stops": s} for s in ([0, 1, 9], [9, 0, 3], [-1, -1, -1])],
    ),
]  # fmt: skip
ON_HEAP = [
    to_a_limit(
        "a sum over them",
        "float[4] y, float[k, 4] ys, float[4] sum",
        """y, ys = LOOP
           twice = Add(ys, ys)
           sum = ReduceSum<keepdims = 0>(twice, zero)""",
        "float[4] d",
    ),
    Case(
        "slices of a loop that data limit",
        """g (float[4] x, int64 m, float limit) => (float[k, 4] ys) {
             dead, ys = Loop(m, "", x) <body = b """
        + DOUBLE.format("float[4] d", "")
        + "> }",
        [{"x": X, "m": m, "limit": limit} for m, limit in ((3, 100), (9, 20), (1, 1))],
    ),
    Case(
        "slices that are limited themselves",
        """g (float[4] x, int64[1] to) => (float[3, k] ys) <int64 m = {3}, int64[1] zero = {0}> {
             ys = Loop(m, "") <body = b (int64 i, bool k) => (bool k, float[p] part) {
               part = Slice(x, zero, to, zero) }>
           }""",
        [{"x": X, "to": [n]} for n in (2, 4, 1)],
    ),
    Case(
        "a limited value is carried",
        """g (float[4] x, int64[3] to) => (float[k] y, float[l] z) <int64 m = {3}, int64[1] zero = {0}> {
             s = Slice(x, zero, zero, zero)
             y, z = Loop(m, "", x, s) <body = b (int64 i, bool k, float[p] a, float[q] before) =>
                                            (bool k, float[r] part, float[p] same) {
               at = Unsqueeze(i, zero)
               end = Gather<axis = 0>(to, at)
               part = Slice(x, zero, end, zero)
               same = Identity(a) }>
           }""",
        [{"x": X, "to": to} for to in ([1, 2, 3], [4, 0, 2], [0, 0, 0])],
    ),
    Case(
        "one branch is limited, the other is not",
        """g (float[4] x, bool c, int64[1] to) => (float[k] y) <int64[1] zero = {0}> {
             y = If(c)
               <then_branch = t () => (float[p] a) { a = Slice(x, zero, to, zero) },
                else_branch = e () => (float[q] b) {
                  at = NonZero(x)
                  row = Squeeze(at, zero)
                  b = Gather<axis = 0>(x, row) }>
           }""",
        [{"x": x, "c": c, "to": [2]} for c in (1, 0) for x in (X, [0, 1, 0, 2], [0, 0, 0, 0])],
    ),
    Case(
        "too many trips, of some bytes and of none",
        """g (float limit) => (int64[k] y, float[k, 0] none) <int64 m = {5000000000}, int64[1] zero = {0}> {
             y, none = Loop(m, "") <body = b (int64 i, bool k) => (bool on, int64 i2, float[0] z) {
               i2 = Add(i, i)
               f = Cast<to = 1>(i)
               on = Less(f, limit)
               row = Unsqueeze(f, zero)
               z = Slice(row, zero, zero) }>
           }""",
        [{"limit": n} for n in (3, -1, 40)],
    ),
]
CASES = [*LIMITED, *ON_HEAP]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    model = case.check()
    assert _select.select([model]).heap == (case in ON_HEAP)
    for run in case.runs:
        instance, arrays = model.instance(typed(parse(case.text), run))
        planned = instance.arena.nbytes
        for _ in range(2):
            instance.run(arrays)
        assert case in ON_HEAP or instance.arena.nbytes == planned
        assert lib().whit_arena_needed(instance.handle) <= instance.arena.nbytes


def files(case: Case, folder: Path) -> tuple[Path, list[Path]]:
    """The model, and the inputs of its runs as runner.c takes them."""
    model = folder / "model.whit"
    whit.convert(parse(case.text), str(model))
    found = []
    for k, run in enumerate(case.runs):
        found.append(folder / f"inputs{k}")
        runners.write_inputs(whit.load(model), typed(parse(case.text), run), found[-1])
    return model, found


@pytest.mark.native
@pytest.mark.parametrize("case", CASES, ids=str)
def test_stopped_at_every_node(case: Case, tmp_path: Path) -> None:
    """In both profiles, with an arena that moves each time."""
    native, small = runners.native(), runners.small()
    model, inputs = files(case, tmp_path)
    for given in inputs:
        plain = runners.answer(native, model, given, "scalar")
        for command in (native, small):
            for mode in ("plain", "stop", "move"):
                assert runners.answer(command, model, given, "scalar", mode=mode) == plain, mode


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("profile", ["size", "speed"])
def test_a_library_without_a_heap(
    profile: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    models = []
    for k, case in enumerate(LIMITED):
        (tmp_path / str(k)).mkdir()
        models.append(files(case, tmp_path / str(k)))
    made = built.build(
        [m for m, _ in models], "linux-x86_64", tmp_path / "made", "--profile", profile
    )
    command, native = built.runner(made / "libwhit.a", "linux-x86_64"), runners.native()
    for model, inputs in models:
        for given in inputs:
            plain = runners.answer(native, model, given, "scalar")
            for mode in ("plain", "stop"):
                assert runners.answer(command, model, given, "scalar", mode=mode) == plain, model
            with pytest.raises(subprocess.CalledProcessError):  # It never needs another arena.
                runners.answer(command, model, given, "scalar", mode="move")
            said = capfd.readouterr().err
            assert "E_ORDER" in said or "called too early" in said


def test_an_output_of_limited_shape_is_not_bound() -> None:
    """Before a run its type is known, and nobody can tell its shape; its memory is the arena's."""
    subject = load(parse(LIMITED[0].text))
    instance, arrays = subject.instance(typed(parse(LIMITED[0].text), STOPS[0]))
    t = lib().whit_output(instance.handle, 1).contents
    assert (t.rank, t.dtype) == (_native.UNKNOWN_RANK, 1)
    y = np.zeros((6, 4), np.float32)
    status = lib().whit_output_bind(instance.handle, 1, _native.address(y), y.nbytes)
    assert lib().whit_status_text(status) == b"not supported"
    rows = instance.run(arrays)[1]
    low = _native.address(instance.arena)
    assert low <= t.data < low + instance.arena.nbytes and t.shape[0] == len(rows)


@pytest.mark.parametrize("case", [LIMITED[0], LIMITED[3], LIMITED[4]], ids=str)
def test_inputs_of_any_size(case: Case) -> None:
    """What a loop carries may grow at a size that nobody has tried, if it depends on the size; then a library keeps its heap."""
    model = load(
        parse(case.text.replace("float[4]", "float[w]").replace("float[5, 2]", "float[w, 2]"))
    )
    assert _select.select([model]).heap == ("Loop" in case.text)


def two_entries(heap: bool) -> whit.Model:
    """The first shape depends on data and is limited; so is that of the second, unless nothing limits it."""
    b = Builder()
    zero = b.const(np.zeros(1, np.int64))
    with b.sub() as second:
        y = b.param("y", DType.F32, (2, 2))
        end = b.param("to", DType.I64, (1,))
        second.results = [b.op("nonzero", y) if heap else b.op("slice", y, zero, end)]
    x, to = b.param("x", DType.F32, (4,)), b.param("to", DType.I64, (1,))
    b.region.results = [b.op("slice", x, zero, to)]
    b.graph.entries += [Entry("main", b.region), Entry("second", second)]
    return whit.load(write.write(b.graph))


@pytest.mark.parametrize("heap", [False, True])
def test_every_entry_counts(heap: bool) -> None:
    model = two_entries(heap)
    chosen = _select.select([model])
    assert chosen.dynamic and chosen.heap == heap
    to = np.array([1], np.int64)
    x = np.array([[0, 3], [4, 0]], np.float32)
    for _ in range(2):
        (first,) = model.run({"x": x.reshape(4), "to": to}).values()
        (got,) = model.run({"y": x, "to": to}, entry="second").values()
        np.testing.assert_array_equal(first, [0])
        np.testing.assert_array_equal(got, [[0, 1], [1, 0]] if heap else x[:1])
