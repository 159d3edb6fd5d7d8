"""The same bits on every instruction set: each golden model on every ISA of this machine, and on emulated arm64."""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

import whit

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "tests" / "golden").glob("v*/*.whit"))
ARM64_CC, QEMU = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")


def compiled(folder: Path, compiler: str, *flags: str) -> Path:
    program = folder / "runner"
    command = [
        compiler, "-std=c11", "-O2", "-ffp-contract=off", "-fno-math-errno", f"-I{ROOT}/runtime_c/include",
        f"-I{ROOT}/build/gen", *flags, str(ROOT / "build/gen/whit_all.c"), str(ROOT / "tests/runtime_c/runner.c"),
        "-o", str(program),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return program


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("native"), os.environ.get("CC", "cc"))


@pytest.fixture(scope="module")
def arm64(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not ARM64_CC or not QEMU:
        pytest.skip(
            "no arm64 compiler or emulator: apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
        )
    return compiled(tmp_path_factory.mktemp("arm64"), ARM64_CC, "-static")


def write_inputs(model_path: Path, to: Path) -> None:
    arrays = np.load(model_path.with_suffix(".npz"))
    numbers = {np.dtype(np.float32): 1, np.dtype(np.int64): 7, np.dtype(np.int32): 6}
    with to.open("wb") as f:
        for port in whit.load(model_path).inputs:
            a = np.ascontiguousarray(arrays[f"in:{port.name}"])
            shape = arrays[f"in:{port.name}"].shape
            f.write(
                struct.pack(f"<BBH{len(shape)}i", numbers[a.dtype], len(shape), 0, *shape)
                + a.tobytes()
            )


def answer(
    command: list[str | Path], model_path: Path, folder: Path, isa: str, mode: str = "plain"
) -> bytes:
    inputs, outputs = folder / "inputs", folder / f"outputs-{isa}-{mode}"
    write_inputs(model_path, inputs)
    subprocess.run([*command, model_path, inputs, outputs, isa, "2", mode], check=True)
    return outputs.read_bytes()


def isas() -> list[str]:
    if platform.machine() != "x86_64":
        return ["neon"]
    flags = Path("/proc/cpuinfo").read_text()
    return [isa for isa, flag in (("avx2", " avx2 "), ("avx512", " avx512dq ")) if flag in flags]


@pytest.mark.native
@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_isas_of_this_machine(native: Path, path: Path, tmp_path: Path) -> None:
    scalar = answer([native], path, tmp_path, "scalar")
    assert len(scalar) > 8
    for isa in isas():
        assert answer([native], path, tmp_path, isa) == scalar, isa


@pytest.mark.native
@pytest.mark.parametrize("mode", ["stop", "move"])
@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_stopped_at_every_node(native: Path, path: Path, mode: str, tmp_path: Path) -> None:
    """A run that stops before and after every node, and whose arena moves each time, gives the same bits."""
    plain = answer([native], path, tmp_path, "scalar")
    assert answer([native], path, tmp_path, "scalar", mode) == plain


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_arm64(native: Path, arm64: Path, path: Path, tmp_path: Path) -> None:
    expected = answer([native], path, tmp_path, "scalar")
    for isa in ("scalar", "neon"):
        assert answer([QEMU or "", "-cpu", "cortex-a53", arm64], path, tmp_path, isa) == expected, (
            isa
        )
