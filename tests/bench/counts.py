"""make bench-check: instructions that one inference executes, beside the least that its multiply-adds need.

The runner (tests/runtime_c/runner.c) runs under qemu's user-mode emulators with insn_plugin.c, which counts executed
instructions per function: x86-64 code with the AVX2 kernels, arm64 code with the NEON ones, one thread, from the entry of whit_run
to its end. Nothing in there depends on the machine, the time or the environment, so the counts are exactly repeatable for one
compiler, and two per cent are a change. valgrind --tool=callgrind --toggle-collect=whit_run counts the same.

    counts.py [--only REGEX] [--isa avx2,neon] [--check] [--baseline] [--json]

Results go to build/bench/counts.json as well, for docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import baseline
import models
import runners
from peers import CACHE

import whit
from whit import _profile

ISAS = ("avx2", "neon")
LANES = {"avx2": 8, "neon": 4}
SLACK = 1.02
RESULTS = CACHE / "counts.json"

Count = dict[str, Any]
"""Of one model and instruction set: instructions, fma, minimum (of the multiply-adds), functions."""


# ---- counting -------------------------------------------------------------------------------------------


def missing(isa: str) -> str | None:
    """Why this instruction set cannot be counted here, or None."""
    if isa == "neon":
        return None if runners.ARM64_CC and runners.QEMU else runners.NO_ARM64
    if shutil.which("qemu-x86_64") is None:
        return "no qemu-x86_64: apt install qemu-user"
    is_x86 = os.uname().machine == "x86_64"
    return None if is_x86 else "x86-64 instructions are counted on x86-64 machines only"


def compiler(isa: str) -> str:
    """What made the code; other compilers give other counts."""
    name = runners.ARM64_CC if isa == "neon" else os.environ.get("CC", "cc")
    said = subprocess.run([str(name), "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"\d+\.\d+\.\d+", said.stdout)
    kind = "clang" if "clang" in said.stdout else "gcc"
    return f"{kind} {version[0] if version else 'of unknown version'}"


def plugin() -> Path:
    source = Path(__file__).with_name("insn_plugin.c")
    target = runners.ROOT / "build/runners/insn_plugin.so"
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_suffix(f".{os.getpid()}")
        flags = ("-std=c11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-fvisibility=hidden")
        subprocess.run(["cc", *flags, str(source), "-o", str(new)], check=True)
        new.replace(target)
    return target


def command(isa: str, out: Path) -> list[str]:
    option = f"{plugin()},out={out}"
    if isa == "neon":
        return runners.arm64("-plugin", option)
    return ["qemu-x86_64", "-cpu", "max", "-plugin", option, *runners.native()]


def kernel(function: str) -> str:
    """Functions by what they belong to: gemm_6x1_neon and gemm_f32_neon are gemm, conv_copy.isra.0 is conv."""
    name = re.sub(r"\.(isra|part|constprop|cold).*", "", function).removeprefix("whit_")
    if name.startswith(("micro", "exp", "log", "sin", "erf", "tanh", "sigmoid", "atan")):
        return "element-wise kernels"
    known = {"tile": "element-wise control", "red": "reduce", "window": "windows", "bytes": "copies",
             "square": "norm", "affine": "norm", "dot": "attention", "weigh": "attention",
             "copy": "copies", "run": "executor", "after": "executor", "call": "executor"}  # fmt: skip
    first = name.split("_")[0]
    return known.get(first, first)


def count(model: Path, inputs: Path, isa: str, program: Path | None = None) -> Count:
    """program: in place of the runner that holds the whole library."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counts"
        emulated = command(isa, out)
        arguments = [
            *emulated[:-1],
            program or emulated[-1],
            model,
            inputs,
            Path(folder) / "outputs",
            isa,
            1,
        ]
        subprocess.run(list(map(str, arguments)), check=True)
        lines = [line.split() for line in out.read_text().splitlines()]
    # libc's, of the runner: a run that asked for a larger arena
    lines = [line for line in lines if not line[0].startswith(("_", "?"))]
    parts: defaultdict[str, int] = defaultdict(int)
    for name, n, _ in lines:
        parts[kernel(name)] += int(n)
    slowest = sorted(parts.items(), key=lambda item: -item[1])
    return {
        "instructions": sum(int(n) for _, n, _ in lines),
        "fma": sum(int(n) for _, _, n in lines),
        "parts": dict(slowest),
    }


def measure(name: str, isas: tuple[str, ...]) -> dict[str, Count]:
    source = models.ensure(name)
    feeds = models.feeds(name)
    with tempfile.TemporaryDirectory() as folder:
        path, inputs = Path(folder) / "model.whit", Path(folder) / "inputs"
        whit.convert(source, path)
        model = whit.load(path)
        runners.write_inputs(model, feeds, inputs)
        instance, arrays = model.instance(feeds)
        macs = sum(c.flops for c in _profile.costs(model, instance, arrays)) / 2
        found = {isa: count(path, inputs, isa) for isa in isas}
    for isa, cell in found.items():
        cell["minimum"] = round(macs / LANES[isa])
    return found


def all_of(chosen: Sequence[str], isas: tuple[str, ...]) -> dict[str, dict[str, Count]]:
    """The counts of these models; they go to the results as well."""
    for isa in isas:
        command(isa, Path("."))  # builds
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(chosen, pool.map(lambda name: measure(name, isas), chosen), strict=True))
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, cells in found.items():
        kept[name] = {**kept.get(name, {}), **cells}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(kept, indent=1))
    return found


def known(isa: str, since: float) -> dict[str, dict[str, Count]]:
    """The results that are there, if they are of every model and not older than this time; else nothing."""
    if not RESULTS.exists() or RESULTS.stat().st_mtime < since:
        return {}
    kept: dict[str, dict[str, Count]] = json.loads(RESULTS.read_text())
    return kept if all(isa in kept.get(name, {}) for name in models.MODELS) else {}


# ---- judging ----------------------------------------------------------------------------------------------


def regressions(found: Mapping[str, dict[str, Count]]) -> list[str]:
    """Sentences about counts that rose by more than the slack above the baseline."""
    stored, makers, said = baseline.read("instructions"), baseline.read("compilers"), []
    isas = {isa for cells in found.values() for isa in cells}
    for isa in sorted(isas):
        if makers.get(isa) != compiler(isa):
            said.append(
                f"{isa}: the baseline is of {makers.get(isa)}, this compiler is {compiler(isa)}; "
                "make one of its own with --baseline"
            )
    if said:
        return said
    for name, cells in found.items():
        for isa, cell in cells.items():
            before = stored.get(isa, {}).get(name)
            now = cell["instructions"]
            if before is None:
                said.append(f"{name}, {isa}: not in the baseline")
            elif now > before * SLACK:
                said.append(
                    f"{name}, {isa}: {now:,} instructions, the baseline is {before:,} "
                    f"({100 * (now / before - 1):+.1f} %)"
                )
    return said


def keep(found: Mapping[str, dict[str, Count]]) -> None:
    for isa in {isa for cells in found.values() for isa in cells}:
        numbers = {name: cells[isa]["instructions"] for name, cells in found.items()}
        stored = baseline.read("instructions").get(isa, {})
        baseline.write("instructions", {isa: {**stored, **numbers}})
        baseline.write("compilers", {isa: compiler(isa)})


def rows(found: Mapping[str, dict[str, Count]], isa: str) -> list[list[str]]:
    """Per model: millions of instructions, of multiply-adds among them, the least possible, and where the most are."""
    table = []
    for name, cells in found.items():
        if isa not in cells:
            continue
        c = cells[isa]
        n, least = c["instructions"], c["minimum"]
        most = list(c["parts"].items())[:4]
        where = ", ".join(f"{part} {100 * k / n:.0f} %" for part, k in most)
        millions = (f"{k / 1e6:.2f}" for k in (n, c["fma"], least))
        table.append([name, *millions, f"{n / least:.2f}" if least else "–", where])
    return table


HEAD = ("model", "instructions, M", "of them FMA", "least (MACs / lanes)", "all / least", "where")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default="", help="models that this regular expression finds")
    parser.add_argument("--isa", default=",".join(ISAS), help="avx2, neon, by comma")
    parser.add_argument("--check", action="store_true", help="fail if a count rose by over 2 %%")
    parser.add_argument("--baseline", action="store_true", help="keep the counts as the baseline")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    isas = []
    for isa in args.isa.split(","):
        if why := missing(isa):
            print(f"{isa} is not counted: {why}", file=sys.stderr)
        else:
            isas.append(isa)
    found = all_of(models.select(args.only), tuple(isas))
    if args.json:
        print(json.dumps(found))
    else:
        for isa in isas:
            print(f"{isa} ({compiler(isa)})")
            for row in (HEAD, *rows(found, isa)):
                print("  " + " | ".join(row))
    if args.baseline:
        keep(found)
    said = regressions(found) if args.check else []
    for sentence in said:
        print(f"bench-check: {sentence}", file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
