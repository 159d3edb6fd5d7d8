"""whit bench: load time, first run, the distribution of warm runs, time per node and operator, memory; here or on a phone."""

from __future__ import annotations

import argparse
import json
import statistics
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from . import _adb, _feeds, _machine, _profile
from ._instance import Feed, Instance
from ._native import lib
from ._table import Report, seconds
from .errors import RunError
from .model import Model, load

INTERVALS = 20
"""Of a long run."""
MAX_TIMES = 1 << 16
"""Times that are kept of an interval; of more runs every second, fourth ... one."""
SIZES = (
    "arena_bytes", "instance_bytes", "state_bytes", "file_bytes",
    "peak_resident_bytes", "resident_bytes", "anonymous_bytes",
)  # fmt: skip


def run(args: argparse.Namespace) -> Report:
    _check(args)
    if args.adb:
        if args.trace:
            raise RunError("--trace shows a run on this machine; it does not go with --adb")
        return _report(_adb.measure(args), args)
    model = load(args.model)
    data, instance, arrays = _measure(model, args)
    report = _report(data, args)
    if args.trace:
        events = _profile.trace(model, instance, arrays, args.threads)
        Path(args.trace).write_text(
            json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}), encoding="utf-8"
        )
        report.line(f"\nthe trace of one run is in {args.trace} (ui.perfetto.dev opens it)")
    return report


def _check(args: argparse.Namespace) -> None:
    if args.runs < 0 or args.seconds <= 0 or args.threads < 1:
        raise RunError("--runs, --seconds and --threads must be positive")
    if args.minutes < 0 or (args.warmup or 0) < 0:
        raise RunError("--minutes and --warmup must not be negative")
    for name in ("serial", "abi", "taskset"):
        if getattr(args, name) and not args.adb:
            raise RunError(f"--{name} says something about a phone: it needs --adb")


# ---- measuring ----------------------------------------------------------------------------------------


def _measure(model: Model, args: argparse.Namespace) -> tuple[dict[str, Any], Instance, list[Feed]]:
    """The numbers, with the keys that whit_bench's JSON has; and what was measured."""
    loads = []
    for _ in range(20):
        start = time.perf_counter_ns()
        load(args.model)
        loads.append(time.perf_counter_ns() - start)
    entry = model.entry(args.entry)
    feeds = _feeds.gather(entry, args.inputs, _feeds.parse_shapes(args.shape), args.seed)
    start = time.perf_counter_ns()
    instance, arrays = model.instance(feeds, entry=args.entry, threads=args.threads)
    planned = time.perf_counter_ns()
    results = instance.run(arrays)
    first = time.perf_counter_ns() - start
    times = _warm(instance, arrays, args)
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
        **_machine.memory(),
        **_machine.machine(),
        "outputs": _fingerprints({p.name: y for p, y in zip(entry.outputs, results, strict=True)}),
    }
    if args.minutes:
        data["intervals"] = at = _long_run(instance, arrays, 60 * args.minutes)
        data["drift"] = at[-1]["median_ns"] / at[0]["median_ns"]
    _profiled(data, model, instance, arrays, args)
    return data, instance, arrays


def _fingerprints(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the first run's outputs, so that two machines can be compared bit by bit."""
    return [
        {"name": name, "dtype": y.dtype.name, "shape": list(y.shape), "crc32": zlib.crc32(y.tobytes())}
        for name, y in _feeds.flatten(results).items()
    ]  # fmt: skip


def _warm(instance: Instance, arrays: list[Feed], args: argparse.Namespace) -> list[int]:
    """Times of runs in nanoseconds, sorted. Some runs go before them, uncounted."""
    if args.warmup is None:
        until = time.perf_counter() + args.seconds * 0.1
        instance.times(arrays, max(args.runs // 10, 3), until)
    else:
        instance.times(arrays, args.warmup, float("inf"))
    if args.runs:
        return sorted(instance.times(arrays, args.runs, float("inf")))
    until = time.perf_counter() + args.seconds
    times = instance.times(arrays, 5, float("inf"))
    return sorted(times + instance.times(arrays, 1 << 30, until))


def _long_run(instance: Instance, arrays: list[Feed], total_s: float) -> list[dict[str, Any]]:
    """Intervals of equal length, each of one run at least: a run longer than an interval leaves the next ones out."""
    found: list[dict[str, Any]] = []
    start = now = time.perf_counter()
    while now - start < total_s and len(found) < INTERVALS:
        slot = int((now - start) / total_s * INTERVALS)
        end = start + total_s * (slot + 1) / INTERVALS
        times: list[int] = []
        runs, least, stride = 0, float("inf"), 1
        begin = now - start
        while not runs or now < end:
            some = instance.times(arrays, MAX_TIMES, end)
            runs, least = runs + len(some), min(least, *some)
            times += some[::stride]
            if len(times) > MAX_TIMES:
                times, stride = times[::2], stride * 2
            now = time.perf_counter()
        found.append(
            {
                "start_s": begin,
                "runs": runs,
                "min_ns": least,
                "median_ns": statistics.median(times),
                "mhz": max(_machine.clocks(), default=0),
            }
        )
    return found


def _profiled(
    data: dict[str, Any], model: Model, instance: Instance, arrays: list[Feed], args: argparse.Namespace
) -> None:  # fmt: skip
    """Adds the time per node and per operator, of one run. Control nodes count without what is in them."""
    nodes = _profile.nodes(model, instance, arrays, 1e9 * args.seconds if args.profile else 2e8)
    if nodes is None:
        return
    data["nodes"], data["operators"] = nodes, _profile.operators(nodes)
    peaks = _profile.peaks(args.threads) if args.profile else None
    if peaks:
        data["peaks"] = {
            "threads": peaks.threads,
            "gflops": peaks.gflops,
            "read": [{"bytes": size, "gb_per_s": v} for size, v in peaks.read],
        }
        _profile.add_roofline(data, _profile.costs(model, instance, arrays))


# ---- showing -------------------------------------------------------------------------------------------


def _report(data: dict[str, Any], args: argparse.Namespace) -> Report:
    report = Report(data)
    where = " ".join([*filter(None, [data.get("device")]), data["machine"], *data["cpu"]])
    if data["cpu_mhz"]:
        where += f", MHz: {' '.join(map(str, data['cpu_mhz']))}"
    report.line(
        f"{args.model}, {data['runs']:,} runs, {args.threads} thread{'s' * (args.threads > 1)}, "
        f"{where}"
    )
    keys = ("load_ns", "first_run_ns", "min_ns", "median_ns", "p95_ns")
    labels = ("load", "first run (with plan)", "min", "median", "p95")
    report.table(
        ("time", ""), [(label, seconds(data[k])) for label, k in zip(labels, keys, strict=True)]
    )
    report.line()
    report.table(
        ("bytes", ""), [(k.removesuffix("_bytes").replace("_", " "), data[k]) for k in SIZES]
    )
    report.line(f"\n{data['steps']:,} nodes executed a run")
    if "intervals" in data:
        _show_intervals(report, args.minutes)
    if "nodes" in data:
        _breakdown(report, args.top)
    else:
        report.line("(no profile: libwhit_platform is not there)")
    return report


def _show_intervals(report: Report, minutes: float) -> None:
    at = report.data["intervals"]
    report.line(f"\n{minutes:g} minutes")
    report.table(
        ("from, s", "runs", "min", "median", "MHz"),
        [
            (
                i["start_s"],
                i["runs"],
                seconds(i["min_ns"]),
                seconds(i["median_ns"]),
                i["mhz"] or None,
            )
            for i in at
        ],
    )
    report.line(f"  the last interval's median is {report.data['drift']:.3f} times the first's")


def _breakdown(report: Report, top: int) -> None:
    nodes, operators = report.data["nodes"], report.data["operators"]
    total = _profile.total_ns(nodes)
    with_peaks = "peaks" in report.data
    if with_peaks:
        _show_peaks(report)
    more = ("MFLOP", "KB", "GFLOP/s", "GB/s", "% of roofline") if with_peaks else ()
    report.line("\nby operator (a run; reading the clock adds some 25 ns a node)")
    report.table(
        ("operator", "nodes", "runs", "us", "%", *more),
        [
            (f"{o['operator']} {o['kind']}".strip(), o["nodes"], *_row(o, total, with_peaks))
            for o in operators
        ],
    )
    report.line(f"\nby node{f' (the first {top} of {len(nodes)})' if len(nodes) > top else ''}")
    report.table(
        ("#", "operator", "source node", "runs", "us", "%", *more),
        [(n["index"], n["operator"], n["name"], *_row(n, total, with_peaks)) for n in nodes[:top]],
    )


def _row(record: dict[str, Any], total_ns: float, with_peaks: bool) -> tuple[Any, ...]:
    """Executions, time and share of a node or an operator, and with peaks what it did in that time."""
    ns = record["ns"]
    shown = (record["runs"], ns / 1e3, 100 * ns / total_ns)
    if not with_peaks:
        return shown
    n_bytes = record["weight_bytes"] + record["other_bytes"]
    at = max(ns, 1.0)
    share = 100 * record["bound_ns"] / at
    return (
        *shown, record["flops"] / 1e6, n_bytes / 1e3, record["flops"] / at, n_bytes / at,
        share if n_bytes or record["flops"] else None,
    )  # fmt: skip


def _show_peaks(report: Report) -> None:
    data = report.data
    peaks, n_threads = data["peaks"], data["peaks"]["threads"]
    sizes = ", ".join(
        f"{r['gb_per_s']:.0f} GB/s from {r['bytes'] >> 10:,} KB" for r in peaks["read"]
    )
    plural = "s" if n_threads > 1 else ""
    report.line(
        f"\nroofline of {n_threads} thread{plural}, measured now: {peaks['gflops']:.0f} GFLOP/s; reads {sizes}"
    )
    share = 100 * data["of_roofline"]
    report.line(
        f"{data['flops'] / 2e6:,.1f} million multiply-adds; the nodes' bounds are {share:.0f} % of their time"
    )
