"""make dist: what is in a release, its checksums, the same bytes again, and that its archives are all that a program needs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import built
import dist
import pytest
import runners

PARTS = ("wheel", "source", "c", "linux-x86_64")
GOLDEN = runners.ROOT / "tests/golden/v1/digits.whit"


def make(folder: Path, **environment: str) -> dict[str, bytes]:
    """The files of a release by name."""
    paths = ":".join(str(runners.ROOT / p) for p in ("exporter", "python_bindings"))
    env = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "WHIT_LIBRARY")}
    env |= {"PYTHONPATH": paths, "SOURCE_DATE_EPOCH": "1700000000", **environment}
    command = [sys.executable, dist.__file__, *PARTS, "-o", folder]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if "apt install clang" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    return {f.name: f.read_bytes() for f in folder.iterdir()}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("release")
    return folder, make(folder)


def unpack(folder: Path, archive: str, to: Path) -> Path:
    with tarfile.open(folder / archive) as f:
        f.extractall(to, filter="data")
    return to / archive.removesuffix(".tar.gz")


@pytest.mark.slow
@pytest.mark.native
def test_files_and_checksums(release: tuple[Path, dict[str, bytes]]) -> None:
    _, files = release
    v = dist.version()
    sums = dict(reversed(line.split("  ")) for line in files["SHA256SUMS"].decode().splitlines())
    assert set(sums) == set(files) - {"SHA256SUMS"}
    assert {n for n in sums if not n.endswith(".whl")} == {
        "whit.c", "whit.h", f"whit-{v}.tar.gz", f"whit-{v}-c.tar.gz", f"whit-{v}-linux-x86_64.tar.gz",
    }  # fmt: skip
    assert [n for n in sums if n.startswith(f"whit-{v}-py3-none-") and n.endswith(".whl")]
    for name, said in sums.items():
        assert hashlib.sha256(files[name]).hexdigest() == said, name


@pytest.mark.slow
@pytest.mark.native
def test_the_same_bytes_again(release: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    """At another time, in another time zone, with another mask of modes and other folders."""
    (tmp_path / "elsewhere").mkdir()
    before = os.umask(0o077)
    try:
        again = make(tmp_path / "dist", TZ="Asia/Tokyo", TMPDIR=str(tmp_path / "elsewhere"))
    finally:
        os.umask(before)
    assert [n for n, data in release[1].items() if again[n] != data] == []


@pytest.mark.slow
@pytest.mark.native
def test_the_source_archive_is_enough(
    release: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    folder, files = release
    source = unpack(folder, f"whit-{dist.version()}.tar.gz", tmp_path)
    names = {p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_file()}
    assert {
        "Makefile",
        "README.md",
        "LICENSE",
        "runtime_c/tools/dist.py",
        "runtime_c/src/plan.c",
    } <= names
    assert not [
        n for n in names if n.endswith((".so", ".pyc", ".o")) or n.startswith((".git/", "build/"))
    ]
    tool = source / "runtime_c/tools/amalgamate.py"
    subprocess.run([sys.executable, tool, "-o", tmp_path / "made"], check=True)
    for name in ("whit.c", "whit.h"):
        assert (tmp_path / "made" / name).read_bytes() == files[name]


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("part", ["c", "linux-x86_64"])
def test_an_archive_is_enough(
    release: tuple[Path, dict[str, bytes]], part: str, tmp_path: Path
) -> None:
    """A program made of it and of nothing of this tree gives the host's bits."""
    folder = unpack(release[0], f"whit-{dist.version()}-{part}.tar.gz", tmp_path)
    assert (folder / "LICENSE").exists()
    program = tmp_path / "runner"
    shutil.copy(runners.ROOT / "tests/runtime_c/runner.c", tmp_path)
    parts = [tmp_path / "runner.c", *(folder / "platform").glob("*.c")]
    parts.append(folder / ("whit.c" if part == "c" else "libwhit.a"))
    cc = os.environ.get("CC", "cc")
    include = [f"-I{folder}", f"-I{folder}/platform"]
    subprocess.run([cc, "-O1", *include, *parts, "-pthread", "-o", program], check=True)
    inputs = built.golden_inputs(GOLDEN, tmp_path)
    want = runners.answer(runners.native(), GOLDEN, inputs, "scalar")
    for isa in built.isas("linux-x86_64"):
        assert runners.answer([str(program)], GOLDEN, inputs, isa) == want


def test_other_bytes_are_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def part(folder: Path, at: int, name: str) -> list[Path]:
        path = folder / name
        path.write_bytes(os.urandom(8) if noisy else b"always")
        return [path]

    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setattr(dist, "library", part)
    for noisy in (False, True):
        assert dist.main(["c", "-o", str(tmp_path), "--check"]) == int(noisy)
    assert "not the same bytes the second time: c" in capsys.readouterr().err


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        dist.parse(["windows"])
    assert "cortex-m55" in capsys.readouterr().err


def test_sources_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    tracked = dist.sources()
    monkeypatch.setattr(dist, "_git", lambda *words: None)
    found = dist.sources()
    assert "runtime_c/src/plan.c" in found
    assert not [n for n in found if n.startswith(("build/", ".venv", ".git/")) or n.endswith(".so")]
    assert set(tracked) <= set(found)
