"""make bench-overhead: what control costs: nanoseconds per iteration of an empty loop, and per trivial node of a chain.

Two lengths of each model are timed and their difference is divided by the difference of the lengths, so that the call itself
does not count. Where onnxruntime is installed it takes turns with Whit, run by run, and the ratio is printed.

    python tests/bench/overhead.py [--rounds N] [--json] [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx.parser

import whit

LIMITS = {"loop iteration": 100.0, "node": 30.0}
"""Nanoseconds that `--check` allows."""

Run = Callable[[], Any]


def parse(graph: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> {graph}')


LOOP = """
loop (int64 trips) => (int64 last) <bool yes = {1}, int64 zero = {0}> {
  last = Loop(trips, yes, zero) <body = body (int64 i, bool go, int64 before) => (bool again, int64 now) {
    again = Identity(go)
    now = Identity(i)
  }>
}"""

COUNTING_LOOP = """
count (int64 trips) => (int64 sum) <bool yes = {1}, int64 zero = {0}, int64 one = {1}> {
  sum = Loop(trips, yes, zero) <body = body (int64 i, bool go, int64 before) => (bool again, int64 now) {
    again = Identity(go)
    now = Add(before, one)
  }>
}"""


def chain(n: int) -> str:
    """n additions to one number, none of which can be left out or joined (fuse=False)."""
    lines = "\n".join(f"  v{k + 1} = Add(v{k}, x)" for k in range(n))
    return f"chain (float x, float v0) => (float v{n}) {{\n{lines}\n}}"


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


def measure_loop(graph: str, rounds: int) -> list[float]:
    model, low, high = parse(graph), 1000, 11000
    pairs = []
    for trips in (low, high):
        feeds = {"trips": np.array(trips)}
        pairs.append([whit_run(model, feeds), ort_run(model, feeds)])
    return slopes(pairs[0], pairs[1], high - low, rounds)


def measure_chain(rounds: int) -> list[float]:
    low, high = 100, 1100
    feeds = {"x": np.float32(1), "v0": np.float32(0)}
    arrays = {k: np.asarray(v) for k, v in feeds.items()}
    pairs = []
    for n in (low, high):
        model = parse(chain(n))
        pairs.append([whit_run(model, arrays, fuse=False), ort_run(model, arrays)])
    return slopes(pairs[0], pairs[1], high - low, rounds)


def main() -> int:
    """Prints the table; 1 if --check is given and a limit is passed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="fail beyond the limits")
    args = parser.parse_args()
    rows: dict[str, list[float]] = {
        "loop iteration": measure_loop(LOOP, args.rounds),
        "loop iteration with one addition": measure_loop(COUNTING_LOOP, args.rounds),
        "node": measure_chain(args.rounds),
    }
    failed = [k for k, limit in LIMITS.items() if args.check and rows[k][0] > limit]
    if args.json:
        print(json.dumps({k: {"whit_ns": v[0], "ort_ns": v[1]} for k, v in rows.items()}))
    else:
        print(f"{'ns per':34}{'whit':>8}{'onnxruntime':>13}{'ratio':>8}")
        for name, (ours, theirs) in rows.items():
            other = f"{theirs:13.1f}{theirs / ours:7.1f}x" if np.isfinite(theirs) else ""
            print(f"{name:34}{ours:8.1f}{other}")
    for name in failed:
        print(f"{name}: more than {LIMITS[name]:g} ns", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
