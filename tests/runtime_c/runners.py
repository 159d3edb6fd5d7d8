"""runner.c for every processor that can be executed here: built, given its inputs, and run."""

from __future__ import annotations

import math
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
from whit._native import ABSENT, SEQUENCE, TENSOR

ROOT = Path(__file__).resolve().parents[2]
ARM64_CC, QEMU = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
NO_ARM64 = "no arm64 compiler or emulator: apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
NO_ARMV7 = "no armv7 compiler or emulator: apt install gcc-arm-linux-gnueabi libc6-dev-armel-cross qemu-user"
ARMV7_CC, QEMU_ARM = shutil.which("arm-linux-gnueabi-gcc"), shutil.which("qemu-arm")
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


def armv7() -> list[str]:
    """The same for 32-bit ARM."""
    assert ARMV7_CC and QEMU_ARM, NO_ARMV7
    flags = ("-march=armv7-a", "-mthumb", "-mfpu=neon", "-mfloat-abi=softfp", "-static")
    return [QEMU_ARM, "-cpu", "cortex-a8", str(built(ARMV7_CC, *flags))]


def isas() -> list[str]:
    """Kernel tables that this machine can run, the plain one apart."""
    if platform.machine() != "x86_64":
        return ["neon"]
    flags = Path("/proc/cpuinfo").read_text()
    return [isa for isa, flag in (("avx2", " avx2 "), ("avx512", " avx512dq ")) if flag in flags]


def record(value: Any) -> bytes:
    """A value as runner.c reads and writes it: an array, a list of arrays (a sequence), or None (an absent optional)."""
    if value is None:
        return struct.pack("<BBBx", 0, 0, ABSENT)
    if isinstance(value, list):
        head = struct.pack("<BBBxi", 0, 1, SEQUENCE, len(value))
        return head + b"".join(record(item) for item in value)
    code = dtypes.from_numpy(value.dtype)
    head = struct.pack(f"<BBBx{value.ndim}i", code, value.ndim, TENSOR, *value.shape)
    return head + np.ascontiguousarray(value).tobytes()


def values(records: bytes) -> list[Any]:
    """The values of a file of records."""
    found, at = [], 0
    while at < len(records):
        value, at = _value(records, at)
        found.append(value)
    return found


def _value(records: bytes, at: int) -> tuple[Any, int]:
    code, rank, kind = records[at : at + 3]
    dims = struct.unpack_from(f"<{rank}i", records, at + 4)
    at += 4 + 4 * rank
    if kind == ABSENT:
        return None, at
    if kind == SEQUENCE:
        items = []
        for _ in range(dims[0]):
            item, at = _value(records, at)
            items.append(item)
        return items, at
    dtype = dtypes.to_numpy(code)
    count = math.prod(dims)
    array = np.frombuffer(records, dtype, count, at).reshape(dims)
    return array, at + count * dtype.itemsize


def write_inputs(model: whit.Model, feeds: Mapping[str, Any], to: Path) -> None:
    """An optional input that feeds leave out is absent."""
    to.write_bytes(b"".join(record(feeds.get(port.name)) for port in model.inputs))


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
