"""make same-bits: every model of models.py, in its small form, gives the same bits on every instruction set and number of threads.

Plain C on one thread says what is right. AVX2 and AVX-512 run here, NEON as arm64 code under qemu-aarch64; each with one thread and
with two. A model that `--optimize memory` or `speed` makes another file of counts for each of its files.

    same_bits.py [--only REGEX] [--native]      --native: leave the emulator out
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import models
import runners

import whit

THREADS = (1, 2)


def files(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """The model as each way to optimize makes it, without repetitions."""
    source = models.ensure(name, small=True)
    seen = set()
    for optimize in ("balanced", "memory", "speed"):
        target = folder / f"{name}-{optimize}.whit"
        whit.convert(source, target, optimize=optimize)
        content = hashlib.sha256(target.read_bytes()).digest()
        if content in seen:
            target.unlink()
            continue
        seen.add(content)
        yield optimize, target


def departures(name: str, emulate: bool) -> list[str]:
    """What gives other bits than plain C on one thread; empty if nothing does."""
    found = []
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        for optimize, path in files(name, folder):
            inputs = folder / f"{optimize}.inputs"
            runners.write_inputs(whit.load(path), models.feeds(name, small=True), inputs)
            want = runners.answer(runners.native(), path, inputs, "scalar", times=1)
            ways = [(isa, runners.native()) for isa in runners.isas()]
            if emulate:
                ways.append(("neon", runners.arm64()))
            for isa, command in ways:
                for threads in THREADS:
                    got = runners.answer(command, path, inputs, isa, times=1, threads=threads)
                    if got != want:
                        found.append(f"{name} ({optimize}): {isa}, {threads} threads")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default="", help="models that this regular expression finds")
    parser.add_argument("--native", action="store_true", help="leave the emulator out")
    args = parser.parse_args()
    emulate = not args.native and bool(runners.ARM64_CC and runners.QEMU)
    if not args.native and not emulate:
        print(f"same-bits: without NEON: {runners.NO_ARM64}", file=sys.stderr)
    isas = [*runners.isas(), *(["neon (emulated)"] if emulate else [])]
    runners.native()
    if emulate:
        runners.arm64()
    start, bad = time.monotonic(), 0
    chosen = models.select(args.only)
    with ThreadPoolExecutor(2) as pool:
        for name, found in zip(
            chosen, pool.map(lambda n: departures(n, emulate), chosen), strict=True
        ):
            bad += bool(found)
            print(f"{name}: {'; '.join(found) or 'the same'}", flush=True)
    print(
        f"{len(chosen) - bad} of {len(chosen)} models: the same bits on scalar, {', '.join(isas)}; "
        f"1 and 2 threads ({time.monotonic() - start:.0f} s)"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
