"""make bench: Whit against the fastest engines there are, on the models of models.py.

Warm: one process per engine and model, taking turns (A B C A B C), every turn one call that does not count and then timed
ones; it ends early once the least times stand still and Whit is clearly ahead of or behind the best of the others. Cold: a
fresh process, load and first inference with the file in the page cache. Memory: of such a process, above the bare import.
Every engine's answers are compared with onnxruntime's with its optimisations off.

    bench.py [--only REGEX] [--peers a,b] [--mode warm,cold,memory] [--threads 1,2] [--rounds N] [--seconds S]
             [--report] [--docs] [--baseline] [--check] [--retry]

The engines' environments are made once in build/bench (WHIT_BENCH_CACHE names another folder); what cannot be had is a failure
with a sentence. Results go to results.json there; --report prints all that are there without measuring, --docs writes
docs/performance.md from them.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import select
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import arm64
import baseline
import counts
import models
import overhead
import report
from peers import CACHE, ENGINES, FAMILIES, Whit, WhitMemory, WhitSpeed

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = CACHE / "results.json"

TOLERANCE = 2e-3
"""Largest error relative to the maximum of an output that counts as right."""
SLACK = 1.10
"""--check fails if Whit's time over onnxruntime's is more than this times the stored ratio."""
TURN_S = 0.02
LEAST_ROUNDS = 4
STILL, CLEAR = 1.01, 1.05
"""The two least turns of an engine are so near when it has shown its speed; engines so far apart are told apart."""
FAR = 1.5
START_S = 300.0
TURN_LIMIT_S = 120.0

Cell = dict[str, Any]
Cells = dict[str, dict[str, Cell]]
"""By mode/threads/model and engine."""


BEGAN = time.monotonic()


def complain(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:5.0f} s  {text}", file=sys.stderr, flush=True)


# ---- environments and conversion ------------------------------------------------------------------------


def python_of(family: str) -> Path:
    if family == "whit":
        return Path(sys.executable)
    return CACHE / f"venv-{family}" / "bin" / "python"


@functools.cache
def environment(family: str) -> str | None:
    """Makes the family's environment if it is not there; a sentence if that fails."""
    if family == "whit":
        return None
    folder, packages = CACHE / f"venv-{family}", FAMILIES[family]
    mark = folder / "installed"
    if mark.exists() and mark.read_text().split() == list(packages):
        return None
    complain(f"bench: installing {' '.join(packages)} (once; torch makes it large)")
    python = python_of(family)
    log = folder.with_suffix(".log")
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "--disable-pip-version-check", *packages],
        ):
            if subprocess.run(command, stdout=out, stderr=subprocess.STDOUT).returncode:
                why = last_error(log.read_text())
                return (
                    f"cannot be installed here: {why} ({log.name} in {CACHE.name}/ has all of it)"
                )
    mark.write_text("\n".join(packages))
    return None


def last_error(text: str) -> str:
    """What pip says went wrong."""
    lines = [x.strip() for x in text.splitlines() if x.strip()]
    errors = [x for x in lines if x.lower().startswith("error")]
    return (errors or lines or ["nothing was said"])[-1].removeprefix("ERROR: ")[:200]


def variables(threads: int) -> dict[str, str]:
    own = {"OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    return {**os.environ, **own}


def command(action: str, engine: str, model: str, *more: str) -> list[str]:
    return [
        str(python_of(ENGINES[engine].family)),
        str(HERE / "peers.py"),
        action,
        engine,
        model,
        *more,
    ]


def ask(action: str, engine: str, model: str, threads: int, timeout_s: float) -> Cell:
    """The one answer of a process that runs to its end."""
    try:
        done = subprocess.run(
            command(action, engine, model, str(threads)), env=variables(threads), timeout=timeout_s,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": f"{action}: no answer within {timeout_s:.0f} s"}
    if not done.stdout.strip():
        return {"error": f"{action}: the process died with code {done.returncode}"}
    answer: Cell = json.loads(done.stdout.splitlines()[-1])
    return answer


digest = functools.cache(models.digest)


@functools.cache
def newest_source() -> float:
    """When Whit's exporter or library last changed."""
    files = [*ROOT.glob("exporter/**/*.py"), *ROOT.glob("python_bindings/whit/*.so")]
    return max(f.stat().st_mtime for f in files)


def prepared(engine: str, model: str, retry: bool) -> str | None:
    """Converts the model unless that has been done with this very file; a sentence if it fails."""
    failure = environment(ENGINES[engine].family)
    if failure is not None:
        return failure
    subject = ENGINES[engine](model, 1)
    key = digest(model)
    note = subject.file.parent / f"{model}.json"
    if note.exists():
        known = json.loads(note.read_text())
        stale = engine.startswith("whit") and note.stat().st_mtime < newest_source()
        if known["source"] == key and not stale and not (retry and known["error"]):
            told: str | None = known["error"]
            return told
    complain(f"bench: {engine} converts {model}")
    answer = ask("prepare", engine, model, 1, 900)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"source": key, "error": answer.get("error")}))
    return answer.get("error")


def same_as_balanced(engine: str, model: str) -> bool:
    """Whether this way to convert gives the bytes that whit's default gives."""
    if ENGINES[engine] not in (WhitMemory, WhitSpeed):
        return False
    mine, default = ENGINES[engine](model, 1).file, Whit(model, 1).file
    return mine.exists() and default.exists() and mine.read_bytes() == default.read_bytes()


# ---- warm -----------------------------------------------------------------------------------------------


class Server:
    """A process of an engine that measures when it is asked to: "serve" with a model open, "once" with nothing but its imports."""

    def __init__(self, action: str, engine: str, model: str, threads: int) -> None:
        self.process = subprocess.Popen(
            command(action, engine, model, str(threads)), env=variables(threads), text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.failure: str | None = None
        self.times: list[int] = []
        self.least: list[int] = []
        self.medians: list[float] = []
        """Of each turn."""
        self.n_calls = 1
        self.error_of_max: float | None = None

    def hear(self, timeout_s: float) -> Cell:
        out = self.process.stdout
        assert out is not None
        line = out.readline() if select.select([out], [], [], timeout_s)[0] else "late"
        if line == "late":
            answer: Cell = {"error": f"no answer within {timeout_s:.0f} s"}
        elif not line:
            answer = {"error": f"the process died with code {self.process.wait()}"}
        else:
            answer = json.loads(line)
        if "error" in answer:
            self.failure = answer["error"]
            self.close()
        return answer

    def ask(self, question: Cell) -> Cell:
        if self.failure is not None:
            return {}
        pipe = self.process.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):  # hear() tells how it ended
            pipe.write(json.dumps(question) + "\n")
        return self.hear(TURN_LIMIT_S)

    def turn(self) -> None:
        found = self.ask({"calls": self.n_calls}).get("ns", [])
        if found:
            self.times += found
            self.least.append(min(found))
            self.medians.append(statistics.median(found))

    def forget(self) -> None:
        self.times, self.least, self.medians = [], [], []

    def stands_still(self) -> bool:
        low = sorted(self.least)[:2]
        return self.failure is not None or (len(low) == 2 and low[1] <= STILL * low[0])

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def cell(self) -> Cell:
        if self.failure is not None:
            return {"failure": self.failure}
        return {
            "ns": min(self.times),
            "median_ns": statistics.median(self.medians),
            "calls": len(self.times),
            "error_of_max": self.error_of_max,
        }


def settled(servers: dict[str, Server]) -> bool:
    """Whether more turns would tell nothing new: Whit and the best of the others stand still, and apart."""
    able = {e: s for e, s in servers.items() if s.failure is None}
    ours = [s for e, s in able.items() if e.startswith("whit")]
    peers = [s for e, s in able.items() if not e.startswith("whit")]
    if not peers:
        return all(s.stands_still() for s in ours)
    best = min(peers, key=lambda s: min(s.least))
    apart = (min(s.least) / min(best.least) for s in ours)
    return all(s.stands_still() for s in (*ours, best)) and not any(
        1 / CLEAR < ratio < CLEAR for ratio in apart
    )


def warm(
    engines: list[str], model: str, threads: int, rounds: int, seconds: float
) -> dict[str, Cell]:
    """Measures for the seconds or the rounds, whichever is longer, or until it is settled."""
    servers = {engine: Server("serve", engine, model, threads) for engine in engines}
    try:
        for s in servers.values():
            s.hear(START_S)
        for s in servers.values():
            s.turn()
            if s.times:
                s.n_calls = max(1, min(500, int(TURN_S * 1e9 / max(min(s.times), 1))))
                s.error_of_max = s.ask({"check": True}).get("error_of_max")
            s.forget()
        n, end = 0, time.monotonic() + seconds
        while any(s.failure is None for s in servers.values()) and (
            n < rounds or time.monotonic() < end
        ):
            for s in servers.values():
                s.turn()
                if threads > 1:
                    time.sleep(0.003)  # until its idle threads sleep
            n += 1
            if n >= LEAST_ROUNDS and settled(servers):
                break
        return {engine: {**s.cell(), "rounds": n} for engine, s in servers.items()}
    finally:
        for s in servers.values():
            s.close()


# ---- cold and memory --------------------------------------------------------------------------------------


def fresh(engines: list[str], model: str, threads: int, rounds: int) -> dict[str, Cell]:
    """Times and bytes of fresh processes; the files are in the page cache.

    All of a round's processes do their imports first, at the same time; then one after the other loads and runs. After the first
    round only Whit and the peers that are not far behind the best one go on.
    """
    found: dict[str, list[Cell]] = {engine: [] for engine in engines}
    failed: dict[str, Cell] = {}
    for engine in engines:
        file = ENGINES[engine](model, 1).file
        for part in (*file.parent.glob(f"{model}.*"), models.path(model)):
            part.read_bytes()
    for _ in range(rounds):
        peers = {e: f[0]["ns"] for e, f in found.items() if f and not e.startswith("whit")}
        limit = FAR * min(peers.values(), default=0)
        able = [e for e in engines if e not in failed and peers.get(e, 0) <= limit]
        servers = {e: Server("once", e, model, threads) for e in able}
        try:
            for s in servers.values():
                s.hear(START_S)
            for engine, s in servers.items():
                answer = s.ask({})
                if s.failure is None:
                    found[engine].append(answer)
                else:
                    failed[engine] = {"failure": s.failure}
                s.close()
        finally:
            for s in servers.values():
                s.close()
    cells = {}
    for engine in engines:
        if engine in failed:
            cells[engine] = failed[engine]
            continue
        runs = found[engine]
        median = statistics.median(r["ns"] for r in runs)
        least = {key: min(r[key] for r in runs) for key in runs[0]}
        cells[engine] = {**least, "median_ns": median, "rounds": len(runs)}
    return cells


# ---- all together -------------------------------------------------------------------------------------------


def prepare(
    chosen: list[str], engines: list[str], retry: bool
) -> dict[tuple[str, str], str | None]:
    """Environments, models and conversions; a sentence for what cannot be had, None for the rest."""
    found: dict[tuple[str, str], str | None] = {}
    for model in chosen:
        models.ensure(model)
        for engine in ("reference", *engines):
            found[engine, model] = prepared(engine, model, retry)
    return found


def measure(
    model: str, failures: dict[str, str], args: argparse.Namespace, stored: Cells, mine: Cells
) -> None:
    """Cells of this run go to mine, and to stored if they are of all engines."""
    if "reference" in failures:
        complain(f"bench: no reference for {model}: {failures['reference']}")
        return
    same = [e for e in args.peers if e not in failures and same_as_balanced(e, model)]
    contestants = [e for e in args.peers if e not in failures and e not in same]
    for mode in args.mode:
        able = [e for e in contestants if mode in ENGINES[e].modes]
        for threads in args.threads if mode == "warm" else [1]:
            if mode == "warm":
                cells = warm(able, model, threads, args.rounds, args.seconds)
            else:
                cells = fresh(able, model, threads, args.fresh_rounds)
            for engine, sentence in failures.items():
                if mode in ENGINES[engine].modes:
                    cells[engine] = {"failure": sentence}
            for engine in same:
                cells[engine] = {**cells["whit"], "same_as": "whit"}
            judge(cells)
            order = list(ENGINES)
            cells = dict(sorted(cells.items(), key=lambda item: order.index(item[0])))
            key = f"{mode}/{threads}/{model}"
            mine[key] = cells
            if args.all_peers or key not in stored:  # a part does not replace the whole
                stored[key] = cells
                RESULTS.write_text(json.dumps(stored, indent=1))
            complain(report.line(f"{model} {mode} {threads}", cells))


def judge(cells: dict[str, Cell]) -> None:
    """Wrong answers are failures too; the ratios are to the fastest of the right ones."""
    for cell in cells.values():
        error = cell.get("error_of_max")
        if "failure" not in cell and error is not None and not error <= TOLERANCE:
            cell["failure"] = f"wrong by {error:.1e} of the largest value"
    right = [c["ns"] for c in cells.values() if "failure" not in c]
    for cell in cells.values():
        if "ns" in cell:
            cell["ratio"] = cell["ns"] / min(right, default=cell["ns"])


def ratios(results: dict[str, Any]) -> dict[str, float]:
    """Whit's time over onnxruntime's, per mode, threads and model: what a machine changes least."""
    found = {}
    for key, cells in results.items():
        whit, ort = cells.get("whit", {}), cells.get("onnxruntime", {})
        if "ratio" in whit and "ratio" in ort:
            found[key] = round(whit["ns"] / ort["ns"], 3)
    return found


def check(results: dict[str, Any]) -> int:
    """Compares with the baseline; the number of regressions."""
    stored, bad = baseline.read("ratios"), 0
    if not stored:
        complain("bench: no baseline yet: make one on a quiet machine with --baseline")
        return 1
    for key, now in ratios(results).items():
        before = stored.get(key)
        if before is not None and now > before * SLACK:
            complain(f"bench: {key}: {now:.2f} of onnxruntime's time, the baseline is {before:.2f}")
            bad += 1
    return bad


def on_paper() -> dict[str, Any]:
    """What is said about arm64 without an arm64 machine, made if it is not there; else the sentence why not."""
    found: dict[str, Any] = {}
    if why := arm64.missing():
        found["loops_missing"] = why
    else:
        found["loops"] = arm64.measure()
    if why := counts.missing("neon"):
        found["counts_missing"] = why
    else:
        found["counts"] = counts.known("neon", newest_source()) or counts.all_of(
            models.select(""), ("neon",)
        )
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--only", default="", help="models whose names this regular expression finds"
    )
    parser.add_argument("--peers", default="", help="engines, by comma (default: all); whit always")
    parser.add_argument("--mode", default="", help="warm, cold, memory, by comma (default: all)")
    parser.add_argument("--threads", default="", help="by comma (default: 1,2); of warm only")
    parser.add_argument("--rounds", type=int, default=6, help="turns of every engine, at least")
    parser.add_argument("--seconds", type=float, default=4, help="go on that long per model")
    parser.add_argument(
        "--fresh-rounds", type=int, default=3, help="fresh processes per engine, at most"
    )
    parser.add_argument("--report", action="store_true", help="measure nothing, print all there is")
    parser.add_argument("--docs", action="store_true", help="write docs/performance.md")
    parser.add_argument("--baseline", action="store_true", help="keep the ratios as the baseline")
    parser.add_argument("--check", action="store_true", help="fail if a ratio got worse")
    parser.add_argument("--retry", action="store_true", help="convert again what failed to")
    args = parser.parse_args()
    args.mode = args.mode.split(",") if args.mode else ["warm", "cold"]
    # Cold runs tell the memory as well; asking for memory alone spares the rounds.
    if args.mode == ["memory"]:
        args.fresh_rounds = 1
    args.mode = list(dict.fromkeys("cold" if m == "memory" else m for m in args.mode))
    args.threads = [int(t) for t in args.threads.split(",")] if args.threads else [1, 2]
    args.all_peers = not args.peers
    args.peers = args.peers.split(",") if args.peers else [e for e in ENGINES if e != "reference"]
    if "whit" not in args.peers:
        args.peers.insert(0, "whit")
    unknown = [*set(args.peers) - set(ENGINES), *set(args.mode) - {"warm", "cold"}]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; engines: {', '.join(ENGINES)}")
    return args


def main() -> int:
    args = arguments()
    CACHE.mkdir(parents=True, exist_ok=True)
    stored: Cells = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    mine: Cells = dict(stored) if args.report else {}
    chosen = [] if args.report else models.select(args.only)
    start = time.monotonic()
    known = prepare(chosen, args.peers, args.retry)
    prepared_at = time.monotonic()
    for model in chosen:
        failures = {e: why for (e, m), why in known.items() if m == model and why}
        measure(model, failures, args, stored, mine)
    done = time.monotonic()
    print(report.tables(mine), report.summary(mine), sep="\n\n")
    if chosen:
        print(f"\n{prepared_at - start:.0f} s to prepare, {done - prepared_at:.0f} s to measure")
    if args.docs:
        text = report.document(stored, FAMILIES, on_paper(), overhead.measure())
        (ROOT / "docs" / "performance.md").write_text(text)
    if args.baseline:
        baseline.write("ratios", ratios(mine))
    return 1 if args.check and check(mine) else 0


if __name__ == "__main__":
    sys.exit(main())
