"""make conformance-isas: ONNX's backend suite on every instruction set, and the same bits on all of them.

First the suite as run.py judges it, with WHIT_CPU=scalar, avx2 and avx512 in turn. What passes is kept as files, which
tests/runtime_c/runner.c repeats in C: here with every kernel table, and as arm64 code under qemu-aarch64 with plain C and
NEON. Every output must have the bits that it had in Python, where onnx accepted it, but for the sign of a NaN.

    isas.py [--only REGEX] [--jobs N] [--native] [--json FILE]
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import run
import runners

NETWORKS = "Real"
"""The category of whole networks: too many multiplications for an emulator (vgg19 alone: 20 billion); `make same-bits` runs
networks of each kind there, in small."""
SAME, NAN_SIGN = "same", "same but for the sign of a NaN"
ACCEPTED, LEFT_OUT = (SAME, NAN_SIGN), "left out"
Outcomes = dict[str, str]


@dataclass(frozen=True)
class Way:
    """A machine and a kernel table that runs the kept models in C."""

    name: str
    command: list[str]
    isa: str
    emulated: bool


def ways(emulate: bool) -> list[Way]:
    native = runners.native()
    found = [Way(isa, native, isa, False) for isa in ("scalar", *runners.isas())]
    if emulate:
        arm64 = runners.arm64()
        found += [Way(f"arm64 {isa}", arm64, isa, True) for isa in ("scalar", "neon")]
    return found


def answers(way: Way, stems: list[Path], folder: Path) -> Iterator[tuple[Path, bytes | str]]:
    """(run, its outputs, or what happened instead); a process for all of them, and another after each crash."""
    todo = list(stems)
    while todo:
        jobs, output = folder / "list", folder / "answer"
        jobs.write_text("".join(f"{s}.whit {s}.inputs {output}.{i}\n" for i, s in enumerate(todo)))
        process = subprocess.Popen(
            [*way.command, "--list", str(jobs), way.isa],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        done = 0
        for line in process.stdout:
            answer = Path(f"{output}.{done}")
            if line.strip() == "0":
                yield todo[done], answer.read_bytes()
                answer.unlink()
            else:
                yield todo[done], f"status {line.strip()}"
            done += 1
        code = process.wait()
        if done < len(todo):
            yield todo[done], f"crash ({code})"
        todo = todo[done + 1 :]


def difference(got: bytes, want: bytes) -> str:
    """How two files of outputs compare: SAME, NAN_SIGN, or what differs."""
    if got == want:
        return SAME
    a, b = runners.values(got), runners.values(want)
    if len(a) != len(b):
        return "another number of outputs"
    return next((d for d in map(_difference, a, b) if d not in ACCEPTED), NAN_SIGN)


def _difference(a: Any, b: Any) -> str:
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return next((d for d in map(_difference, a, b) if d not in ACCEPTED), NAN_SIGN)
    if not isinstance(a, np.ndarray) or not isinstance(b, np.ndarray):
        return SAME if a is None and b is None else "another kind of value"
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return f"{a.dtype.name}{list(a.shape)}, not {b.dtype.name}{list(b.shape)}"
    words = np.dtype(f"u{a.dtype.itemsize}")
    other = (x := np.ravel(a).view(words)) ^ (y := np.ravel(b).view(words))
    n = np.count_nonzero(other)
    if not n:
        return SAME
    sign = words.type(1) << words.type(8 * words.itemsize - 1)
    at = np.flatnonzero(other)
    floats = a.dtype.kind == "f" or a.dtype.name.startswith(("float", "bfloat"))
    if floats and np.isnan(np.ravel(a)[at].astype(np.float64)).all() and (other[at] == sign).all():
        return NAN_SIGN
    return f"other bits in {n} of {a.size} elements, first {x[at[0]]:#x}, not {y[at[0]]:#x}"


def kept(results: run.Results, folder: Path) -> dict[str, list[Path]]:
    """{case that passes: its runs}, as path without suffix."""
    runs: dict[str, list[Path]] = collections.defaultdict(list)
    for path in sorted(folder.glob("*.outputs")):
        case = path.name.rsplit(".", 2)[0]
        if results[case]["outcome"] == "pass":
            runs[case].append(path.with_suffix(""))
    return runs


def compare_bits(results: run.Results, folder: Path, emulate: bool) -> dict[str, Outcomes]:
    """{way: {case: SAME, NAN_SIGN, LEFT_OUT or what differs}}."""
    runs, found = kept(results, folder), {}
    for way in ways(emulate):
        began = time.monotonic()
        outcome = dict.fromkeys(runs, LEFT_OUT)
        stems = {
            stem: case for case, stems in runs.items() for stem in stems
            if not (way.emulated and results[case]["category"] == NETWORKS)
        }  # fmt: skip
        for stem, answer in answers(way, list(stems), folder):
            what = answer
            if isinstance(answer, bytes):
                what = difference(answer, Path(f"{stem}.outputs").read_bytes())
            before = outcome[stems[stem]]
            if before in (SAME, LEFT_OUT) or (before == NAN_SIGN and what != SAME):
                outcome[stems[stem]] = str(what)
        found[way.name] = outcome
        print(f"  {way.name}: {len(stems)} runs, {time.monotonic() - began:.0f} s", flush=True)
    return found


def bad(found: dict[str, Outcomes]) -> list[str]:
    return [
        f"{way}: {case}: {what}" for way, outcome in found.items() for case, what in outcome.items()
        if what not in (*ACCEPTED, LEFT_OUT)
    ]  # fmt: skip


def table(results: run.Results, found: dict[str, Outcomes]) -> str:
    """By category: cases that pass, and how many of them give the same bits on each way."""
    categories = sorted({r["category"] for r in results.values()})
    lines = [f"{'category':<16}  {'pass':>6} " + " ".join(f"{w:>13}" for w in found)]
    for category in [*categories, "all"]:
        cases = [c for c, r in results.items() if category in ("all", r["category"])]
        passed = sum(results[c]["outcome"] == "pass" for c in cases)
        same = (sum(o.get(c) in ACCEPTED for c in cases) for o in found.values())
        lines.append(f"{category:<16}  {passed:>6} " + " ".join(f"{n:>13}" for n in same))
    signs = sorted(
        {f"{c} ({w})" for w, o in found.items() for c, what in o.items() if what == NAN_SIGN}
    )
    if signs:
        lines.append(f"of these {NAN_SIGN}: {', '.join(signs)}")
    passed_cases = [c for c, r in results.items() if r["outcome"] == "pass"]
    never = [c for c in passed_cases if not any(c in outcome for outcome in found.values())]
    if never:
        lines.append(f"not repeated in C, for they run no model: {', '.join(never)}")
    networks = sorted(
        {c for outcome in found.values() for c, o in outcome.items() if o == LEFT_OUT}
    )
    if networks:
        lines.append(
            f"not under the emulator, for they are whole networks (make same-bits): {', '.join(networks)}"
        )
    return "\n".join(lines)


def judged(only: str, jobs: int, folder: Path) -> tuple[run.Results, int]:
    """The suite by onnx's judgement with each kernel table forced; the runs of the first one are kept."""
    first, failed = None, 0
    for isa in ("scalar", *runners.isas()):
        print(f"WHIT_CPU={isa}", flush=True)
        os.environ["WHIT_CPU"] = isa
        results = run.run_all(only, jobs, folder if first is None else None)
        first = first or results
        failed |= run.compare(results)
    del os.environ["WHIT_CPU"]
    assert first is not None
    return first, failed


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", metavar="REGEX", help="only cases whose name matches")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--native", action="store_true", help="leave the emulator out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every outcome")
    args = parser.parse_args()
    emulate = not args.native and bool(runners.ARM64_CC and runners.QEMU)
    if not args.native and not emulate:
        print(f"conformance-isas: without arm64: {runners.NO_ARM64}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as where:
        results, failed = judged(args.only, args.jobs, Path(where))
        found = compare_bits(results, Path(where), emulate)
    print(table(results, found))
    wrong = bad(found)
    for line in wrong:
        print(f"differs: {line}")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if wrong or failed or not any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
