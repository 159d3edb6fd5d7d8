"""Builds whit_bench, one static program per ABI: for `make whit_bench-<abi>`, and for `whit bench --adb` where it is not there.

Needs only Python's own library, the runtime's sources (those of the tree, or inside the wheel) and a compiler with a static
libc: Debian's cross gcc with glibc, or for arm64 Zig's with musl (`pip install ziglang`). Android's kernel runs either: a static
program asks nothing of the system's libraries.

    python _bench_build.py [--cc COMMAND] ABI ...      arm64-v8a, armeabi-v7a, x86_64, x86, or host: for this machine
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_TREE = _HERE.parents[1]


class BuildError(Exception):
    """A sentence about what is missing or went wrong."""


@dataclass(frozen=True, slots=True)
class Abi:
    """How to make code for one of Android's ABIs, which Linux machines of the same processor run too."""

    gcc: str
    flags: tuple[str, ...]
    zig: str
    packages: str


ABIS = {
    "arm64-v8a": Abi(
        "aarch64-linux-gnu-gcc", (), "aarch64-linux-musl", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
    ),
    "armeabi-v7a": Abi(
        "arm-linux-gnueabi-gcc", ("-march=armv7-a", "-mfpu=neon", "-mfloat-abi=softfp"), "",
        "gcc-arm-linux-gnueabi libc6-dev-armel-cross",
    ),
    "x86_64": Abi("x86_64-linux-gnu-gcc", (), "", "gcc-x86-64-linux-gnu libc6-dev-amd64-cross"),
    # x87 arithmetic would round differently
    "x86": Abi(
        "i686-linux-gnu-gcc", ("-msse2", "-mfpmath=sse"), "", "gcc-i686-linux-gnu libc6-dev-i386-cross"
    ),
}  # fmt: skip
ALIASES = {"arm64": "arm64-v8a", "armv7": "armeabi-v7a", "i686": "x86"}
LIBRARY_FLAGS = (
    "-std=c11", "-O2", "-ffreestanding", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math",
    "-fno-stack-protector", "-fvisibility=hidden",
)  # fmt: skip
"""As the Makefile has them, where they decide what code is made."""


def sources() -> Path:
    """The folder runtime_c: inside the wheel, or of the tree."""
    inside = _HERE / "runtime_c"
    return inside if inside.is_dir() else _TREE / "runtime_c"


def target(abi: str) -> Path:
    """Where the program of an ABI lies: in the tree's build folder, or in the user's cache."""
    if sources().parent == _TREE:
        folder = _TREE / "build"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whit"
    return folder / "whit_bench" / abi / "whit_bench"


def compiler(abi: str) -> list[str]:
    """The command that compiles for an ABI here."""
    if abi == "host":
        return [os.environ.get("CC", "cc")]
    known = ABIS[abi]
    if shutil.which(known.gcc):
        return [known.gcc, *known.flags]
    if known.zig and importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc", "-target", known.zig, *known.flags]
    zig = " or pip install ziglang" if known.zig else ""
    raise BuildError(
        f"no compiler for {abi}: apt install {known.packages}{zig} "
        "(or name one that links statically in WHIT_BENCH_CC)"
    )


def build(abi: str, cc: str | None = None) -> Path:
    """The program for an ABI, built if it is not there or older than its sources. BuildError says what is missing."""
    abi = ALIASES.get(abi, abi)
    if abi not in ABIS and abi != "host":
        raise BuildError(f"no whit_bench for {abi}; there is one for {', '.join(ABIS)}")
    runtime, program = sources(), target(abi)
    depends = [f for f in runtime.rglob("*") if f.suffix in (".c", ".h", ".inc", ".py")]
    newest = max(f.stat().st_mtime for f in (*depends, Path(__file__)))
    if program.exists() and program.stat().st_mtime > newest:
        return program
    cc = cc or os.environ.get("WHIT_BENCH_CC")
    command = shlex.split(cc) if cc else compiler(abi)
    if shutil.which(command[0]) is None:
        raise BuildError(f"no whit_bench for {abi}: there is no compiler {command[0]}")
    try:
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=program.parent) as folder:
            _compile(runtime, command, Path(folder)).replace(program)
    except OSError as e:
        raise BuildError(f"whit_bench cannot be written to {program.parent}: {e.strerror}") from e
    return program


def _compile(runtime: Path, command: Sequence[str], folder: Path) -> Path:
    ordered = [runtime / "src/memory.c"]  # before the code that calls what is in it
    for part in ("src", "kernels", "ops"):
        ordered += [f for f in sorted((runtime / part).glob("*.c")) if f not in ordered]
    library, program = folder / "whit_all.c", folder / "whit_bench"
    included = "".join(f'#include "{f}"\n' for f in ordered)
    library.write_text(included + '#include "whit_ops.inc"\n')
    table = folder / "whit_ops.inc"
    _run([sys.executable, runtime / "tools/gen.py", "--inc", table])
    include = [f"-I{runtime}/include", f"-I{runtime}/platform", f"-I{folder}"]
    _run([*command, *LIBRARY_FLAGS, *include, "-c", library, "-o", folder / "whit.o"])
    tool = [*sorted((runtime / "platform").glob("*.c")), *sorted((runtime / "tools").glob("whit_bench*.c"))]  # fmt: skip
    _run(
        [*command, "-std=c11", "-O2", "-static", "-s", *include, *tool, folder / "whit.o", "-pthread", "-o", program]
    )  # fmt: skip
    return program


def _run(command: Sequence[str | Path]) -> None:
    said = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if said.returncode:
        first = next((s for s in said.stderr.splitlines() if "error" in s), said.stderr.strip())
        raise BuildError(f"whit_bench does not build with {command[0]}: {first}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cc", help="compiler, with options")
    parser.add_argument("abi", nargs="+", metavar="ABI")
    args = parser.parse_args()
    try:
        for abi in args.abi:
            print(build(abi, args.cc))
    except BuildError as e:
        print(f"whit: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
