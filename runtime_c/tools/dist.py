"""make dist: the files of a release. The same bytes on every run with the same tools: times are SOURCE_DATE_EPOCH, or else the last
commit's; names are in order, owners and modes fixed; nothing is compiled with paths or times in it."""

from __future__ import annotations

import argparse
import fnmatch
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

from whit import _build, _targets

ROOT = Path(__file__).resolve().parents[2]
PROFILE = "balanced"
"""Of the libraries. whit.c is as `make amalgamation` makes it: whoever compiles it says what counts."""
SUMS = "SHA256SUMS"
PLATFORM = "platform"
"""Files, clock, threads and the processor's features: what programs compile beside the library if they want it."""


class DistError(Exception):
    """A sentence for people."""


def version() -> str:
    m = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    if m is None:
        raise DistError("pyproject.toml names no version")
    return m[1]


def _git(*words: str) -> str | None:
    """None without git, or outside a checkout."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        return None
    done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout


def epoch() -> int:
    found = os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct")
    if not found:
        raise DistError(
            "no commit to take the time from: set SOURCE_DATE_EPOCH, seconds since 1970"
        )
    return int(found)


def _ignores(patterns: list[str], path: Path) -> bool:
    """The part of .gitignore's language that ours uses: names, and with a slash before them those of the top folder."""
    return any(
        fnmatch.fnmatch(path.as_posix() if p.startswith("/") else path.name, p.strip("/"))
        for p in patterns
    )


def sources() -> list[str]:
    """What belongs to the source archive: what git tracks, or without git what .gitignore does not name."""
    tracked = _git("ls-files")
    if tracked is not None:
        return sorted(f for f in tracked.splitlines() if (ROOT / f).is_file())
    ignored = [".git", *(ROOT / ".gitignore").read_text().split()]
    found = []
    for folder, folders, files in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        for names in (folders, files):
            names[:] = [n for n in names if not _ignores(ignored, here / n)]
        found += [(here / f).as_posix() for f in files]
    return sorted(found)


# ---- archives ----------------------------------------------------------------------------------------


def tar(path: Path, files: dict[str, Path | bytes], at: int) -> None:
    """path.tar.gz with one folder, called as the archive."""
    top = path.name.removesuffix(".tar.gz")
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in sorted(files.items()):
            data = content if isinstance(content, bytes) else content.read_bytes()
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size, info.mtime = len(data), at
            runs = isinstance(content, Path) and os.access(content, os.X_OK)
            info.mode = 0o755 if runs else 0o644
            archive.addfile(info, io.BytesIO(data))


def repack(path: Path, at: int) -> None:
    """A wheel again, with members in order and one time and mode for all of them."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist() if not name.endswith("/")}
    when = time.gmtime(max(at, 315532800))[:6]  # zip knows no time before 1980
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for name, data in sorted(members.items(), key=lambda m: (".dist-info/" in m[0], m[0])):
            info = zipfile.ZipInfo(name, when)
            info.external_attr, info.create_system = 0o100644 << 16, 3
            info.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(info, data)


# ---- the parts ---------------------------------------------------------------------------------------


def source_archive(folder: Path, at: int) -> Path:
    path = folder / f"whit-{version()}.tar.gz"
    tar(path, {f: ROOT / f for f in sources()}, at)
    return path


def wheel(folder: Path, at: int, archive: Path) -> Path:
    """Built from the source archive, so that nothing else of this tree gets into it."""
    with tempfile.TemporaryDirectory() as place:
        with tarfile.open(archive) as f:
            f.extractall(place, filter="data")
        env = os.environ | {"SOURCE_DATE_EPOCH": str(at)}
        command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-cache-dir",
                   "--disable-pip-version-check", str(Path(place, f"whit-{version()}")), "-w", place]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        if done.returncode:
            raise DistError(f"pip could not build the wheel:\n{done.stdout}{done.stderr}")
        (made,) = Path(place).glob("*.whl")
        repack(made, at)
        return Path(shutil.move(made, folder / made.name))


def library(folder: Path, at: int, name: str) -> list[Path]:
    """The archive of a target: its libraries, the header, the platform part's sources. Of c: whit.c, and the two files by themselves."""
    t = _targets.target(name)
    path = folder / f"whit-{version()}-{name}.tar.gz"
    profile = "speed" if t.output == "source" else PROFILE
    with tempfile.TemporaryDirectory() as place, _build.source([], t, profile) as s:
        header = s.path.with_name("whit.h")
        files: dict[str, Path | bytes] = {
            "whit.h": header.read_bytes(),
            "LICENSE": ROOT / "LICENSE",
        }
        for f in (ROOT / "runtime_c/platform").glob("*.[ch]"):
            files[f"{PLATFORM}/{f.name}"] = f.read_bytes()
        if t.output == "source":
            files["whit.c"] = s.path.read_bytes()
            tar(path, files, at)
            return [path, *(Path(shutil.copy(f, folder / f.name)) for f in (s.path, header))]
        outputs = [Path(place, n) for n in dict.fromkeys((t.library, "libwhit.a"))]
        s.compile(outputs)
        files |= {f.name: f.read_bytes() for f in outputs}
        said = _targets.run([_targets.compiler(t).path, "--version"]).splitlines()[0]
        files["BUILD.txt"] = (
            f"whit {version()}, {name}, profile {PROFILE}, made by {said}\n".encode()
        )
        tar(path, files, at)
    return [path]


def make(folder: Path, parts: list[str]) -> list[Path]:
    """All parts in a folder, and their checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    at, made = epoch(), []
    with tempfile.TemporaryDirectory() as place:
        archive = source_archive(Path(place), at)
        for part in parts:
            print(part, file=sys.stderr, flush=True)
            if part == "wheel":
                made.append(wheel(folder, at, archive))
            elif part == "source":
                made.append(Path(shutil.copy(archive, folder / archive.name)))
            else:
                made += library(folder, at, part)
    lines = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in sorted(made)]
    (folder / SUMS).write_text("".join(lines))
    return [*sorted(made), folder / SUMS]


def parse(argv: list[str] | None) -> argparse.Namespace:
    known = ("wheel", "source", *_targets.TARGETS)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(known)}; none: all"
    )
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist", metavar="DIR")
    parser.add_argument("--check", action="store_true", help="make all twice and compare the bytes")
    args = parser.parse_args(argv)
    for part in args.parts:
        if part not in known:
            parser.error(f"there is no part {part!r}; there are {', '.join(known)}")
    args.parts = args.parts or list(known)
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    old = args.output / SUMS
    try:
        for line in old.read_text().splitlines() if old.exists() else []:
            (args.output / line.split()[-1]).unlink(missing_ok=True)
        made = make(args.output, args.parts)
        if args.check:
            with tempfile.TemporaryDirectory() as again:
                make(Path(again), args.parts)
                other = [f.name for f in made if f.read_bytes() != Path(again, f.name).read_bytes()]
            if other:
                raise DistError(f"not the same bytes the second time: {', '.join(other)}")
    except (DistError, _targets.ToolError) as e:
        print(f"dist: {e}", file=sys.stderr)
        return 1
    for f in made:
        print(f"{f.stat().st_size:>10,}  {f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
