"""The shipping libraries for arm64 and armv7 under emulators, for x86 natively, in a Java machine of a few functions (fake_jni.c)."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import java_tools
import pytest

from whit import _android, _targets

PROGRAMS: dict[str, tuple[list[str], list[str]]] = {
    # Programs of this machine's libc with the same calling convention load the library.
    "arm64-v8a": (["aarch64-linux-gnu-gcc"], ["qemu-aarch64", "-cpu", "cortex-a53", "-L", "/usr/aarch64-linux-gnu"]),
    "armeabi-v7a": (["arm-linux-gnueabi-gcc", "-march=armv7-a", "-mfpu=neon", "-mfloat-abi=softfp"],
                    ["qemu-arm", "-cpu", "cortex-a8", "-L", "/usr/arm-linux-gnueabi"]),
    "armeabi-v7a with VFPv4": (["arm-linux-gnueabi-gcc", "-march=armv7-a", "-mfpu=neon", "-mfloat-abi=softfp"],
                               ["qemu-arm", "-cpu", "cortex-a15", "-L", "/usr/arm-linux-gnueabi"]),
    "x86": (["i686-linux-gnu-gcc", "-mpreferred-stack-boundary=2", "-Wl,--dynamic-linker=/usr/i686-linux-gnu/lib/ld-linux.so.2", "-Wl,-rpath=/usr/i686-linux-gnu/lib"], []),
}  # fmt: skip
PACKAGES = "apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabi libc6-dev-armel-cross qemu-user gcc-i686-linux-gnu libc6-dev-i386-cross"


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("machine", PROGRAMS)
def test_vectors(machine: str, tmp_path: Path) -> None:
    java_tools.need()
    abi = machine.partition(" ")[0]
    cc, emulator = PROGRAMS[machine]
    program, library = tmp_path / "fake_jni", tmp_path / "libwhit.so"
    if not all(shutil.which(c[0]) for c in (cc, emulator) if c):
        pytest.skip(f"{abi} cannot be executed here: {PACKAGES}")
    if abi == "x86" and platform.machine() != "x86_64":
        pytest.skip("x86 code runs on x86-64 machines only")
    jni = _android.jdk() / "include"
    command = [*cc, "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Wno-cast-function-type", f"-I{jni}", f"-I{jni}/linux",
               java_tools.HERE / "fake_jni.c", "-pthread", "-ldl", "-o", program]  # fmt: skip
    _targets.run(command)
    _android.library([], abi, "size", library)
    cases = java_tools.cases(tmp_path / "cases.txt")
    done = subprocess.run(
        [*emulator, program, library, java_tools.VECTORS, cases],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.strip() == "11 cases", done.stdout + done.stderr
