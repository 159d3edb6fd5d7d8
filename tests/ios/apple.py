"""Whit.xcframework as it is built here, and the tools that look into it and link it."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import runners

from whit import _targets, _xcframework, cli, dtypes

ROOT = runners.ROOT
HEADER = (ROOT / "runtime_c/include/whit.h").read_text()
PUBLIC = set(re.findall(r"WHIT_API [^;(]*?\b(whit_\w+)\(", HEADER))
SLICES = [(s, arch) for s in _xcframework.SLICES for arch in s.architectures]
IDS = [f"{s.identifier}-{arch}" for s, arch in SLICES]


def clang() -> _targets.Compiler:
    try:
        found = _targets.compiler(_targets.TARGETS["ios-arm64"], "clang")
        for tool in ("llvm-libtool-darwin", "llvm-lipo", "llvm-nm", "llvm-objdump", "ld64.lld"):
            found.tool(tool)
    except _targets.ToolError as e:
        pytest.skip(str(e))
    return found


def build(folder: Path, *models: Path) -> Path:
    """Whit.xcframework of some models, or of everything."""
    clang()
    words = ["build", *map(str, models), "--target", "ios", "--xcframework", "-o", str(folder)]
    assert cli.main(words) == 0
    return folder / "Whit.xcframework"


def kept(name: str, *models: Path) -> Path:
    """The same from an earlier test, if it is not older than what it is made of. Workers wait for one another."""
    folder = ROOT / "build/tests-ios" / name
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "Whit.xcframework.zip"
    sources = [
        *(ROOT / "runtime_c").rglob("*"),
        *(ROOT / "python_bindings/whit").glob("*.py"),
        *models,
    ]
    newest = max(f.stat().st_mtime for f in sources)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists() or made.stat().st_mtime < newest:
            made.unlink(missing_ok=True)
            build(folder, *models)
    return folder / "Whit.xcframework"


# ---- what is run -------------------------------------------------------------------------------------

VECTORS = ROOT / "tests/vectors"
PLAIN = ("triple", "early", "late", "dates", "kinds", "empty", "spin", "wide")
"""Cases of the shared vectors that tests/runtime_c/runner.c can be given."""
DEMO = ("triple", "early", "late", "dates")


def given(case: str) -> tuple[Path, bytes, bytes]:
    """A case's model, and the records of its first run's inputs and outputs."""
    cases = {c["name"]: c for c in json.loads((VECTORS / "vectors.json").read_text())["cases"]}
    run = cases[case]["runs"][0]
    return VECTORS / cases[case]["model"], _records(run["inputs"]), _records(run["outputs"])


def _records(tensors: list[dict[str, Any]]) -> bytes:
    data = (VECTORS / "vectors.bin").read_bytes()
    found = b""
    for t in tensors:
        code, shape = dtypes.from_name(t["dtype"]), t["shape"]
        found += struct.pack(f"<BBH{len(shape)}i", code, len(shape), 0, *shape)
        found += data[t["at"] : t["at"] + t["bytes"]]
    return found


# ---- looking into it ---------------------------------------------------------------------------------


def archive(root: Path, s: _xcframework.Slice) -> Path:
    return dict(zip(_xcframework.SLICES, _xcframework.archives(root), strict=True))[s]


def said(tool: str, *arguments: object) -> str:
    return _targets.run([clang().tool(tool), *map(str, arguments)])


def triple(s: _xcframework.Slice, arch: str) -> str:
    return next(t for t in _targets.target(s.target).triples if t.startswith(arch))


def freestanding(name: str) -> list[str]:
    """clang for a triple, its own headers and no others."""
    resources = _targets.run([clang().path, "-print-resource-dir"]).strip()
    return [clang().path, f"--target={name}", "-nostdinc", "-isystem", f"{resources}/include", "-ffreestanding"]  # fmt: skip


def link(root: Path, s: _xcframework.Slice, arch: str, folder: Path) -> Path:
    """A dynamic library of a slice's own archive, all of it, and the harness of tests/targets that runs a model."""
    flags = [
        *freestanding(triple(s, arch)),
        "-std=c11",
        "-O2",
        "-fPIC",
        "-fvisibility=hidden",
        "-fno-stack-protector",
    ]
    harness = folder / f"harness-{s.identifier}-{arch}.o"
    includes = [f"-I{ROOT}/runtime_c/include", f"-I{ROOT}/build/gen"]
    _targets.run([*flags, *includes, "-c", ROOT / "tests/targets/harness.c", "-o", harness])
    return dylib(root, s, arch, folder, harness)


def dylib(root: Path, s: _xcframework.Slice, arch: str, folder: Path, *objects: Path) -> Path:
    lib = folder / f"libwhit-{s.identifier}.a"
    shutil.copyfile(archive(root, s), lib)
    made = folder / f"whit-{s.identifier}-{arch}.dylib"
    flags = _targets.target(s.target).ldflags
    said("ld64.lld", "-dylib", "-arch", arch, *flags, *objects, "-all_load", lib, "-o", made)
    return made


def linked_bytes(root: Path, s: _xcframework.Slice, arch: str, folder: Path) -> int:
    """Of code and constants, without the rounding to pages."""
    sections = said("llvm-size", "-m", dylib(root, s, arch, folder))
    return sum(int(n) for n in re.findall(r"Section \w+: (\d+)", sections))
