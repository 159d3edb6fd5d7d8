"""The shipped library calls nothing, exports nothing but whit_..., and has no writable globals."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python_bindings/whit"
HEADER = (ROOT / "runtime_c/include/whit.h").read_text()
NM = shutil.which("nm")
needs_nm = pytest.mark.skipif(NM is None, reason="no nm: apt install binutils")


def nm(path: Path, *flags: str) -> list[str]:
    assert NM
    return subprocess.run(
        [NM, *flags, path], check=True, capture_output=True, text=True
    ).stdout.splitlines()


@pytest.fixture(
    scope="module",
    params=["cc", *(pytest.param(c, marks=pytest.mark.slow) for c in ("clang", "arm64"))],
)
def library(request: pytest.FixtureRequest) -> Path:
    if request.param == "cc":
        return PACKAGE / "libwhit.so"
    found = [shutil.which(c) for c in ("clang", *(f"clang-{n}" for n in range(21, 13, -1)))]
    compiler = {
        "clang": next(filter(None, found), None),
        "arm64": shutil.which("aarch64-linux-gnu-gcc"),
    }
    if not compiler[request.param]:
        pytest.skip(f"no {request.param} compiler")
    subprocess.run(["make", "-s", f"lib-{request.param}"], cwd=ROOT, check=True)
    return ROOT / "build" / request.param / "libwhit.so"


@needs_nm
def test_no_undefined_symbols(library: Path) -> None:
    assert nm(library, "-D", "-u") == []


@needs_nm
def test_exports(library: Path) -> None:
    declared = set(re.findall(r"WHIT_API [^;(]*?\b(whit_\w+)\(", HEADER))
    exported = {line.split()[-1] for line in nm(library, "-D", "--defined-only")}
    assert exported == declared
    assert len(declared) > 25


@needs_nm
def test_needs_no_other_library(library: Path) -> None:
    objdump = shutil.which("objdump")
    if objdump is None:
        pytest.skip("no objdump")
    said = subprocess.run(
        [objdump, "-p", library], check=True, capture_output=True, text=True
    ).stdout
    assert "NEEDED" not in said


@needs_nm
def test_no_writable_globals(library: Path, tmp_path: Path) -> None:
    """No symbol of the object file lies in .data or .bss; tables of pointers are in .data.rel.ro, which is read-only."""
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("no readelf")
    said = subprocess.run(
        [readelf, "-SW", library], check=True, capture_output=True, text=True
    ).stdout
    for name in (".data", ".bss", ".init_array", ".ctors", ".tbss", ".tdata"):
        m = re.search(rf"\s{re.escape(name)}\s+\w+\s+\w+\s+\w+\s+(\w+)", said)
        assert m is None or int(m[1], 16) == 0, name


@needs_nm
def test_platform_library_exports_only_ours() -> None:
    exported = {
        line.split()[-1] for line in nm(PACKAGE / "libwhit_platform.so", "-D", "--defined-only")
    }
    header = (ROOT / "runtime_c/platform/whit_platform.h").read_text()
    assert exported == set(re.findall(r"WHIT_API [^;(]*?\b(whit_\w+)\(", header))
