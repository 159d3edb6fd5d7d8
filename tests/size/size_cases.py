"""What is measured against tests/size/budget.json, and how the file is written anew.

python tests/size/size_cases.py --write
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import whit
from whit import _android, _size, _targets

ROOT = Path(__file__).resolve().parents[2]
BUDGET = Path(__file__).with_name("budget.json")
TARGET = "linux-aarch64"
TARGETS = {"thumb core": "cortex-m4"}
"""Of cases for another machine."""
COMPILERS = ("clang", "gcc")
CASES = (
    "everything",
    "core",
    "dynamic core",
    "thumb core",
    "triple",
    "digits",
    "dates",
    "mobilenet_v2",
)
CORES = tuple(c for c in CASES if c.endswith("core"))
ARCHIVES = ("aar everything", "aar mobilenet_v2")
"""libwhit.so of an Android archive, whose "compiler" is an ABI."""


def wanted() -> list[tuple[str, str]]:
    return [
        *((n, c) for n in CASES for c in COMPILERS),
        *((n, a) for n in ARCHIVES for a in _android.ABIS),
    ]


def model(name: str, folder: Path) -> whit.Model:
    """A case's model, converted."""
    source = ROOT / f"examples/models/{name}.onnx"
    if name == "mobilenet_v2":
        sys.path[:0] = [str(ROOT / "tests/bench"), str(ROOT / "tests/runtime_c")]
        import models

        source = models.ensure(name)
    to = folder / f"{name}.whit"
    whit.convert(str(source), str(to))
    return whit.load(to)


def measured(name: str, compiler: str, folder: Path) -> dict[str, int]:
    """Bytes of a case at -Os: by component, all of them, and the shared library, if there is one."""
    if name in ARCHIVES:
        plain = name.removeprefix("aar ")
        holds = [] if plain == "everything" else [model(plain, folder)]
        return {
            "shared": _android.library(holds, compiler, "size", folder / "libwhit.so")
            .stat()
            .st_size
        }
    core = name in CORES
    models = [] if core or name == "everything" else [model(name, folder)]
    target = _targets.target(TARGETS.get(name, TARGET))
    size = _size.measure(
        models, target, "size", compiler, core=core, dynamic=name == "dynamic core"
    )
    shared = {"shared": size.shared} if size.shared else {}
    return {**size.by_component(), "total": size.total, **shared}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="make what is measured the budget")
    parser.add_argument("--docs", action="store_true", help="write docs/size.md (minutes)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {f"{n}, {c}": measured(n, c, Path(folder)) for n, c in wanted()}
    head = ("core", "operators", "kernels", "literals", "total", "shared")
    print(f"| {TARGET}, -Os | {' | '.join(head)} |\n|---|{'--:|' * len(head)}")
    for case, sizes in found.items():
        print(f"| {case} | {' | '.join(f'{sizes[k]:,}' if k in sizes else '' for k in head)} |")
    if args.write:
        BUDGET.write_text(json.dumps(found, indent=1) + "\n")
    if args.docs:
        import size_docs

        size_docs.write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
