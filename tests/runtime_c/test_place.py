"""Memory: no value is overwritten while somebody needs it, and the arena is hardly larger than what lives at once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx.reference
import pytest
from living import arena_and_living, bytes_of
from onnx import TensorProto, helper, numpy_helper

import whit
from whit import _native, _threads
from whit._native import lib
from whit_exporter import write
from whit_exporter.build import Builder
from whit_exporter.dtypes import DType
from whit_exporter.ir import Entry

Array = np.ndarray[Any, Any]
Values = dict[str, Array]

SLACK = 1.05
SMALL = 4096
"""The arena is to be within SLACK of what lives at once, and SMALL for scratch and alignment."""


# ---- random programs against NumPy ----------------------------------------------------------------------


KINDS = [
    "unary",
    "unary",
    "binary",
    "binary",
    "binary",
    "broadcast",
    "transpose",
    "reshape",
    "concat",
    "slice",
    "cast",
]


@dataclass
class Program:
    """Nodes as they are drawn, each with what it does to NumPy values."""

    rng: random.Random
    prefix: str = ""
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    steps: list[Callable[[Values], None]] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    own: list[str] = field(default_factory=list)

    def add(
        self,
        op: str,
        inputs: list[str],
        shape: tuple[int, ...],
        f: Callable[..., Any],
        **attrs: Any,
    ) -> str:
        name = f"{self.prefix}{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attrs))

        def step(values: Values) -> None:
            values[name] = np.asarray(f(*(values[i] for i in inputs)))

        self.steps.append(step)
        self.shapes[name] = shape
        self.own.append(name)
        return name

    def pick(self, shape: tuple[int, ...] | None = None) -> str:
        """A value, rather a late one."""
        fits = [v for v, s in self.shapes.items() if shape is None or s == shape]
        return fits[-1 - min(int(self.rng.expovariate(0.4)), len(fits) - 1)]

    def const(self, values: list[int]) -> str:
        array = np.array(values, np.int64)
        name = f"{self.prefix}c{len(self.nodes)}"
        tensor = helper.make_tensor("", TensorProto.INT64, [len(values)], values)
        self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        self.steps.append(lambda known: known.__setitem__(name, array))
        return name

    def draw(self) -> None:
        """One more node."""
        a = self.pick()
        rows, columns = s = self.shapes[a]
        kind = self.rng.choice(KINDS)
        if kind == "unary":
            self.add(
                *self.rng.choice(
                    [("Neg", [a], s, np.negative), ("Relu", [a], s, lambda x: np.maximum(x, 0))]
                )
            )
        elif kind == "binary":
            op, f = self.rng.choice([("Add", np.add), ("Sub", np.subtract), ("Max", np.maximum)])
            self.add(op, self.rng.sample([a, self.pick(s)], 2), s, f)
        elif kind == "broadcast":
            row = self.add(
                "Slice",
                [a, self.const([0]), self.const([1]), self.const([0])],
                (1, columns),
                lambda x, *_: x[:1],
            )
            self.add("Sub", self.rng.sample([a, row], 2), s, np.subtract)
        elif kind == "transpose":
            self.add("Transpose", [a], (columns, rows), np.transpose, perm=[1, 0])
        elif kind == "reshape":
            to = self.rng.choice([(columns, rows), (1, rows * columns), (rows * columns, 1)])
            self.add("Reshape", [a, self.const(list(to))], to, lambda x, _: x.reshape(to))
        elif kind == "concat" and rows * columns < 800:
            axis = self.rng.randrange(2)
            b = self.pick(s)
            to = (2 * rows, columns) if axis == 0 else (rows, 2 * columns)
            self.add("Concat", [a, b], to, lambda x, y: np.concatenate([x, y], axis), axis=axis)
        elif kind == "slice" and rows > 1:
            half = rows // 2
            first = self.rng.choice([0, rows - half])
            at = [self.const([first]), self.const([first + half]), self.const([0])]
            self.add("Slice", [a, *at], (half, columns), lambda x, *_: x[first : first + half])
        elif kind == "cast":
            whole = self.add(
                "Cast", [a], (-1, -1), lambda x: x.astype(np.int32), to=TensorProto.INT32
            )
            self.shapes.pop(whole)
            self.add("Cast", [whole], s, lambda x: x.astype(np.float32), to=TensorProto.FLOAT)

    def inner(self, n: int) -> Program:
        """A region's program that reads this one's values."""
        prefix = f"{self.prefix}{len(self.nodes)}_"
        made = Program(self.rng, prefix, shapes=dict(self.shapes))
        for _ in range(n):
            made.draw()
        return made

    def draw_if(self, depth: int) -> None:
        branches = [self.inner(self.rng.randrange(1, 6)) for _ in range(2)]
        a = self.pick()
        s = self.shapes[a]
        results = []
        for branch in branches:
            if depth:
                branch.draw_loop(depth - 1)
            results.append(branch.add("Sub", [branch.pick(s), a], s, np.subtract))
        graphs = [branch.graph([r]) for branch, r in zip(branches, results, strict=True)]
        name = f"{self.prefix}if{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(
                "If", ["yes"], [name], name, then_branch=graphs[0], else_branch=graphs[1]
            )
        )

        def step(values: Values) -> None:
            known = dict(values)
            branch, result = (
                (branches[0], results[0]) if values["yes"] else (branches[1], results[1])
            )
            branch.run(known)
            values[name] = known[result]

        self.steps.append(step)
        self.shapes[name] = s
        self.own.append(name)

    def draw_loop(self, depth: int) -> None:
        first = self.pick()
        s = self.shapes[first]
        body = Program(self.rng, f"{self.prefix}{len(self.nodes)}_", shapes=dict(self.shapes))
        i, go, carried = (f"{body.prefix}{n}" for n in ("i", "go", "carried"))
        body.shapes[carried] = s
        for _ in range(self.rng.randrange(1, 8)):
            body.draw()
        if depth:
            body.draw_if(depth - 1)
        kept = body.add("Max", [body.pick(s), carried], s, np.maximum)
        scanned = body.add("Neg", [body.pick(s)], s, np.negative)
        body.nodes.append(helper.make_node("Identity", [go], [f"{go}_on"]))
        inputs = [
            helper.make_tensor_value_info(i, TensorProto.INT64, []),
            helper.make_tensor_value_info(go, TensorProto.BOOL, []),
            helper.make_tensor_value_info(carried, TensorProto.FLOAT, s),
        ]
        results = [helper.make_tensor_value_info(f"{go}_on", TensorProto.BOOL, [])]
        graph = helper.make_graph(
            body.nodes, "body", inputs, [*results, *body.infos([kept, scanned])]
        )
        last, stack = (f"{self.prefix}{n}{len(self.nodes)}" for n in ("last", "stack"))
        self.nodes.append(
            helper.make_node("Loop", ["trips", "", first], [last, stack], last, body=graph)
        )

        def step(values: Values) -> None:
            now, found = values[first], []
            for _ in range(int(values["trips"])):
                known = {**values, carried: now}
                body.run(known)
                now = known[kept]
                found.append(known[scanned])
            values[last], values[stack] = now, np.array(found)

        self.steps.append(step)
        self.shapes[last] = s
        self.own.append(last)

    def run(self, values: Values) -> None:
        for step in self.steps:
            step(values)

    def infos(self, names: list[str]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(n, TensorProto.FLOAT, self.shapes[n]) for n in names]

    def graph(self, results: list[str]) -> onnx.GraphProto:
        return helper.make_graph(self.nodes, "branch", [], self.infos(results))


def random_program(seed: int, depth: int) -> tuple[onnx.ModelProto, Program]:
    rng = random.Random(seed)
    p = Program(rng)
    inputs = {"x": (8, 12), "y": (12, 8), "z": (8, 12)}
    p.shapes |= inputs
    for _ in range(rng.randrange(5, 30)):
        p.draw()
        if depth and rng.random() < 0.15:
            rng.choice([p.draw_if, p.draw_loop])(depth - 1)
    outputs = {p.own[-1], *rng.sample(p.own, min(2, len(p.own)))} & set(p.shapes)
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()]
    infos.append(helper.make_tensor_value_info("yes", TensorProto.BOOL, []))
    infos.append(helper.make_tensor_value_info("trips", TensorProto.INT64, []))
    graph = helper.make_graph(p.nodes, "random", infos, p.infos(sorted(outputs)))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), p


@pytest.mark.parametrize("fuse", [False, True], ids=["nodes", "fused"])
@pytest.mark.parametrize("depth", [0, 2], ids=["flat", "regions"])
@pytest.mark.parametrize("seed", range(25))
def test_no_value_is_overwritten_too_soon(seed: int, depth: int, fuse: bool) -> None:
    """Every value of a random program, read when it is made, is NumPy's; and so are the outputs of a second run."""
    model, program = random_program(seed, depth)
    subject = whit.load(whit.convert(model, fuse=fuse, layout=False))
    rng = np.random.default_rng(seed)
    for trips in (3, 0):
        feeds = {n: rng.integers(-9, 9, program.shapes[n]).astype(np.float32) for n in "xyz"}
        feeds |= {"yes": np.array(bool(seed % 2)), "trips": np.array(trips)}
        want = dict(feeds)
        program.run(want)
        got = subject.run(feeds, tap="*")
        for name in want.keys() & got.keys():
            if not name.startswith("stack"):
                np.testing.assert_array_equal(got[name], want[name], err_msg=name)
        for name, value in subject.run(feeds).items():
            np.testing.assert_array_equal(value, want[name], err_msg=name)


# ---- the arena against what lives at once -----------------------------------------------------------------


def parse(graph: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> {graph}')


def wide(n: int) -> str:
    """n branches of different length and size that meet at the end."""
    lines = []
    for k in range(n):
        lines.append(f"a{k}_0 = Conv(x, w{k})")
        lines += [f"a{k}_{j + 1} = Relu(a{k}_{j})" for j in range(k)]
        lines.append(f"s{k} = ReduceMean<keepdims = 1>(a{k}_{k})")
    lines.append("y = Sum(" + ", ".join(f"s{k}" for k in range(n)) + ")")
    weights = ", ".join(f"float[{4 * k + 8}, 16, 1, 1] w{k}" for k in range(n))
    return (
        f"wide (float[1, 16, 32, 32] x, {weights}) => (float[a, b, c, d] y) {{ {' '.join(lines)} }}"
    )


def residual(n: int) -> str:
    lines = []
    for k in range(n):
        lines += [
            f"b{k} = Relu(v{k})",
            f"c{k} = Transpose<perm = [1, 0]>(b{k})",
            f"d{k} = Transpose<perm = [1, 0]>(c{k})",
        ]
        lines += [f"e{k} = MatMul(d{k}, w)", f"v{k + 1} = Add(e{k}, v{k})"]
    return f"residual (float[256, 64] v0, float[64, 64] w) => (float[256, 64] v{n}) {{ {' '.join(lines)} }}"


BRANCHES = """branches (bool c, float[256, 256] x, float[256, 256] w) => (float[256, 256] y) {
  a = MatMul(x, w)
  r = Relu(a)
  b = If(c) <then_branch = t () => (float[256, 256] p) { p0 = MatMul(r, w)  p1 = Tanh(p0)  p = Add(p1, r) },
             else_branch = e () => (float[256, 256] q) { q0 = Exp(r)  q = MatMul(q0, w) }>
  d = MatMul(b, w)
  y = Sub(d, r)
}"""
LOOPED = """looped (float[256, 256] x, float[256, 256] w) => (float[256, 256] y) <int64 n = {5}> {
  a = MatMul(x, w)
  z = Loop(n, "", a) <body = b (int64 i, bool k, float[256, 256] s) => (bool k, float[256, 256] t) {
    m = MatMul(s, w)
    e = Tanh(m)
    f = MatMul(e, w)
    t = Add(f, a) }>
  r = MatMul(z, w)
  y = Relu(r)
}"""


def with_feeds(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The model with constants for its inputs called w..., and values for the others."""
    rng = np.random.default_rng(1)
    feeds: dict[str, Any] = {}
    inputs = list(model.graph.input)
    del model.graph.input[:]
    for info in inputs:
        t = info.type.tensor_type
        value = rng.random([d.dim_value for d in t.shape.dim], np.float32) / 64
        if info.name.startswith("w"):
            model.graph.initializer.append(numpy_helper.from_array(value, info.name))
            continue
        model.graph.input.append(info)
        feeds[info.name] = np.array(True) if t.elem_type == TensorProto.BOOL else value
    return model, feeds


NETS = {"wide": wide(8), "residual": residual(6), "branches": BRANCHES, "loop": LOOPED}


@pytest.mark.parametrize("fuse", [False, True], ids=["nodes", "fused"])
@pytest.mark.parametrize("net", NETS)
def test_the_arena_is_what_lives_at_once(net: str, fuse: bool) -> None:
    model, feeds = with_feeds(parse(NETS[net]))
    arena, living = arena_and_living(model, feeds, fuse=fuse)
    if "c" in feeds:  # the plan knows both branches, a run only one
        living = max(living, arena_and_living(model, {**feeds, "c": np.array(False)}, fuse=fuse)[1])
    assert arena <= SLACK * living + SMALL


def test_a_chain_of_element_wise_nodes_takes_one_place() -> None:
    n = 50
    lines = " ".join(f"v{k + 1} = {'Exp' if k % 2 else 'Neg'}(v{k})" for k in range(n))
    model = parse(f"chain (float[100, 100] v0) => (float[100, 100] y) {{ {lines} y = Relu(v{n}) }}")
    x = np.zeros((100, 100), np.float32)
    assert arena_and_living(model, {"v0": x}, fuse=False)[0] < x.nbytes + 4 * SMALL


def planning(n: int) -> float:
    """Seconds to make and plan an instance of a chain of n products, the least of some."""
    b = Builder()
    b.graph.entries.append(Entry("main", b.region))
    v = b.param("x", DType.F32, (4, 8))
    w = b.const(np.eye(8, dtype=np.float32))
    for _ in range(n):
        v = b.op("matmul", v, w)
    b.region.results = [v]
    model = whit.load(write.write(b.graph))
    feeds = {"x": np.zeros((4, 8), np.float32)}

    def once() -> float:
        begin = time.perf_counter()
        model.instance(feeds)
        return time.perf_counter() - begin

    return min(once() for _ in range(5))


@pytest.mark.native
def test_planning_is_linear() -> None:
    """Eight times the nodes are planned in some eight times the time; what looks at all pairs takes sixty-four times."""
    assert planning(4000) < 24 * planning(500)


def test_what_the_caller_binds_takes_no_arena() -> None:
    model = parse(
        "g (float[500, 100] x) => (float[500, 100] y, float[500, 100] z) { y = Exp(x) z = Neg(y) }"
    )
    x = np.ones((500, 100), np.float32)
    subject = whit.load(whit.convert(model, fuse=False))
    instance, arrays = subject.instance({"x": x})
    y, z = instance.run(arrays)
    np.testing.assert_allclose(y, np.exp(x), rtol=1e-6)
    np.testing.assert_array_equal(z, -y)
    assert instance.arena.nbytes < 4 * SMALL


def test_parts_are_written_where_concat_wants_them() -> None:
    """Along the outermost axis; the parts take no memory of their own, even if the whole is the caller's."""
    model = parse("""joined (float[100, 100] x) => (float[300, 100] y) {
      a = Exp(x)  b = Neg(a)  c = Tanh(x)  y = Concat<axis = 0>(a, b, c) }""")
    x = np.linspace(-1, 1, 10000, dtype=np.float32).reshape(100, 100)
    subject = whit.load(whit.convert(model, fuse=False))
    instance, arrays = subject.instance({"x": x})
    assert instance.arena.nbytes < 4 * SMALL
    for _ in range(2):
        (y,) = instance.run(arrays)
        np.testing.assert_allclose(
            y, np.concatenate([np.exp(x), -np.exp(x), np.tanh(x)]), rtol=2e-6
        )


ROWS = """rows (float[2, 16, 12, 9] x, float[16, 16, 1, 1] w0, float[20, 16, 1, 1] w1, float[17, 16, 3, 3] w2,
    float[16, 1, 3, 3] w3, float[16, 4, 3, 3] w4, float[20, 16, 3, 3] w5, float[19, 89, 1, 1] w6) => (float[2, 19, 12, 9] y) {
  s = Conv(x, w0)
  a = Conv(s, w1)
  a1 = Relu(a)
  b = Conv<pads = [1, 1, 1, 1]>(s, w2)
  b1 = HardSwish(b)
  c = Conv<group = 16, pads = [1, 1, 1, 1]>(s, w3)
  d = Conv<group = 4, pads = [1, 1, 1, 1]>(s, w4)
  d1 = Add(d, s)
  e = Conv<pads = [1, 1, 1, 1]>(s, w5)
  f = ReduceMean<keepdims = 1>(e)
  inner = Concat<axis = 1>(b1, c)
  all = Concat<axis = 1>(a1, inner, d1, e)
  z = Conv(all, w6)
  y = Add(z, f)
}"""


@pytest.mark.parametrize("optimize", ["memory", "speed"])
def test_rows_are_written_where_concat_wants_them(
    optimize: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Along the last axis: by convolutions of every kind, whatever they do to their sums, one concat in another."""
    model, feeds = with_feeds(parse(ROWS))
    want = onnx.reference.ReferenceEvaluator(model).run(None, feeds)[0]
    subject = whit.load(whit.convert(model, optimize=optimize))
    results = []
    for features in (0, _native.cpu_detected()):
        monkeypatch.setattr(_threads, "cpu_features", lambda features=features: features)
        for threads in (1, 3):
            instance, arrays = subject.instance(feeds, threads=threads)
            results.append(instance.run(arrays)[0])
            assert results[-1].tobytes() == results[0].tobytes()
    np.testing.assert_allclose(results[0], want, rtol=1e-5, atol=1e-6)
    # a1, b1, c, d1 lie inside; e is read twice, and is copied
    assert convolutions_inside(subject, feeds) == 4
    taps = subject.run(feeds, tap=["a1", "inner", "d1", "e"])
    whole = np.concatenate([taps[n] for n in ("a1", "inner", "d1", "e")], 1)
    np.testing.assert_array_equal(subject.run(feeds, tap="all")["all"], whole)


def convolutions_inside(subject: whit.Model, feeds: dict[str, Any]) -> int:
    """How many convolutions have their results in the memory of the largest concat."""
    instance, arrays = subject.instance(feeds)
    c = lib()
    spans: dict[int, tuple[int, int]] = {}

    def observe(_context: int | None, handle: int, node: int, after: int) -> int:
        if after:
            spans[node] = bytes_of(c.whit_node_value(handle, node, 1, 0).contents)
        return 0

    instance.run_observed(arrays, observe)
    operators = {n: _native.text(c.whit_node_operator(subject.at, n)) for n in spans}
    low, high = max(
        (span for n, span in spans.items() if operators[n] == "concat"), key=lambda s: s[1] - s[0]
    )
    return sum(operators[n] == "conv" and low <= begin < high for n, (begin, _) in spans.items())


def test_an_output_that_was_announced_must_be_bound() -> None:
    subject = whit.load(whit.convert(parse("g (float[4] x) => (float[4] y) { y = Exp(x) }")))
    instance, _ = subject.instance({"x": np.zeros(4, np.float32)})
    c, n_bytes = lib(), np.zeros(1, np.uint64)
    assert c.whit_output_bind(instance.handle, 0, None, 0) == _native.OK
    assert c.whit_output_bind(instance.handle, 1, None, 0) != _native.OK
    assert c.whit_plan(instance.handle, _native.address(n_bytes)) == _native.OK
    arena = _native.aligned(int(n_bytes[0]))
    assert c.whit_arena_set(instance.handle, _native.address(arena), arena.nbytes) == _native.OK
    assert c.whit_run(instance.handle) == 0x12
    assert _native.text(c.whit_error_text(instance.handle)).startswith("an output has no memory")
    y = np.empty(4, np.float32)
    assert c.whit_output_bind(instance.handle, 0, _native.address(y), y.nbytes) == _native.OK
    assert c.whit_run(instance.handle) == _native.OK
    np.testing.assert_array_equal(y, np.ones(4))
