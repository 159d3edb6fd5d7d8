"""Where a run's time goes: per node, as a share of what the machine could do (its roofline), and as a trace of one run.

A node's bound is the longer of two times: its multiply-adds at the peak of the vector unit, and its bytes at the speed of
reading them. Both speeds are measured here, on the threads that the run has. Weights are read at the speed of a block as large
as all that a run touches, because the rest of the run has pushed them out of the caches; other tensors, which a
neighbour has just written, at that of a block of their own size.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _native, _operators, _threads, dtypes
from ._instance import Feed, Instance
from ._native import NONE, TENSOR, Array, address, lib
from .errors import RunError
from .model import Model

VIEWS = frozenset(("bitcast", "expand", "identity", "reshape", "slice", "transpose"))
"""Operators that move nothing where the plan lets them show another's data."""
READS_PART = frozenset(("gather", "gather_elements", "gather_nd", "slice"))
"""Operators that read as much of their first input as they write."""
BLOCKS = (1 << 15, 1 << 19, 1 << 22, 1 << 24, 1 << 27)
"""Bytes that are read to measure the caches and the memory."""
EVENT = np.dtype(
    [("start", "<u8"), ("end", "<u8"), ("thread", "<u8"), ("node", "<u4"), ("part", "<u4")]
)
"""whit_trace_event"""


# ---- the machine ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Peaks:
    """What the machine can do at most with so many threads."""

    threads: int
    gflops: float
    read: tuple[tuple[int, float], ...]
    """(bytes of a block, GB/s of reading it), by size."""

    def speed(self, n_bytes: float) -> float:
        """GB/s of reading a block of this size: between two that were measured, by the logarithm of the size."""
        sizes, speeds = zip(*self.read, strict=True)
        return float(np.interp(np.log(max(n_bytes, 1.0)), np.log(sizes), speeds))

    def bound_ns(self, cost: Cost, touched: int) -> float:
        """The time that a node would take if nothing but the machine held it up."""
        compute = cost.flops / self.gflops
        memory = cost.weights / self.speed(touched)
        memory += cost.others / self.speed(cost.others / max(cost.runs, 1))
        return max(compute, memory)


def peaks(n_threads: int) -> Peaks | None:
    """Measures them: a tenth of a second. None without the platform library."""
    helper = _native.platform_lib()
    if helper is None:
        return None
    pool = _threads.host(n_threads, 0).context
    n_flops = 384 << 14
    block = _native.aligned(BLOCKS[-1])
    block[:] = 0
    peak = _native.Peak(n_flops=n_flops, data=address(block), cpu=_native.cpu_features())
    where = ctypes.addressof(peak)

    def best(work: Any, repeats: int) -> float:
        times = []
        for _ in range(repeats):
            start = time.perf_counter_ns()
            if pool:
                helper.whit_threads_for(pool, ctypes.cast(work, ctypes.c_void_p), where, n_threads)
            else:
                work(where, 0)
            times.append(time.perf_counter_ns() - start)
        return float(min(times))

    gflops = n_threads * n_flops / best(helper.whit_peak_flops, 20)
    read = []
    for size in BLOCKS:
        peak.n_times = max(1, (1 << 22) // size)
        peak.n_bytes = size // n_threads // 4096 * 4096
        n_bytes = peak.n_bytes * peak.n_times * n_threads
        read.append((size, n_bytes / best(helper.whit_peak_read, 3 if size == BLOCKS[-1] else 12)))
    return Peaks(n_threads, gflops, tuple(read))


# ---- what nodes have to do ------------------------------------------------------------------------------


@dataclass(slots=True)
class Cost:
    """Of one node in one run, all of its executions together."""

    runs: int = 0
    flops: float = 0.0
    """Of multiply-adds, two each; 0 where bytes are what matters."""
    weights: float = 0.0
    """Bytes of constants read."""
    others: float = 0.0
    """Bytes of other tensors read and written."""
    kind: str = ""
    """What tells it from others of its operator."""


Shapes = Sequence[tuple[int, ...]]


def _product(shape: Sequence[int]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _conv(a: dict[str, Any], inputs: Shapes, y: tuple[int, ...], constant: bool) -> tuple[int, str]:
    each = inputs[0][-1] // max(a["group"], 1)
    size = "x".join(map(str, a["kernel"])) or "rows"
    kind = " depthwise" if a["group"] > 1 and each == 1 else " grouped" if a["group"] > 1 else ""
    return _product(y) * _product(a["kernel"]) * each, f"{size}{kind}"


def _bottleneck(
    a: dict[str, Any], inputs: Shapes, y: tuple[int, ...], constant: bool
) -> tuple[int, str]:
    """As three convolutions: lines that several threads expand count once."""
    x, depth, _, _, _, expand = (*inputs, (), (), ())[:6]
    between = depth[-1]
    n = _product(y[:-1]) * between * (_product(depth[:2]) + y[-1])
    size = "x".join(map(str, depth[:2]))
    return n + (_product(x) * between if expand else 0), f"{size}{' expanded' if expand else ''}"


def _conv_transpose(
    a: dict[str, Any], inputs: Shapes, y: tuple[int, ...], constant: bool
) -> tuple[int, str]:
    each = y[-1] // max(a["group"], 1)
    return _product(inputs[0]) * _product(a["kernel"]) * each, "x".join(map(str, a["kernel"]))


def _matmul(
    a: dict[str, Any], inputs: Shapes, y: tuple[int, ...], constant: bool
) -> tuple[int, str]:
    k = inputs[0][-2 if a["trans_a"] and len(inputs[0]) > 1 else -1]
    kind = "by a constant" if constant else "of two values"
    return _product(y) * k, f"{kind}{', one row' if _product(y[:-1]) == 1 else ''}"


def _attention(
    a: dict[str, Any], inputs: Shapes, y: tuple[int, ...], constant: bool
) -> tuple[int, str]:
    """Of every query with every key, what a causal mask leaves out included."""
    return (_product(inputs[0]) + _product(y)) * inputs[1][-2], ""


MULTIPLY_ADDS = {
    "attention": _attention,
    "bottleneck": _bottleneck,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "matmul": _matmul,
}
"""(attributes, shapes of the inputs, () where none is given, shape of the output, is the second input constant) -> how many, and the kind."""


def _shape(t: _native.Tensor) -> tuple[int, ...]:
    return tuple(t.shape[: t.rank])


def _bytes(t: _native.Tensor) -> int:
    """Bytes of memory that a tensor shows: what it repeats counts once."""
    if t.kind != TENSOR or not t.dtype:
        return 0
    n = _product([s for s, stride in zip(_shape(t), t.stride, strict=False) if stride])
    return n * dtypes.to_numpy(t.dtype).itemsize


def costs(model: Model, instance: Instance, arrays: Sequence[Feed]) -> list[Cost]:
    """What every node has to do in a run, from the shapes that an observed run shows."""
    c, file = lib(), model.file
    found = [Cost() for _ in file.nodes]
    operators = [_native.text(c.whit_node_operator(model.at, k)) for k in range(len(found))]
    ids = [int(file.ops[int(n["op"])]) for n in file.nodes]
    failures: list[Exception] = []

    def add(handle: int, node: int) -> None:
        cost, operator = found[node], operators[node]
        cost.runs += 1
        if int(file.nodes[node]["end"]) > node + 1:
            return  # what is in its regions counts
        values, others, weights = file.node_inputs(node), 0, 0
        inputs: list[_native.Tensor | None] = []
        for k, value in enumerate(values):
            if value == NONE:
                inputs.append(None)
                continue
            t = c.whit_node_value(handle, node, 0, k).contents
            inputs.append(t)
            if value < len(file.constants):
                weights += _bytes(t)
            else:
                others += _bytes(t)
        outputs = [
            c.whit_node_value(handle, node, 1, k).contents
            for k, value in enumerate(file.node_outputs(node))
            if value != NONE
        ]
        written = sum(map(_bytes, outputs))
        if operator in VIEWS and inputs[0] is not None and _shows(outputs[0], inputs[0]):
            return
        if operator in READS_PART:
            weights, others = min(weights, written), min(others, written)
        cost.weights += weights
        cost.others += others + written
        if operator in MULTIPLY_ADDS:
            constant = len(values) > 1 and values[1] < len(file.constants)
            n, cost.kind = MULTIPLY_ADDS[operator](
                _operators.attributes(ids[node], file.node_attributes(node)),
                [() if t is None else _shape(t) for t in inputs],
                _shape(outputs[0]),
                constant,
            )
            cost.flops += 2.0 * n

    def observe(_: Any, handle: int, node: int, after: int) -> int:
        if after and not failures:
            try:
                add(handle, node)
            except Exception as e:  # it must not go through C
                failures.append(e)
        return 0

    instance.run_observed(arrays, observe)
    if failures:
        raise failures[0]
    return found


def _shows(y: _native.Tensor, x: _native.Tensor) -> bool:
    """Whether an output lies where its input does."""
    start = x.data or 0
    return bool(x.data) and start <= (y.data or 0) < start + max(_bytes(x), 1)


def nodes(
    model: Model, instance: Instance, arrays: Sequence[Feed], budget_ns: float
) -> list[dict[str, Any]] | None:
    """A record for each node that ran, slowest first: means of one run.

    Each is the smallest of several measurements, so that a busy machine shows less. None without the platform library.
    """
    best: Array | None = None
    until = time.perf_counter_ns() + budget_ns
    for n in range(200):
        measured = instance.profile(arrays, 1)
        if measured is None:
            return None
        ns, count = (a.astype(np.float64) for a in measured)
        best = ns if best is None else np.minimum(best, ns)
        if n >= 4 and time.perf_counter_ns() > until:
            break
    assert best is not None
    return [
        {
            "index": k,
            "operator": _native.text(lib().whit_node_operator(model.at, k)),
            "name": model.file.node_names[k],
            "runs": float(count[k]),
            "ns": float(best[k]),
        }
        for k in np.argsort(-best, kind="stable").tolist()
        if count[k]
    ]


SUMMED = ("runs", "ns", "flops", "weight_bytes", "other_bytes", "bound_ns")


def operators(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records summed by operator and kind, slowest first."""
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for r in records:
        key = (r["operator"], r.get("kind", ""))
        row = sums.setdefault(key, {"operator": key[0], "kind": key[1], "nodes": 0})
        row["nodes"] += 1
        for field in SUMMED:
            if field in r:
                row[field] = row.get(field, 0.0) + r[field]
    return sorted(sums.values(), key=lambda row: -row["ns"])


def total_ns(records: Sequence[dict[str, Any]]) -> float:
    return float(max(sum(r["ns"] for r in records), 1.0))


def add_roofline(data: dict[str, Any], known: Sequence[Cost]) -> None:
    """Adds to what was measured what each node has to do, and the bound of its time by the peaks that are there."""
    peak = Peaks(
        data["peaks"]["threads"],
        data["peaks"]["gflops"],
        tuple((at["bytes"], at["gb_per_s"]) for at in data["peaks"]["read"]),
    )
    touched = int(data["arena_bytes"] + sum(cost.weights for cost in known))
    records = data["nodes"]
    for record in records:
        cost = known[record["index"]]
        record |= {
            "kind": cost.kind,
            "flops": cost.flops,
            "weight_bytes": cost.weights,
            "other_bytes": cost.others,
            "bound_ns": peak.bound_ns(cost, touched),
        }
    data["operators"] = operators(records)
    flops, bound = (sum(r[k] for r in records) for k in ("flops", "bound_ns"))
    data |= {"flops": flops, "bound_ns": bound, "of_roofline": bound / total_ns(records)}


# ---- a trace --------------------------------------------------------------------------------------------


def trace(model: Model, instance: Instance, arrays: Sequence[Feed], n_threads: int) -> list[Any]:
    """Chrome trace events of one run after a first one: what Perfetto and chrome://tracing open.

    Nodes are slices, iterations of loops slices around theirs; a thread that helped shows the pieces that it did.
    """
    events = _record(model, instance, arrays, n_threads)
    is_node = events["part"] == NONE
    own, pieces = events[is_node], events[~is_node]
    zero = int(events["start"].min()) if len(events) else 0
    main = int(own["thread"][0]) if len(own) else 0
    threads = [main, *(t for t in np.unique(pieces["thread"]).tolist() if t != main)]
    found: list[Any] = [
        {"name": "thread_name", "ph": "M", "pid": 1, "tid": k + 1, "args": {"name": name}}
        for k, name in enumerate(["run", *(f"helper {k}" for k in range(1, len(threads)))])
    ]
    names = _names(model)

    def piece(start: int, end: int, name: str, category: str, thread: int, args: Any) -> None:
        times = {"ts": (start - zero) / 1e3, "dur": (end - start) / 1e3}
        found.append(
            {"name": name, "cat": category, "ph": "X", "pid": 1, "tid": thread + 1, **times, "args": args}
        )  # fmt: skip

    if len(own):
        piece(zero, int(own["end"].max()), "run", "run", 0, {"nodes": len(own)})
    for start, end, name in _iterations(model, own):
        piece(start, end, name, "iteration", 0, {})
    for e in own.tolist():
        start, end, _, node, _ = e
        operator = _native.text(lib().whit_node_operator(model.at, node))
        piece(start, end, names[node], operator, 0, {"node": node, "operator": operator})
    for start, end, thread, node, part in pieces.tolist():
        piece(start, end, f"{names[node]} [{part}]", "part", threads.index(thread), {"node": node})
    # outer slices before inner ones that start with them
    return sorted(found, key=lambda e: (e.get("tid", 0), e.get("ts", -1.0), -e.get("dur", 0.0)))


def _names(model: Model) -> list[str]:
    return [
        name or f"{_native.text(lib().whit_node_operator(model.at, k))} #{k}"
        for k, name in enumerate(model.file.node_names)
    ]


def _record(model: Model, instance: Instance, arrays: Sequence[Feed], n_threads: int) -> Array:
    """The events of a run of an instance like this one, on threads that write down what they do."""
    helper = _native.platform_lib()
    if helper is None:
        raise RunError("no trace without libwhit_platform; `make lib` builds it")
    host = _threads.host(n_threads, 0)
    t = _native.Trace(threads=host.context)
    if host.parallel_for:
        host.parallel_for = ctypes.cast(helper.whit_trace_for, ctypes.c_void_p).value
        host.context = ctypes.addressof(t)
    traced = instance.like(host, arrays)
    observer = ctypes.cast(helper.whit_trace_observe, ctypes.c_void_p)
    lib().whit_observe(traced.handle, observer, ctypes.addressof(t))
    traced.run(arrays)  # tells how many events there are
    events = np.zeros(t.n + t.n // 2 + 64, EVENT)
    t.events, t.n_max, t.n, t.depth = address(events), len(events), 0, 0
    traced.run(arrays)
    return events[: min(t.n, len(events))]


def _iterations(model: Model, own: Array) -> list[tuple[int, int, str]]:
    """(start, end, name) of the iterations of loops: a body's nodes come again from the first one."""
    owners, c = model.file.owners(), lib()
    found: list[tuple[int, int, str]] = []
    open_loops: list[list[int]] = []
    """Per control node that is open: node, last node seen in it, iteration, its start, its end so far."""

    def close(frame: list[int]) -> None:
        if frame[1] >= 0 and c.whit_node_operator(model.at, frame[0]) == b"loop":
            found.append((frame[3], frame[4], f"iteration {frame[2]}"))

    for start, end, _, node, _ in own.tolist():
        while open_loops and open_loops[-1][0] != owners[node]:
            close(open_loops.pop())
        if open_loops:
            frame = open_loops[-1]
            if node <= frame[1]:
                close(frame)
                frame[2] += 1
            if node <= frame[1] or frame[1] < 0:
                frame[3] = start
            frame[1], frame[4] = node, end
        if int(model.file.nodes[node]["end"]) > node + 1:
            open_loops.append([node, -1, 0, 0, 0])
    while open_loops:
        close(open_loops.pop())
    return found
