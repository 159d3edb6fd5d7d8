"""make counts: instructions that each operator executes in one inference of the three example models.

The runner's observer marks where a node begins and ends; the plugin counts between the marks (insn_plugin.c). What a control
node's regions execute counts for the nodes in them, its own conditions and carried values for the control node. `executor` is
the rest: what lies outside of all nodes. One thread, so the counts are exactly repeatable for one compiler.

    operators.py [--isa avx2,neon] [--check] [--baseline] [--json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import baseline
import counts
import numpy as np
import runners

import whit
from whit import _native

MODELS = runners.ROOT / "examples/models"
EXECUTOR = "executor"
SLACK_INSTRUCTIONS = 20
"""Beside the two per cent: an operator of a few hundred instructions is not worth an alarm for one more."""


def _digit() -> dict[str, Any]:
    images = np.load(MODELS / "digits_test.npz")["images"][:1]
    return {"image": images.astype(np.float32)[:, None] / 16}


def _date() -> dict[str, Any]:
    return {"text": np.frombuffer(b"sunday 22 november 2026", np.uint8).astype(np.int64)}


EXAMPLES: dict[str, Callable[[], dict[str, Any]]] = {
    "triple": lambda: {"x": np.array([[14]], np.float32)},
    "digits": _digit,
    "dates": _date,
}
"""With an input each."""

Counts = dict[str, dict[str, int]]
"""Instructions by operator, by model."""


def attributed(
    notes: list[tuple[int, int]], marks: list[int], operators: list[str]
) -> Counter[str]:
    """Instructions by operator: between two marks the innermost node that is open has them."""
    found: Counter[str] = Counter()
    open_nodes: list[int] = []
    before = 0
    for (node, after), now in zip(notes, marks, strict=False):
        found[operators[open_nodes[-1]] if open_nodes else EXECUTOR] += now - before
        before = now
        if not after:
            open_nodes.append(node)
        elif open_nodes.pop() != node:
            raise RuntimeError(f"node {node} ended, but another one was open")
    found[EXECUTOR] += marks[-1] - before
    return found


def measure(name: str, isa: str) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as here:
        folder = Path(here)
        whit.convert(MODELS / f"{name}.onnx", folder / "model.whit")
        model = whit.load(folder / "model.whit")
        feeds = EXAMPLES[name]()
        runners.write_inputs(model, feeds, folder / "inputs")
        command = counts.command(isa, Path(f"{folder}/counts,marks={folder}/marks"))
        arguments = [folder / "model.whit", folder / "inputs", folder / "outputs", isa, 1, "nodes"]
        subprocess.run([*command, *map(str, arguments)], check=True)
        marks = [int(line) for line in (folder / "marks").read_text().split()]
        lines = (folder / "outputs.nodes").read_text().splitlines()
        notes = [(int(a), int(b)) for a, b in (line.split() for line in lines)]
        if len(marks) != len(notes) + 1:
            raise RuntimeError(f"{name}: {len(marks)} marks of {len(notes)} node boundaries")
        operators = [
            _native.text(_native.lib().whit_node_operator(model.at, k))
            for k in range(len(model.file.nodes))
        ]
    return {k: n for k, n in attributed(notes, marks, operators).most_common() if n}


def regressions(found: Mapping[str, Counts]) -> list[str]:
    """Sentences about operators that execute more than the baseline and the slack allow."""
    stored, makers, said = baseline.read("operators"), baseline.read("compilers"), []
    for isa, models in found.items():
        if makers.get(isa) != counts.compiler(isa):
            said.append(
                f"{isa}: the baseline is of {makers.get(isa)}, this compiler is {counts.compiler(isa)}; "
                "make one of its own with ARGS=--baseline"
            )
            continue
        for name, operators in models.items():
            before = stored.get(isa, {}).get(name, {})
            for operator, now in {**operators, "all": sum(operators.values())}.items():
                was = before.get(operator)
                if was is None:
                    said.append(f"{name}, {isa}, {operator}: not in the baseline")
                elif now > was * counts.SLACK + SLACK_INSTRUCTIONS:
                    said.append(
                        f"{name}, {isa}, {operator}: {now:,} instructions, the baseline is {was:,} "
                        f"({100 * (now / was - 1):+.1f} %)"
                    )
    return said


def keep(found: Mapping[str, Counts]) -> None:
    for isa, models in found.items():
        rows = {name: {**c, "all": sum(c.values())} for name, c in models.items()}
        baseline.write("operators", {isa: rows})
        baseline.write("compilers", {isa: counts.compiler(isa)})


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--isa", default=",".join(counts.ISAS), help="avx2, neon, by comma")
    parser.add_argument("--check", action="store_true", help="fail if a count rose by over 2 %%")
    parser.add_argument("--baseline", action="store_true", help="keep the counts as the baseline")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found: dict[str, Counts] = {}
    for isa in args.isa.split(","):
        if why := counts.missing(isa):
            print(f"{isa} is not counted: {why}", file=sys.stderr)
        else:
            found[isa] = {name: measure(name, isa) for name in EXAMPLES}
    if args.json:
        print(json.dumps(found))
    else:
        for isa, models in found.items():
            print(f"{isa} ({counts.compiler(isa)})")
            for name, operators in models.items():
                total = sum(operators.values())
                print(f"  {name}: {total:,} instructions an inference")
                for operator, n in operators.items():
                    print(f"    {operator:<16} {n:>12,}  {100 * n / total:5.1f} %")
    if args.baseline:
        keep(found)
    said = regressions(found) if args.check else []
    for sentence in said:
        print(f"counts: {sentence}", file=sys.stderr)
    return 1 if said or not found else 0


if __name__ == "__main__":
    sys.exit(main())
