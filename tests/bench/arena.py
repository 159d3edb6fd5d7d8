"""make bench-arena: the arena of every bench model beside what lives at once in a run of it.

values: the bytes of all values that are still to be read after some node, where they are the most: no plan that keeps the order of the
nodes needs less. with scratch: what the plan has to hold at once, the scratch of the node that runs as well.

    arena.py [--only REGEX] [--optimize balanced,memory,speed]
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import living
import models
import onnx

NEAR = 1.05


def reader(folder: Path) -> ctypes.CDLL:
    """arena.c, which reads the tables of an instance."""
    made = folder / "arena.so"
    source = Path(__file__).with_suffix(".c")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", source, "-o", made], check=True)  # fmt: skip
    library = ctypes.CDLL(str(made))
    library.arena_living.restype = ctypes.c_size_t
    library.arena_living.argtypes = [ctypes.c_void_p]
    return library


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", metavar="REGEX")
    parser.add_argument("--optimize", default="balanced,memory,speed")
    args = parser.parse_args()
    wanted = [m for m in models.MODELS if re.search(args.only, m)]
    ways = args.optimize.split(",")
    near = {way: [0, 0] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        library = reader(Path(folder))
    print(
        "| model | optimize | arena | values | of it | with scratch | of it |\n|---|---|--:|--:|--:|--:|--:|"
    )
    for name in wanted:
        model, feeds = onnx.load(str(models.ensure(name))), models.feeds(name)
        for way in ways:
            instance, arrays = living.ran(model, feeds, optimize=way)
            arena, both = instance.arena.nbytes, library.arena_living(instance.handle)
            most = living.most_living(instance, arrays)
            near[way][0] += arena <= NEAR * most
            near[way][1] += arena <= NEAR * both
            beside = "".join(f" {n:,} | {arena / n:.3f} |" for n in (most, both))
            print(f"| {name} | {way} | {arena:,} |{beside}", flush=True)
    for way, (values, both) in near.items():
        print(
            f"{way}: {values} of {len(wanted)} within {100 * (NEAR - 1):.0f} % of the values, {both} of these and scratch"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
