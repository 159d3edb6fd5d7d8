"""If, Loop, Scan, SequenceMap against onnxruntime, above all where others go wrong."""

from __future__ import annotations

import numpy as np
import pytest
from test_onnx_oracle import check, expected, parse

import whit

F = np.float32
I = np.int64  # noqa: E741


def yes() -> np.ndarray:
    return np.array(True)


def no() -> np.ndarray:
    return np.array(False)


# If

IF = """g (bool c, float[N] x, float[2] outer) => (float[M] y) {
    doubled = Add(x, x)
    y = If (c) <
        then_branch: graph = t () => (float[A] a) { a = Mul(doubled, x) },
        else_branch: graph = e () => (float[B] b) { s = Sub(doubled, x)  b = Concat<axis=0>(s, outer) }>
}"""


def test_if_with_different_shapes_and_captures() -> None:
    x, outer = np.array([1, 2, 3], F), np.array([7, 8], F)
    check(parse(IF), *({"c": c, "x": x, "outer": outer} for c in (yes(), no(), yes())))


def test_if_condition_of_one_element() -> None:
    model = parse(IF.replace("bool c", "bool[1] c"))
    check(model, {"c": np.array([False]), "x": np.ones(2, F), "outer": np.zeros(2, F)})


def test_if_results_of_different_rank() -> None:
    model = parse("""g (bool c, float[2, 3] x) => (float[M] total) {
        y = If (c) <then_branch: graph = t () => (float[6] a) { w = Constant<value_ints=[6]>()  a = Reshape(x, w) },
                    else_branch: graph = e () => (float[2, 3] b) { b = Neg(x) }>
        total = ReduceSum<keepdims=0>(y)
    }""")
    x = np.arange(6, dtype=F).reshape(2, 3)
    check(model, {"c": yes(), "x": x}, {"c": no(), "x": x})


def test_if_hands_out_outer_values_and_constants() -> None:
    model = parse("""g (bool c, float[2] x, float[2] z) => (float[2] y, float[2] w) {
        y, w = If (c) <
            then_branch: graph = t () => (float[2] a, float[2] k) { a = Identity(x)  k = Constant<value_floats=[1.0, 2.0]>() },
            else_branch: graph = e () => (float[2] b, float[2] l) { b = Identity(z)  l = Identity(z) }>
    }""")
    feeds = {"x": np.array([1, 2], F), "z": np.array([3, 4], F)}
    check(model, {"c": yes(), **feeds}, {"c": no(), **feeds})


def test_if_of_a_constant() -> None:
    model = parse("""g (float[2] x) => (float[2] y) {
        s = Shape(x)  two = Constant<value_ints=[2]>()  e = Equal(s, two)
        none = Constant<value_ints=[0]>()  c = Squeeze(e, none)
        y = If (c) <then_branch: graph = t () => (float[2] a) { a = Neg(x) },
                    else_branch: graph = e () => (float[2] b) { b = Abs(x) }>
    }""")
    check(model, {"x": np.array([1, -2], F)})


# Loop

SUM = """g ({interface}float[2] x) => (float[2] y, float[K, 2] steps) {{
    start = Constant<value_floats=[0.0, 0.0]>()
    y, steps = Loop ({trips}, {condition}, start) <body: graph = b (int64 i, bool c, float[2] s) => (bool go, float[2] t, float[2] out) {{
        t = Add(s, x)
        out = Mul(t, x)
        total = ReduceSum<keepdims=0>(t)
        limit = Constant<value_float=20.0>()
        go = Less(total, limit)
    }}>
}}"""
X = np.array([1, 2], F)


@pytest.mark.parametrize("trips", [None, 0, 1, 4, 100, -3])
@pytest.mark.parametrize("condition", [None, True, False])
def test_loop_trip_count_and_condition(trips: int | None, condition: bool | None) -> None:
    interface = ("int64 m, " if trips is not None else "") + (
        "bool c0, " if condition is not None else ""
    )
    names = {
        "trips": "m" if trips is not None else "",
        "condition": "c0" if condition is not None else "",
    }
    text = SUM.format(interface=interface, **names)
    feeds: dict[str, np.ndarray] = {"x": X}
    if trips is not None:
        feeds["m"] = np.array(trips, I)
    if condition is not None:
        feeds["c0"] = np.array(condition)
    check(parse(text), feeds)


def test_loop_zero_trips_first_and_later() -> None:
    model = parse(SUM.format(interface="int64 m, ", trips="m", condition=""))
    check(model, *({"m": np.array(m, I), "x": X} for m in (0, 3, 0, 5, 1, 0)))


def test_loop_trip_count_as_vectors() -> None:
    """Of one element each, as old exporters make them; onnxruntime wants none of these."""
    scalars = parse(SUM.format(interface="int64 m, ", trips="m", condition=""))
    want = expected(scalars, {"m": np.array(3, I), "x": X})
    text = SUM.format(interface="int64[1] m, bool[1] c0, ", trips="m", condition="c0")
    check(parse(text), {"m": np.array([3], I), "c0": np.array([True]), "x": X}, want=want)


def test_loop_swaps() -> None:
    model = parse("""g (int64 m, float[2] x, float[2] y) => (float[2] p, float[2] q, float[K, 2] seen) {
        nothing = Constant<value_float=0.0>()
        p, q, seen = Loop (m, , x, y) <body: graph = b (int64 i, bool c, float[2] u, float[2] v) => (bool go, float[2] v2, float[2] u2, float[2] s) {
            go = Identity(c)  v2 = Identity(v)  u2 = Identity(u)  s = Sub(u, v)
        }>
    }""")
    feeds = {"x": np.array([1, 2], F), "y": np.array([3, 5], F)}
    check(model, *({"m": np.array(m, I), **feeds} for m in (0, 1, 2, 3)))


def test_loop_with_scalars_and_a_condition_on_the_newest_value() -> None:
    model = parse("""g (float w0, float x, float target) => (float w, int64 steps) {
        zero = Constant<value_int=0>()
        always = Constant<value = bool {1}>()
        w, steps = Loop (, always, w0, zero) <body: graph = b (int64 i, bool c, float v, int64 n) => (bool go, float v2, int64 n2) {
            rate = Constant<value_float=0.1>()  small = Constant<value_float=0.01>()  one = Constant<value_int=1>()
            guess = Mul(v, x)  error = Sub(guess, target)  g = Mul(error, x)  d = Mul(rate, g)  v2 = Sub(v, d)
            n2 = Add(n, one)  e = Abs(error)  go = Greater(e, small)
        }>
    }""")
    check(model, {"w0": np.array(0, F), "x": np.array(2, F), "target": np.array(6, F)})


def test_loop_grows_a_cache() -> None:
    model = parse("""g (int64 m, float[P, 2] cache, float[1, 2] new) => (float[Q, 2] y, int64[K] sizes) {
        y, sizes = Loop (m, , cache) <body: graph = b (int64 i, bool c, float[R, 2] old) => (bool go, float[S, 2] longer, int64 n) {
            go = Identity(c)  f = Cast<to=1>(i)  row = Add(new, f)
            longer = Concat<axis=0>(old, row)
            shape = Shape<start=0, end=1>(longer)  none = Constant<value_ints=[0]>()  n = Squeeze(shape, none)
        }>
    }""")
    new = np.array([[1, 2]], F)
    check(
        model,
        {"m": np.array(3, I), "cache": np.zeros((0, 2), F), "new": new},
        {"m": np.array(2, I), "cache": np.ones((4, 2), F), "new": new},
        {"m": np.array(0, I), "cache": np.ones((1, 2), F), "new": new},
    )


def test_loop_carries_an_empty_tensor() -> None:
    model = parse("""g (int64 m, float[N, 3] x) => (float[N, 3] y, float[K, N, 3] all) {
        y, all = Loop (m, , x) <body: graph = b (int64 i, bool c, float[N, 3] s) => (bool go, float[N, 3] t, float[N, 3] u) {
            go = Identity(c)  t = Add(s, s)  u = Neg(t)
        }>
    }""")
    check(
        model,
        {"m": np.array(2, I), "x": np.zeros((0, 3), F)},
        {"m": np.array(2, I), "x": np.ones((1, 3), F)},
    )


def test_loop_invariant_value_and_captured_condition() -> None:
    model = parse("""g (float[2] x, float[2] w) => (float[2] y, float[2] w_out) {
        m = Constant<value_int=3>()  c0 = Constant<value = bool {1}>()
        y, w_out = Loop (m, c0, x, w) <body: graph = b (int64 i, bool c, float[2] s, float[2] k) => (bool c, float[2] t, float[2] k) {
            t = Mul(s, k)
        }>
    }""")
    check(model, {"x": X, "w": np.array([2, 3], F)})


def test_if_in_loop_in_if() -> None:
    model = parse("""g (bool c0, int64 m, float[2] x) => (float[2] y) {
        y = If (c0) <
            then_branch: graph = t () => (float[2] a) {
                a = Loop (m, , x) <body: graph = b (int64 i, bool c, float[2] s) => (bool go, float[2] r) {
                    go = Identity(c)  two = Constant<value_int=2>()  zero = Constant<value_int=0>()
                    half = Mod(i, two)  even = Equal(half, zero)
                    r = If (even) <then_branch: graph = p () => (float[2] q) { q = Add(s, x) },
                                   else_branch: graph = n () => (float[2] z) { z = Mul(s, x) }>
                }>
            },
            else_branch: graph = e () => (float[2] b2) { b2 = Neg(x) }>
    }""")
    check(model, *({"c0": c, "m": np.array(5, I), "x": np.array([2, 3], F)} for c in (yes(), no())))


def test_loop_in_loop_with_slices_of_varying_use() -> None:
    model = parse("""g (int64 m, float[3] x) => (float[3] y, float[K, L, 3] all) {
        y, all = Loop (m, , x) <body: graph = outer (int64 i, bool c, float[3] s) => (bool go, float[3] t, float[L, 3] rows) {
            go = Identity(c)  three = Constant<value_int=3>()
            t, rows = Loop (three, , s) <body: graph = inner (int64 j, bool d, float[3] u) => (bool gi, float[3] v, float[3] w) {
                gi = Identity(d)  ij = Add(i, j)  f = Cast<to=1>(ij)  v = Add(u, f)  w = Mul(v, x)
            }>
        }>
    }""")
    check(model, {"m": np.array(2, I), "x": np.array([1, 2, 3], F)})


def test_loop_builds_a_sequence() -> None:
    model = parse("""g (int64 m, float[2] x) => (seq(float[K]) s, float[T] joined, int64 n) {
        start = SequenceEmpty<dtype=1>()
        s = Loop (m, , start) <body: graph = b (int64 i, bool c, seq(float[K]) old) => (bool go, seq(float[K]) new) {
            go = Identity(c)  f = Cast<to=1>(i)  row = Add(x, f)  new = SequenceInsert(old, row)
        }>
        joined = ConcatFromSequence<axis=0>(s)
        n = SequenceLength(s)
    }""")
    check(model, *({"m": np.array(m, I), "x": X} for m in (3, 1)))


def test_loop_types_that_do_not_fit_are_refused() -> None:
    model = parse("""g (int64 m, float[2] x) => (float[2] y) {
        y = Loop (m, , x) <body: graph = b (int64 i, bool c, float[2] s) => (bool go, int64[2] t) {
            go = Identity(c)  t = Cast<to=7>(s) }>
    }""")
    with pytest.raises(whit.ConvertError, match="carried value 0"):
        whit.convert(model)


# Scan

SCAN = """g (float[2] s0, float[{x}] x, float[{z}] z) => (float[2] s, float[{a}] a, float[{b}] b) {{
    s, a, b = Scan <num_scan_inputs=2, scan_input_axes=[{ix}, {iz}], scan_input_directions=[{dx}, {dz}],
        scan_output_axes=[{oa}, {ob}], scan_output_directions=[{da}, {db}],
        body: graph = body (float[2] t, float[2] u, float[2, 3] v) => (float[2] t2, float[2] p, float[3, 2] q) {{
            w = Add(t, u)  k = ReduceSum<keepdims=0>(v)  t2 = Add(w, k)  p = Sub(t2, u)  q = Transpose(v)
        }}> (s0, x, z)
}}"""


@pytest.mark.parametrize(
    ("ix", "iz", "dx", "dz", "oa", "ob", "da", "db"),
    [
        (0, 0, 0, 0, 0, 0, 0, 0),
        (1, 2, 0, 1, 1, 2, 0, 1),
        (1, 1, 1, 0, 0, 1, 1, 0),
        (-1, -1, 1, 1, -1, -1, 1, 1),
        (-2, -3, 0, 0, -2, -2, 1, 0),
    ],
)
def test_scan_axes_and_directions(
    ix: int, iz: int, dx: int, dz: int, oa: int, ob: int, da: int, db: int
) -> None:
    def with_axis(shape: list[int], axis: int, length: int = 4) -> list[int]:
        axis %= len(shape) + 1
        return [*shape[:axis], length, *shape[axis:]]

    x, z = with_axis([2], ix), with_axis([2, 3], iz)
    dims = {"x": x, "z": z, "a": with_axis([2], oa), "b": with_axis([3, 2], ob)}
    words = {k: ", ".join(map(str, v)) for k, v in dims.items()}
    model = parse(SCAN.format(**words, ix=ix, iz=iz, dx=dx, dz=dz, oa=oa, ob=ob, da=da, db=db))
    rng = np.random.default_rng(1)
    check(model, {"s0": X, "x": rng.normal(size=x).astype(F), "z": rng.normal(size=z).astype(F)})


def test_scan_of_a_length_known_when_it_runs_also_none() -> None:
    model = parse("""g (float[T, 2] x) => (float[T, 2] y, float[2] last) {
        s0 = Constant<value_floats=[0.0, 0.0]>()
        last, y = Scan <num_scan_inputs=1, body: graph = b (float[2] s, float[2] u) => (float[2] t, float[2] out) {
            t = Add(s, u)  out = Identity(t) }> (s0, x)
    }""")
    loaded = whit.load(whit.convert(model))
    rng = np.random.default_rng(2)
    for t in (5, 0, 1, 3):  # onnxruntime refuses 0
        x = rng.normal(size=(t, 2)).astype(F)
        got = loaded.run({"x": x})
        np.testing.assert_allclose(got["y"], np.cumsum(x, axis=0), atol=1e-6)
        np.testing.assert_allclose(got["last"], x.sum(axis=0), atol=1e-6)


def test_scan_without_states() -> None:
    model = parse("""g (float[3, 2] x) => (float[2, 3] y) {
        y = Scan <num_scan_inputs=1, scan_output_axes=[1], body: graph = b (float[2] u) => (float[2] v) { v = Exp(u) }> (x)
    }""")
    check(model, {"x": np.arange(6, dtype=F).reshape(3, 2)})


@pytest.mark.parametrize("lens", [None, [3, 1], [0, 3]])
def test_scan_8(lens: list[int] | None) -> None:
    model = parse(
        f"""g ({"int64[2] lens, " if lens else ""}float[2, 2] s0, float[2, 3, 2] x) => (float[2, 2] s, float[2, 3, 2] y) {{
        s, y = Scan <num_scan_inputs=1, body: graph = b (float[2] t, float[2] u) => (float[2] t2, float[2] v) {{
            t2 = Add(t, u)  v = Mul(t2, u) }}> ({"lens" if lens else ""}, s0, x)
    }}""",
        opset=8,
        ir=3,
    )
    s0, x = np.ones((2, 2), F), np.arange(12, dtype=F).reshape(2, 3, 2)
    total, products = s0.copy(), np.zeros((2, 3, 2), F)
    for row, n in enumerate(lens or [3, 3]):
        for t in range(n):
            total[row] += x[row, t]
            products[row, t] = total[row] * x[row, t]
    feeds = {"s0": s0, "x": x}
    if lens:
        feeds["lens"] = np.array(lens, I)
    check(model, feeds, want={"s": total, "y": products})


# sequences and optionals


def test_sequence_map() -> None:
    model = parse("""g (float[2] x, float[3] y, float[1] k) => (seq(float[N]) s, seq(float[N]) t, float[M] flat) {
        items = SequenceConstruct(x, y)
        s, t = SequenceMap <body: graph = b (float[N] u, float[1] w) => (float[N] v, float[N] z) {
            v = Add(u, w)  z = Mul(u, w) }> (items, k)
        flat = ConcatFromSequence<axis=0>(s)
    }""")
    check(model, {"x": X, "y": np.array([3, 4, 5], F), "k": np.array([10], F)})


def test_sequence_operators() -> None:
    model = parse("""g (float[5, 2] x, int64 at) => (float[N, 2] one, seq(float[N, 2]) parts, seq(float[N, 2]) fewer, int64 n, float[M, 2] joined) {
        sizes = Constant<value_ints=[2, 3]>()
        parts = SplitToSequence<axis=0>(x, sizes)
        one = SequenceAt(parts, at)
        more = SequenceInsert(parts, one, at)
        fewer = SequenceErase(more)
        n = SequenceLength(more)
        joined = ConcatFromSequence<axis=0>(more)
    }""")
    x = np.arange(10, dtype=F).reshape(5, 2)
    check(model, *({"x": x, "at": np.array(i, I)} for i in (0, 1, -1)))


@pytest.mark.parametrize("keepdims", [0, 1])
def test_split_to_sequence_of_ones(keepdims: int) -> None:
    model = parse(f"""g (float[3, 2] x) => (seq(float) s) {{
        s = SplitToSequence<axis=1, keepdims={keepdims}>(x) }}""")
    check(model, {"x": np.arange(6, dtype=F).reshape(3, 2)})


def test_optional_in_branches() -> None:
    model = parse("""g (bool c, float[2] x) => (bool has, float[2] y) {
        o = If (c) <then_branch: graph = t () => (optional(float[2]) a) { a = Optional(x) },
                    else_branch: graph = e () => (optional(float[2]) b) { b = Optional<type = float[2]>() }>
        has = OptionalHasElement(o)
        y = If (has) <then_branch: graph = p () => (float[2] q) { v = OptionalGetElement(o)  q = Neg(v) },
                      else_branch: graph = n () => (float[2] z) { z = Abs(x) }>
    }""")
    x = np.array([1, -2], F)
    for c in (True, False):
        check(
            model,
            {"c": np.array(c), "x": x},
            want={"has": np.array(c), "y": -x if c else np.abs(x)},
        )


def test_constants_that_fail_stay_in_their_branch() -> None:
    text = """g (bool c, float[2] x) => (float[2] y) {
        y = If (c) <
            then_branch: graph = t () => (float[2] a) {
                table = Constant<value_floats = [1.0, 2.0]>()
                beyond = Constant<value_ints = [5, 6]>()
                a = Gather(table, beyond) },
            else_branch: graph = e () => (float[2] b) { b = Neg(x) }>
    }"""
    x = np.array([1, 2], F)
    model = whit.load(whit.convert(parse(text)))
    np.testing.assert_array_equal(model.run({"c": no(), "x": x})["y"], -x)
    with pytest.raises(whit.WhitError, match="index"):
        model.run({"c": yes(), "x": x})
