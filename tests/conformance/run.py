"""ONNX's own backend suite through whit.convert and whit.load, judged by onnx's own comparison.

    python tests/conformance/run.py [--only REGEX] [--jobs N] [--json FILE] [--baseline FILE] [--update-baseline]

Each worker is a process of its own and says which case it is at, so a crash or a hang costs one case. A case is
`pass`, `wrong` (an answer that onnx does not accept), `refused` (the exporter names what it does not support), `error` (the
runtime gives up), `crash` or `timeout`. With --baseline, exits 1 if a case that passed there no longer does.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import itertools
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
import unittest
import warnings
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OUTCOMES = ("pass", "wrong", "refused", "error", "crash", "timeout")
SECONDS = 120.0  # for one case; the largest network of the suite takes a few


# ---- worker ------------------------------------------------------------------------------------


def check_inferred(port: Any, value: Any) -> None:
    if port.kind != "tensor" or value is None or port.shape is None:
        return
    fits = len(port.shape) == value.ndim and all(
        not isinstance(d, int) or d == n for d, n in zip(port.shape, value.shape, strict=True)
    )
    if not fits:
        raise AssertionError(f"output {port.name!r}: inferred {port.shape}, computed {value.shape}")


def keep(folder: Path, model: Any, file: bytes, feeds: dict[str, Any], outputs: list[Any]) -> None:
    """Writes a run as files that tests/runtime_c/runner.c repeats, and the hash of what it gave here."""
    import runners

    stem = f"{folder}/{current_case[0]}.{next(runs_kept)}"
    Path(f"{stem}.whit").write_bytes(file)
    runners.write_inputs(model, feeds, Path(f"{stem}.inputs"))
    answer = hashlib.sha256(b"".join(map(runners.record, outputs)))
    Path(f"{stem}.sha256").write_text(answer.hexdigest())


def make_backend(keep_in: Path | None) -> Any:
    import onnx.backend.base

    import whit

    class Prepared(onnx.backend.base.BackendRep):  # type: ignore[misc]
        def __init__(self, model: Any) -> None:
            self.file = whit.convert(model)
            self.model = whit.load(self.file)
            constants = {t.name for t in model.graph.initializer}
            self.names = [i.name for i in model.graph.input if i.name not in constants]
            self.outputs = [o.name for o in model.graph.output]

        def run(self, inputs: Any, **_: Any) -> list[Any]:
            feeds = dict(zip(self.names, inputs, strict=False))
            results = self.model.run(feeds)
            if keep_in is not None:
                keep(keep_in, self.model, self.file, feeds, [results[o] for o in self.outputs])
            for (
                port
            ) in self.model.outputs:  # the exporter's shape inference against what the runtime made
                check_inferred(port, results[port.name])
            return [results[name] for name in self.outputs]

    class Backend(onnx.backend.base.Backend):  # type: ignore[misc]
        @classmethod
        def prepare(cls, model: Any, device: str = "CPU", **_: Any) -> Any:
            return Prepared(model)

        @classmethod
        def supports_device(cls, device: str) -> bool:
            return device == "CPU"

    return Backend


RANDOM = re.compile(r"^test_(bernoulli|training_dropout(?!_zero))")
"""Cases that draw random numbers. What onnx expects there are NumPy's draws ("the generator operator is
non-deterministic and may not produce the same values in different implementations", says onnx's own test), so only
type, shape and the values where both drew something other than 0 are compared."""


current_case = [""]
runs_kept = itertools.count()


def make_suite() -> Any:
    import numpy as np
    import onnx.backend.test

    class Suite(onnx.backend.test.BackendTest):  # type: ignore[misc]
        @classmethod
        def assert_similar_outputs(
            cls, ref_outputs: Any, outputs: Any, rtol: float, atol: float, model_dir: Any = None
        ) -> None:
            """onnx's comparison, which takes the items of a sequence apart although they are tensors."""
            want, got = list(ref_outputs), list(outputs)
            if len(want) == len(got):
                for k, (w, g) in enumerate(zip(want, got, strict=True)):
                    if isinstance(w, list) and isinstance(g, list):
                        cls.assert_similar_outputs(w, g, rtol, atol, model_dir)
                        want[k] = got[k] = np.zeros(0)
                    elif (
                        RANDOM.match(current_case[0]) and w.shape == g.shape and w.dtype == g.dtype
                    ):
                        got[k] = np.where((w != 0) & (g != 0), g, w)
            super().assert_similar_outputs(want, got, rtol, atol, model_dir)

    return Suite


def load_cases(keep_in: Path | None = None) -> dict[str, tuple[str, unittest.TestCase]]:
    """{case name: (category, test)}."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        suite = make_suite()(make_backend(keep_in), __name__)
        cases = {}
        for group, case in suite.test_cases.items():
            category = group.removeprefix("OnnxBackend").removesuffix("Test").removesuffix("Model")
            for name in dir(case):
                if name.startswith("test_") and name.endswith("_cpu"):
                    cases[name.removesuffix("_cpu")] = (category, case(name))
    return cases


def judge(test: unittest.TestCase) -> tuple[str, str]:
    import whit

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            getattr(test, test._testMethodName)()
    except whit.ConvertError as e:
        return "refused", str(e)
    except AssertionError as e:
        return "wrong", str(e)
    except whit.WhitError as e:
        return "error", str(e)
    except Exception as e:  # a fault of ours in Python: never a refusal
        return "error", f"{type(e).__name__}: {e}"
    return "pass", ""


def work(keep_in: Path | None) -> None:
    global runs_kept
    cases = load_cases(keep_in)
    print(
        json.dumps({"cases": {name: category for name, (category, _) in cases.items()}}), flush=True
    )
    for line in sys.stdin:
        name = line.strip()
        current_case[0], runs_kept = name, itertools.count()
        outcome, why = judge(cases[name][1])
        print(json.dumps({"case": name, "outcome": outcome, "why": why[:2000]}), flush=True)


# ---- parent ------------------------------------------------------------------------------------


class Worker:
    """A process that judges one case at a time; started again when it dies."""

    def __init__(self, keep_in: Path | None) -> None:
        self.command = [sys.executable, __file__, "--worker"]
        if keep_in is not None:
            self.command += ["--keep", str(keep_in)]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "ONNX_HOME": str(ROOT / "build" / "onnx_home")},
        )
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self.read, args=(self.process, self.lines), daemon=True).start()
        first = self.lines.get(timeout=600)
        if first is None:
            raise SystemExit(
                "conformance: the worker does not start; try: python tests/conformance/run.py --worker"
            )
        self.categories: dict[str, str] = json.loads(first)["cases"]

    @staticmethod
    def read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                lines.put(line)
        lines.put(None)

    def judge(self, name: str) -> tuple[str, str]:
        assert self.process.stdin is not None
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        try:
            line = self.lines.get(timeout=SECONDS)
        except queue.Empty:
            self.process.kill()
            self.start()
            return "timeout", f"no answer in {SECONDS:.0f} s"
        if line is None:
            code = self.process.wait()
            self.start()
            return "crash", f"the process ended with {code}"
        answer = json.loads(line)
        return answer["outcome"], answer["why"]


def run_all(only: str, jobs: int, keep_in: Path | None = None) -> dict[str, dict[str, str]]:
    workers = [Worker(keep_in) for _ in range(jobs)]
    categories = workers[0].categories
    todo: queue.Queue[str] = queue.Queue()
    for name in sorted(categories):
        if re.search(only, name):
            todo.put(name)
    total, results, lock, began = todo.qsize(), {}, threading.Lock(), time.monotonic()

    def drain(worker: Worker) -> None:
        while True:
            try:
                name = todo.get_nowait()
            except queue.Empty:
                return
            outcome, why = worker.judge(name)
            with lock:
                results[name] = {"category": categories[name], "outcome": outcome, "why": why}
                if len(results) % 100 == 0 or len(results) == total:
                    passed = sum(r["outcome"] == "pass" for r in results.values())
                    print(
                        f"  {len(results)}/{total} judged, {passed} pass, {time.monotonic() - began:.0f} s",
                        flush=True,
                    )

    threads = [threading.Thread(target=drain, args=(w,)) for w in workers]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for w in workers:
        w.process.kill()
    return dict(sorted(results.items()))


def table(rows: dict[str, collections.Counter[str]], head: str) -> str:
    wide = max(len(head), *(len(k) for k in rows)) if rows else len(head)
    lines = [f"{head:<{wide}}  {'cases':>6} " + " ".join(f"{o:>8}" for o in OUTCOMES)]
    for key, c in rows.items():
        lines.append(
            f"{key:<{wide}}  {sum(c.values()):>6} "
            + " ".join(f"{c[o] or '.':>8}" for o in OUTCOMES)
        )
    return "\n".join(lines)


def operator_of(name: str, operators: dict[str, str]) -> str:
    return operators.get(name, "(whole models)")


def case_operators() -> dict[str, str]:
    """{node case: the operator it is about} as onnx's collection says."""
    from onnx.backend.test.loader import load_model_tests

    out = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in load_model_tests(kind="node"):
            model = case.model
            if model is not None and len(model.graph.node) == 1:
                out[case.name] = model.graph.node[0].op_type
            elif "_expanded" in case.name:
                out[case.name] = "(function bodies)"
    return out


def report(results: dict[str, dict[str, str]], by_operator: bool) -> None:
    categories: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for r in results.values():
        categories[r["category"]][r["outcome"]] += 1
        categories["all"][r["outcome"]] += 1
    print(table(dict(sorted(categories.items())), "category"))
    if by_operator:
        names, operators = case_operators(), collections.defaultdict(collections.Counter)
        for name, r in results.items():
            operators[operator_of(name, names)][r["outcome"]] += 1
        print("\n" + table(dict(sorted(operators.items())), "operator"))
    for outcome in ("crash", "timeout"):
        for name, r in results.items():
            if r["outcome"] == outcome:
                print(f"{outcome}: {name}: {r['why']}")


def markdown(results: dict[str, dict[str, str]]) -> str:
    """The page docs/conformance.md."""
    categories: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for r in results.values():
        categories[r["category"]][r["outcome"]] += 1
        categories["**all**"][r["outcome"]] += 1
    lines = [
        "# ONNX's own backend suite",
        "",
        "Made by `make conformance ARGS='--docs docs/conformance.md'`. Every case of the suite inside the `onnx` wheel goes through "
        "`whit.convert` and `whit.load`, in processes of their own, and is judged by onnx's comparison (type, shape, tolerances). "
        "*refused*: the exporter says which operator it does not support; *error*: the runtime gives up with a message. "
        f"The {sum(bool(RANDOM.match(n)) for n in results)} cases that draw random numbers (Bernoulli, Dropout in training) "
        "are judged by type, shape and what was kept: their expected values are NumPy's own draws.",
        "",
        "| category | cases | " + " | ".join(OUTCOMES) + " |",
        "|---|" + "---|" * (len(OUTCOMES) + 1),
    ]
    for key, c in sorted(categories.items()):
        lines.append(
            f"| {key} | {sum(c.values())} | " + " | ".join(str(c[o]) for o in OUTCOMES) + " |"
        )
    lines += ["", "## Cases that do not pass", "", "| case | outcome | why |", "|---|---|---|"]
    for name, r in results.items():
        if r["outcome"] != "pass":
            why = " ".join(r["why"].split())[:160].replace("|", "\\|")
            lines.append(f"| {name.removeprefix('test_')} | {r['outcome']} | {why} |")
    return "\n".join(lines) + "\n"


def compare(results: dict[str, dict[str, str]], path: Path) -> int:
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


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", metavar="REGEX", help="only cases whose name matches")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every outcome")
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE", help="names of the cases that must pass"
    )
    parser.add_argument("--update-baseline", action="store_true")
    parser.add_argument("--operators", action="store_true", help="print the table by operator too")
    parser.add_argument(
        "--docs", type=Path, metavar="FILE", help="write the page of the documentation"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write every run as files for runner.c")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.keep)
        return 0
    results = run_all(args.only, args.jobs, args.keep)
    report(results, args.operators)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    if args.docs:
        args.docs.write_text(markdown(results))
    if args.baseline and args.update_baseline:
        args.baseline.write_text(
            "\n".join(n for n, r in results.items() if r["outcome"] == "pass") + "\n"
        )
    return compare(results, args.baseline) if args.baseline and args.baseline.exists() else 0


if __name__ == "__main__":
    sys.exit(main())
