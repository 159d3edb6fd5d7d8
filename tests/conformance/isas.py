"""make conformance-isas: ONNX's backend suite on every instruction set, and the same bits on all of them.

First the suite as run.py judges it, with WHIT_CPU=scalar, avx2 and avx512 in turn. What passes is kept as files, which
tests/runtime_c/runner.c repeats in C: here with every kernel table, and as arm64 code under qemu-aarch64 with plain C and
NEON. Every output must have the hash that it had in Python, where onnx accepted it.

    isas.py [--only REGEX] [--third N] [--jobs N] [--native] [--sanitize] [--json FILE]
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import run
import runners

BASELINE = run.HERE / "passed.txt"
NETWORKS = "Real"
"""The category of whole networks: too many multiplications for an emulator (vgg19 alone: 20 billion); `make same-bits` runs
networks of each kind there, in small."""
SECONDS = 60.0

Results = dict[str, dict[str, str]]


class Way:
    """One machine and kernel table that runs the kept models in C."""

    def __init__(self, name: str, command: list[str], isa: str, emulated: bool) -> None:
        self.name, self.command, self.isa, self.emulated = name, command, isa, emulated


def ways(emulate: bool) -> list[Way]:
    native = runners.native()
    found = [Way(isa, native, isa, False) for isa in ("scalar", *runners.isas())]
    if emulate:
        arm64 = runners.arm64()
        found += [Way(f"arm64 {isa}", arm64, isa, True) for isa in ("scalar", "neon")]
    return found


def answers(way: Way, stems: list[Path], folder: Path) -> Iterator[tuple[Path, str]]:
    """(model, hash of its outputs, or what happened instead); a process for all of them, and another after each crash."""
    todo = list(stems)
    while todo:
        jobs = folder / "list"
        output = folder / "outputs"
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
                yield todo[done], hashlib.sha256(answer.read_bytes()).hexdigest()
                answer.unlink()
            else:
                yield todo[done], f"status {line.strip()}"
            done += 1
        code = process.wait()
        if done < len(todo):
            yield todo[done], f"crash ({code})"
        todo = todo[done + 1 :]


def kept(results: Results, folder: Path) -> dict[str, list[Path]]:
    """{case that passes: its runs}, as path without suffix."""
    runs: dict[str, list[Path]] = collections.defaultdict(list)
    for path in sorted(folder.glob("*.sha256")):
        case = path.name.rsplit(".", 2)[0]
        if results[case]["outcome"] == "pass":
            runs[case].append(path.with_suffix(""))
    return runs


def compare_bits(results: Results, folder: Path, emulate: bool) -> tuple[Results, list[str]]:
    """{way: {case: "same", "left out" or what differs}}, and lines about what is not the same."""
    runs = kept(results, folder)
    found: Results = {}
    bad = []
    for way in ways(emulate):
        began = time.monotonic()
        chosen = {
            c: r for c, r in runs.items() if not (way.emulated and results[c]["category"] == NETWORKS)
        }
        case_of = {stem: case for case, stems in chosen.items() for stem in stems}
        outcome = {c: "same" if c in chosen else "left out" for c in runs}
        for stem, answer in answers(way, list(case_of), folder):
            if answer != Path(f"{stem}.sha256").read_text():
                what = "other bits" if len(answer) == 64 else answer
                outcome[case_of[stem]] = what
                bad.append(f"{way.name}: {stem.name}: {what}")
        found[way.name] = outcome
        print(f"  {way.name}: {len(case_of)} runs, {time.monotonic() - began:.0f} s", flush=True)
    return found, bad


def table(results: Results, found: Results) -> str:
    """By category: cases that pass, and how many of them give the same bits on each way."""
    categories = sorted({r["category"] for r in results.values()})
    lines = [f"{'category':<16}  {'pass':>6} " + " ".join(f"{w:>13}" for w in found)]
    for category in [*categories, "all"]:
        cases = [c for c, r in results.items() if category in ("all", r["category"])]
        passed = sum(results[c]["outcome"] == "pass" for c in cases)
        same = (sum(o.get(c) == "same" for c in cases) for o in found.values())
        lines.append(f"{category:<16}  {passed:>6} " + " ".join(f"{n:>13}" for n in same))
    return "\n".join(lines)


def left_out(results: Results, found: Results) -> list[str]:
    lines = []
    never = [
        c for c, r in results.items()
        if r["outcome"] == "pass" and not any(c in outcome for outcome in found.values())
    ]  # fmt: skip
    if never:
        lines.append(f"not repeated in C, for they run no model: {', '.join(never)}")
    networks = sorted({c for outcome in found.values() for c, o in outcome.items() if o == "left out"})
    if networks:
        lines.append(
            "not under the emulator, for they are whole networks (make same-bits has small ones): "
            + ", ".join(networks)
        )
    return lines


def judged(only: str, jobs: int, folder: Path) -> tuple[Results, int]:
    """The suite by onnx's judgement with each kernel table forced; the runs of the first one are kept."""
    first, failed = None, 0
    for isa in ("scalar", *runners.isas()):
        print(f"WHIT_CPU={isa}", flush=True)
        os.environ["WHIT_CPU"] = isa
        results = run.run_all(only, jobs, folder if first is None else None)
        first = first or results
        failed |= run.compare(results, BASELINE)
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
        found, bad = compare_bits(results, Path(where), emulate)
    print(table(results, found))
    for line in left_out(results, found):
        print(line)
    for line in bad:
        print(f"differs: {line}")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if bad or failed else 0


if __name__ == "__main__":
    sys.exit(main())
