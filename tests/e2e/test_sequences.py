"""Sequences and optionals, through branches and loops. The oracle is onnxruntime; NumPy where it refuses or the standard is silent."""

from __future__ import annotations

import pytest
from helpers import TRIPS, Case, X, ramp

ITEMS = [[1.0, 2.0], [3.0], [], [4.0, 5.0, 6.0]]
SEQUENCE = [
    Case(
        "loop collects a sequence",
        """g (int64 m, float[n] x) => (seq(float[]) s, int64 size) {
             e = SequenceEmpty<dtype = 1>()
             s = Loop(m, "", e) <body = b (int64 i, bool k, seq(float[]) a) => (bool k, seq(float[]) d) {
               f = Cast<to = 1>(i)
               y = Add(x, f)
               d = SequenceInsert(a, y) }>
             size = SequenceLength(s)
           }""".replace("int64 k)", "int64 len)").replace(
            "k = SequenceLength", "len = SequenceLength"
        ),
        TRIPS,
    ),
    Case(
        "loop collects shapes that differ and joins them",
        """g (int64 m, float[n] x) => (float[p] y, seq(float[]) s) {
             e = SequenceConstruct(x)
             s = Loop(m, "", e) <body = b (int64 i, bool k, seq(float[]) a) => (bool k, seq(float[]) d) {
               last = Constant<value_int = -1>()
               v = SequenceAt(a, last)
               w = Concat<axis = 0>(v, x)
               d = SequenceInsert(a, w) }>
             y = ConcatFromSequence<axis = 0>(s)
           }""",
        TRIPS[:4],
    ),
    Case(
        "loop reads an outer sequence",
        """g (seq(float[n]) s) => (float y, int64[p] sizes) {
             m = SequenceLength(s)
             zero = Constant<value_float = 0.0>()
             y, sizes = Loop(m, "", zero) <body = b (int64 i, bool k, float a) =>
                                              (bool k, float d, int64 size) {
               v = SequenceAt(s, i)
               t = ReduceSum<keepdims = 0>(v)
               d = Add(a, t)
               size = Size(v) }>
           }""",
        [{"s": ITEMS}, {"s": []}, {"s": ITEMS[:1]}, {"s": ITEMS * 10}],
    ),
    Case(
        "loop erases from the front",
        """g (seq(float[n]) s) => (seq(float[n]) y, int64[p] sizes) <int64 zero = {0}> {
             n = SequenceLength(s)
             some = Greater(n, zero)
             y, sizes = Loop("", some, s) <body = b (int64 i, bool k, seq(float[n1]) a) =>
                                             (bool go, seq(float[n2]) d, int64 size) {
               v = SequenceAt(a, zero)
               size = Size(v)
               d = SequenceErase(a, zero)
               left = SequenceLength(d)
               go = Greater(left, zero) }>
           }""",
        [{"s": ITEMS}, {"s": ITEMS[:1]}, {"s": []}, {"s": ITEMS * 3}],
    ),
    Case(
        "loop swaps sequences",
        """g (int64 m, seq(float[n]) s, seq(float[n]) t) => (seq(float[n]) y, seq(float[n]) z) {
             y, z = Loop(m, "", s, t)
               <body = b (int64 i, bool k, seq(float[n1]) a, seq(float[n2]) d) =>
                         (bool k, seq(float[n2]) d, seq(float[n1]) a) {}>
           }""",
        [{"m": m, "s": ITEMS, "t": ITEMS[:2]} for m in (0, 1, 2, 3)],
    ),
    Case(
        "loop with if and a sequence",
        """g (int64 m, float[n] x) => (seq(float[]) s) <int64 two = {2}> {
             e = SequenceConstruct(x)
             s = Loop(m, "", e) <body = b (int64 i, bool k, seq(float[]) a) => (bool k, seq(float[]) d) {
               odd0 = Mod(i, two)
               odd = Cast<to = 9>(odd0)
               d = If(odd)
                 <then_branch = t () => (seq(float[]) f) {
                    p = Concat<axis = 0>(x, x)
                    zero = Constant<value_int = 0>()
                    f = SequenceInsert(a, p, zero) },
                  else_branch = e2 () => (seq(float[]) h) { q = Neg(x)  h = SequenceInsert(a, q) }> }>
           }""",
        TRIPS[:4],
    ),
    Case(
        "sequence through the model unchanged",
        """g (seq(float[n]) s, float[n] x) => (seq(float[n]) y, float[n] z) {
             y = Identity(s)
             z = Neg(x)
           }""",
        [{"s": ITEMS, "x": X}, {"s": [], "x": X}],
    ),
    Case(
        "split, map and join",
        """g (float[n, 2] x) => (float[p, 2] y, seq(float[]) t) <int64[2] parts = {1, 3}> {
             s = SplitToSequence<axis = 0>(x, parts)
             t = SequenceMap<body = b (float[r, 2] v) => (float[r, 2] w) { w = Add(v, v) }>(s)
             y = ConcatFromSequence<axis = 0>(t)
           }""",
        [{"x": ramp(4, 2)}],
    ),
    Case(
        "optional input",
        """g (optional(float[n]) o, float[n] x) => (float[n] y, bool has) {
             has = OptionalHasElement(o)
             y = If(has) <then_branch = t () => (float[n] a) {
                            v = OptionalGetElement(o)
                            a = Add(v, x) },
                          else_branch = e () => (float[n] b) { b = Neg(x) }>
           }""",
        [{"o": o, "x": X} for o in (None, [1, 2, 3], None, X)],
    ),
    Case(
        "loop carries an optional",
        """g (int64 m, float[n] x, optional(float[n]) o) => (float[n] y) <int64 one = {1}> {
             y, o9 = Loop(m, "", x, o)
               <body = b (int64 i, bool k, float[n] a, optional(float[n]) p) =>
                         (bool k, float[n] d, optional(float[n]) q) {
               has = OptionalHasElement(p)
               d = If(has) <then_branch = t () => (float[n] f) {
                              v = OptionalGetElement(p)
                              f = Add(a, v) },
                            else_branch = e () => (float[n] h) { h = Neg(a) }>
               q = Optional(d) }>
           }""",
        [{"m": m, "x": X, "o": o} for m, o in ((3, None), (0, X), (2, X), (1, None))],
    ),
]


@pytest.mark.parametrize("case", SEQUENCE, ids=str)
def test_case(case: Case) -> None:
    case.check()
