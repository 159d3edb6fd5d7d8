"""What control flow gives to the model's own results, what it executes, how it fails, and programs made by chance.

The oracle is onnxruntime; NumPy where it refuses or the standard is silent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from helpers import BOTH, Case, X, check, load, parse, ramp, typed
from onnx import TensorProto, helper

import whit

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


@pytest.mark.parametrize("case", RESULTS, ids=str)
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
