"""The same models on every machine and kernel table that can be executed here, and how their outputs compare bit by bit."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import runners

import whit

SAME, NAN_SIGN = "same", "same but for the sign of a NaN"
ACCEPTED = (SAME, NAN_SIGN)


@dataclass(frozen=True)
class Way:
    """A machine and a kernel table that runs the kept models in C."""

    name: str
    command: list[str]
    isa: str
    emulated: bool


def ways(emulate: bool) -> list[Way]:
    """emulate: arm64 and armv7 too, as far as their compilers and emulators are there."""
    native = runners.native()
    found = [Way(isa, native, isa, False) for isa in ("scalar", *runners.isas())]
    if emulate and runners.ARM64_CC and runners.QEMU:
        arm64 = runners.arm64()
        found += [Way(f"arm64 {isa}", arm64, isa, True) for isa in ("scalar", "neon")]
    if emulate and runners.ARMV7_CC and runners.QEMU_ARM:
        found.append(Way("armv7 scalar", runners.armv7(), "scalar", True))
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


def run(
    models: Mapping[str, tuple[bytes, dict[str, Any]]], folder: Path
) -> dict[str, dict[str, bytes | str]]:
    """{way: {name: outputs as records, or what happened instead}} of .whit files and what they are fed."""
    for name, (data, feeds) in models.items():
        (folder / f"{name}.whit").write_bytes(data)
        runners.write_inputs(whit.load(data), feeds, folder / f"{name}.inputs")
    stems = [folder / name for name in models]
    return {
        way.name: {stem.name: answer for stem, answer in answers(way, stems, folder)}
        for way in ways(True)
    }
