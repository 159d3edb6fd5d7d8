"""make bench-arena: the arena of every bench model beside what lives at once in a run of it.

The bytes of all values that are still to be read after some node, where they are the most: no plan that keeps the order of the nodes
needs less. An arena holds the scratch of the node that runs as well, which is not in that number.

    arena.py [--only REGEX] [--optimize balanced,memory,speed]
"""

from __future__ import annotations

import argparse
import re
import sys

import living
import models
import onnx

NEAR = 1.05


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", metavar="REGEX")
    parser.add_argument("--optimize", default="balanced,memory,speed")
    args = parser.parse_args()
    wanted = [m for m in models.MODELS if re.search(args.only, m)]
    ways = args.optimize.split(",")
    near = dict.fromkeys(ways, 0)
    print("| model | optimize | arena | lives at once | of it |\n|---|---|--:|--:|--:|")
    for name in wanted:
        model, feeds = onnx.load(str(models.ensure(name))), models.feeds(name)
        for way in ways:
            arena, most = living.arena_and_living(model, feeds, optimize=way)
            near[way] += arena <= NEAR * most
            print(f"| {name} | {way} | {arena:,} | {most:,} | {arena / most:.3f} |", flush=True)
    for way, n in near.items():
        print(f"{way}: {n} of {len(wanted)} within {100 * (NEAR - 1):.0f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
