"""The matrix product: right, and the same bits on every instruction set, here and on emulated arm64."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QEMU = shutil.which("qemu-aarch64")
GCC_ARM64 = shutil.which("aarch64-linux-gnu-gcc")
CLANG = next((c for c in ("clang", "clang-19", "clang-18") if shutil.which(c)), None)
FLAGS = ["-std=c11", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
PATHS = [f"-I{ROOT}/runtime_c/include", f"-I{ROOT}/build/gen"]


LEVELS = pytest.mark.parametrize("level", ["-O2", "-Os"])
"""Compiled for size, finishes are done on what has been stored."""


def built(folder: Path, link: list[str], kernels: list[str], level: str) -> str:
    """tests/runtime_c/gemm.c on the runtime as another compiler makes it."""
    made = folder / "whit.o"
    subprocess.run(
        [*kernels, level, *FLAGS, *PATHS, "-c", ROOT / "build/gen/whit_all.c", "-o", made],
        check=True,
    )
    program = folder / "gemm"
    source = ROOT / "tests/runtime_c/gemm.c"
    subprocess.run([*link, "-O2", *FLAGS, *PATHS, source, made, "-o", program, "-lm"], check=True)
    return str(program)


@pytest.mark.native
@LEVELS
def test_this_machine(level: str, tmp_path: Path) -> None:
    cc = os.environ.get("CC", "cc")
    subprocess.run([built(tmp_path, [cc], [cc], level)], check=True)


@pytest.mark.native
@pytest.mark.skipif(not GCC_ARM64 or not QEMU, reason="needs gcc-aarch64-linux-gnu and qemu-user")
@LEVELS
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_arm64(compiler: str, level: str, tmp_path: Path) -> None:
    """clang has a loop of its own here (gemm_f32.inc, GEMM_LANES)."""
    assert GCC_ARM64 and QEMU
    kernels = [GCC_ARM64]
    if compiler == "clang":
        if CLANG is None:
            pytest.skip("needs clang")
        kernels = [CLANG, "--target=aarch64-linux-gnu", "-ffreestanding"]
    program = built(tmp_path, [GCC_ARM64, "-static"], kernels, level)
    subprocess.run([QEMU, program, "200"], check=True)
