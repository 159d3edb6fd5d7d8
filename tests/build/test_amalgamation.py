"""whit.c and whit.h: one file that compiles alone, with any compiler, and gives the library's bits."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import built
import pytest
import runners

GOLDEN = sorted((runners.ROOT / "tests/golden").glob("v*/*.whit"))
COMPILERS = {
    "gcc": ("gcc",),
    "g++": ("g++",),
    "clang": ("clang-19", "clang"),
    "clang++": ("clang++-19", "clang++"),
    "arm64": ("aarch64-linux-gnu-gcc",),
}


@pytest.fixture(scope="module")
def amalgamation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("amalgamation")
    tool = runners.ROOT / "runtime_c/tools/amalgamate.py"
    subprocess.run([sys.executable, tool, "-o", folder], check=True)
    return folder


def compiler(name: str) -> str:
    found = next(filter(None, map(shutil.which, COMPILERS[name])), None)
    if found is None:
        pytest.skip(f"no {name}: apt install gcc g++ clang-19 gcc-aarch64-linux-gnu")
    return found


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("name", COMPILERS)
def test_compiles_alone(amalgamation: Path, name: str, tmp_path: Path) -> None:
    """No flags, no warnings, and nothing but whit.h is seen from outside."""
    to = tmp_path / "whit.o"
    language = ("-x", "c++") if name.endswith("++") else ()
    command = [compiler(name), "-c", "-O2", *language, str(amalgamation / "whit.c"), "-o", str(to)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stderr == ""
    nm = built.tool("nm")
    said = subprocess.run([nm, "-g", str(to)], check=True, capture_output=True, text=True).stdout
    names = [line.split()[-1] for line in said.splitlines()]
    assert len(names) > 25
    if not language:  # C++ programs have a libc
        assert all(n.startswith("whit_") for n in names), names


@pytest.fixture(scope="module")
def native() -> list[str]:
    return runners.native()


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("name", ["gcc", "g++", "clang", "clang++", "arm64"])
def test_bits(amalgamation: Path, native: list[str], name: str, tmp_path: Path) -> None:
    """Compiled without a word about contraction. -march=x86-64-v3 lets gcc contract, if it may."""
    cc, arm64 = compiler(name), name == "arm64"
    if arm64 and not runners.QEMU:
        pytest.skip(runners.NO_ARM64)
    language = ("-x", "c++") if name.endswith("++") else ("-x", "c")
    whole = tmp_path / "whit.o"
    wide = () if arm64 else ("-march=x86-64-v3",)
    command = [cc, "-c", "-O2", *wide, *language, str(amalgamation / "whit.c"), "-o", str(whole)]
    subprocess.run(command, check=True)
    link = runners.ARM64_CC if arm64 else "cc"
    platform_part = sorted((runners.ROOT / "runtime_c/platform").glob("*.c"))
    program = tmp_path / "runner"
    sources = [runners.ROOT / "tests/runtime_c/runner.c", *platform_part, whole]
    words = [link, *runners.FLAGS, "-static", *sources, "-pthread", "-o", program]
    subprocess.run([str(w) for w in words], check=True)
    run = [runners.QEMU or "", "-cpu", "cortex-a53", str(program)] if arm64 else [str(program)]
    for path in GOLDEN:
        inputs = built.golden_inputs(path, tmp_path)
        expected = runners.answer(native, path, inputs, "scalar")
        for isa in built.isas("linux-aarch64" if arm64 else "linux-x86_64"):
            assert runners.answer(run, path, inputs, isa) == expected, (path.stem, isa)
