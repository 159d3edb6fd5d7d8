"""make conformance: ONNX's own backend suite through whit.convert and whit.load, judged by onnx's own comparison.

    run.py [--only REGEX] [--jobs N] [--json FILE] [--keep FOLDER] [--update]

Prints tables by category and by operator, and the cases that do not pass. Each worker (suite.py) is a process of its own that is
told one case at a time, so a `crash` or a `timeout` costs one case. Exits 1 if one happened, if a case of passed.txt no longer
passes, or if docs/conformance.md or docs/operators.md does not say what was found; --update writes these three.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pages

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BASELINE = HERE / "passed.txt"
PAGES = {
    "docs/conformance.md": pages.conformance,
    "docs/operators.md": pages.operators,
}
SECONDS = 120.0
"""For one case; the largest network of the suite takes 25 with plain C kernels."""

Results = dict[str, dict[str, Any]]


class Worker:
    """A process that judges one case at a time; started again when it dies. seconds: the time that a case has."""

    def __init__(self, command: Sequence[str], seconds: float = SECONDS) -> None:
        self.command, self.seconds = list(command), seconds
        self.start()

    def start(self) -> None:
        self.errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "ONNX_HOME": str(ROOT / "build" / "onnx_home")},
        )  # fmt: skip
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self.read, args=(self.process, self.lines), daemon=True).start()
        first = self.lines.get(timeout=600)
        if first is None:
            raise SystemExit(f"conformance: the worker does not start:\n{self.said()}")
        self.about: dict[str, Any] = json.loads(first)

    @staticmethod
    def read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                lines.put(line)
        lines.put(None)

    def said(self) -> str:
        """The line of its stderr that says most: what a sanitizer found, or the last ones."""
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        found = [line for line in lines if "Sanitizer:" in line or "runtime error:" in line]
        return "\n".join(found[:1] or lines[-5:])

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.errors.close()

    def judge(self, name: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        try:
            line = self.lines.get(timeout=self.seconds)
        except queue.Empty:
            self.stop()
            self.start()
            return {"outcome": "timeout", "why": f"no answer in {self.seconds:.0f} s"}
        if line is None:
            why = f"the process ended with {self.process.wait()}: {self.said()}"
            self.errors.close()
            self.start()
            return {"outcome": "crash", "why": why}
        return dict(json.loads(line))


def run_all(
    only: str, jobs: int, keep_in: Path | None = None, command: Sequence[str] = (), seconds: float = SECONDS
) -> Results:  # fmt: skip
    """{case: its category, outcome, why, ...}. command: of a worker, suite.py if it is empty."""
    command = command or (sys.executable, str(HERE / "suite.py"))
    keeping = () if keep_in is None else ("--keep", str(keep_in))
    workers = [Worker([*command, *keeping], seconds) for _ in range(jobs)]
    categories = workers[0].about["cases"]
    print(f"library: {workers[0].about['library']}", flush=True)
    todo: queue.Queue[str] = queue.Queue()
    for name in sorted(n for n in categories if re.search(only, n)):
        todo.put(name)
    total, results, lock, began = todo.qsize(), Results(), threading.Lock(), time.monotonic()

    def drain(worker: Worker) -> None:
        while True:
            try:
                name = todo.get_nowait()
            except queue.Empty:
                return
            answer = worker.judge(name)
            with lock:
                results[name] = {"category": categories[name], **answer}
                if len(results) % 500 == 0 or len(results) == total:
                    passed = sum(r["outcome"] == "pass" for r in results.values())
                    seconds = time.monotonic() - began
                    print(
                        f"  {len(results)}/{total} judged, {passed} pass, {seconds:.0f} s",
                        flush=True,
                    )

    threads = [threading.Thread(target=drain, args=(w,)) for w in workers]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for w in workers:
        w.stop()
    return dict(sorted(results.items()))


def compare(results: Results, path: Path = BASELINE) -> int:
    """1 if a case that the baseline has as passed does not pass, or anything crashed or hung."""
    passed = set(path.read_text().split())
    lost = [n for n in sorted(passed) if n in results and results[n]["outcome"] != "pass"]
    bad = [n for n, r in results.items() if r["outcome"] in ("crash", "timeout")]
    for name in lost:
        print(
            f"no longer passes: {name}: {results[name]['outcome']}: {results[name]['why'].strip()[:300]}"
        )
    gained = sum(r["outcome"] == "pass" for n, r in results.items() if n not in passed)
    print(f"baseline: {len(passed)} passed; {len(lost)} lost, {gained} gained")
    return 1 if lost or bad else 0


def stale(results: Results) -> list[str]:
    """Pages of the documentation that do not say this."""
    return [n for n, page in PAGES.items() if (ROOT / n).read_text() != page(results)]


def update(results: Results) -> None:
    passed = [n for n, r in results.items() if r["outcome"] == "pass"]
    BASELINE.write_text("\n".join(passed) + "\n")
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(results))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", metavar="REGEX", help="only cases whose name matches")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every outcome")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="write every run as files for runner.c"
    )
    parser.add_argument(
        "--update", action="store_true", help="write passed.txt and the pages of the documentation"
    )
    args = parser.parse_args()
    results = run_all(args.only, args.jobs, args.keep)
    print(pages.tables(results))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    if args.update and not args.only:
        update(results)
    failed = compare(results)
    for name in [] if args.only else stale(results):
        print(f"{name} does not say what was found: make conformance ARGS=--update")
        failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
