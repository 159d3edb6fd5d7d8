"""whit build: a library that holds what some models need, made by a C compiler from the sources in this package."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from . import _targets
from ._select import CORE, Selection, runtime, select
from ._table import Report
from ._targets import Compiler, Target, ToolError
from .model import Model, load

PROFILES = ("size", "balanced", "speed")
OPT = {"size": "-Os", "speed": "-O2"}
"""The level of a profile. balanced: the kernels as speed, the rest as size; see tools/amalgamate.py."""


SMALLER_GCC = (
    "-fomit-frame-pointer", "-fno-shrink-wrap", "-fno-split-wide-types", "-fno-jump-tables", "-fno-tree-loop-optimize",
    "-fno-tree-loop-distribute-patterns", "-fno-tree-dominator-opts", "-fno-move-loop-invariants", "-fno-schedule-insns2",
    "-fno-thread-jumps", "-fno-guess-branch-probability", "-fno-store-merging", "-fno-forward-propagate", "-fno-tree-tail-merge",
)  # fmt: skip
SMALLER_CLANG = ("-fno-vectorize", "-fno-slp-vectorize")
SMALLER_LLVM = ("enable-pre=0", "sink-common-insts", "disable-licm-promotion")
"""Of LLVM: nothing is computed early on the paths that lack it, what all paths end with once, behind them, and what a loop counts in
memory stays there: each way out of it would have to write it back."""
SMALLER_64 = ("disable-lsr",)
SMALLER_ARM64 = ("enable-misched=0", "enable-post-misched=0")
"""Loops keep the counters that they have (of 32-bit ARM's they would take more), instructions their order."""


@dataclass
class Source:
    """whit.c and whit.h in a folder, for a target and a profile."""

    path: Path
    target: Target
    profile: str
    selection: Selection | None

    def compile(
        self, outputs: Sequence[Path], family: str = "", *, source: Path | None = None, flags: Iterable[str] = (),
    ) -> None:  # fmt: skip
        """The library in each of these forms: static if the name ends in .a. source: one that includes whit.c."""
        using = _targets.compiler(self.target, family)
        opt = OPT.get(self.profile) or ("-O2" if using.family == "clang" else "-Os")
        more = _smaller(self.target, using) if self.profile == "size" else ()
        _targets.compile_all(
            self.target, [source or self.path], outputs, [opt, *more, *flags], using
        )


def _smaller(target: Target, using: Compiler) -> tuple[str, ...]:
    """What else makes code smaller, beyond -Os, at some cost in speed and without a chain of frames."""
    if using.family == "gcc":
        return SMALLER_GCC
    frames = (
        () if target.output == "macho" else ("-fomit-frame-pointer",)
    )  # Apple's systems want them
    arm64 = any(x.startswith(("aarch64", "arm64")) for x in target.triples)
    arm32 = any(x.startswith(("armv7", "thumb")) for x in target.triples)
    flags = (*SMALLER_LLVM, *(() if arm32 else SMALLER_64), *(SMALLER_ARM64 if arm64 else ()))
    known = [x for x in flags if _accepts(using.path, x)]
    return (*frames, *SMALLER_CLANG, *(word for x in known for word in ("-mllvm", f"-{x}")))


@cache
def _accepts(clang: str, flag: str) -> bool:
    """LLVM's own flags come and go with its versions."""
    command = [clang, "-mllvm", f"-{flag}", "-x", "c", "-c", os.devnull, "-o", os.devnull]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def source(
    models: Sequence[Model],
    target: Target,
    profile: str,
    embed: dict[str, bytes] | None = None,
    core: bool = False,
    without: Iterable[int] = (),
    **numbers: int,
) -> Iterator[Source]:
    """Writes the amalgamation for the models (for none of them: everything, or the core) to a folder that goes away. without:
    element types to leave out, to see what they cost; numbers: of the selection, in place of what the profile says."""
    if profile not in PROFILES:
        raise ToolError(f"there is no profile {profile!r}; there are {', '.join(PROFILES)}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        chosen = select(models) if models else CORE if core else None
        small = profile == "size"
        given: dict[str, Any] = chosen.json(avx512=profile == "speed") if chosen else {}
        for dtype in without:
            given["dtypes"] = given.get("dtypes", 0xFFFFFFFF) & ~(1 << dtype)
        given |= {"profile": profile, "small": int(small), "texts": int(not small), **numbers}
        (path / "selection.json").write_text(json.dumps(given))
        tool = runtime() / "tools/amalgamate.py"
        _run([sys.executable, str(tool), "-o", folder, "--select", str(path / "selection.json")])
        for name, content in (embed or {}).items():
            _embed(path, name, content)
        yield Source(path / "whit.c", target, profile, chosen)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(done.stderr.strip())


# ---- a model in the library --------------------------------------------------------------------------

_TEXT = [f"\\{b:03o}" for b in range(256)]
for _b in range(32, 127):
    if chr(_b) not in '"\\?':  # no trigraphs
        _TEXT[_b] = chr(_b)


def _embed(folder: Path, name: str, content: bytes) -> None:
    """Adds a model to whit.c as constant data, and its accessor to whit.h."""
    declaration = f"WHIT_API const void *whit_model_{name}(size_t *n_bytes)"
    lines = "\n".join(
        f'  "{"".join([_TEXT[b] for b in content[at : at + 4096]])}"'
        for at in range(0, len(content), 4096)
    )
    with (folder / "whit.c").open("a") as f:
        f.write(
            f"\n/* ---- the model {name}, a .whit file ---- */\n"
            f"static const char model_{name}[{len(content) + 1}] __attribute__((aligned(64))) =\n{lines};\n\n"
            f"{declaration.removeprefix('WHIT_API ')} {{\n"
            f"  if (n_bytes) *n_bytes = sizeof model_{name} - 1;\n  return model_{name};\n}}\n"
        )
    header = folder / "whit.h"
    text = header.read_text()
    place = text.rindex("#ifdef __cplusplus")
    comment = (
        f"/* The model {name}, which lies in this library; *n_bytes (may be NULL): its size. */\n"
    )
    header.write_text(f"{text[:place]}{comment}{declaration};\n\n{text[place:]}")


def identifier(path: str) -> str:
    """A file's name as part of a C name."""
    return re.sub(r"\W", "_", Path(path).stem)


# ---- the command -------------------------------------------------------------------------------------


def add_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("models", nargs="*", metavar="MODEL", help="model.whit; none: everything")
    targets = ", ".join(_targets.TARGETS)
    p.add_argument(
        "--target", required=True, metavar="T", help=f"{targets}; or ios, with --xcframework, or android, with --aar"
    )  # fmt: skip
    p.add_argument(
        "--profile", choices=PROFILES, default="balanced",
        help="size, speed, or (balanced, the default) fast kernels in a small rest",
    )  # fmt: skip
    p.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the library")
    p.add_argument("--embed", action="store_true", help="put the models inside, as constant data")
    p.add_argument(
        "--aar", action="store_true",
        help="an Android archive with its Java classes; DIR becomes a Maven repository for Gradle",
    )  # fmt: skip
    p.add_argument(
        "--xcframework", action="store_true", help="all of Apple's platforms as one Whit.xcframework"
    )  # fmt: skip
    p.add_argument("--compiler", choices=("clang", "gcc"), help="default: clang if it is there")


def run(args: argparse.Namespace) -> Report:
    if args.aar:
        from . import _android

        return _android.run(args)
    if args.xcframework != (args.target == "ios"):
        raise ToolError(
            "--xcframework and --target ios go together; single libraries: ios-arm64, ios-simulator, macos"
        )
    target = _targets.target("ios-arm64" if args.xcframework else args.target)
    models = [load(path) for path in args.models]
    embed = {}
    for path in args.models if args.embed else ():
        if identifier(path) in embed:
            raise ToolError(f"two models would both be called {identifier(path)!r} in the library")
        embed[identifier(path)] = Path(path).read_bytes()
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with source(models, target, args.profile, embed) as s:
        if args.xcframework:
            return _xcframework_report(s, folder)
        if target.output == "source":
            made.append(_copy(s.path, folder))
        else:
            made += [folder / name for name in dict.fromkeys((target.library, "libwhit.a"))]
            s.compile(made, args.compiler or "")
        made.append(_copy(s.path.with_name("whit.h"), folder))
        return _report(s, target.name, made)


def _report(s: Source, target: str, made: Sequence[Path]) -> Report:
    holds = s.selection.names() if s.selection else {"operators": ["all"]}
    sizes = {str(f): f.stat().st_size for f in made}
    report = Report({"target": target, "profile": s.profile, "files": sizes, "holds": holds})
    for file, n_bytes in sizes.items():
        report.line(f"{file}: {n_bytes:,} bytes")
    for what, items in holds.items():
        report.line(f"  {what}: {' '.join(items)}")
    return report


def _xcframework_report(s: Source, folder: Path) -> Report:
    from . import _xcframework

    root, packed, checksum = _xcframework.build(s, folder)
    report = _report(s, "ios", [*_xcframework.archives(root), packed])
    report.data["checksum"] = checksum
    report.line(f"checksum: {checksum}")
    return report


def _copy(file: Path, folder: Path) -> Path:
    to = folder / file.name
    to.write_bytes(file.read_bytes())
    return to
