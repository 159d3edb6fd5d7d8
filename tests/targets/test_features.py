"""Which kernels run on which processor: what the platform part reads, and that no core meets an instruction that it lacks.

The emulator's log names every function that is executed; kernels end in the name of their instruction set."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx.parser
import pytest
import runners
import targets

import whit

COMPILERS = {
    "qemu-x86_64": (os.environ.get("CC", "cc"),),
    "qemu-aarch64": ("aarch64-linux-gnu-gcc", "-static"),
    "qemu-arm": ("arm-linux-gnueabi-gcc", "-static", "-march=armv7-a", "-mfpu=neon", "-mfloat-abi=softfp"),
}  # fmt: skip
WANTED = {
    "qemu-x86_64": {
        "Nehalem": "scalar", "SandyBridge": "scalar", "Haswell": "avx2", "Skylake-Server": "avx2", "max": "avx2",
        "Haswell,-avx2": "scalar", "Haswell,-fma": "scalar", "Haswell,-f16c": "scalar",
        "Haswell,-xsave": "scalar",  # an operating system that does not keep the wide registers
    },
    "qemu-aarch64": dict.fromkeys(("cortex-a53", "cortex-a76", "neoverse-n1", "max"), "neon"),
    "qemu-arm": {"cortex-a8": "scalar", "cortex-a9": "scalar", "cortex-a7": "neon", "cortex-a15": "neon", "max": "neon"},
}  # fmt: skip
"""No emulated core has AVX-512: test_words decides it by every single bit, and it runs natively where it is."""
CASES = [(emulator, cpu) for emulator, cpus in WANTED.items() for cpu in cpus]
pytestmark = [pytest.mark.slow, pytest.mark.native]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> targets.Given:
    return targets.vectors(tmp_path_factory.mktemp("models"), ["digits"])["digits"]


def program(emulator: str) -> Path:
    if emulator == "qemu-x86_64" and platform.machine() != "x86_64":
        pytest.skip("this machine's compiler makes no x86-64 code")
    for tool in (emulator, COMPILERS[emulator][0]):
        if shutil.which(tool) is None:
            pytest.skip(
                f"no {tool}: apt install qemu-user gcc gcc-aarch64-linux-gnu gcc-arm-linux-gnueabi"
            )
    return runners.built(*COMPILERS[emulator])


def emulated(
    emulator: str, cpu: str, given: targets.Given, level: str, folder: Path
) -> tuple[int, set[str], bytes]:
    """Exit code, instruction sets whose kernels were executed, outputs."""
    model, inputs, _ = given
    log, outputs = folder / "log", folder / "outputs"
    command = [
        emulator,
        "-cpu",
        cpu,
        "-d",
        "in_asm",
        "-D",
        log,
        program(emulator),
        model,
        inputs,
        outputs,
        level,
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, check=False)
    found = set(re.findall(r"^IN: gem[mv]_\w+?_(scalar|neon|avx2|avx512)\b", log.read_text(), re.M))
    return done.returncode, found, outputs.read_bytes() if outputs.exists() else b""


@pytest.mark.parametrize(("emulator", "cpu"), CASES)
def test_kernels_that_the_processor_has(
    emulator: str, cpu: str, digits: targets.Given, tmp_path: Path
) -> None:
    code, executed, outputs = emulated(emulator, cpu, digits, "auto", tmp_path)
    assert (code, executed, outputs) == (0, {WANTED[emulator][cpu]}, digits[2])


@pytest.mark.parametrize("cpu", ["Nehalem", "SandyBridge", "Haswell,-avx2", "Haswell,-fma"])
def test_wrong_kernels_are_caught(cpu: str, digits: targets.Given, tmp_path: Path) -> None:
    code, _, outputs = emulated("qemu-x86_64", cpu, digits, "avx2", tmp_path)
    assert code in (-4, 128 + 4) and not outputs  # SIGILL


def test_wrong_kernels_are_seen(digits: targets.Given, tmp_path: Path) -> None:
    """This emulator executes the fused multiply-add of NEON on every core; its log tells."""
    assert emulated("qemu-arm", "cortex-a8", digits, "neon", tmp_path)[1] == {"neon"}


def test_subnormal_numbers_of_armv7(tmp_path: Path) -> None:
    """The stated exception: NEON makes zeros of them there, plain kernels do not, and nothing else is other."""
    text = """<ir_version: 8, opset_import: ["" : 17]>
      g (float[3, 4] x) => (float[3, 2] y) <float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}> { y = MatMul(x, w) }"""
    model, inputs = tmp_path / "m.whit", tmp_path / "m.inputs"
    whit.convert(onnx.parser.parse_model(text), model)
    x = np.array([[1e-39, 0, -1e-39, 0], [1e-38, 3e-39, 0, 1], [1, 2, 3, 4]], np.float32)
    runners.write_inputs(whit.load(model), {"x": x}, inputs)
    command = ["qemu-arm", "-cpu", "cortex-a7", str(program("qemu-arm"))]
    want = runners.answer(runners.native(), model, inputs, "scalar")
    assert runners.answer(command, model, inputs, "scalar") == want
    neon = runners.answer(command, model, inputs, "neon")
    assert neon != want and targets.flushed(neon) == targets.flushed(want)


@pytest.mark.parametrize("emulator", COMPILERS)
def test_words(emulator: str, tmp_path: Path) -> None:
    program(emulator)
    cc, *flags = COMPILERS[emulator]
    decide = tmp_path / "decide"
    include = [f"-I{runners.ROOT}/runtime_c/{x}" for x in ("include", "platform")]
    warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
    targets.targets.run(
        [cc, *flags, "-static", *warnings, *include, targets.HERE / "features.c", "-o", decide]
    )
    command = [] if emulator == "qemu-x86_64" else [emulator]
    assert subprocess.run([*command, decide], check=False).returncode == 0


def test_natively(digits: targets.Given) -> None:
    """What this machine has, AVX-512 too where it is there."""
    assert runners.answer(runners.native(), *digits[:2], "auto") == digits[2]


@pytest.mark.parametrize(
    "target", ["android-arm64-v8a", "android-armeabi-v7a", "android-x86_64", "ios-arm64", "macos"]
)
def test_nothing_is_called(target: str, tmp_path: Path) -> None:
    """A library without libc can hold the platform part's reading of the processor."""
    t = targets.targets.target(target)
    try:
        using = targets.targets.compiler(t, "clang")
    except targets.targets.ToolError as e:
        pytest.skip(str(e))
    source = targets.ROOT / "runtime_c/platform/cpu.c"
    includes = [targets.ROOT / "runtime_c/include", targets.ROOT / "runtime_c/platform"]
    made = targets.targets.compile(
        t, [source], tmp_path / "libcpu.a", includes=includes, using=using
    )
    said = targets.targets.run([using.tool("llvm-nm"), made])
    assert "whit_cpu_features" in said and " U " not in said
