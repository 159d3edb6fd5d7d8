"""whit bench: load time, first run, the distribution of warm runs, time per node and operator, memory."""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np

from . import _feeds, _native
from ._instance import Feed, Instance
from ._native import lib
from ._table import Report, seconds
from .errors import RunError
from .model import Model, load


def run(args: argparse.Namespace) -> Report:
    if args.runs < 0 or args.seconds <= 0 or args.threads < 1:
        raise RunError("--runs, --seconds and --threads must be positive")
    loads = []
    for _ in range(20):
        start = time.perf_counter_ns()
        model = load(args.model)
        loads.append(time.perf_counter_ns() - start)
    entry = model.entry(args.entry)
    feeds = _feeds.gather(entry, args.inputs, _feeds.parse_shapes(args.shape), args.seed)
    start = time.perf_counter_ns()
    instance, arrays = model.instance(feeds, entry=args.entry, threads=args.threads)
    planned = time.perf_counter_ns()
    instance.run(arrays)
    first = time.perf_counter_ns() - start
    times = _warm(instance, arrays, args.runs, args.seconds)
    data: dict[str, Any] = {
        "file": args.model,
        "shapes": {k: list(np.shape(v)) for k, v in feeds.items() if isinstance(v, np.ndarray)},
        "threads": args.threads,
        "runs": len(times),
        "load_ns": statistics.median(loads),
        "plan_ns": planned - start,
        "first_run_ns": first,
        "min_ns": times[0],
        "median_ns": statistics.median(times),
        "p95_ns": times[min(len(times) - 1, len(times) * 95 // 100)],
        "steps": instance.steps(),
        "arena_bytes": int(instance.arena.nbytes),
        "instance_bytes": int(lib().whit_instance_bytes(model.at)),
        "state_bytes": int(lib().whit_state_bytes(model.at)),
        "file_bytes": int(model.file.data.nbytes),
    }
    report = Report(data)
    report.line(
        f"{args.model}, {len(times):,} runs, {args.threads} thread{'s' * (args.threads > 1)}"
    )
    keys = ("load_ns", "first_run_ns", "min_ns", "median_ns", "p95_ns")
    labels = ("load", "first run (with plan)", "min", "median", "p95")
    report.table(
        ("time", ""), [(label, seconds(data[k])) for label, k in zip(labels, keys, strict=True)]
    )
    report.line()
    sizes = ("arena_bytes", "instance_bytes", "state_bytes", "file_bytes")
    report.table(("bytes", ""), [(k.removesuffix("_bytes"), data[k]) for k in sizes])
    report.line(f"\n{data['steps']:,} nodes executed a run")
    _profile(report, model, instance, arrays, args.top)
    return report


def _warm(instance: Instance, arrays: list[Feed], n_runs: int, budget_s: float) -> list[int]:
    """Times of runs in nanoseconds, sorted. Some runs go before them, uncounted."""
    instance.times(arrays, max(n_runs // 10, 3), time.perf_counter() + budget_s * 0.1)
    if n_runs:
        return sorted(instance.times(arrays, n_runs, float("inf")))
    until = time.perf_counter() + budget_s
    times = instance.times(arrays, 5, float("inf"))
    return sorted(times + instance.times(arrays, 1 << 30, until))


def _profile(
    report: Report, model: Model, instance: Instance, arrays: list[Feed], top: int
) -> None:
    """Time per node and per operator, of one run. Control nodes count without what is in them."""
    n_runs = max(3, min(200, int(2e8 / max(report.data["median_ns"], 1))))
    measured = instance.profile(arrays, n_runs)
    if measured is None:
        report.line("(no profile: libwhit_platform is not there)")
        return
    ns, count = (a.astype(np.float64) / n_runs for a in measured)
    total = max(float(ns.sum()), 1.0)
    c, names = lib(), model.file.node_names
    nodes = [
        {
            "index": int(k),
            "operator": _native.text(c.whit_node_operator(model.at, int(k))),
            "name": names[k],
            "runs": float(count[k]),
            "ns": float(ns[k]),
        }
        for k in np.argsort(-ns, kind="stable")
        if count[k]
    ]
    operators: dict[str, list[float]] = {}
    for n in nodes:
        sums = operators.setdefault(n["operator"], [0, 0.0, 0.0])
        sums[0] += 1
        sums[1] += n["runs"]
        sums[2] += n["ns"]
    by_operator = sorted(operators.items(), key=lambda item: -item[1][2])
    report.data["nodes"] = nodes
    report.data["operators"] = [
        {"operator": op, "nodes": int(n), "runs": r, "ns": t} for op, (n, r, t) in by_operator
    ]
    report.line("\nby operator (a run; reading the clock adds some 25 ns a node)")
    report.table(
        ("operator", "nodes", "runs", "us", "%"),
        [(op, int(n), r, t / 1e3, 100 * t / total) for op, (n, r, t) in by_operator],
    )
    report.line(f"\nby node{f' (the first {top} of {len(nodes)})' if len(nodes) > top else ''}")
    report.table(
        ("#", "operator", "source node", "runs", "us", "%"),
        [
            (n["index"], n["operator"], n["name"], n["runs"], n["ns"] / 1e3, 100 * n["ns"] / total)
            for n in nodes[:top]
        ],
    )
