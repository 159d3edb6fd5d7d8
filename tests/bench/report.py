"""The tables that bench.py prints, and docs/performance.md, from measured cells.

A cell is what one engine did with one model: {"ns", "median_ns", "ratio", ...}, or {"failure": a sentence}, or both if its
answers were wrong. Keys are mode/threads/model.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import arm64
import counts
import models
import overhead

Cell = dict[str, Any]
Results = Mapping[str, dict[str, Cell]]
Groups = dict[tuple[str, str], dict[str, dict[str, Cell]]]
"""Cells by (mode, threads), then by model."""


def milliseconds(ns: float) -> str:
    ms = ns / 1e6
    return f"{ms:.{max(0, 2 - math.floor(math.log10(ms)))}f}" if ms > 0 else "0"


def megabytes(n: float) -> str:
    return f"{n / 1e6:.1f}"


def line(title: str, cells: dict[str, Cell]) -> str:
    """One model's times, for the log."""
    parts = []
    for engine, cell in cells.items():
        text = milliseconds(cell["ns"]) if "ns" in cell else ""
        parts.append(f"{engine} {text}{'!' if 'failure' in cell else ''}")
    return f"{title}: {' · '.join(parts)}"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def engines_of(group: Results) -> list[str]:
    return list(dict.fromkeys(e for cells in group.values() for e in cells))


def ours(engine: str) -> bool:
    return engine.startswith("whit")


def right(cells: dict[str, Cell], key: str) -> dict[str, float]:
    """A number of each engine that gave the right answer."""
    return {e: c[key] for e, c in cells.items() if "failure" not in c and c.get(key)}


def best_other(values: dict[str, float], engine: str) -> float | None:
    """The least of the peers, the engine itself apart; Whit is nobody's peer."""
    return min((v for e, v in values.items() if e != engine and not ours(e)), default=None)


def mean(ratios: Iterable[float]) -> float:
    """Geometric; not a number of nothing."""
    logs = [math.log(r) for r in ratios]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def to_best(group: Results, engine: str, key: str) -> list[float]:
    """Ratios to the best engine of each model that this one can run."""
    every = (right(cells, key) for cells in group.values())
    return [values[engine] / min(values.values()) for values in every if engine in values]


def to_others(group: Results, engine: str, key: str) -> dict[str, float]:
    """Per model the ratio to the best of the others."""
    found = {}
    for model, cells in group.items():
        values = right(cells, key)
        other = best_other(values, engine)
        if engine in values and other:
            found[model] = values[engine] / other
    return found


def table(group: Results, key: str, show: Callable[[float], str], spread: bool) -> str:
    """Models down, engines across; the best is bold. The last column: whit's value over the best peer's."""
    engines = engines_of(group)
    against = to_others(group, "whit", key)
    rows = []
    for model, cells in group.items():
        best = min(right(cells, key).values(), default=0)
        row = [model]
        for e in engines:
            cell = cells.get(e, {})
            if key not in cell:
                row.append("fails" if "failure" in cell else "–")
                continue
            if "same_as" in cell:
                row.append(f"= {cell['same_as']}")
                continue
            text = show(cell[key])
            if "failure" in cell:
                text = f"({text}, wrong)"
            elif cell[key] == best:
                text = f"**{text}**"
            row.append(f"{text} / {show(cell['median_ns'])}" if spread else text)
        row.append(f"{against[model]:.2f}" if model in against else "–")
        rows.append(row)
    return grid(["model", *engines, "whit / best peer"], rows)


def standing(groups: Groups) -> str:
    """Each engine's times in three numbers per mode: to the best of every model, at its worst, and how often it leads."""
    head, rows = ["engine"], dict[str, list[str]]()
    for (mode, threads), group in groups.items():
        title = f"warm {threads}" if mode == "warm" else "cold"
        head += [f"{title}: to the best", "worst", "ahead"]
        for engine in engines_of(group):
            ratios, others = to_best(group, engine, "ns"), to_others(group, engine, "ns")
            row = rows.setdefault(engine, [])
            row += ["–"] * (len(head) - 4 - len(row))
            if not ratios:
                row += ["–"] * 3
                continue
            row.append(f"{mean(ratios):.2f} ({len(ratios)})")
            worst = max(others, key=lambda m: others[m], default=None)
            row.append(f"{others[worst]:.2f} {worst}" if worst else "–")
            row.append(f"{sum(r < 1 for r in others.values())} of {len(others)}")
    for row in rows.values():
        row += ["–"] * (len(head) - 1 - len(row))
    return grid(head, [[e, *row] for e, row in rows.items()])


# ---- goals ------------------------------------------------------------------------------------------------

MEAN_GOAL, WORST_GOAL, COLD_GOAL, SCALE_GOAL = 1.00, 1.10, 0.50, 1.03
"""Of the nearest peer's time; of the best peer's on any model; cold; two threads' time of one's (with the noise)."""
AHEAD_GOAL = 1 / 1.3
AHEAD = ("conv_tasnet", "gru_seq2seq_loop", "keyword_ds_cnn", "tiny_resnet8", "tiny_autoencoder")
"""What other engines have no fast path for: the audio net, the loop, the tiny nets."""
MEMORY_SLACK = 1 << 20
OWN = ("arena_bytes", "output_bytes")
"""Memory of a run: the arena, and the arrays that the caller gets."""


def verdict(text: str, value: float, goal: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{text}: {'reached' if value <= goal else 'missed'}"


def nearest(group: Results, engine: str) -> tuple[float, str]:
    """Geometric mean of the ratio to each peer over what both can run: the largest, and whose it is."""
    found = []
    for peer in engines_of(group):
        if ours(peer):
            continue
        both = [v for cells in group.values() if {engine, peer} <= (v := right(cells, "ns")).keys()]
        if both:
            found.append((mean(v[engine] / v[peer] for v in both), peer))
    return max(found, default=(math.nan, ""))


def memory_goal(group: Results, engine: str, key: str, parts: Sequence[str]) -> str:
    """Models whose memory is beyond the sum of these parts and the slack; and what the system maps of the file beside what is read."""
    beyond, n = [], 0
    for model, cells in group.items():
        c = cells.get(engine, {})
        if "failure" in c or not all(k in c for k in (key, *parts)):
            continue
        n += 1
        over = c[key] - sum(c[k] for k in parts) - MEMORY_SLACK
        if over > 0:
            beside = (
                c.get("mapped_bytes", 0) - c["weights_bytes"] if "weights_bytes" in parts else 0
            )
            told = f" (mapped beside {megabytes(beside)})" if beside > 0 else ""
            beyond.append(f"{model} by {megabytes(over)}{told}")
    if not n:
        return "–"
    return f"missed: {', '.join(beyond)}" if beyond else f"reached ({n} models)"


def leasts(groups: Groups) -> dict[str, float]:
    """Per model the time of its multiply-adds at the machine's peak, on one thread."""
    cells = {m: c["whit"] for g in groups.values() for m, c in g.items() if c.get("whit", {}).get("least_ns")}  # fmt: skip
    return {m: float(c["least_ns"]) for m, c in cells.items()}


def above(
    group: Results, engine: str, goal: float, least: Mapping[str, float], among: Sequence[str] = ()
) -> str:
    """Models whose time is more than the goal of their best peer's; and where the multiply-adds alone are."""
    ratios = {m: r for m, r in to_others(group, engine, "ns").items() if not among or m in among}
    missed = []
    for model, ratio in sorted(ratios.items(), key=lambda item: -item[1]):
        if ratio <= goal:
            continue
        floor = least.get(model, 0.0) / right(group[model], "ns")[engine] * ratio
        alone = f" (multiply-adds alone {floor:.2f})" if floor > goal else ""
        missed.append(f"{model} {ratio:.2f}{alone}")
    if not ratios:
        return "–"
    where = f"{len(ratios) - len(missed)} of {len(ratios)}"
    return f"{where}; missed: {', '.join(missed)}" if missed else f"{where}: reached"


def scaled(groups: Groups, engine: str) -> dict[str, tuple[float, float]]:
    """Times of one and of two threads, per model."""
    one, two = (groups.get(("warm", n), {}) for n in ("1", "2"))
    found = {}
    for model in one:
        pair = [right(g.get(model, {}), "ns").get(engine) for g in (one, two)]
        if pair[0] and pair[1]:
            found[model] = (pair[0], pair[1])
    return found


def goals(groups: Groups) -> str:
    """What was aimed at, judged for each way to convert."""
    variants = [e for e in dict.fromkeys(e for g in groups.values() for e in engines_of(g)) if ours(e)]  # fmt: skip
    rows, least = [], leasts(groups)
    for (mode, threads), group in groups.items():
        goal = MEAN_GOAL if mode == "warm" else COLD_GOAL
        title = f"warm, threads {threads}" if mode == "warm" else "load + first inference"
        row = [f"{title}: geometric mean, of the nearest peer's, ≤ {goal:.2f}"]
        for v in variants:
            value, peer = nearest(group, v)
            row.append(verdict(f"{value:.2f} ({peer})", value, goal))
        rows.append(row)
        row = [f"{title}: geometric mean, of the best peer's on each model, ≤ {goal:.2f}"]
        for v in variants:
            value = mean(to_others(group, v, "ns").values())
            row.append(verdict(f"{value:.2f}", value, goal))
        rows.append(row)
        if mode != "warm":
            row = [f"{title}: at most {COLD_GOAL:.2f} of the best peer's on each model"]
            rows.append([*row, *(above(group, v, COLD_GOAL, least) for v in variants)])
            for key, parts, text in (
                ("peak_bytes", ("weights_bytes", *OWN), "peak ≤ weights touched + arena + 1 MB"),
                ("anonymous_bytes", OWN, "anonymous ≤ arena + 1 MB"),
            ):
                rows.append([text, *(memory_goal(group, v, key, parts) for v in variants)])
            continue
        alone = {m: ns / int(threads) for m, ns in least.items()}
        for text, goal, among in (
            (f"no model above {WORST_GOAL:.2f} of its best peer", WORST_GOAL, ()),
            (f"audio net, GRU loop, tiny nets {1 / AHEAD_GOAL:.1f} times ahead of the best peer", AHEAD_GOAL, AHEAD),
        ):  # fmt: skip
            row = [f"{title}: {text}"]
            rows.append([*row, *(above(group, v, goal, alone, among) for v in variants)])
    row = ["nothing slower with two threads than with one"]
    for v in variants:
        pairs = scaled(groups, v)
        slower = [m for m, (one, two) in pairs.items() if two > SCALE_GOAL * one]
        row.append("–" if not pairs else f"missed: {', '.join(slower)}" if slower else "reached")
    rows.append(row)
    return grid(["goal", *variants], rows)


def scaling(groups: Groups) -> str:
    """One and two threads: times of Whit, and how much faster two are, for every engine."""
    engines = list(dict.fromkeys(e for g in groups.values() for e in engines_of(g)))
    every = {e: pairs for e in engines if (pairs := scaled(groups, e))}
    if not every:
        return ""
    names = list(dict.fromkeys(m for pairs in every.values() for m in pairs))
    rows = [
        [m, *(f"{p[m][0] / p[m][1]:.2f}" if m in p else "–" for p in every.values())] for m in names
    ]
    means = (mean(a / b for a, b in pairs.values()) for pairs in every.values())
    rows.append(["*geometric mean*", *(f"{m:.2f}" for m in means)])
    return grid(["model", *every], rows)


def grouped(results: Results) -> Groups:
    groups: Groups = {}
    for key, cells in results.items():
        mode, threads, model = key.split("/")
        groups.setdefault((mode, threads), {})[model] = cells
    order = {name: k for k, name in enumerate(models.MODELS)}
    for key, group in groups.items():
        groups[key] = dict(sorted(group.items(), key=lambda item: order.get(item[0], len(order))))
    return dict(sorted(groups.items(), key=lambda item: (item[0][0] != "warm", item[0])))


def tables(results: Results) -> str:
    """Markdown of everything measured."""
    groups, parts = grouped(results), list[str]()
    for (mode, threads), group in groups.items():
        if mode == "warm":
            plural = "" if threads == "1" else "s"
            parts.append(f"## Warm, {threads} thread{plural}: min / median, ms")
            parts.append(table(group, "ns", milliseconds, True))
            continue
        parts.append("## Load + first inference, 1 thread: min / median, ms")
        parts.append(table(group, "ns", milliseconds, True))
        parts.append("## Peak resident memory above the bare import, MB")
        parts.append(table(group, "peak_bytes", megabytes, False))
        parts.append("## Anonymous memory above the bare import, MB")
        parts.append(table(group, "anonymous_bytes", megabytes, False))
    if text := scaling(groups):
        parts += ["## Two threads: how many times as fast as one", text]
    for title, lines in (("Correctness", errors(results)), ("Failures", failures(results))):
        if lines:
            parts += [f"## {title}", *lines]
    return "\n\n".join(parts)


def summary(results: Results) -> str:
    """Where each engine stands, and what became of the goals."""
    groups = grouped(results)
    if not groups:
        return "Nothing is measured yet."
    parts = ["## Standing", STANDING, standing(groups), "## Goals", GOALS, goals(groups)]
    return "\n\n".join(parts)


STANDING = (
    "*To the best*: geometric mean of the ratio to the fastest engine of each model, over the models (number) that the engine runs "
    "right. *Worst*: the largest ratio to the best of the other engines, and where; *ahead*: on how many models it leads them. "
    "Whit counts as nobody's peer here."
)
GOALS = (
    "The nearest peer is the one to which Whit's ratio, as a geometric mean over the models that both run right, is the largest. "
    "*Multiply-adds alone*: what the model's own "
    "multiply-adds take at the peak measured on this machine, as a share of the best peer's time, where that is beyond the goal. "
    "*Mapped beside*, MB: pages of the model's file that the system maps around those that are read (here whole folios of the page "
    "cache, on phones 64 KB); it shares them and takes them back as it likes. Mapped off the grid of huge pages it would be 64 KB here "
    "too, and a page fault for each: slower to start and to read."
)


def errors(results: Results) -> list[str]:
    """The largest error of each engine over the models, relative to the maximum."""
    worst: dict[str, tuple[float, str]] = {}
    for key, cells in results.items():
        for engine, cell in cells.items():
            error = cell.get("error_of_max")
            if error is not None and error >= worst.get(engine, (-1.0, ""))[0]:
                worst[engine] = (error, key.split("/")[2])
    if not worst:
        return []
    rows = [[e, f"{v:.1e}", model] for e, (v, model) in worst.items()]
    return [grid(["engine", "largest error of the maximum", "model"], rows)]


def failures(results: Results) -> list[str]:
    said: dict[tuple[str, str], list[str]] = {}
    for key, cells in results.items():
        model = key.split("/")[2]
        for engine, cell in cells.items():
            if "failure" in cell:
                where = said.setdefault((engine, cell["failure"]), [])
                if model not in where:
                    where.append(model)
    lines = [f"- {e}: {', '.join(where)}: {text}" for (e, text), where in sorted(said.items())]
    return ["\n".join(lines)] if lines else []


def machine() -> str:
    """Processor and cores: what the numbers depend on, and nothing that names the machine."""
    info: dict[str, str] = {}
    try:
        for text in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = text.partition(":")
            info.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    name = info.get("model name", "processor of unknown name")
    family = (
        f" (family {info['cpu family']}, model {info['model']})" if "cpu family" in info else ""
    )
    return f"{name}{family}, {os.cpu_count()} cores"


DOCUMENT = """# Performance

Made by `make bench ARGS=--docs`; not edited by hand. Machine: {machine}.

fp32 everywhere. Engines take turns in one run, so compare columns of one table, not numbers of two. The first number is the
fastest call, the second the median of the turns' medians; **bold** is the fastest right answer of the row. Each engine is called
through the thinnest way its Python package has, with inputs in place. *Fails* means that the engine cannot be given the model, or
crashes on it; *wrong* that its answer is more than 0.002 of the largest value away from onnxruntime's without optimisations.
Whit converts with `--optimize balanced`; `whit-memory` and `whit-speed` stand beside it where they give another file.

Versions: {versions}.

{summary}

{tables}

## What control costs

Nanoseconds, by the difference of two lengths (`make bench-overhead`): what runs is so small that only the way there counts.

{control}

## arm64, on paper

No arm64 machine was at hand, so nothing here is a time. Inner loops by llvm-mca, which knows no caches: cycles of a turn and the share
of the modelled core's peak (24 independent multiply-adds); each compiler's code. Neoverse N1 stands for Cortex-A76 to A78, V1 for X1.

{loops}

Instructions that one inference executes, counted under qemu-aarch64 (one thread, `tests/bench/counts.py`), beside the least that
its multiply-adds need at four a vector instruction. *All / least* says how much of the work is not multiplying.

{counts}
"""


def document(
    results: Results,
    packages: Mapping[str, Sequence[str]],
    paper: Mapping[str, Any],
    control: Sequence[overhead.Row],
) -> str:
    """docs/performance.md."""
    names = sorted({p.replace("==", " ") for family in packages.values() for p in family})
    loops = f"Not measured: {paper.get('loops_missing')}."
    if "loops" in paper:
        found = paper["loops"]
        said = "\n".join(f"- {sentence}" for sentence in arm64.goals(found))
        loops = f"{grid(arm64.HEAD, arm64.rows(found))}\n\n{said}"
    executed = f"Not counted: {paper.get('counts_missing')}."
    if "counts" in paper:
        executed = grid(counts.HEAD, counts.rows(paper["counts"], "neon"))
    return DOCUMENT.format(
        machine=machine(),
        versions=", ".join(names),
        summary=summary(results),
        tables=tables(results),
        control=overhead.table(control),
        loops=loops,
        counts=executed,
    )
