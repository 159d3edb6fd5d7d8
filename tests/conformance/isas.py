"""make conformance-isas: ONNX's backend suite on every instruction set, and the same bits on all of them.

First the suite as run.py judges it, with WHIT_CPU=scalar, avx2 and avx512 in turn. What passes is kept as files, which
tests/runtime_c/runner.c repeats in C: here with every kernel table, and under an emulator as arm64 code, with plain C and
NEON, and as 32-bit ARM code. Every output must have the bits that it had in Python, where onnx accepted it, but for the sign of a NaN.

    isas.py [--only REGEX] [--jobs N] [--native] [--json FILE]
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import run
import runners
from everywhere import ACCEPTED, NAN_SIGN, SAME, answers, difference, ways

NETWORKS = "Real"
"""The category of whole networks: minutes each in an emulator (vgg19 has 20 billion multiplications), so only --networks runs them
there; `make same-bits` runs networks of each kind, in small."""
LEFT_OUT = "left out"
Outcomes = dict[str, str]


def kept(results: run.Results, folder: Path) -> dict[str, list[Path]]:
    """{case that passes: its runs}, as path without suffix."""
    runs: dict[str, list[Path]] = collections.defaultdict(list)
    for path in sorted(folder.glob("*.outputs")):
        case = path.name.rsplit(".", 2)[0]
        if results[case]["outcome"] == "pass":
            runs[case].append(path.with_suffix(""))
    return runs


def compare_bits(
    results: run.Results, folder: Path, emulate: bool, networks: bool = False
) -> dict[str, Outcomes]:
    """{way: {case: SAME, NAN_SIGN, LEFT_OUT or what differs}}."""
    runs, found = kept(results, folder), {}
    for way in ways(emulate):
        began = time.monotonic()
        outcome = dict.fromkeys(runs, LEFT_OUT)
        stems = {
            stem: case for case, stems in runs.items() for stem in stems
            if networks or not (way.emulated and results[case]["category"] == NETWORKS)
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
            f"not under the emulator, for they are whole networks (--networks; make same-bits): {', '.join(networks)}"
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
    parser.add_argument(
        "--networks",
        action="store_true",
        help="whole networks in the emulators too (a quarter of an hour more)",
    )
    parser.add_argument("--native", action="store_true", help="leave the emulator out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every outcome")
    args = parser.parse_args()
    if not args.native and not (runners.ARM64_CC and runners.QEMU):
        print(f"conformance-isas: without arm64: {runners.NO_ARM64}", file=sys.stderr)
    if not args.native and not (runners.ARMV7_CC and runners.QEMU_ARM):
        print(f"conformance-isas: without armv7: {runners.NO_ARMV7}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as where:
        results, failed = judged(args.only, args.jobs, Path(where))
        found = compare_bits(results, Path(where), not args.native, args.networks)
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
