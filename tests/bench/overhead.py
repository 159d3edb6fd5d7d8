"""make bench-overhead: what control costs, in nanoseconds, and a call from Python.

Two lengths of each model are timed and their difference is divided by the difference of the lengths, so that the call itself
does not count. Where onnxruntime is installed it takes turns with Whit, run by run. bench.py --docs puts the table into
docs/performance.md.

    python tests/bench/overhead.py [--rounds N] [--json] [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx.parser

import whit

Run = Callable[[], Any]
Graph = Callable[[int], str]


def parse(graph: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> {graph}')


WHILE = """
count (int64 trips) => (int64 sum) <bool yes = {1}, int64 zero = {0}, int64 one = {1}> {
  sum = Loop("", yes, zero) <body = body (int64 i, bool go, int64 before) => (bool again, int64 now) {
    now = Add(before, one)
    again = Less(now, trips)
  }>
}"""

STACKED = """
stack (int64 trips) => (int64 sum, int64[n] sums) <bool yes = {1}, int64 zero = {0}, int64 one = {1}> {
  sum, sums = Loop(trips, yes, zero) <body = body (int64 i, bool go, int64 before) => (bool again, int64 now, int64 slice) {
    again = Identity(go)
    now = Add(before, one)
    slice = Identity(now)
  }>
}"""

EMPTY = """
empty (int64 trips) => (int64 last) <bool yes = {1}, int64 zero = {0}> {
  last = Loop(trips, yes, zero) <body = body (int64 i, bool go, int64 before) => (bool again, int64 now) {
    again = Identity(go)
    now = Identity(i)
  }>
}"""


def chain(n: int) -> str:
    """n additions to one number, none of which can be left out or joined (fuse=False)."""
    lines = "\n".join(f"  v{k + 1} = Add(v{k}, x)" for k in range(n))
    return f"chain (bool c, float x, float v0) => (float v{n}) {{\n{lines}\n}}"


def branches(n: int) -> str:
    """The same, each in a branch."""
    lines = "\n".join(
        f"  v{k + 1} = If(c) <then_branch = t{k} () => (float a{k}) {{ a{k} = Add(v{k}, x) }},"
        f" else_branch = e{k} () => (float b{k}) {{ b{k} = Sub(v{k}, x) }}>"
        for k in range(n)
    )
    return f"branches (bool c, float x, float v0) => (float v{n}) {{\n{lines}\n}}"


def whit_run(model: onnx.ModelProto, feeds: dict[str, Any], **options: Any) -> Run:
    """The C call alone, on inputs that are set."""
    loaded = whit.load(whit.convert(model, **options))
    instance, arrays = loaded.instance(feeds)
    return lambda: instance.times(arrays, 1, float("inf"))[0]


def ort_run(model: onnx.ModelProto, feeds: dict[str, Any]) -> Run | None:
    try:
        import onnxruntime as ort
    except ImportError:
        return None
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def run() -> int:
        start = time.perf_counter_ns()
        session.run(None, feeds)
        return time.perf_counter_ns() - start

    return run


def slopes(short: list[Run | None], long: list[Run | None], steps: int, rounds: int) -> list[float]:
    """Nanoseconds a step for each contestant; every round runs all of them, and the smallest time counts."""
    best = [[float("inf")] * 2 for _ in short]
    for _ in range(rounds):
        for k, pair in enumerate(zip(short, long, strict=True)):
            for length, run in enumerate(pair):
                if run is not None:
                    best[k][length] = min(best[k][length], run())
    return [(b - a) / steps for a, b in best]


Pair = list[float]
"""Nanoseconds: Whit's, onnxruntime's or infinity."""


def measure_loop(graph: str, rounds: int) -> Pair:
    model, low, high = parse(graph), 1000, 11000
    pairs = []
    for trips in (low, high):
        feeds = {"trips": np.array(trips)}
        pairs.append([whit_run(model, feeds), ort_run(model, feeds)])
    return slopes(pairs[0], pairs[1], high - low, rounds)


def measure_chain(graph: Graph, rounds: int) -> Pair:
    low, high = 100, 1100
    feeds = {"c": np.array(True), "x": np.array(1, np.float32), "v0": np.array(0, np.float32)}
    pairs = []
    for n in (low, high):
        model = parse(graph(n))
        pairs.append([whit_run(model, feeds, fuse=False), ort_run(model, feeds)])
    return slopes(pairs[0], pairs[1], high - low, rounds)


def measure_call(rounds: int) -> Pair:
    """Of a model of one node: model(x), less the run alone."""
    calls = 200
    model = parse("one (float[1, 4] x) => (float[1, 4] y) { y = Neg(x) }")
    loaded, x = whit.load(whit.convert(model)), np.ones((1, 4), np.float32)
    instance, arrays = loaded.instance({"x": x})
    loaded(x)
    python = run = float("inf")
    for _ in range(rounds):
        start = time.perf_counter_ns()
        for _ in range(calls):
            loaded(x)
        python = min(python, (time.perf_counter_ns() - start) / calls)
        run = min(run, *instance.times(arrays, calls, float("inf")))
    return [python - run, float("inf")]


@dataclass
class Row:
    """ort_ns: None where there is no such thing, or no onnxruntime."""

    what: str
    goal_ns: float
    whit_ns: float
    ort_ns: float | None


def measure(rounds: int = 60) -> list[Row]:
    node, branch = measure_chain(chain, rounds), measure_chain(branches, rounds)
    found: list[tuple[str, float, Pair]] = [
        ("iteration of a while loop that counts", 40, measure_loop(WHILE, rounds)),
        ("iteration that does nothing, by a trip count", 40, measure_loop(EMPTY, rounds)),
        ("iteration that counts, with a stacked output", 60, measure_loop(STACKED, rounds)),
        ("node of a chain, every value observable", 15, node),
        ("`If`, beyond its branch", 100, [b - a for a, b in zip(node, branch, strict=True)]),
        ("`model(x)` in Python, beyond the run", 3000, measure_call(rounds)),
    ]
    return [
        Row(what, goal, whit_ns, ort_ns if np.isfinite(ort_ns) else None)
        for what, goal, (whit_ns, ort_ns) in found
    ]


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = ["| ns | whit | goal | onnxruntime | times as fast |", "|---|--:|--:|--:|--:|"]
    for r in rows:
        other = " |  |" if r.ort_ns is None else f"{r.ort_ns:,.0f} | {r.ort_ns / r.whit_ns:.0f} |"
        said = "" if r.whit_ns <= r.goal_ns else ": missed"
        lines.append(f"| {r.what} | {r.whit_ns:,.1f} | {r.goal_ns:,.0f}{said} | {other}")
    return "\n".join(lines)


def main() -> int:
    """Prints the table; 1 if --check is given and a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    args = parser.parse_args()
    rows = measure(args.rounds)
    print(json.dumps([asdict(r) for r in rows]) if args.json else table(rows))
    return int(args.check and any(r.whit_ns > r.goal_ns for r in rows))


if __name__ == "__main__":
    sys.exit(main())
