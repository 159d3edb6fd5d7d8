"""make bench-arm64: what the arm64 kernels' inner loops can reach, by llvm-mca's models of three cores.

The library is compiled to assembly as it is shipped, the innermost loop with the most multiply-adds is cut out of each kernel, and
llvm-mca says how many cycles a turn takes when everything is in L1. The peak of a core is what the same tool says of 24
independent multiply-adds. It knows no caches, no branches and no decoder: an upper bound, to compare loops by.

    arm64.py [--json]

Results go to build/bench/arm64.json as well, for docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import runners
from peers import CACHE

RESULTS = CACHE / "arm64.json"
CORES = {"neoverse-n1": 0.95, "neoverse-v1": 0.95, "cortex-a510": 0.85}
"""With the share of the peak that the fp32 GEMM is to reach. n1 stands for Cortex-A76 to A78, v1 for X1; a510 is in order."""
KERNELS = {
    "GEMM 6x16": r"gemm_6x1\w*_neon",
    "one row (GEMV)": r"gemv_\w*_neon",
    "depthwise": r"depthwise_\w*_neon",
    "exp, 4 numbers": r"probe_exp",
}
GEMM = "GEMM 6x16"
TURNS = 400
PROBE = """
#include "whit_all.c"
/* The exponential of the tile operator, with everything inside. */
__attribute__((flatten)) void probe_exp(float *y, const float *x, int n);
void probe_exp(float *y, const float *x, int n) {
  for (; n > 0; n -= 4, x += 4, y += 4) vst1q_f32(y, exp_neon(vld1q_f32(x)));
}
"""


def tool(*names: str) -> str | None:
    return next((found for name in names if (found := shutil.which(name))), None)


MCA = tool("llvm-mca-19", "llvm-mca", "llvm-mca-20", "llvm-mca-18")
CLANG = tool("clang-19", "clang", "clang-20", "clang-18")


def missing() -> str | None:
    """Why nothing can be said here, or None."""
    if MCA is None:
        return "no llvm-mca: apt install llvm-19"
    if runners.ARM64_CC is None and CLANG is None:
        return "no compiler for arm64: apt install clang-19 or gcc-aarch64-linux-gnu"
    return None


def compilers() -> dict[str, list[str]]:
    found = {}
    if runners.ARM64_CC:
        found["gcc"] = [runners.ARM64_CC]
    if CLANG:
        found["clang"] = [CLANG, "--target=aarch64-linux-android21"]
    return found


def assembly(command: Sequence[str]) -> list[str]:
    flags = [*runners.FLAGS, "-ffreestanding", "-fPIC", "-fno-asynchronous-unwind-tables"]
    done = subprocess.run(
        [*command, *flags, "-S", "-x", "c", "-", "-o", "-"], input=PROBE, capture_output=True, text=True,
        cwd=runners.ROOT / "build/gen",
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr[:2000]}")
    return done.stdout.splitlines()


# ---- loops ------------------------------------------------------------------------------------------------

LABEL = re.compile(r"^([\w.$]+):")
CONDITION = "eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
BRANCH = re.compile(rf"^(?:b|b\.?(?:{CONDITION})|cbn?z|tbn?z)\s.*?([.\w$]+)$")


def functions(lines: Iterable[str]) -> dict[str, list[str]]:
    """Labels and instructions of each function, without comments and directives."""
    found: dict[str, list[str]] = {}
    body: list[str] | None = None
    for line in lines:
        text = re.split(r"//|\s;", line)[0].strip()
        label = LABEL.match(text)
        if label and not label[1].startswith((".L", "$")):
            body = found.setdefault(label[1], [])
        elif body is not None and (label or (text and not text.startswith("."))):
            body.append(text)
    return found


def loops(body: Sequence[str]) -> list[list[str]]:
    """The innermost loops: from a label to a branch back to it, with no such branch in between."""
    at = {m[1]: k for k, line in enumerate(body) if (m := LABEL.match(line))}
    spans = []
    for k, line in enumerate(body):
        branch = BRANCH.match(line)
        if branch and at.get(branch[1], k) < k:
            spans.append((at[branch[1]], k))
    inner = [s for s in spans if not any(s[0] <= t[0] and t[1] <= s[1] and s != t for t in spans)]
    return [[x for x in body[a : b + 1] if not LABEL.match(x)] for a, b in inner]


def multiply_adds(loop: Sequence[str]) -> int:
    """fp32 products of a turn: four for each vector instruction."""
    return 4 * sum(bool(re.match(r"fml[as]\s+v\d+\.4s", line)) for line in loop)


def cycles(loop: Sequence[str], core: str) -> float:
    """Of one turn."""
    # where it branches to does not matter
    text = "\n".join(re.sub(r"[.\w$]+$", "turn", x) if BRANCH.match(x) else x for x in loop)
    options = (f"-mcpu={core}", f"-iterations={TURNS}", "-instruction-info=0", "-resource-pressure=0")  # fmt: skip
    done = subprocess.run(
        [str(MCA), "-mtriple=aarch64-linux-gnu", *options], input=f".text\nturn:\n{text}\n",
        capture_output=True, text=True,
    )  # fmt: skip
    total = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    if done.returncode or not total:
        raise RuntimeError(f"llvm-mca, {core}: {done.stderr[:1000]}")
    return int(total[1]) / TURNS


def peak(core: str) -> float:
    """Multiply-adds a cycle of independent instructions."""
    return 24 * 4 / cycles([f"fmla v{k}.4s, v0.4s, v1.s[0]" for k in range(4, 28)], core)


def measure() -> dict[str, Any]:
    peaks = {core: peak(core) for core in CORES}
    table: dict[str, Any] = {}
    for compiler, command in compilers().items():
        parts = functions(assembly(command))
        for kernel, pattern in KERNELS.items():
            inner = [
                loop for name, body in parts.items() if re.fullmatch(pattern, name) for loop in loops(body)
            ]  # fmt: skip
            if not inner:
                raise RuntimeError(f"{compiler} made no loop of {kernel} (functions {pattern})")
            # Where the first or last line of k is apart, its loop has as many: the other is the faster one.
            loop = max(inner, key=lambda x: (multiply_adds(x), -cycles(x, "cortex-a510")))
            macs = multiply_adds(loop)
            row = {"instructions": len(loop), "macs": macs, "cycles": {}, "of_peak": {}}
            for core in CORES:
                took = cycles(loop, core)
                row["cycles"][core] = took
                row["of_peak"][core] = macs / took / peaks[core]
            table[f"{kernel}, {compiler}"] = row
    return {"peaks": peaks, "loops": table}


HEAD = ("loop", "instructions", "multiply-adds a turn", *(f"{c}: cycles, of the peak" for c in CORES))  # fmt: skip


def rows(found: dict[str, Any]) -> list[list[str]]:
    table = []
    for name, row in found["loops"].items():
        shares = (
            f"{row['cycles'][c]:.1f}, {100 * row['of_peak'][c]:.0f} %" for c in found["peaks"]
        )
        table.append([name, str(row["instructions"]), str(row["macs"]), *shares])
    return table


def goals(found: dict[str, Any]) -> list[str]:
    """The fp32 GEMM against its goal on each core."""
    said = []
    for core, goal in CORES.items():
        reached = {
            name.split(", ")[-1]: row["of_peak"][core]
            for name, row in found["loops"].items()
            if name.startswith(GEMM)
        }
        able = [compiler for compiler, share in reached.items() if share >= goal]
        verdict = "missed" if not able else "reached"
        if able and len(able) < len(reached):
            verdict = f"reached with {' and '.join(able)} only"
        shares = ", ".join(f"{100 * share:.0f} % ({c})" for c, share in reached.items())
        said.append(
            f"fp32 GEMM on {core}: {shares} of the modelled peak; goal {100 * goal:.0f} %: {verdict}"
        )
    return said


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if why := missing():
        print(f"bench-arm64: {why}", file=sys.stderr)
        return 1
    found = measure()
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1))
    if args.json:
        print(json.dumps(found))
        return 0
    print("model's peak, fp32 multiply-adds a cycle: " + ", ".join(f"{c} {p:.1f}" for c, p in found["peaks"].items()))  # fmt: skip
    for row in (HEAD, *rows(found)):
        print("  " + " | ".join(row))
    for sentence in goals(found):
        print(sentence)
    return 0


if __name__ == "__main__":
    sys.exit(main())
