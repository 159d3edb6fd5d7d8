"""src/soft.c: what compilers call on 32-bit processors, beside the arithmetic of machines that have it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["-std=c11", "-O2", "-ffp-contract=off", "-w"]
ARMV7 = ["-march=armv7-a", "-mthumb", "-mfpu=vfpv3", "-mfloat-abi=softfp", "-static"]


def build(folder: Path, *command: str) -> str:
    program = str(folder / "soft")
    source = ROOT / "tests/runtime_c/soft.c"
    subprocess.run([*command, *FLAGS, str(source), "-o", program], check=True)
    return program


def test_here(tmp_path: Path) -> None:
    program = build(tmp_path, os.environ.get("CC", "cc"))
    assert subprocess.check_output([program, "200000"]) == b"ok\n"


def test_on_armv7_without_a_divider(tmp_path: Path) -> None:
    """There the compiler's own divisions come to the functions under test, through their calling convention."""
    cc, qemu = shutil.which("arm-linux-gnueabi-gcc"), shutil.which("qemu-arm")
    if not cc or not qemu:
        pytest.skip("apt install gcc-arm-linux-gnueabi libc6-dev-armel-cross qemu-user")
    program = build(tmp_path, cc, *ARMV7)
    assert subprocess.check_output([qemu, "-cpu", "cortex-a8", program, "20000"]) == b"ok\n"
