"""whit size: the bytes of a library by component, operator, kernel and function."""

from __future__ import annotations

import argparse
import re
import tempfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import _build, _targets
from ._select import DTYPES, select
from ._table import Report
from ._targets import Compiler, Target, ToolError
from .dtypes import BOOL, F32, I64
from .model import Model, load

COMPONENTS = {"src": "core", "include": "core", "ops": "operators", "kernels": "kernels"}
_ISA = re.compile(r"_(scalar|neon|simd128|avx2|avx512)$")
_KINDS = {"t": "text", "r": "rodata", "d": "data", "b": "data"}


@dataclass(frozen=True)
class Symbol:
    """A function or a table. section: text, rodata or data. file: the source that it is from, as src/plan.c."""

    name: str
    n_bytes: int
    section: str
    file: str


@dataclass(frozen=True)
class Size:
    """What was measured of one library."""

    symbols: tuple[Symbol, ...]
    sections: dict[str, int]
    shared: int
    """Bytes of the shared library, 0 if the target has none."""
    compressed: int

    @property
    def total(self) -> int:
        return sum(self.sections.values())

    def by_component(self) -> dict[str, int]:
        """They add up to the total. literals: strings and numbers that have no name."""
        found = Counter(dict.fromkeys(("core", "operators", "kernels"), 0))
        for s in self.symbols:
            found[COMPONENTS[s.file.split("/")[0]]] += s.n_bytes
        found["literals"] = self.total - sum(found.values())
        return dict(found)

    def by(self, folder: str) -> dict[str, int]:
        """Bytes by file of a folder, the largest first. In kernels.c, which holds all of them: by function and ISA."""
        found: Counter[str] = Counter()
        for s in self.symbols:
            if s.file.startswith(f"{folder}/"):
                isa = s.file == "kernels/kernels.c" and _ISA.search(s.name)
                found[s.name if isa else s.file.removeprefix(f"{folder}/")] += s.n_bytes
        return dict(found.most_common())


def measure(
    models: Sequence[Model],
    target: Target,
    profile: str = "size",
    family: str = "",
    *,
    core: bool = False,
    dynamic: bool = False,
) -> Size:
    """Builds a library for the models (for none: of everything; core: without any operator but if and loop) and reads the sizes
    of what is in it. dynamic: with shapes that depend on data, sequences and optionals, even if no model asks for them."""
    if target.output not in ("elf", "archive"):
        raise ToolError(
            f"{target.name}: its files do not say how large a function is; take android-arm64-v8a or another ELF target"
        )
    using = _targets.compiler(target, family)
    more: dict[str, Any] = {"dynamic": 1, "heap": 1, "sequences": 1} if dynamic else {}
    with (
        tempfile.TemporaryDirectory() as folder,
        _build.source(models, target, profile, core=core, **more) as s,
    ):
        archive, linked = Path(folder, "libwhit.a"), Path(folder, target.library)
        s.compile(list(dict.fromkeys((archive, linked))), using.family)
        shared = linked.read_bytes() if target.output == "elf" else b""
        image = _image(archive, target, using)
        symbols = _symbols(image, using, _files(s.path.read_text()))
        sections = _sections(image, using)
    return Size(symbols, sections, len(shared), len(zlib.compress(shared, 9)))


NO_TYPE = 31
"""No type has this number. Left out too, so that what looks whether a type is there is in every library that is compared."""


def by_dtype(
    models: Sequence[Model], target: Target, profile: str = "size", family: str = ""
) -> dict[str, dict[str, int]]:
    """What each element type costs: "last", by how much the library with all that the models use (for none: with everything) is
    larger than the same without that type; "first", by how much the one with f32, i64 and bool alone grows by it. Types share code
    (f16 and bf16 their conversions), so that last is less, and costs do not add up."""
    using = _targets.compiler(target, family)
    used = select(models).dtypes if models else set(DTYPES.values())

    def total(without: set[int]) -> int:
        with (
            tempfile.TemporaryDirectory() as folder,
            _build.source(models, target, profile, without=without | {NO_TYPE}) as s,
        ):
            archive = Path(folder, "libwhit.a")
            s.compile([archive], using.family)
            return _code(archive, target, using)

    others = used - {F32, I64, BOOL}
    whole, least = total(set()), total(others)
    found = {}
    for name, dtype in DTYPES.items():
        if dtype in used:
            first = total(others - {dtype}) - least if dtype in others else 0
            found[name.lower()] = {"first": first, "last": whole - total({dtype})}
    return dict(sorted(found.items(), key=lambda c: (-c[1]["first"], -c[1]["last"])))


@dataclass(frozen=True)
class FileSize:
    """Bytes of the library that a target's users get; compressed: by zlib, as stores and archives do. 0: it is not shipped as a file."""

    target: str
    file: str
    n_bytes: int
    compressed: int


def by_target(
    models: Sequence[Model], profile: str = "size", family: str = "", core: bool = False
) -> list[FileSize]:
    """The library of every target. Of the static ones of bare machines, which nobody ships as such: code and constants, uncompressed."""
    found = []
    for t in _targets.TARGETS.values():
        if t.output == "source" or (family == "gcc" and not t.gcc):
            continue
        using = _targets.compiler(t, family)
        with (
            tempfile.TemporaryDirectory() as folder,
            _build.source(models, t, profile, core=core) as s,
        ):
            made = Path(folder, t.library)
            s.compile([made], using.family)
            data = made.read_bytes()
            bare = t.output == "archive"
            n_bytes = _code(made, t, using) if bare else len(data)
        compressed = 0 if bare else len(zlib.compress(data, 9))
        found.append(FileSize(t.name, t.library, n_bytes, compressed))
    return found


def _tool(using: Compiler, name: str) -> str:
    return using.tool(name if using.family == "gcc" else f"llvm-{name}")


def _image(archive: Path, target: Target, using: Compiler) -> Path:
    """The archive as a program that uses all of the interface holds it: arithmetic that a processor lacks is in the archive, and in
    the program if something calls for it."""
    said = _targets.run([_tool(using, "nm"), "--extern-only", "--defined-only", archive])
    interface = re.findall(r" T (whit_\w+)$", said, re.M)
    return _targets.link(target, using, archive, interface)


def _code(archive: Path, target: Target, using: Compiler) -> int:
    """Bytes of code and constants."""
    return sum(_sections(_image(archive, target, using), using).values())


def _symbols(library: Path, using: Compiler, files: dict[str, str]) -> tuple[Symbol, ...]:
    said = _targets.run([_tool(using, "nm"), "-S", "--defined-only", library])
    found = []
    for at, size, kind, name in re.findall(r"^(\w+) (\w+) (\w) (\S+)$", said, re.M):
        del at
        plain = name.split(".")[0]
        kernel = "kernels/kernels.c" if _ISA.search(plain) else "src/memory.c"
        file = files.get(plain) or files.get(_ISA.sub("", plain)) or kernel
        section = _KINDS.get(kind.lower())
        if section and int(size, 16):
            found.append(Symbol(name, int(size, 16), section, file))
    return tuple(sorted(found, key=lambda s: (-s.n_bytes, s.name)))


def _sections(library: Path, using: Compiler) -> dict[str, int]:
    """Bytes by kind; tables of pointers count as data (they are read-only once relocated)."""
    found = {"text": 0, "rodata": 0, "data": 0}
    for name, size in re.findall(
        r"^\s*(\.\S+)\s+(\d+)\s+\w+$", _targets.run([_tool(using, "size"), "-A", library]), re.M
    ):
        for kind, start in (("text", ".text"), ("rodata", ".rodata"), ("data", (".data", ".bss"))):
            if name.startswith(start):
                found[kind] += int(size)
    return found


def _files(source: str) -> dict[str, str]:
    """Functions and tables by name: where they are defined. Names made by NAME(x) are x."""
    found: dict[str, str] = {}
    file = "src/memory.c"
    for line in source.splitlines():
        m = re.match(r"/\* ---- (\S+/\S+\.c) ---- \*/", line)
        if m:
            file = m[1]
        for name in re.findall(r"^(?=[\w])[^(=]*?\bNAME\((\w+)\)", line):
            found.setdefault(name, "kernels/kernels.c")
        m = re.match(r"(?:[A-Za-z_][\w]*[ *]+)+(\w+)(?:\(.*\{|\[.*=)", line) or re.match(
            r"\s+static const \w+ (\w+)\[", line
        )
        if m:
            found.setdefault(m[1], file)
    return found


# ---- the command -------------------------------------------------------------------------------------


def add_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("models", nargs="*", metavar="MODEL", help="model.whit; none: everything")
    p.add_argument("--target", default="android-arm64-v8a", metavar="T", help="default: android-arm64-v8a")  # fmt: skip
    p.add_argument("--profile", choices=_build.PROFILES, default="size", help="default: size")
    p.add_argument("--compiler", choices=("clang", "gcc"), help="default: clang if it is there")
    p.add_argument("--core", action="store_true", help="no model: the core, without operators")
    p.add_argument(
        "--dtypes", action="store_true", help="what each element type costs (a build each)"
    )
    p.add_argument(
        "--abis", action="store_true", help="the library of every target instead of one's parts"
    )
    p.add_argument("--top", type=int, default=20, help="functions to list (default 20)")


def run(args: argparse.Namespace) -> Report:
    models, family = [load(m) for m in args.models], args.compiler or ""
    what = "the core" if args.core else " ".join(args.models) or "everything"
    if args.abis:
        found = by_target(models, args.profile, family, args.core)
        report = Report({"profile": args.profile, "targets": [asdict(f) for f in found]})
        report.line(f"{what}, profile {args.profile}\n")
        for line in abi_table(found):
            report.line(line)
        return report
    target = _targets.target(args.target)
    size = measure(models, target, args.profile, family, core=args.core)
    dtypes = by_dtype(models, target, args.profile, family) if args.dtypes else {}
    data = {
        "target": target.name, "profile": args.profile, "total": size.total, "sections": size.sections,
        "shared": size.shared, "compressed": size.compressed, "components": size.by_component(),
        "operators": size.by("ops"), "kernels": size.by("kernels"), "core": size.by("src"), "dtypes": dtypes,
        "symbols": [(s.name, s.n_bytes, s.section, s.file) for s in size.symbols],
    }  # fmt: skip
    report = Report(data)
    report.line(f"{what}, {target.name}, profile {args.profile}\n")
    _markdown(report, ("bytes", "what"), [
        *((n, f"{kind}") for kind, n in size.sections.items()), (size.total, "**sum**"),
        (size.shared, "shared library"), (size.compressed, "shared library, compressed (zlib)"),
    ])  # fmt: skip
    for title, parts in (
        ("component", size.by_component()), ("operator", size.by("ops")), ("kernel", size.by("kernels")),
        ("core file", size.by("src")), ("function", {s.name: s.n_bytes for s in size.symbols[: args.top]}),
    ):  # fmt: skip
        _markdown(report, ("bytes", title), [(n, f"`{name}`") for name, n in parts.items()])
    if dtypes:
        for line in dtype_table(dtypes):
            report.line(line)
    return report


def dtype_table(found: dict[str, dict[str, int]]) -> list[str]:
    """Lines of Markdown."""
    lines = ["| first | last | element type |", "|--:|--:|---|"]
    return lines + [f"| {c['first']:,} | {c['last']:,} | `{name}` |" for name, c in found.items()]


def abi_table(found: Sequence[FileSize]) -> list[str]:
    """Lines of Markdown."""
    lines = ["| target | file | bytes | compressed |", "|---|---|--:|--:|"]
    for f in found:
        small = f"{f.compressed:,}" if f.compressed else ""
        lines.append(f"| {f.target} | `{f.file}` | {f.n_bytes:,} | {small} |")
    return lines


def _markdown(report: Report, head: tuple[str, str], rows: list[tuple[int, str]]) -> None:
    report.line(f"| {head[0]} | {head[1]} |\n|--:|---|")
    for n, name in rows:
        report.line(f"| {n:,} | {name} |")
    report.line()
