"""Scan as models meet it. The oracle is onnxruntime; NumPy where it refuses or the standard is silent."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import Case, ramp


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


@pytest.mark.parametrize("case", SCAN, ids=str)
def test_case(case: Case) -> None:
    case.check()
