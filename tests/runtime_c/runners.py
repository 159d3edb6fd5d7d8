"""runner.c for every processor that can be executed here: built, given its inputs, and run."""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import whit
from whit import dtypes

ROOT = Path(__file__).resolve().parents[2]
ARM64_CC, QEMU = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
NO_ARM64 = "no arm64 compiler or emulator: apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
LIBRARY = ROOT / "build/gen/whit_all.c"
FLAGS = (
    "-std=c11", "-O2", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fno-stack-protector",
    "-fvisibility=hidden", f"-I{ROOT}/runtime_c/include", f"-I{ROOT}/runtime_c/platform", f"-I{ROOT}/build/gen",
)  # fmt: skip
"""The library's, as the Makefile has them, where they decide what code is made."""


def built(compiler: str, *flags: str, kind: str = "") -> Path:
    """The runner with the library and the platform part in it; built if it is not there or not up to date. kind: a name for
    what other flags make."""
    program = ROOT / "build/runners" / (Path(compiler).name + kind)
    platform_part = sorted((ROOT / "runtime_c/platform").glob("*.c"))
    sources = [LIBRARY, *platform_part, ROOT / "tests/runtime_c/runner.c"]
    depends = [f for f in (ROOT / "runtime_c").rglob("*") if f.suffix in (".c", ".h", ".inc")]
    newest = max(f.stat().st_mtime for f in (*depends, *sources, Path(__file__)))
    if program.exists() and program.stat().st_mtime > newest:
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    new = program.with_name(f"{program.name}.{os.getpid()}")  # others may be doing the same
    command = [compiler, *FLAGS, *flags, *map(str, sources), "-pthread", "-o", str(new)]
    subprocess.run(command, check=True)
    return new.replace(program)


def native() -> list[str]:
    """The command that runs it here."""
    return [str(built(os.environ.get("CC", "cc")))]


def small() -> list[str]:
    """The same with the loops of the size profile."""
    return [str(built(os.environ.get("CC", "cc"), "-DWHIT_SMALL=1", kind="-small"))]


def arm64(*options: str) -> list[str]:
    """The command that runs it as arm64 code under the emulator, with options for that."""
    assert ARM64_CC and QEMU, NO_ARM64
    return [QEMU, "-cpu", "cortex-a53", *options, str(built(ARM64_CC, "-static"))]


def isas() -> list[str]:
    """Kernel tables that this machine can run, the plain one apart."""
    if platform.machine() != "x86_64":
        return ["neon"]
    flags = Path("/proc/cpuinfo").read_text()
    return [isa for isa, flag in (("avx2", " avx2 "), ("avx512", " avx512dq ")) if flag in flags]


def write_inputs(model: whit.Model, feeds: Mapping[str, np.ndarray[Any, Any]], to: Path) -> None:
    with to.open("wb") as f:
        for port in model.inputs:
            given = feeds[port.name]
            code = dtypes.from_numpy(given.dtype)
            f.write(struct.pack(f"<BBH{given.ndim}i", code, given.ndim, 0, *given.shape))
            f.write(np.ascontiguousarray(given).tobytes())


def answer(
    command: list[str], model: Path, inputs: Path, isa: str, *, times: int = 2, mode: str = "plain",
    threads: int = 1,
) -> bytes:  # fmt: skip
    """What the model gives: the record of every output."""
    outputs = inputs.with_name(f"{inputs.name}-{Path(command[-1]).name}-{isa}-{mode}-{threads}")
    arguments = [model, inputs, outputs, isa, times, mode, threads]
    subprocess.run([*command, *map(str, arguments)], check=True)
    found = outputs.read_bytes()
    outputs.unlink()
    return found
