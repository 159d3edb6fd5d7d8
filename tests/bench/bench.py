"""make bench: Whit against the fastest engines there are, on the models of models.py.

Warm: one process per engine and model, taking turns (A B C A B C), every turn one call that does not count and then timed
ones. Cold: a fresh process, load and first inference with the file in the page cache. Memory: of such a process, above the
bare import. Every engine's answers are compared with onnxruntime's with its optimisations off.

    bench.py [--only REGEX] [--peers a,b] [--mode warm,cold,memory] [--threads 1,2] [--rounds N] [--seconds S]
             [--docs] [--baseline] [--check] [--retry]

The engines' environments are made once in build/bench; what cannot be had is a failure with a sentence.
Results go to build/bench/results.json; --docs writes docs/performance.md from all that are there.
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

import models
import report
from peers import CACHE, ENGINES, FAMILIES, Whit, WhitMemory, WhitSpeed

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = CACHE / "results.json"
BASELINE = HERE / "baseline.json"

TOLERANCE = 2e-3
"""Largest error relative to the maximum of an output that counts as right."""
SLACK = 1.10
"""--check fails if Whit's time over onnxruntime's is more than this times the stored ratio."""
TURN_S = 0.02
START_S = 300.0
TURN_LIMIT_S = 120.0

Cell = dict[str, Any]


def complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


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
                return f"its packages cannot be installed here (build/bench/{log.name} says why)"
    mark.write_text("\n".join(packages))
    return None


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
    key = subject.source.stat().st_mtime_ns
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
    """A process that has a model open and measures when it is asked to."""

    def __init__(self, engine: str, model: str, threads: int) -> None:
        self.process = subprocess.Popen(
            command("serve", engine, model, str(threads)), env=variables(threads), text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.failure: str | None = None
        self.times: list[int] = []
        self.medians: list[float] = []
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
            self.medians.append(statistics.median(found))

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


def warm(
    engines: list[str], model: str, threads: int, rounds: int, seconds: float
) -> dict[str, Cell]:
    servers = {engine: Server(engine, model, threads) for engine in engines}
    try:
        for s in servers.values():
            s.hear(START_S)
        for s in servers.values():
            s.turn()
            if s.times:
                s.n_calls = max(1, min(500, int(TURN_S * 1e9 / max(min(s.times), 1))))
                want = str(ENGINES["reference"](model, 1).file)
                s.error_of_max = s.ask({"check": want}).get("error_of_max")
            s.times, s.medians = [], []
        n, end = 0, time.monotonic() + seconds
        while any(s.failure is None for s in servers.values()) and (
            n < rounds or time.monotonic() < end
        ):
            for s in servers.values():
                s.turn()
                if threads > 1:
                    time.sleep(0.003)  # until its idle threads sleep
            n += 1
        return {engine: {**s.cell(), "rounds": n} for engine, s in servers.items()}
    finally:
        for s in servers.values():
            s.close()


# ---- cold and memory --------------------------------------------------------------------------------------


def fresh(engines: list[str], model: str, threads: int, rounds: int) -> dict[str, Cell]:
    """Times and bytes of fresh processes, engines taking turns. A first round, not counted, fills the page cache."""
    found: dict[str, list[Cell]] = {engine: [] for engine in engines}
    failed: dict[str, Cell] = {}
    for n in range(rounds + 1):
        for engine in engines:
            if engine in failed:
                continue
            answer = ask("once", engine, model, threads, START_S)
            if "error" in answer:
                failed[engine] = {"failure": answer["error"]}
            elif n:
                found[engine].append(answer)
    cells = {}
    for engine in engines:
        if engine in failed:
            cells[engine] = failed[engine]
            continue
        runs = found[engine]
        cells[engine] = {
            "ns": min(r["ns"] for r in runs),
            "median_ns": statistics.median(r["ns"] for r in runs),
            "load_ns": min(r["load_ns"] for r in runs),
            "peak_bytes": min(r["peak_bytes"] for r in runs),
            "anonymous_bytes": min(r["anonymous_bytes"] for r in runs),
            "rounds": rounds,
        }
    return cells


# ---- all together -------------------------------------------------------------------------------------------


def measure(
    model: str, engines: list[str], args: argparse.Namespace, results: dict[str, Any]
) -> None:
    models.ensure(model)
    failures = {e: f for e in ["reference", *engines] if (f := prepared(e, model, args.retry))}
    if "reference" in failures:
        complain(f"bench: no reference for {model}: {failures['reference']}")
        return
    contestants = [e for e in engines if e not in failures and not same_as_balanced(e, model)]
    for mode in args.mode:
        takes_part = "warm" if mode == "warm" else "cold"
        able = [e for e in contestants if takes_part in ENGINES[e].modes]
        for threads in args.threads if mode == "warm" else [1]:
            if mode == "warm":
                cells = warm(able, model, threads, args.rounds, args.seconds)
            else:
                cells = fresh(able, model, threads, args.fresh_rounds)
            for engine, sentence in failures.items():
                if takes_part in ENGINES[engine].modes:
                    cells[engine] = {"failure": sentence}
            judge(cells)
            results[f"{mode}/{threads}/{model}"] = cells
            RESULTS.write_text(json.dumps(results, indent=1))
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
        if key[:4] in ("warm", "cold") and "ratio" in whit and "ratio" in ort:
            found[key] = round(whit["ns"] / ort["ns"], 3)
    return found


def check(results: dict[str, Any]) -> int:
    """Compares with the baseline; the number of regressions."""
    if not BASELINE.exists():
        print("no baseline yet: make one on a quiet machine with --baseline")
        return 1
    stored, bad = json.loads(BASELINE.read_text()), 0
    for key, now in ratios(results).items():
        before = stored.get(key)
        if before is not None and now > before * SLACK:
            complain(f"bench: {key}: {now:.2f} of onnxruntime's time, the baseline is {before:.2f}")
            bad += 1
    return bad


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--only", default="", help="models whose names this regular expression finds"
    )
    parser.add_argument("--peers", default="", help="engines, by comma (default: all); whit always")
    parser.add_argument("--mode", default="", help="warm, cold, memory, by comma (default: all)")
    parser.add_argument("--threads", default="", help="by comma (default: 1,2); of warm only")
    parser.add_argument("--rounds", type=int, default=20, help="turns of every engine, at least")
    parser.add_argument("--seconds", type=float, default=3, help="go on that long per model")
    parser.add_argument("--fresh-rounds", type=int, default=2, help="fresh processes per engine")
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
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    kept = dict(results)
    chosen = models.select(args.only)
    for model in chosen:
        measure(model, args.peers, args, results)
    mine = {k: v for k, v in results.items() if kept.get(k) is not v}
    print(report.tables(mine))
    if args.docs:
        (ROOT / "docs" / "performance.md").write_text(report.document(results, FAMILIES))
    if args.baseline:
        old = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
        BASELINE.write_text(json.dumps({**old, **ratios(mine)}, indent=1, sort_keys=True) + "\n")
    return 1 if args.check and check(mine) else 0


if __name__ == "__main__":
    sys.exit(main())
