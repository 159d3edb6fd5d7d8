"""If as models meet it. The oracle is onnxruntime; NumPy where it refuses or the standard is silent."""

from __future__ import annotations

import pytest
from helpers import BOTH, Case, X

IF = [
    Case(
        "if reads outer values",
        """g (bool c, float[n] x) => (float[n] y) {
             p = Exp(x)
             y = If(c) <then_branch = t () => (float[n] a) { a = Add(p, x) },
                        else_branch = e () => (float[n] b) { b = Sub(p, x) }>
           }""",
        BOTH,
        rtol=1e-5,
    ),
    Case(
        "if shapes differ",
        """g (bool c, float[n] x) => (float[k] y) {
             y = If(c) <then_branch = t () => (float[n] a) { a = Neg(x) },
                        else_branch = e () => (float[j] b) { b = Concat<axis = 0>(x, x, x) }>
           }""",
        BOTH,
    ),
    Case(
        "if ranks differ and the result is used",
        """g (bool c, float[n] x) => (float[] y, int64[r] s, float z) <int64[2] at = {0, 2}> {
             v = If(c) <then_branch = t () => (float[n] a) { a = Neg(x) },
                        else_branch = e () => (float[i, j, l] b) { b = Unsqueeze(x, at) }>
             y = Add(v, v)
             s = Shape(v)
             z = ReduceSum<keepdims = 0>(y)
           }""",
        BOTH,
    ),
    Case(
        "if result used by planned and dynamic nodes",
        """g (bool c, float[n] x) => (float[k] y, float[n] z, float[l] w) {
             v, u = If(c) <then_branch = t () => (float[n] a, float[n] b) { a = Neg(x)  b = Abs(x) },
                           else_branch = e () => (float[j] d, float[n] f) {
                             d = Concat<axis = 0>(x, x)  f = Identity(x) }>
             y = Mul(v, v)
             z = Add(u, x)
             w = Concat<axis = 0>(v, z)
           }""",
        BOTH,
    ),
    Case(
        "if gives an outer value, a constant, an initializer",
        """g (bool c, float[n] x) => (float[i] y, float[j] z, float[k] w) <float[2] own = {7, 8}> {
             p = Neg(x)
             y, z, w = If(c)
               <then_branch = t () => (float[n] x, float[2] own, float[n] p) {},
                else_branch = e () => (float[2] q, float[n] x, float[1] r) <float[1] r = {9}> {
                  q = Constant<value_floats = [5.0, 6.0]>() }>
           }""",
        BOTH,
    ),
    Case(
        "if gives the same value twice",
        """g (bool c, float[n] x) => (float[n] y, float[n] z, float[n] w) {
             y, z, w = If(c)
               <then_branch = t () => (float[n] a, float[n] a, float[n] x) { a = Neg(x) },
                else_branch = e () => (float[n] x, float[n] b, float[n] x) { b = Abs(x) }>
           }""",
        BOTH,
    ),
    Case(
        "if swaps two outer values",
        """g (bool c, float[n] x, float[m] u) => (float[i] y, float[j] z) {
             y, z = If(c) <then_branch = t () => (float[n] x, float[m] u) {},
                           else_branch = e () => (float[m] u, float[n] x) {}>
           }""",
        [{"c": c, "x": X, "u": [1.0]} for c in (True, False)],
    ),
    Case(
        "if with an empty result",
        """g (bool c, float[n] x) => (float[k] y, float[l] z) <int64[1] zero = {0}> {
             v = If(c) <then_branch = t () => (float[j] a) { a = Slice(x, zero, zero) },
                        else_branch = e () => (float[n] b) { b = Neg(x) }>
             y = Identity(v)
             z = Concat<axis = 0>(v, x)
           }""",
        BOTH,
    ),
    Case(
        "if rank 0 or 1",
        """g (bool c, float[n] x) => (float[] y, float[n] z) {
             y = If(c) <then_branch = t () => (float a) { a = ReduceMax<keepdims = 0>(x) },
                        else_branch = e () => (float[1] b) { b = ReduceMax<keepdims = 1>(x) }>
             z = Sub(x, y)
           }""",
        BOTH[:3],
    ),
    Case(
        "if condition of one element",
        """g (bool[1] c, float[n] x) => (float[n] y) {
             y = If(c) <then_branch = t () => (float[n] a) { a = Neg(x) },
                        else_branch = e () => (float[n] b) { b = Abs(x) }>
           }""",
        [{"c": [True], "x": X}, {"c": [False], "x": X}],
    ),
    Case(
        "if condition computed",
        """g (float[n] x) => (float[n] y, bool c) <float one = {1}> {
             s = ReduceSum<keepdims = 0>(x)
             c = Greater(s, one)
             y = If(c) <then_branch = t () => (float[n] a) { a = Div(x, s) },
                        else_branch = e () => (float[n] b) { b = Neg(x) }>
           }""",
        [{"x": X}, {"x": [0.25]}, {"x": []}],
        rtol=1e-6,
    ),
    Case(
        "if condition constant",
        """g (float[n] x) => (float[n] y, float[n] z) <bool yes = {1}> {
             no = Not(yes)
             y = If(yes) <then_branch = t () => (float[n] a) { a = Neg(x) },
                          else_branch = e () => (float[n] b) { b = Abs(x) }>
             z = If(no) <then_branch = t2 () => (float[n] a2) { a2 = Neg(x) },
                         else_branch = e2 () => (float[n] b2) { b2 = Abs(x) }>
           }""",
        [{"x": X}, {"x": [0.25]}],
    ),
    Case(
        "if results not used",
        """g (bool c, float[n] x) => (float[n] y) {
             y, dead = If(c) <then_branch = t () => (float[n] a, float[1] b) {
                                a = Neg(x)  b = ReduceMax<keepdims = 1>(x) },
                              else_branch = e () => (float[n] d, float[k] f) {
                                d = Abs(x)  f = Concat<axis = 0>(x, x) }>
             all, gone = If(c) <then_branch = t2 () => (float[n] a2, float[n] b2) {
                                  a2 = Neg(x)  b2 = Exp(x) },
                                else_branch = e2 () => (float[n] d2, float[n] x) { d2 = Abs(x) }>
           }""",
        BOTH[:3],
    ),
    Case(
        "if nested three deep",
        """g (bool c, bool d, bool f, float[n] x) => (float[k] y) {
             p = Neg(x)
             y = If(c)
               <then_branch = t () => (float[i] a) {
                  q = Mul(p, x)
                  a = If(d) <then_branch = tt () => (float[j] aa) {
                               aa = If(f) <then_branch = ttt () => (float[l] aaa) {
                                             aaa = Concat<axis = 0>(q, p) },
                                           else_branch = tte () => (float[n] q) {}> },
                             else_branch = te () => (float[n] ab) { ab = Add(q, p) }> },
                else_branch = e () => (float[n] b) {
                  b = If(f) <then_branch = et () => (float[n] ba) { ba = Abs(p) },
                             else_branch = ee () => (float[n] p) {}> }>
           }""",
        [
            {"c": c, "d": d, "f": f, "x": X}
            for c in (True, False)
            for d in (True, False)
            for f in (True, False)
        ],
    ),
    Case(
        "if of other types",
        """g (bool c, int64[n] x) => (int32[n] y, bool[n] z, double[n] w, float16[n] h) {
             y, z, w, h = If(c)
               <then_branch = t () => (int32[n] a, bool[n] b, double[n] d, float16[n] f) {
                  a = Cast<to = 6>(x)  b = Cast<to = 9>(x)  d = Cast<to = 11>(x)
                  f = Cast<to = 10>(x) },
                else_branch = e () => (int32[n] a2, bool[n] b2, double[n] d2, float16[n] f2) {
                  n = Neg(x)
                  a2 = Cast<to = 6>(n)  b2 = Cast<to = 9>(n)  d2 = Cast<to = 11>(n)
                  f2 = Cast<to = 10>(n) }>
           }""",
        [{"c": True, "x": [0, 1, -5]}, {"c": False, "x": [0, 1, -5, 9]}],
    ),
    Case(
        "if gives sequences and optionals",
        """g (bool c, float[n] x) => (seq(float[]) s, optional(float[n]) o, int64 size) {
             s, o = If(c)
               <then_branch = t () => (seq(float[]) a, optional(float[n]) b) {
                  p = Neg(x)  a = SequenceConstruct(x, p, x)  b = Optional(p) },
                else_branch = e () => (seq(float[]) d, optional(float[n]) f) {
                  d = SequenceEmpty<dtype = 1>()  f = Optional<type: type_proto = float[n]>() }>
             size = SequenceLength(s)
           }""",
        BOTH[:3],
    ),
]


@pytest.mark.parametrize("case", IF, ids=str)
def test_case(case: Case) -> None:
    case.check()
