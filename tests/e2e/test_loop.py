"""Loop as models meet it. The oracle is onnxruntime; NumPy where it refuses or the standard is silent."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import TRIPS, ZERO_FIRST, Case, X, load, parse, ramp

LOOP = [
    Case(
        "loop by trip count",
        """g (int64 m, float[n] x) => (float[n] y, float[k, n] ys) {
             y, ys = Loop(m, "", x) <body = b (int64 i, bool k, float[n] a) =>
                                            (bool k, float[n] d, float[n] s) {
               d = Add(a, x)
               s = Mul(d, a) }>
           }""",
        [TRIPS[0], TRIPS[2], TRIPS[3]],  # no trips: test_zero_trips_of_unknown_slices
    ),
    Case(
        "loop by condition of the newest value",
        """g (float x, float limit) => (float y, float[k] ys) <bool yes = {1}> {
             y, ys = Loop("", yes, x) <body = b (int64 i, bool k, float a) =>
                                              (bool go, float d, float s) {
               d = Add(a, a)
               go = Less(d, limit)
               s = Identity(a) }>
           }""",
        [{"x": 1, "limit": limit} for limit in (100, 1, 1e6, 5)],
    ),
    Case(
        "loop by both, whichever ends first",
        """g (int64 m, bool c, float x) => (float y, float[k] ys, int64[k] n) <float limit = {20}> {
             y, ys, n = Loop(m, c, x) <body = b (int64 i, bool k, float a) =>
                                              (bool go, float d, float d, int64 i) {
               d = Add(a, a)
               go = Less(d, limit) }>
           }""",
        [
            {"m": m, "c": c, "x": 1}
            for m, c in ((9, True), (2, True), (9, False), (0, True), (5, True), (-3, True))
        ],
    ),
    Case(
        "loop by neither",
        """g (float x) => (float y, int64[k] n) <float limit = {20}> {
             y, n = Loop("", "", x) <body = b (int64 i, bool k, float a) =>
                                            (bool go, float d, int64 j) {
               d = Add(a, a)
               j = Identity(i)
               go = Less(d, limit) }>
           }""",
        [{"x": 1}, {"x": 50}, {"x": 6}],
    ),
    Case(
        "loop by the highest trip count",
        """g (float x) => (float y, float[k] ys)
           <int64 m = {9223372036854775807}, float limit = {20}> {
             y, ys = Loop(m, "", x) <body = b (int64 i, bool k, float a) =>
                                            (bool go, float d, float d) {
               d = Add(a, a)
               go = Less(d, limit) }>
           }""",
        [{"x": 1}, {"x": 50}],
    ),
    Case(
        "loop with a constant trip count",
        """g (float[n] x) => (float[n] y, float[4, n] ys) <int64 m = {4}, bool yes = {1}> {
             y, ys = Loop(m, yes, x) <body = b (int64 i, bool k, float[n] a) =>
                                             (bool k, float[n] d, float[n] d) { d = Add(a, x) }>
           }""",
        [{"x": X}, {"x": [1.0]}],
    ),
    Case(
        "loop that never runs, constant",
        """g (float[n] x) => (float[n] y, float[k, 2] ys) <int64 m = {4}, bool no = {0}> {
             y, ys = Loop(m, no, x) <body = b (int64 i, bool k, float[n] a) =>
                                            (bool k, float[n] d, float[2] s) {
               d = Add(a, x)
               s = Constant<value_floats = [1.0, 2.0]>() }>
           }""",
        [{"x": X}, {"x": [1.0]}],
    ),
    Case(
        "loop with scan outputs only",
        """g (int64 m, float[3] x) => (float[k, 3] ys, int64[k] n, float[k, 1] w) {
             ys, n, w = Loop(m, "") <body = b (int64 i, bool k) =>
                                            (bool k2, float[3] s, int64 i2, float[1] w1) {
               k2 = Identity(k)
               f = Cast<to = 1>(i)
               s = Mul(x, f)
               i2 = Mul(i, i)
               w1 = Constant<value_floats = [2.5]>() }>
           }""",
        [*ZERO_FIRST[:2], {"m": 5, "x": [0, 1, 2]}, {"m": 0, "x": X}],
    ),
    Case(
        "loop zero trips first, then some, then none",
        """g (int64 m, float[n] x) => (float[n] y, int64[k] ys, float[k, 2, 3] zs) {
             y, ys, zs = Loop(m, "", x) <body = b (int64 i, bool k, float[n] a) =>
                 (bool k, float[n] d, int64 j, float[2, 3] z) <int64[2] shape = {2, 3}> {
               d = Sub(x, a)
               j = Identity(i)
               f = Cast<to = 1>(i)
               z = Expand(f, shape) }>
           }""",
        ZERO_FIRST,
    ),
    Case(
        "loop carries rank 0",
        """g (int64 m, float x, int64 n, bool c) => (float y, int64 z, bool w) <int64 three = {3}> {
             y, z, w = Loop(m, "", x, n, c) <body = b (int64 i, bool k, float a, int64 p, bool q) =>
                                                    (bool k, float d, int64 r, bool s) {
               d = Mul(a, a)
               r = Mul(p, three)
               s = Not(q) }>
           }""",
        [{"m": m, "x": 1.5, "n": 7, "c": True} for m in (3, 0, 4, 1)],
    ),
    Case(
        "loop carries other types",
        """g (int64 m, double[n] x, float16[n] h, uint8[n] u, int32[n] z) =>
             (double[n] x9, float16[n] h9, uint8[n] u9, int32[n] z9) {
             x9, h9, u9, z9 = Loop(m, "", x, h, u, z)
               <body = b (int64 i, bool k, double[n] a, float16[n] d, uint8[n] f, int32[n] p) =>
                         (bool k, double[n] a2, float16[n] d2, uint8[n] f2, int32[n] p2) {
               a2 = Add(a, x)
               d2 = Add(d, h)
               f2 = Add(f, u)
               p2 = Mul(p, z) }>
           }""",
        [{"m": m, "x": [0.1, 2], "h": [0.1, 2], "u": [100, 3], "z": [-3, 7]} for m in (3, 0, 1, 6)],
    ),
    Case(
        "loop carries empty tensors",
        """g (int64 m, float[n, 3] x) => (float[n, 3] y, float[k, n, 3] ys, float[3] s) {
             y, ys = Loop(m, "", x) <body = b (int64 i, bool k, float[n, 3] a) =>
                                            (bool k, float[n, 3] d, float[n, 3] d) { d = Add(a, a) }>
             axes = Constant<value_ints = [0]>()
             s = ReduceSum<keepdims = 0>(y, axes)
           }""",
        [
            {"m": m, "x": np.ones((n, 3), np.float32)}
            for m, n in ((2, 0), (1, 2), (3, 0), (1, 0), (2, 2))
        ],
    ),
    Case(
        "loop swaps two",
        """g (int64 m, float[n] x, float[n] u) => (float[n] y, float[n] z) {
             y, z = Loop(m, "", x, u) <body = b (int64 i, bool k, float[n] a, float[n] d) =>
                                              (bool k, float[n] d, float[n] a) {}>
           }""",
        [{"m": m, "x": X, "u": [7, 8, 9]} for m in (0, 1, 2, 3, 1000, 1001)],
    ),
    Case(
        "loop swaps two of different shapes",
        """g (int64 m, float[n] x, float[l] u) => (float[i1] y, float[i2] z) {
             y, z = Loop(m, "", x, u) <body = b (int64 i, bool k, float[j1] a, float[j2] d) =>
                                              (bool k, float[j3] d, float[j4] a) {}>
           }""",
        [{"m": m, "x": X, "u": [7, 8]} for m in (1, 0, 2, 3, 8, 9)],
    ),
    Case(
        "loop rotates three, two ways",
        """g (int64 m, float x, float u, float w) => (float x1, float u1, float w1,
                                                     float x2, float u2, float w2) {
             x1, u1, w1, x2, u2, w2 = Loop(m, "", x, u, w, x, u, w)
               <body = b (int64 i, bool k, float a, float d, float f, float p, float q, float r) =>
                         (bool k, float d, float f, float a, float r, float p, float q) {}>
           }""",
        [{"m": m, "x": 1, "u": 2, "w": 3} for m in (1, 2, 3, 4, 100, 0)],
    ),
    Case(
        "loop shifts: fibonacci",
        """g (int64 m) => (int64 y, int64[k] ys) <int64 zero = {0}, int64 one = {1}> {
             y, dead, ys = Loop(m, "", zero, one) <body = b (int64 i, bool k, int64 a, int64 d) =>
                                                       (bool k, int64 d, int64 s, int64 a) {
               s = Add(a, d) }>
           }""",
        [{"m": m} for m in (10, 0, 90, 1)],
    ),
    Case(
        "loop passes a value through",
        """g (int64 m, float[n] x, float[n] u) => (float[n] y, float[n] z, float[n] w) {
             y, z = Loop(m, "", x, u) <body = b (int64 i, bool k, float[n] a, float[n] d) =>
                                              (bool k, float[n] f, float[n] d) { f = Add(a, d) }>
             w = Add(z, u)
           }""",
        [{"m": m, "x": X, "u": [7, 8, 9]} for m in (2, 0, 1, 5)],
    ),
    Case(
        "loop gives the same value several times",
        """g (int64 m, float[n] x) => (float[n] y, float[n] z, float[k, n] ys, float[k, n] zs) {
             y, z, ys, zs = Loop(m, "", x, x) <body = b (int64 i, bool k, float[n] a, float[n] d) =>
                 (bool k, float[n] s, float[n] s, float[n] s, float[n] s) { s = Add(a, d) }>
           }""",
        [TRIPS[2], TRIPS[0], TRIPS[3]],
    ),
    Case(
        "loop gives one parameter twice",
        """g (int64 m, float x, float u) => (float y, float z, float[k] ys) {
             y, z, ys = Loop(m, "", x, u) <body = b (int64 i, bool k, float a, float d) =>
                 (bool k, float d, float d, float a) {}>
           }""",
        [{"m": m, "x": 1, "u": 2} for m in (0, 1, 2, 3)],
    ),
    Case(
        "loop gives outer values, constants, initializers",
        """g (int64 m, float[n] x, float[n] u) => (float[n] y, float[i1] z, float[i2] w,
                              float[k, n] ys, float[k, 2] zs, float[k, 2] ws) <float[2] v = {3, 4}> {
             p = Neg(u)
             y, z, w, ys, zs, ws = Loop(m, "", x, x, x)
               <body = b (int64 i, bool k, float[n] a, float[j1] d, float[j2] f) =>
                         (bool k, float[n] p, float[2] v, float[2] q, float[n] u, float[2] v, float[2] q)
                         { q = Constant<value_floats = [5.0, 6.0]>() }>
           }""",
        [{"m": m, "x": X, "u": [7, 8, 9]} for m in (2, 1, 5)],
    ),
    Case(
        "loop gives its counter and condition",
        """g (int64 m, bool c, int64 x) => (int64 y, bool w, int64[k] ys, bool[k] ws) <int64 four = {4}> {
             y, w, ys, ws = Loop(m, c, x, c) <body = b (int64 i, bool k, int64 a, bool d) =>
                 (bool go, int64 i, bool k, int64 i, bool go) { go = Less(i, four) }>
           }""",
        [{"m": m, "c": True, "x": -1} for m in (3, 0, 9, 5)] + [{"m": 3, "c": False, "x": -1}],
    ),
    Case(
        "loop starts from constants",
        """g (int64 m, float[n] x) => (float[n] y, float[1] z) <float[1] init = {0.5}> {
             zero = Constant<value_float = 0.0>()
             start = Mul(x, zero)
             y, z = Loop(m, "", start, init) <body = b (int64 i, bool k, float[n] a, float[1] d) =>
                                                    (bool k, float[n] f, float[1] p) {
               f = Add(a, x)
               p = Add(d, init) }>
           }""",
        TRIPS[:4],
    ),
    Case(
        "loop starts from views",
        """g (int64 m, float[n, 3] x) => (float[n, 3] y, float[n, 3] z, float[3, n] w, float[n, 3] v)
           <float[1] h = {0.5}, int64[1] zero = {0}, int64[1] back = {-1}, int64[1] end = {-100}> {
             shape = Shape(x)
             rest = Constant<value_ints = [3]>()
             rows = Shape<start = 0, end = 1>(x)
             both = Concat<axis = 0>(rows, rest)
             flat = Expand(h, both)
             filled = ConstantOfShape<value = float[1] {2.5}>(shape)
             turned = Slice(x, back, end, zero, back)
             swapped = Transpose<perm = [1, 0]>(x)
             y, z, w, v = Loop(m, "", flat, turned, swapped, filled)
               <body = b (int64 i, bool k, float[n, 3] a, float[n, 3] d, float[3, n] f, float[n, 3] p) =>
                         (bool k, float[n, 3] a1, float[n, 3] d1, float[3, n] f1, float[n, 3] p1) {
               a1 = Add(a, x)
               d1 = Sub(d, x)
               f1 = Add(f, swapped)
               p1 = Add(p, a) }>
           }""",
        [{"m": m, "x": ramp(n, 3)} for m, n in ((2, 2), (0, 2), (1, 4), (3, 0), (0, 1))],
    ),
    Case(
        "loop leaves its start alone",
        """g (int64 m, float[n] x) => (float[n] y, float[n] z, float[n] p, float[n] s) {
             p = Neg(x)
             y = Loop(m, "", p) <body = b (int64 i, bool k, float[n] a) =>
                                          (bool k, float[n] d) { d = Add(a, x) }>
             z = Loop(m, "", p) <body = b2 (int64 i2, bool k2, float[n] a2) =>
                                          (bool k2, float[n] d2) { d2 = Sub(a2, x) }>
             s = Add(p, y)
           }""",
        TRIPS,
    ),
    Case(
        "loop reads outer values in place, some again later",
        """g (int64 m, float[n] x) => (float[n] y, float[n] z) <float two = {2}> {
             p = Mul(x, two)
             q = Exp(x)
             r = Mul(q, p)
             y = Loop(m, "", x) <body = b (int64 i, bool k, float[n] a) => (bool k, float[n] d) {
               s = Mul(a, p)
               t = Add(s, q)
               d = Sub(t, r) }>
             z = Add(q, p)
           }""",
        TRIPS[:4],
        rtol=2e-5,
    ),
    Case(
        "loop with invariant work inside",
        """g (int64 m, float[n] x) => (float[n] y) {
             y = Loop(m, "", x) <body = b (int64 i, bool k, float[n] a) => (bool k, float[n] d)
                                 <float[1] h = {0.5}> {
               s = Softmax<axis = 0>(x)
               t = Mul(s, h)
               d = Add(a, t) }>
           }""",
        TRIPS[:4],
        rtol=1e-5,
    ),
    Case(
        "loop grows a cache",
        """g (int64 m, float[n] x, float[p] cache) => (float[q] y, float z) {
             y = Loop(m, "", cache) <body = b (int64 i, bool k, float[r] a) => (bool k, float[s] d) {
               f = Cast<to = 1>(i)
               new = Add(x, f)
               d = Concat<axis = 0>(a, new) }>
             z = ReduceSum<keepdims = 0>(y)
           }""",
        [
            {"m": m, "x": x, "cache": cache}
            for m, x, cache in ((3, X, []), (0, X, [1]), (40, X, []), (2, [], []), (1, [1], X))
        ],
        rtol=1e-5,
    ),
    Case(
        "loop grows a matrix and attends to it",
        """g (int64 m, float[1, 4] x, float[p, 4] cache) =>
             (float[q, 4] y, float[1, 4] z, float[t, 1, 4] zs) {
             y, z, zs = Loop(m, "", cache, x)
               <body = b (int64 i, bool k, float[r, 4] a, float[1, 4] h) =>
                         (bool k, float[s, 4] d, float[1, 4] o, float[1, 4] o) {
               d = Concat<axis = 0>(a, h)
               t = Transpose<perm = [1, 0]>(d)
               w = MatMul(h, t)
               p = Softmax(w)
               v = MatMul(p, d)
               o = Tanh(v) }>
           }""",
        [
            {"m": m, "x": [[0.1, 0.2, -0.3, 0.4]], "cache": np.full((n, 4), 0.25, np.float32)}
            for m, n in ((3, 0), (20, 2), (0, 0), (1, 5), (3, 2))
        ],
        rtol=1e-5,
        atol=1e-6,
    ),
    Case(
        "loop shrinks until nothing is left",
        """g (float[n] x) => (float[q] y, int64[k] sizes) <int64[1] one = {1}, bool yes = {1}> {
             y, sizes = Loop("", yes, x) <body = b (int64 i, bool k, float[r] a) =>
                                              (bool go, float[s] d, int64 size) {
               end = Constant<value_ints = [1000]>()
               d = Slice(a, one, end)
               zero = Constant<value_int = 0>()
               size = Size(d)
               go = Greater(size, zero) }>
           }""",
        [{"x": X}, {"x": [1.0]}, {"x": np.arange(50)}, {"x": []}],
    ),
    Case(
        "loop doubles, and the length ends it",
        """g (float[n] x) => (float[q] y) <int64 limit = {20}> {
             y = Loop("", "", x) <body = b (int64 i, bool k, float[r] a) => (bool go, float[s] d) {
               d = Concat<axis = 0>(a, a)
               size = Size(d)
               go = Less(size, limit) }>
           }""",
        [{"x": X}, {"x": [1.0]}, {"x": np.arange(50)}],
    ),
    Case(
        "loop broadcasts its carried value once",
        """g (int64 m, float[n] x) => (float[] y, float[] z) {
             zero = Constant<value_float = 0.0>()
             y, z = Loop(m, "", zero, x) <body = b (int64 i, bool k, float[] a, float[] f) =>
                                             (bool k, float[] d, float[] p) {
               d = Add(a, x)
               p = Sub(f, d) }>
           }""",
        TRIPS,
    ),
    Case(
        "loop transposes",
        """g (int64 m, float[p, q] x) => (float[r, s] y) {
             y = Loop(m, "", x) <body = b (int64 i, bool k, float[t, u] a) => (bool k, float[v, w] f) {
               d = Transpose<perm = [1, 0]>(a)
               f = Add(d, d) }>
           }""",
        [{"m": m, "x": [[1, 2, 3], [4, 5, 6]]} for m in (1, 2, 0, 5)],
    ),
    Case(
        "loop stacks views",
        """g (int64 m, float[2, 3] x) => (float[k, 3, 2] ys, float[k, 3] rows, float[k, 2, 3] xs) {
             ys, rows, xs = Loop(m, "") <body = b (int64 i, bool k) =>
                                           (bool k, float[3, 2] t, float[3] row, float[2, 3] x) {
               t = Transpose<perm = [1, 0]>(x)
               zero = Constant<value_int = 0>()
               row = Gather<axis = 0>(x, zero) }>
           }""",
        [{"m": m, "x": [[1, 2, 3], [4, 5, 6]]} for m in (2, 0, 5)],
    ),
    Case(
        "loop stacks shapes that data decide",
        """g (int64 m, float[n] x) => (int64[k, 1, c] ys) {
             ys = Loop(m, "") <body = b (int64 i, bool k) => (bool k, int64[1, c] at) {
               at = NonZero(x) }>
           }""",
        [{"m": m, "x": x} for m, x in ((2, [0, 1, 2]), (3, [1, 1, 1]), (2, [0, 0, 0]))],
    ),
    Case(
        "loop in a loop, trips from the outer one",
        """g (int64 m, int64[n] x) => (int64[n] y, int64[p] inner) {
             y, inner = Loop(m, "", x) <body = b (int64 i, bool k, int64[n] a) =>
                                             (bool k, int64[n] d, int64 count) {
               zero = Constant<value_int = 0>()
               d, count = Loop(i, "", a, zero) <body = b2 (int64 j, bool k2, int64[n] f, int64 c) =>
                                                 (bool k2, int64[n] h, int64 c2) {
                 h0 = Add(f, j)
                 h = Add(h0, i)
                 one = Constant<value_int = 1>()
                 c2 = Add(c, one) }> }>
           }""",
        [{"m": m, "x": [1, 2, 3]} for m in (4, 0, 1, 7)],
    ),
    Case(
        "loops three deep with stacked results",
        """g (int64 p, int64 q, int64 r) => (int64[a, b, c] y) {
             y = Loop(p, "") <body = b1 (int64 i, bool k1) => (bool k1, int64[b, c] y1) {
               y1 = Loop(q, "") <body = b2 (int64 j, bool k2) => (bool k2, int64[c] y2) {
                 y2 = Loop(r, "") <body = b3 (int64 l, bool k3) => (bool k3, int64 s) {
                   ten = Constant<value_int = 10>()
                   s0 = Mul(i, ten)
                   s1 = Add(s0, j)
                   s2 = Mul(s1, ten)
                   s = Add(s2, l) }> }> }>
           }""",
        [{"p": p, "q": q, "r": r} for p, q, r in ((2, 3, 4), (1, 1, 1), (4, 2, 3))],
    ),
    Case(
        "loop in a loop that ends early",
        """g (int64 m, int64 x) => (int64 y, int64[p] steps) <int64 one = {1}, int64 two = {2}> {
             y, steps = Loop(m, "", x) <body = b (int64 i, bool k, int64 a) =>
                                            (bool k, int64 d, int64 steps1) {
               start = Add(i, one)
               zero = Constant<value_int = 0>()
               yes = Greater(start, one)
               d0, steps1 = Loop("", yes, start, zero)
                 <body = b2 (int64 j, bool k2, int64 f, int64 n) => (bool go, int64 h, int64 n1) {
                 n1 = Add(n, one)
                 rest = Mod(f, two)
                 odd = Equal(rest, one)
                 h = If(odd) <then_branch = t () => (int64 u) {
                                three = Constant<value_int = 3>()
                                u0 = Mul(f, three)
                                u = Add(u0, one) },
                              else_branch = e () => (int64 w) { w = Div(f, two) }>
                 go = Greater(h, one) }>
               d = Add(a, steps1) }>
           }""",
        [{"m": m, "x": 0} for m in (10, 0, 27)],
    ),
    Case(
        "if in a loop in an if",
        """g (bool c, int64 m, float[n] x) => (float[p] y) <int64 two = {2}> {
             y = If(c)
               <then_branch = t () => (float[q] a) {
                  a = Loop(m, "", x) <body = b (int64 i, bool k, float[r] f) => (bool k, float[s] h) {
                    odd0 = Mod(i, two)
                    odd = Cast<to = 9>(odd0)
                    h = If(odd) <then_branch = tt () => (float[u] v) { v = Concat<axis = 0>(f, x) },
                                 else_branch = te () => (float[r] w) { w = Neg(f) }> }> },
                else_branch = e () => (float[n] z) { z = Abs(x) }>
           }""",
        [{"c": c, "m": m, "x": X} for m in (3, 0, 6) for c in (True, False)],
    ),
    Case(
        "loop in an if in a loop",
        """g (int64 m, float[n] x) => (float[n] y, float[p] z) <int64 two = {2}> {
             y, z = Loop(m, "", x) <body = b (int64 i, bool k, float[n] a) => (bool k, float[n] d, float s) {
               odd0 = Mod(i, two)
               odd = Cast<to = 9>(odd0)
               d = If(odd)
                 <then_branch = t () => (float[n] f) {
                    f = Loop(i, "", a) <body = b2 (int64 j, bool k2, float[n] h) =>
                                              (bool k2, float[n] h1) { h1 = Add(h, x) }> },
                  else_branch = e () => (float[n] a) {}>
               s = ReduceSum<keepdims = 0>(d) }>
           }""",
        [{"m": m, "x": [0.5, -1]} for m in (4, 0, 1, 9)],
    ),
    Case(
        "loop with a break by if",
        """g (int64 m, float[n] x) => (float y, int64[p] seen) <float limit = {4}> {
             zero = Constant<value_float = 0.0>()
             y, seen = Loop(m, "", zero) <body = b (int64 i, bool k, float s) =>
                                              (bool go, float s1, int64 j) {
               v = Gather<axis = 0>(x, i)
               s1 = Add(s, v)
               j = Identity(i)
               big = Greater(s1, limit)
               go = If(big) <then_branch = t () => (bool no) { no = Constant<value = bool {0}>() },
                             else_branch = e () => (bool yes) { yes = Constant<value = bool {1}>() }> }>
           }""",
        [{"m": 5, "x": [1, 1, 1, 2, 9]}, {"m": 2, "x": [1, 1, 1]}, {"m": 5, "x": [9] * 5}],
    ),
    Case(
        "loop computes a greatest common divisor",
        """g (int64 x, int64 u) => (int64 y, int64[k] steps) <int64 zero = {0}> {
             c = Greater(u, zero)
             y, dead, steps = Loop("", c, x, u) <body = b (int64 i, bool k, int64 a, int64 d) =>
                                                (bool go, int64 d, int64 r, int64 r) {
               r = Mod(a, d)
               go = Greater(r, zero) }>
           }""",
        [{"x": x, "u": u} for x, u in ((48, 36), (7, 0), (1071, 462), (3, 3))],
    ),
    Case(
        "loop results feed a loop",
        """g (int64 m, float[n] x) => (float[r, n] y, float[n] z) {
             d, xs = Loop(m, "", x) <body = b (int64 i, bool k, float[n] a) =>
                                              (bool k, float[n] a1, float[n] a1) { a1 = Add(a, x) }>
             rows = Shape<start = 0, end = 1>(xs)
             count = Squeeze(rows)
             z, y = Loop(count, "", d) <body = b2 (int64 j, bool k2, float[n] f) =>
                                              (bool k2, float[n] h, float[n] h) {
               row = Gather<axis = 0>(xs, j)
               h = Sub(f, row) }>
           }""",
        TRIPS[:1] + TRIPS[2:4],
    ),
    Case(
        "loop fills by scatter",
        """g (int64 m, float[n] x) => (float[n] y) {
             y = Loop(m, "", x) <body = b (int64 i, bool k, float[n] a) => (bool k, float[n] d) {
               at = Constant<value_ints = [0]>()
               i1 = Unsqueeze(i, at)
               v = Gather<axis = 0>(a, i1)
               w = Mul(v, v)
               d = ScatterElements<axis = 0>(a, i1, w) }>
           }""",
        [{"m": m, "x": X} for m in (3, 0, 1)],
    ),
    Case(
        "loop runs a thousand times",
        """g (int64 m, int64 x, float[n] u) => (int64 y, int64[k] ys, float[n] w)
           <int64 a = {1103515245}, int64 p = {12345}, int64 q = {2147483648}, float h = {0.999}> {
             y, w, ys = Loop(m, "", x, u) <body = b (int64 i, bool k, int64 s, float[n] f) =>
                                              (bool k, int64 r, float[n] f1, int64 r) {
               s1 = Mul(s, a)
               s2 = Add(s1, p)
               r = Mod(s2, q)
               f1 = Mul(f, h) }>
           }""",
        [{"m": m, "x": 42, "u": X} for m in (1000, 0, 1, 2500)],
        rtol=1e-5,
    ),
]


@pytest.mark.parametrize("case", LOOP, ids=str)
def test_case(case: Case) -> None:
    case.check()


def test_zero_trips_of_unknown_slices() -> None:
    """No slice ran, so nobody knows its dynamic sizes; type, rank and the zero in front are known."""
    model = load(
        parse(
            """g (int64 m, float[n] x) => (int64[k, 1, c] at, float[k, n] ys) {
                 at, ys = Loop(m, "") <body = b (int64 i, bool k) => (bool k, int64[1, c] p, float[n] s) {
                   p = NonZero(x)
                   s = Neg(x) }>
               }"""
        )
    )
    for m in (0, 2, 0):
        out = model.run({"m": np.array(m), "x": np.float32([1, 0, 2])})
        assert [out[k].dtype for k in ("at", "ys")] == [np.int64, np.float32]
        if m:
            np.testing.assert_array_equal(out["at"], [[[0, 2]]] * m)
            np.testing.assert_array_equal(out["ys"], [[-1, 0, -2]] * m)
        else:
            assert [out[k].ndim for k in ("at", "ys")] == [3, 2]
            assert [out[k].shape[0] for k in ("at", "ys")] == [0, 0]


def test_one_model_many_shapes_and_trip_counts() -> None:
    """Sixty runs in random order on one Model: every plan is met again after others."""
    rng = np.random.default_rng(7)
    model = parse(
        """g (int64 m, float[n, d] x) => (float[n, d] y, float[k, n] sums, float[r, d] grown) {
             y, grown, sums = Loop(m, "", x, x) <body = b (int64 i, bool k, float[n, d] a, float[p, d] f) =>
                                                     (bool k, float[n, d] c, float[q, d] h, float[n] s) {
               c = Sub(x, a)
               h = Concat<axis = 0>(f, c)
               at = Constant<value_ints = [1]>()
               s = ReduceSum<keepdims = 0>(c, at) }>
           }"""
    )
    subject = load(model)
    for _ in range(60):
        m, n, d = int(rng.integers(1, 6)), int(rng.integers(0, 4)), int(rng.integers(1, 4))
        x = rng.integers(-9, 9, (n, d)).astype(np.float32)
        a, rows, sums = x, [x], []
        for _ in range(m):
            a = x - a
            rows.append(a)
            sums.append(a.sum(1))
        out = subject.run({"m": np.array(m), "x": x})
        np.testing.assert_array_equal(out["y"], a)
        np.testing.assert_array_equal(out["grown"], np.concatenate(rows))
        np.testing.assert_array_equal(out["sums"], np.stack(sums))
