"""The tables that bench.py prints, and docs/performance.md, from measured cells.

A cell is what one engine did with one model: {"ns", "median_ns", "ratio", ...}, or {"failure": a sentence}, or both if its
answers were wrong. Keys are mode/threads/model.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Cell = dict[str, Any]
Results = Mapping[str, dict[str, Cell]]


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


def mean_ratio(group: Results, engine: str, of: Callable[[Cell], float | None]) -> str:
    """Geometric mean of the ratio to the best of each model, over the models that the engine can run."""
    logs = []
    for cells in group.values():
        right = {e: v for e, c in cells.items() if "failure" not in c and (v := of(c))}
        if engine in right:
            logs.append(math.log(right[engine] / min(right.values())))
    return f"{math.exp(sum(logs) / len(logs)):.2f} ({len(logs)})" if logs else "–"


def table(group: Results, key: str, show: Callable[[float], str], spread: bool) -> str:
    """Models down, engines across; the best is bold. The last columns: whit's value over the best peer's."""
    engines = engines_of(group)
    rows = []
    for model, cells in group.items():
        right = {e: c[key] for e, c in cells.items() if "failure" not in c and c.get(key)}
        best = min(right.values(), default=0)
        row = [model]
        for e in engines:
            cell = cells.get(e, {})
            if key not in cell:
                row.append("fails" if "failure" in cell else "–")
                continue
            text = show(cell[key])
            if "failure" in cell:
                text = f"({text}, wrong)"
            elif cell[key] == best:
                text = f"**{text}**"
            row.append(f"{text} / {show(cell['median_ns'])}" if spread else text)
        peers = [v for e, v in right.items() if not e.startswith("whit")]
        ours = right.get("whit")
        row.append(f"{ours / min(peers):.2f}" if ours and peers and min(peers) > 0 else "–")
        rows.append(row)
    means = [mean_ratio(group, e, lambda c: c.get(key)) for e in engines]
    rows.append(["*geometric mean to the best (models)*", *means, ""])
    return grid(["model", *engines, "whit / best peer"], rows)


def grouped(results: Results) -> dict[tuple[str, str], dict[str, dict[str, Cell]]]:
    groups: dict[tuple[str, str], dict[str, dict[str, Cell]]] = {}
    for key, cells in results.items():
        mode, threads, model = key.split("/")
        groups.setdefault((mode, threads), {})[model] = cells
    return dict(sorted(groups.items(), key=lambda item: (item[0][0] != "warm", item[0])))


def tables(results: Results) -> str:
    """Markdown of everything measured."""
    parts = []
    for (mode, threads), group in grouped(results).items():
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
    for title, lines in (("Correctness", errors(results)), ("Failures", failures(results))):
        if lines:
            parts += [f"## {title}", *lines]
    return "\n\n".join(parts)


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
    """Processor, cores, vector extensions: what the numbers depend on, and nothing that names the machine."""
    info: dict[str, str] = {}
    try:
        for text in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = text.partition(":")
            info.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    wanted = ("avx2", "fma", "avx512f", "avx512_vnni", "asimd", "asimddp", "i8mm", "sve")
    flags = set(info.get("flags", info.get("Features", "")).split())
    name = info.get("model name", "processor of unknown name")
    family = (
        f" (family {info['cpu family']}, model {info['model']})" if "cpu family" in info else ""
    )
    return f"{name}{family}, {os.cpu_count()} cores, {' '.join(f for f in wanted if f in flags)}"


DOCUMENT = """# Performance

Made by `make bench ARGS=--docs`; not edited by hand. Machine: {machine}.

fp32 everywhere. Engines take turns in one run, so compare columns of one table, not numbers of two. The first number is the
fastest call, the second the median of the turns' medians; **bold** is the fastest right answer of the row. Each engine is called
through the thinnest way its Python package has, with inputs in place. *Fails* means that the engine cannot be given the model, or
crashes on it; *wrong* that its answer is more than 0.002 of the largest value away from onnxruntime's without optimisations.
Whit converts with `--optimize balanced`; `whit-memory` and `whit-speed` stand beside it where they give another file.

Versions: {versions}.

{tables}
"""


def document(results: Results, packages: Mapping[str, Sequence[str]]) -> str:
    """docs/performance.md."""
    names = sorted({p.replace("==", " ") for family in packages.values() for p in family})
    return DOCUMENT.format(machine=machine(), versions=", ".join(names), tables=tables(results))
