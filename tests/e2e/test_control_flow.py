"""If, Loop and Scan as models meet them. The oracle is onnxruntime; NumPy where it refuses or the standard is silent.

Every case runs several times on one Model, so that a plan made for one trip count meets another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from helpers import Case, check, load, parse, typed
from onnx import TensorProto, helper

import whit

X = [1.5, -2.0, 3.0]
BOTH = [{"c": True, "x": X}, {"c": False, "x": X}, {"c": True, "x": [4.0]}, {"c": False, "x": []}]
TRIPS = [{"m": m, "x": x} for m, x in ((3, X), (0, X), (1, [2.0]), (7, X), (0, []), (2, []))]
ZERO_FIRST = [TRIPS[1], TRIPS[0], TRIPS[4], TRIPS[3]]


def ramp(*shape: int) -> np.ndarray:
    return (np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - 3) / 4


# ---- If ---------------------------------------------------------------------------------------------

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

# ---- Loop -------------------------------------------------------------------------------------------

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

# ---- Scan -------------------------------------------------------------------------------------------


def scan(name: str, attributes: str, ports: str, opset: int = 21) -> Case:
    """Two scan inputs a [*] and b [*], a state s; ports: the types of a, b, y and z."""
    a, b, y, z = ports.split()
    sizes = {"t": 5, "n": 3, "p": 2}
    shapes = [[sizes[d] for d in part[6:-1].split(",")] for part in (a, b)]
    runs = [{"s": [1, 2, 3], "a": ramp(*shapes[0]), "b": ramp(*shapes[1]) * 2}]
    return Case(
        name,
        f"""g (float[n] s, {a} a, {b} b) => (float[n] s9, {y} y, {z} z) {{
             s9, y, z = Scan<num_scan_inputs = 2, {attributes}
               body = w (float[n] s0, float[n] a0, float[n,p] b0) =>
                        (float[n] s1, float[n] y0, float[n,p] z0) {{
               s1 = Add(s0, a0)
               y0 = Mul(s1, a0)
               column = Constant<value = int64[2] {{-1, 1}}>()
               u = Reshape(s0, column)
               z0 = Add(b0, u) }}>(s, a, b)
           }}""",
        runs,
        opset=opset,
    )


FLAT = "float[t,n] float[t,n,p] float[t,n] float[t,n,p]"
SCAN = [
    *(scan(f"scan opset {v}", "", FLAT, v) for v in (9, 11, 13, 16, 19, 21)),
    scan("scan first input reversed", "scan_input_directions = [1, 0],", FLAT),
    scan("scan second input reversed", "scan_input_directions = [0, 1],", FLAT),
    scan("scan first output reversed", "scan_output_directions = [1, 0],", FLAT),
    scan(
        "scan all reversed",
        "scan_input_directions = [1, 1], scan_output_directions = [1, 1],",
        FLAT,
    ),
    scan(
        "scan input axes",
        "scan_input_axes = [1, 2],",
        "float[n,t] float[n,p,t] float[t,n] float[t,n,p]",
    ),
    scan(
        "scan negative input axes",
        "scan_input_axes = [-1, -2],",
        "float[n,t] float[n,t,p] float[t,n] float[t,n,p]",
    ),
    scan(
        "scan output axes",
        "scan_output_axes = [1, 2],",
        "float[t,n] float[t,n,p] float[n,t] float[n,p,t]",
    ),
    scan(
        "scan negative output axes",
        "scan_output_axes = [-1, -2],",
        "float[t,n] float[t,n,p] float[n,t] float[n,t,p]",
    ),
    scan(
        "scan every axis and direction",
        """scan_input_axes = [1, 2], scan_input_directions = [1, 0],
           scan_output_axes = [1, 1], scan_output_directions = [0, 1],""",
        "float[n,t] float[n,p,t] float[n,t] float[n,t,p]",
    ),
    scan(
        "scan axes in opset 9",
        "scan_input_axes = [1, 2],",
        "float[n,t] float[n,p,t] float[t,n] float[t,n,p]",
        9,
    ),
    Case(
        "scan of scalars, several states that swap",
        """g (float u, float v, float[t] x) => (float u9, float v9, float[t] y, float[t] z) {
             u9, v9, y, z = Scan<num_scan_inputs = 1,
               body = w (float a, float b, float e) => (float b, float a1, float f, float e) {
               a1 = Add(a, e)
               f = Mul(a, b) }>(u, v, x)
           }""",
        [{"u": 1, "v": 2, "x": ramp(n)} for n in (5, 1, 12, 4)],
    ),
    Case(
        "scan without state",
        """g (float[t, n] x, float[n] u) => (float[t, n] y, float[t] z) {
             y, z = Scan<num_scan_inputs = 1, body = w (float[n] e) => (float[n] f, float h) {
               f = Mul(e, u)
               h = ReduceMax<keepdims = 0>(f) }>(x)
           }""",
        [{"x": ramp(*s), "u": np.ones(s[1])} for s in ((4, 3), (1, 3), (9, 2))],
    ),
    Case(
        "scan without scan outputs",
        """g (float[n] s, float[t, n] x) => (float[n] y) {
             y = Scan<num_scan_inputs = 1, body = w (float[n] a, float[n] e) => (float[n] b) {
               h = Constant<value_float = 0.5>()
               a1 = Mul(a, h)
               b = Add(a1, e) }>(s, x)
           }""",
        [{"s": [1, 2, 3], "x": ramp(t, 3)} for t in (4, 1, 30)],
        rtol=1e-6,
    ),
    Case(
        "scan over an initializer",
        """g (float[2] s) => (float[2] y, float[3, 2] z) <float[3, 2] x = {1, 2, 3, 4, 5, 6}> {
             y, z = Scan<num_scan_inputs = 1,
               body = w (float[2] a, float[2] e) => (float[2] b, float[2] e) { b = Add(a, e) }>(s, x)
           }""",
        [{"s": [1, 2]}],
    ),
    Case(
        "scan of nothing",
        """g (float[n] s, float[t, n] x) => (float[n] y, float[t, n] z) {
             y, z = Scan<num_scan_inputs = 1,
               body = w (float[n] a, float[n] e) => (float[n] b, float[n] d) {
               b = Add(a, e)
               d = Neg(b) }>(s, x)
           }""",
        [{"s": [1, 2, 3], "x": ramp(t, 3)} for t in (0, 4, 0, 1)],
        # onnxruntime refuses to slice nothing.
        want=lambda f: {
            "y": f["s"] + f["x"].sum(0),
            "z": -(f["s"] + np.cumsum(f["x"], 0)),
        },
    ),
    Case(
        "scan in a loop",
        """g (int64 m, float[n] s, float[t, n] x) => (float[n] y, float[k, t, n] z) {
             y, z = Loop(m, "", s) <body = b (int64 i, bool k, float[n] a) =>
                                           (bool k, float[n] d, float[t, n] f) {
               d, f = Scan<num_scan_inputs = 1, scan_output_directions = [1],
                 body = w (float[n] q, float[n] e) => (float[n] r, float[n] r) { r = Sub(e, q) }>(a, x) }>
           }""",
        [{"m": m, "s": [1, 2, 3], "x": ramp(t, 3)} for m, t in ((2, 4), (1, 1), (3, 4))],
    ),
    Case(
        "loop in a scan",
        """g (float[n] s, float[t, n] x, int64[t] trips) => (float[n] y, float[t, n] z) {
             y, z = Scan<num_scan_inputs = 2,
               body = w (float[n] a, float[n] e, int64 m) => (float[n] b, float[n] b) {
               b = Loop(m, "", a) <body = l (int64 i, bool k, float[n] q) =>
                                            (bool k, float[n] r) { r = Add(q, e) }> }>(s, x, trips)
           }""",
        [{"s": [1, 2, 3], "x": ramp(4, 3), "trips": t} for t in ([1, 0, 3, 2], [0, 0, 0, 1])],
    ),
    Case(
        "scan in a scan",
        """g (float s, float[t, n] x) => (float y, float[t, n] z) {
             y, z = Scan<num_scan_inputs = 1,
               body = w (float a, float[n] row) => (float b, float[n] sums) {
               b, sums = Scan<num_scan_inputs = 1, scan_input_directions = [1],
                 body = w2 (float q, float e) => (float r, float r) { r = Add(q, e) }>(a, row) }>(s, x)
           }""",
        [{"s": 0.5, "x": ramp(*s)} for s in ((3, 4), (1, 1), (5, 2))],
    ),
    Case(
        "if in a scan",
        """g (float s, float[t] x) => (float y, float[t] z) <float zero = {0}> {
             y, z = Scan<num_scan_inputs = 1, body = w (float a, float e) => (float b, float f) {
               up = Greater(e, zero)
               b, f = If(up) <then_branch = t () => (float p, float q) { p = Add(a, e)  q = Mul(a, e) },
                              else_branch = e2 () => (float a, float e) {}> }>(s, x)
           }""",
        [{"s": 1, "x": [1, -1, 2, -3]}, {"s": 1, "x": [-1]}],
    ),
]

# ---- sequences and optionals ---------------------------------------------------------------------------

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

# ---- the model's own results ----------------------------------------------------------------------------

RESULTS = [
    Case(
        "outputs are inputs, constants, duplicates",
        """g (float[n] x, int64 m) => (float[n] x, float[2] v, float[n] y, float[n] z, float c, int64 m1,
                                       float[n] x1) <float[2] v = {1, 2}> {
             y = Neg(x)
             z = Identity(y)
             c = Constant<value_float = 2.5>()
             m1 = Identity(m)
             x1 = Identity(x)
           }""",
        [{"x": X, "m": 3}, {"x": [], "m": 0}, {"x": [1.0], "m": -1}],
    ),
    Case(
        "one value twice by the same name",
        "g (float[n] x) => (float[n] y, float[n] y) { y = Neg(x) }",
        [{"x": X}, {"x": []}],
    ),
    Case(
        "outputs are views of one value",
        """g (float[2, n] x) => (float[n, 2] y, float[r] z, float[1, n] w, float[2, n] v) {
             v = Neg(x)
             y = Transpose<perm = [1, 0]>(v)
             minus = Constant<value_ints = [-1]>()
             z = Reshape(v, minus)
             zero = Constant<value_ints = [0]>()
             one = Constant<value_ints = [1]>()
             w = Slice(v, zero, one, zero) }""",
        [{"x": ramp(2, 3)}, {"x": ramp(2, 1)}, {"x": ramp(2, 0)}],
    ),
    Case(
        "shapes turned around and used",
        """g (float[a, b, c] x) => (float[d, e, f] y, float[a, b, c] z, int64[3] u)
           <int64[1] back = {-1}, int64[1] end = {-100}, int64[1] zero = {0}, float one = {1}> {
             s = Shape(x)
             r = Slice(s, back, end, zero, back)
             y = Reshape(x, r)
             z = Expand(one, s)
             u = Mul(s, r)
           }""",
        [{"x": ramp(2, 3, 4)}, {"x": ramp(5, 1, 2)}],
    ),
    Case(
        "outputs are values that a region reads and gives",
        """g (bool c, float[n] x) => (float[n] p, float[n] y, float[n] q) {
             p = Exp(x)
             y = If(c) <then_branch = t () => (float[n] p) {}, else_branch = e () => (float[n] x) {}>
             q = Add(y, p)
           }""",
        BOTH,
        rtol=1e-6,
    ),
]


@pytest.mark.parametrize("case", [*IF, *LOOP, *SCAN, *SEQUENCE, *RESULTS], ids=str)
def test_case(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("opset", [9, 10, 11, 12, 13, 16, 19, 21, 23, 25, 26])
def test_every_opset(opset: int) -> None:
    """If and Loop of every version up to the newest; onnxruntime lags behind, so NumPy says what is right."""
    model = parse(
        """g (int64 m, bool c, float[n] x) => (float[n] y, float[k, n] ys) {
             y, ys = If(c) <then_branch = t () => (float[n] a, float[j, n] as) {
                 a, as = Loop(m, c, x) <body = b (int64 i, bool k, float[n] d) =>
                                                 (bool k2, float[n] f, float[n] h) {
                   k2 = Identity(k)
                   f = Add(d, x)
                   h = Identity(d) }> },
               else_branch = e () => (float[n] u, float[1, n] w) {
                 u = Neg(x)
                 shape0 = Shape(x)
                 one = Constant<value = int64[1] {1}>()
                 shape1 = Concat<axis = 0>(one, shape0)
                 w = Reshape(x, shape1) }>
           }""",
        opset,
        ir_version=10,
    )

    def want(f: dict[str, Any]) -> dict[str, Any]:
        x, m = f["x"], int(f["m"])
        if not f["c"]:
            return {"y": -x, "ys": x[None]}
        return {"y": x * (m + 1), "ys": np.stack([x * (k + 1) for k in range(m)])}

    check(model, *({"c": c, "m": m, "x": X} for c, m in ((1, 3), (0, 3), (1, 1))), want=want)


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


# ---- what runs is counted -----------------------------------------------------------------------------

CHAINS = """g (bool c, float[3, 3] x) => (float[3, 3] y) {
  y = If(c) <then_branch = t () => (float[3, 3] a5) {
    [late1] a1 = MatMul(x, x)  [late2] a2 = MatMul(a1, x)  [late3] a3 = MatMul(a2, x)
    [late4] a4 = MatMul(a3, x)  [late5] a5 = MatMul(a4, x) },
  else_branch = e () => (float[3, 3] b1) { [early1] b1 = MatMul(x, x) }>
}"""


def test_branch_not_taken_executes_nothing() -> None:
    model = load(parse(CHAINS))
    x = np.eye(3, dtype=np.float32) * 2
    steps = {}
    for c in (True, False, True):
        out = model.run({"c": np.array(c), "x": x})
        np.testing.assert_array_equal(out["y"], x * (32 if c else 2))
        steps[c] = model.last_steps
    assert steps[True] - steps[False] == 4
    for c, ran in ((True, {"a1", "a2", "a3", "a4", "a5"}), (False, {"b1"})):
        seen = model.run({"c": np.array(c), "x": x}, tap=["late*", "early*"])
        assert {name.rpartition("/")[2] for name in seen} - {"y"} == ran


def test_loop_costs_its_trips_only() -> None:
    model = load(
        parse(
            """g (int64 m, float limit, float[3, 3] x) => (float[3, 3] y) {
                 y = Loop(m, "", x) <body = b (int64 i, bool k, float[3, 3] a) => (bool go, float[3, 3] d) {
                   d = MatMul(a, x)
                   top = ReduceMax<keepdims = 0>(d)
                   go = Less(top, limit) }>
               }"""
        )
    )

    def steps(m: int, limit: float) -> int:
        x = np.eye(3, dtype=np.float32) * 2
        model.run({"m": np.array(m), "limit": np.float32(limit), "x": x})
        return model.last_steps

    huge = np.finfo(np.float32).max
    per_trip = steps(21, huge) - steps(20, huge)
    assert per_trip >= 2  # the product and what the condition takes
    assert steps(70, huge) - steps(20, huge) == 50 * per_trip
    assert steps(20, huge) - steps(0, huge) == 20 * per_trip
    assert steps(1000, 16) == steps(3, huge)  # 4, 8, 16: the condition ends it in the third trip


def test_if_in_a_loop_costs_the_taken_branches() -> None:
    model = load(
        parse(
            """g (bool[n] c, float[3, 3] x) => (float[3, 3] y) {
                 m0 = Shape(c)
                 m = Squeeze(m0)
                 y = Loop(m, "", x) <body = b (int64 i, bool k, float[3, 3] a) => (bool k, float[3, 3] d) {
                   ci = Gather<axis = 0>(c, i)
                   d = If(ci) <then_branch = t () => (float[3, 3] p3) {
                                 p1 = MatMul(a, x)  p2 = MatMul(p1, x)  p3 = MatMul(p2, x) },
                               else_branch = e () => (float[3, 3] a) {}> }>
               }"""
        )
    )
    x = np.eye(3, dtype=np.float32)
    counts = []
    for taken in ([0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]):
        model.run({"c": np.array(taken, bool), "x": x})
        counts.append(model.last_steps)
    # The else branch may have one node of its own: the copy of its result.
    one = counts[1] - counts[0]
    assert one in (2, 3)
    assert [n - counts[0] for n in counts] == [0, one, 3 * one, 4 * one]


# ---- what must fail, and how ---------------------------------------------------------------------------


def test_endless_loop_ends_by_budget() -> None:
    model = load(
        parse(
            """g (float x, bool c) => (float y) {
                 y = Loop("", c, x) <body = b (int64 i, bool k, float a) => (bool k, float d) {
                   d = Add(a, x) }>
               }"""
        )
    )
    on, off = ({"x": np.float32(1), "c": np.array(c)} for c in (True, False))
    with pytest.raises(whit.RunError):
        model.run(on, max_steps=10_000)
    assert model.run(off)["y"] == 1
    with pytest.raises(whit.RunError):
        model.run(on, max_steps=10_000)


def test_slices_that_do_not_stack() -> None:
    text = """g (int64 m, float[n] x) => (float[p, q] ys) {
      d, ys = Loop(m, "", x) <body = b (int64 i, bool k, float[r] a) => (bool k, float[s] h, float[s] h) {
        h = Concat<axis = 0>(a, x) }>
    }"""
    model = load(parse(text))
    x = np.float32(X)
    with pytest.raises(whit.RunError):
        model.run({"m": np.array(3), "x": x})
    np.testing.assert_array_equal(model.run({"m": np.array(1), "x": x})["ys"], [[*X, *X]])


# ---- random programs ------------------------------------------------------------------------------------


class Program:
    """A random model of scalars and vectors of int64, with If and Loop in one another.

    Results of regions are any values in sight: parameters, outer values, initializers, duplicates.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.n = 0
        self.constants: list[onnx.TensorProto] = []

    def name(self, kind: str) -> str:
        self.n += 1
        return f"{kind}{self.n}"

    def constant(self, value: Any) -> str:
        name = self.name("s" if np.ndim(value) == 0 else "v")
        self.constants.append(onnx.numpy_helper.from_array(np.array(value, np.int64), name))
        return name

    def pick(self, seen: list[str], kind: str) -> str:
        """A value in sight, the newer the likelier."""
        names = [n for n in seen if n[0] == kind]
        return names[-1 - int(self.rng.triangular(0, 0, len(names)))]

    def info(self, name: str, kind: str) -> onnx.ValueInfoProto:
        shape = {"s": [], "v": [f"dim_{name}_{self.n}"], "b": []}[kind]
        dtype = TensorProto.BOOL if kind == "b" else TensorProto.INT64
        return helper.make_tensor_value_info(name, dtype, shape)

    def emit(
        self, nodes: list[onnx.NodeProto], op: str, *inputs: str, kind: str, **attrs: Any
    ) -> str:
        output = self.name(kind)
        nodes.append(helper.make_node(op, inputs, [output], **attrs))
        return output

    def bounded(self, nodes: list[onnx.NodeProto], name: str) -> str:
        return self.emit(nodes, "Mod", name, self.prime, kind=name[0])

    def condition(self, nodes: list[onnx.NodeProto], seen: list[str]) -> str:
        part = self.emit(nodes, "Mod", self.pick(seen, "s"), self.four, kind="s")
        return self.emit(nodes, "Less", part, self.two, kind="b")

    def step(self, nodes: list[onnx.NodeProto], seen: list[str], depth: int) -> list[str]:
        choice = self.rng.random()
        if depth < 3 and choice < 0.2:
            return self.branch(nodes, seen, depth)
        if depth < 3 and choice < 0.4:
            return self.loop(nodes, seen, depth)
        s, v, u = self.pick(seen, "s"), self.pick(seen, "v"), self.pick(seen, "v")
        match int(self.rng.integers(7)):
            case 0:
                op = str(self.rng.choice(["Add", "Sub", "Mul", "Max"]))
                new = self.emit(nodes, op, s, self.pick(seen, "s"), kind="s")
            case 1:
                op = str(self.rng.choice(["Add", "Sub", "Mul"]))
                new = self.emit(nodes, op, v, s, kind="v")
            case 2:
                new = self.emit(nodes, "Neg", v, kind="v")
            case 3:
                long = self.emit(nodes, "Concat", v, u, kind="v", axis=0)
                new = self.emit(nodes, "Slice", long, self.zero1, self.six1, kind="v")
            case 4:
                new = self.emit(nodes, "Slice", v, self.one1, self.six1, kind="v")
            case 5:
                new = self.emit(nodes, "ReduceSum", v, kind="s", keepdims=0)
            case _:
                new = self.emit(nodes, "Size", v, kind="s")
        return [self.bounded(nodes, new)]

    def steps(self, nodes: list[onnx.NodeProto], seen: list[str], depth: int) -> list[str]:
        seen = list(seen)
        for _ in range(int(self.rng.integers(0, 5 - depth))):
            seen += self.step(nodes, seen, depth)
        return seen

    def branch(self, nodes: list[onnx.NodeProto], seen: list[str], depth: int) -> list[str]:
        kinds = self.rng.choice(["s", "v"], int(self.rng.integers(1, 4)))
        regions = []
        for _ in range(2):
            inner: list[onnx.NodeProto] = []
            names = self.steps(inner, seen, depth + 1)
            results = [self.info(self.pick(names, k), k) for k in kinds]
            regions.append(helper.make_graph(inner, self.name("if"), [], results))
        outputs = [self.name(k) for k in kinds]
        branches = dict(zip(("then_branch", "else_branch"), regions, strict=True))
        condition = self.condition(nodes, seen)
        nodes.append(helper.make_node("If", [condition], outputs, **branches))
        return outputs

    def loop(self, nodes: list[onnx.NodeProto], seen: list[str], depth: int) -> list[str]:
        kinds = self.rng.choice(["s", "v"], int(self.rng.integers(0, 4)))
        n_scans = int(self.rng.integers(0 if len(kinds) else 1, 3))
        trips = self.emit(nodes, "Mod", self.pick(seen, "s"), self.four, kind="s")
        go = self.condition(nodes, seen) if self.rng.random() < 0.3 else ""
        params = [self.name("s"), self.name("b"), *(self.name(k) for k in kinds)]
        inner: list[onnx.NodeProto] = []
        names = self.steps(inner, [*seen, params[0], *params[2:]], depth + 1)
        on = self.condition(inner, names) if self.rng.random() < 0.3 else params[1]
        results = [self.info(on, "b")]
        results += [self.info(self.pick(names, k), k) for k in kinds]
        results += [self.info(self.pick(names, "s"), "s") for _ in range(n_scans)]
        inputs = [self.info(p, k) for p, k in zip(params, ["s", "b", *kinds], strict=True)]
        body = helper.make_graph(inner, self.name("loop"), inputs, results)
        outputs = [self.name(k) for k in kinds] + [self.name("v") for _ in range(n_scans)]
        starts = [self.pick(seen, k) for k in kinds]
        nodes.append(helper.make_node("Loop", [trips, go, *starts], outputs, body=body))
        short = [
            self.emit(nodes, "Slice", o, self.zero1, self.six1, kind="v")
            for o in outputs[len(kinds) :]
        ]
        return outputs[: len(kinds)] + short

    def build(self) -> onnx.ModelProto:
        self.prime, self.four, self.two = (self.constant(n) for n in (97, 4, 2))
        self.zero1, self.one1, self.six1 = (self.constant([n]) for n in (0, 1, 6))
        self.constant([])
        seen = [c.name for c in self.constants if c.name not in (self.zero1, self.one1, self.six1)]
        inputs = [self.name(k) for k in "ssvv"]
        nodes: list[onnx.NodeProto] = []
        seen += inputs
        for _ in range(6):
            seen += self.step(nodes, seen, 0)
        seen += self.loop(nodes, seen, 0) + self.branch(nodes, seen, 0)
        results = dict.fromkeys(seen[-8:])
        graph = helper.make_graph(
            nodes,
            "program",
            [self.info(n, n[0]) for n in inputs],
            [self.info(n, n[0]) for n in results],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize("seed", range(100))
def test_random_program(seed: int) -> None:
    model = Program(seed).build()
    rng = np.random.default_rng(seed)
    names = [i.name for i in model.graph.input]
    runs = [
        {n: rng.integers(0, 97, () if n[0] == "s" else int(rng.integers(0, 5))) for n in names}
        for _ in range(4)
    ]
    check(model, *(typed(model, run) for run in runs))
