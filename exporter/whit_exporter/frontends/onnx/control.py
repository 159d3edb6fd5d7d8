"""If, Loop, Scan and SequenceMap: nodes that own regions.

What a loop carries may change shape from step to step, so a body is emitted until the types of what it is given
cover the types of what it returns: dimensions that differ become unknown, and it is emitted once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import onnx

from ...dtypes import DType
from ...ir import Region, Shape, Value
from .movement import dim, scalar
from .registry import NodeContext, dtype_of, lower
from .types import join, like, meet_declared, same_type

UNKNOWN_RANK = 255
MOST_ATTEMPTS = 8
"""Each attempt makes a type weaker: a rank or some dimensions become unknown. Two or three are normal."""

Body = Callable[[Value, list[Value]], "Step"]


@dataclass(slots=True)
class Step:
    """What one step of a loop makes: whether to go on (None: yes), the carried values, one slice per scan output."""

    carried: list[Value]
    slices: list[Value] = field(default_factory=list)
    go_on: Value | None = None


def loop(
    n: NodeContext,
    trips: Value | None,
    condition: Value | None,
    initial: Sequence[Value],
    body: Body,
) -> list[Value]:
    """Emits a `loop`: final carried values, then stacked slices. body(step number, carried) emits one step."""
    b, importer = n.b, n.importer
    types = [like(v, importer) for v in initial]
    for _ in range(MOST_ATTEMPTS):
        names = dict(b.graph.aliases)
        with b.sub() as region:
            index = Value("", DType.I64, ())
            params = [like(t, importer) for t in types]
            region.params = [index, *params]
            step = body(index, params)
            if len(step.carried) != len(initial):
                raise n.fail(f"its body carries {len(step.carried)} values on, not {len(initial)}")
            go_on = step.go_on
            if go_on is not None and go_on.const is not None and bool(go_on.const.all()):
                go_on = None
            if go_on is not None:
                go_on = scalar(n, go_on)
            region.results = [go_on, *step.carried, *step.slices]
        joined = [
            join(n, t, v, f"carried value {i} at the start", "at the end of a step", importer)
            for i, (t, v) in enumerate(zip(types, step.carried, strict=True))
        ]
        if all(same_type(t, j, importer) for t, j in zip(types, joined, strict=True)):
            break
        types = joined
        b.graph.aliases.clear()
        b.graph.aliases.update(names)
    else:
        raise n.fail("the types of what it carries do not settle")
    initial = [claimed(n, v, t) for v, t in zip(initial, types, strict=True)]
    for i, v in enumerate(step.slices):
        if v.kind != "tensor" or v.optional:
            raise n.fail(f"scan output {i} is a {v.kind}; only tensors can be stacked")
    count = len(initial) + len(step.slices)
    scans = [word for v in step.slices for word in slice_type(n, v)]
    attrs = {"n_carried": len(initial), "scans": scans}
    outputs = list(b.control("loop", [trips, condition, *initial], [region], count, **attrs))
    for v, t in zip(outputs, types, strict=False):
        set_type(v, t, n)
    known = b.ints(trips) if trips is not None and go_on is None and condition is None else None
    for v, s in zip(outputs[len(initial) :], step.slices, strict=True):
        v.dtype, v.kind = s.dtype, "tensor"
        outer = None if s.shape is None else tuple(outer_dim(n, d) for d in s.shape)
        v.shape = None if outer is None else (max(known[0], 0) if known else None, *outer)
    return outputs


def claimed(n: NodeContext, v: Value, t: Value) -> Value:
    """An initial value under the type that the loop found. What is empty may claim any shape for what comes."""
    if v not in n.importer.empty or v.shape == t.shape:
        return v
    if v.producer is not None and not v.producer.inputs:
        v = n.b.op(v.producer.op, **v.producer.attrs)
        n.importer.empty.add(v)
    v.dtype, v.shape, v.kind, v.optional = t.dtype, t.shape, t.kind, t.optional
    return v


def outer_dim(n: NodeContext, d: int | str | None) -> int | str | None:
    """A dimension of a value in a body, as the surroundings may know it."""
    return d if isinstance(d, int) or d in n.importer.symbols else None


def set_type(v: Value, t: Value, n: NodeContext) -> None:
    """Gives v the type of t."""
    v.dtype, v.shape, v.kind, v.optional = t.dtype, t.shape, t.kind, t.optional
    if t in n.importer.empty:
        n.importer.empty.add(v)


def slice_type(n: NodeContext, v: Value) -> list[int]:
    """Words of the loop's attribute `scans`: the type of one slice, for when there is none."""
    if v.dtype is None:
        raise n.fail(f"the element type of scan output {v.name!r} is not known")
    if v.shape is None:
        return [int(v.dtype), UNKNOWN_RANK]
    return [int(v.dtype), len(v.shape), *(d if isinstance(d, int) else -1 for d in v.shape)]


# If


@lower("If")
def if_node(n: NodeContext) -> list[Value | None]:
    branches = [n.graph("then_branch"), n.graph("else_branch")]
    chosen = n.const(0)
    if chosen is not None:
        taken = branches[0] if bool(chosen.reshape(-1)[0]) else branches[1]
        return list(n.importer.run_body(n, taken, []))
    regions: list[Region] = []
    for graph in branches:
        with n.b.sub() as region:
            region.results = list(n.importer.run_body(n, graph, []))
        if len(region.results) != n.n_outputs:
            count = len(region.results)
            raise n.fail(f"branch {graph.name!r} gives {count} values, not {n.n_outputs}")
        regions.append(region)
    outputs = n.b.control("if", [scalar(n, n.value(0))], regions, n.n_outputs)
    for i, v in enumerate(outputs):
        then, other = (r.results[i] for r in regions)
        if then is not None and other is not None:
            joined = join(n, then, other, f"output {i} of then", "of else", n.importer)
            if joined.shape is not None and joined.kind == "tensor":
                joined.shape = tuple(outer_dim(n, d) for d in joined.shape)
            set_type(v, joined, n)
    return list(outputs)


# Loop


@lower("Loop")
def loop_node(n: NodeContext) -> list[Value | None]:
    b, graph = n.b, n.graph("body")
    trips = None if n.opt(0) is None else scalar(n, b.cast(n.value(0), DType.I64))
    condition = None if n.opt(1) is None else scalar(n, n.value(1))
    if condition is not None and n.const(1) is not None and bool(condition.const):
        condition = None
    initial = [n.value(i) for i in range(2, len(n.inputs))]
    fixed = passed_through(graph, 2, 1, len(initial))
    moving = [v for i, v in enumerate(initial) if i not in fixed]
    n_scans = len(graph.output) - 1 - len(initial)
    if n_scans < 0:
        raise n.fail(f"its body gives {len(graph.output)} values, fewer than it carries")

    def body(index: Value, carried: list[Value]) -> Step:
        queue = iter(carried)
        given = [v if i in fixed else next(queue) for i, v in enumerate(initial)]
        results = n.importer.run_body(n, graph, [index, b.const(True), *given])
        kept = [v for i, v in enumerate(results[1 : 1 + len(initial)]) if i not in fixed]
        slices = results[1 + len(initial) :]
        for v, info in zip(slices, graph.output[1 + len(initial) :], strict=True):
            meet_declared(v, info.type)
        return Step(kept, slices, results[0])

    outputs = iter(loop(n, trips, condition, moving, body))
    carried = [v if i in fixed else next(outputs) for i, v in enumerate(initial)]
    return [*carried, *outputs]


def passed_through(graph: onnx.GraphProto, first_in: int, first_out: int, count: int) -> set[int]:
    """Which carried values a body hands on as they are. They need not be carried: bodies read outer values."""
    made = {o for node in graph.node for o in node.output}
    fixed = set()
    for i in range(count):
        source, target = graph.input[first_in + i].name, graph.output[first_out + i].name
        if source == target and source not in made:
            fixed.add(i)
    return fixed


# Scan


@dataclass(slots=True)
class ScanPlan:
    """Attributes of a Scan, with defaults filled in."""

    n_states: int
    n_scanned: int
    in_axes: list[int]
    in_reverse: list[int]
    out_axes: list[int]
    out_reverse: list[int]


@lower("Scan")
def scan_node(n: NodeContext) -> list[Value | None]:
    graph = n.graph("body")
    first = 1 if n.opset < 9 else 0
    n_scanned = n.int("num_scan_inputs")
    n_states = len(n.inputs) - first - n_scanned
    n_out = len(graph.output) - n_states
    if n_scanned < 1 or n_states < 0 or n_out < 0:
        raise n.fail(f"{len(n.inputs)} inputs and {n_scanned} scanned ones do not fit its body")
    directions = "directions" if n.opset < 9 else "scan_input_directions"
    plan = ScanPlan(
        n_states,
        n_scanned,
        n.ints("scan_input_axes", [0] * n_scanned),
        n.ints(directions, [0] * n_scanned),
        n.ints("scan_output_axes", [0] * n_out),
        n.ints("scan_output_directions", [0] * n_out),
    )
    states = [n.value(first + i) for i in range(n_states)]
    scanned = [n.value(first + n_states + i) for i in range(n_scanned)]
    if n.opset < 9:
        return list(scan_batches(n, graph, plan, states, scanned))
    return list(scan(n, graph, plan, states, scanned))


def scan(
    n: NodeContext,
    graph: onnx.GraphProto,
    plan: ScanPlan,
    states: Sequence[Value],
    scanned: Sequence[Value],
    trips: Value | None = None,
) -> list[Value]:
    """One Scan as a loop over the slices of its inputs; trips: over so many of them."""
    b = n.b
    last = b.const(-1) if trips is None else b.op("sub", trips, b.const(1))
    if trips is None:
        trips = scalar(n, dim(n, scanned[0], plan.in_axes[0]))

    def body(index: Value, carried: list[Value]) -> Step:
        slices = []
        for v, axis, reverse in zip(scanned, plan.in_axes, plan.in_reverse, strict=True):
            at = index
            if reverse:
                at = b.op("sub", last, index)
            slices.append(b.op("gather", v, at, axis=axis))
        results = n.importer.run_body(n, graph, [*carried, *slices])
        for v, info in zip(results[plan.n_states :], graph.output[plan.n_states :], strict=True):
            meet_declared(v, info.type)
        return Step(results[: plan.n_states], results[plan.n_states :])

    outputs = loop(n, trips, None, states, body)
    for i in range(len(outputs) - plan.n_states):
        v = outputs[plan.n_states + i]
        if plan.out_reverse[i]:
            v = flipped(n, v)
        if plan.out_axes[i] != 0:
            rank = n.rank_of(v, f"scan output {i}")
            perm = list(range(1, rank))
            perm.insert(plan.out_axes[i] % rank, 0)
            v = b.transpose(v, perm)
        outputs[plan.n_states + i] = v
    return outputs


def flipped(n: NodeContext, v: Value) -> Value:
    """v backwards along its first axis."""
    return n.b.slice(v, [-1], [-(2**31) + 1], [0], [-1])


def scan_batches(
    n: NodeContext,
    graph: onnx.GraphProto,
    plan: ScanPlan,
    states: Sequence[Value],
    scanned: Sequence[Value],
) -> list[Value]:
    """Scan of opset 8: a batch of scans, each of its own length; outputs are filled up with zeros."""
    b = n.b
    longest = scalar(n, dim(n, scanned[0], 1))
    lens = n.opt(0)

    def one(index: Value, carried: list[Value]) -> Step:
        rows = [b.op("gather", v, index, axis=0) for v in (*states, *scanned)]
        trips = longest
        if lens is not None:
            trips = scalar(n, b.op("gather", b.cast(lens, DType.I64), index, axis=0))
        results = scan(n, graph, plan, rows[: plan.n_states], rows[plan.n_states :], trips)
        for i in range(plan.n_states, len(results)):
            missing = b.reshape_to(b.op("sub", longest, trips), [1])
            pads = b.concat([b.const([0]), missing], 0)
            results[i] = b.op("pad", results[i], pads, None, b.const([0]), mode=0)
        return Step([], results)

    return loop(n, scalar(n, dim(n, scanned[0], 0)), None, [], one)


# SequenceMap


@lower("SequenceMap")
def sequence_map(n: NodeContext) -> list[Value | None]:
    b, graph = n.b, n.graph("body")
    inputs = n.values()

    def body(index: Value, carried: list[Value]) -> Step:
        items = [b.op("seq_at", v, index) if v.kind == "sequence" else v for v in inputs]
        results = n.importer.run_body(n, graph, items)
        return Step([inserted(n, s, v) for s, v in zip(carried, results, strict=True)])

    made = [empty_sequence(n, declared_dtype(info.type)) for info in graph.output]
    return list(loop(n, b.op("seq_length", inputs[0]), None, made, body))


def declared_dtype(proto: onnx.TypeProto) -> DType | None:
    number = proto.tensor_type.elem_type
    return dtype_of(number) if number else None


def empty_sequence(n: NodeContext, dtype: DType | None) -> Value:
    """A sequence without elements."""
    v = n.b.op("seq_make")
    v.kind, v.dtype, v.shape = "sequence", dtype, None
    n.importer.empty.add(v)
    return v


def inserted(n: NodeContext, sequence: Value, item: Value, at: Value | None = None) -> Value:
    """The sequence with one more element."""
    v = n.b.op("seq_insert", sequence, item, at)
    joined: Shape = item.shape
    if sequence not in n.importer.empty:
        joined = join(
            n, element_of(sequence), item, "the elements", "the new one", n.importer
        ).shape
    v.kind, v.dtype, v.shape = "sequence", item.dtype or sequence.dtype, joined
    return v


def element_of(sequence: Value) -> Value:
    """A value of the type of the elements."""
    return Value("", sequence.dtype, sequence.shape)
