"""whit bench: load time, first run, the distribution of warm runs, time per node and operator, memory."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import _feeds, _profile
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
    _breakdown(report, model, instance, arrays, args)
    if args.trace:
        events = _profile.trace(model, instance, arrays, args.threads)
        Path(args.trace).write_text(
            json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}), encoding="utf-8"
        )
        report.line(f"\nthe trace of one run is in {args.trace} (ui.perfetto.dev opens it)")
    return report


def _warm(instance: Instance, arrays: list[Feed], n_runs: int, budget_s: float) -> list[int]:
    """Times of runs in nanoseconds, sorted. Some runs go before them, uncounted."""
    instance.times(arrays, max(n_runs // 10, 3), time.perf_counter() + budget_s * 0.1)
    if n_runs:
        return sorted(instance.times(arrays, n_runs, float("inf")))
    until = time.perf_counter() + budget_s
    times = instance.times(arrays, 5, float("inf"))
    return sorted(times + instance.times(arrays, 1 << 30, until))


def _breakdown(
    report: Report, model: Model, instance: Instance, arrays: list[Feed], args: argparse.Namespace
) -> None:
    """Time per node and per operator, of one run. Control nodes count without what is in them."""
    peaks = _profile.peaks(args.threads) if args.profile else None
    budget = 1e9 * args.seconds if args.profile else 2e8
    nodes = _profile.nodes(model, instance, arrays, budget, peaks)
    if nodes is None:
        report.line("(no profile: libwhit_platform is not there)")
        return
    operators = _profile.operators(nodes)
    report.data["nodes"], report.data["operators"] = nodes, operators
    total = max(sum(n["ns"] for n in nodes), 1.0)
    if peaks:
        _show_peaks(report, peaks, nodes, total)
    more = ("MFLOP", "KB", "GFLOP/s", "GB/s", "% of roofline") if peaks else ()
    report.line("\nby operator (a run; reading the clock adds some 25 ns a node)")
    report.table(
        ("operator", "nodes", "runs", "us", "%", *more),
        [
            (f"{o['operator']} {o['kind']}".strip(), o["nodes"], *_row(o, total, peaks))
            for o in operators
        ],
    )
    top = args.top
    report.line(f"\nby node{f' (the first {top} of {len(nodes)})' if len(nodes) > top else ''}")
    report.table(
        ("#", "operator", "source node", "runs", "us", "%", *more),
        [(n["index"], n["operator"], n["name"], *_row(n, total, peaks)) for n in nodes[:top]],
    )


def _row(record: dict[str, Any], total_ns: float, peaks: _profile.Peaks | None) -> tuple[Any, ...]:
    """Executions, time and share of a node or an operator, and with peaks what it did in that time."""
    ns = record["ns"]
    shown = (record["runs"], ns / 1e3, 100 * ns / total_ns)
    if not peaks:
        return shown
    n_bytes = record["weight_bytes"] + record["other_bytes"]
    at = max(ns, 1.0)
    share = 100 * record["bound_ns"] / at
    return (
        *shown, record["flops"] / 1e6, n_bytes / 1e3, record["flops"] / at, n_bytes / at,
        share if n_bytes or record["flops"] else None,
    )  # fmt: skip


def _show_peaks(
    report: Report, peaks: _profile.Peaks, nodes: list[dict[str, Any]], total_ns: float
) -> None:
    flops, bound = (sum(n[k] for n in nodes) for k in ("flops", "bound_ns"))
    report.data["peaks"] = {
        "threads": peaks.threads,
        "gflops": peaks.gflops,
        "read": [{"bytes": size, "gb_per_s": v} for size, v in peaks.read],
    }
    report.data |= {"flops": flops, "bound_ns": bound, "of_roofline": bound / total_ns}
    sizes = ", ".join(f"{v:.0f} GB/s from {size >> 10:,} KB" for size, v in peaks.read)
    plural = "s" if peaks.threads > 1 else ""
    report.line(
        f"\nroofline of {peaks.threads} thread{plural}, measured now: {peaks.gflops:.0f} GFLOP/s; reads {sizes}"
    )
    report.line(
        f"{flops / 2e6:,.1f} million multiply-adds; the nodes' bounds are {100 * bound / total_ns:.0f} % of their time"
    )
