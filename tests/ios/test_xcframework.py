"""Whit.xcframework: the form that Xcode and SwiftPM expect, the same bytes each time, and code that gives the host's bits."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import plistlib
import re
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path

import apple
import pytest

from whit import _targets, _xcframework, cli

pytestmark = [pytest.mark.slow, pytest.mark.native]
NO_EMULATOR = "lief and unicorn execute Mach-O: pip install lief unicorn"
IOS = next(s for s in _xcframework.SLICES if s.target == "ios-arm64")


@pytest.fixture(scope="module")
def root() -> Path:
    return apple.kept("whole")


@pytest.fixture(scope="module")
def dates() -> tuple[Path, Path]:
    """The framework for dates.whit, and that model."""
    model = apple.ROOT / "tests/vectors/dates.whit"
    return apple.kept("dates", model), model


def properties(path: Path) -> dict[str, object]:
    found: dict[str, object] = plistlib.loads(path.read_bytes())
    return found


# ---- the form ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("s", "arch"), apple.SLICES, ids=apple.IDS)
def test_slice(root: Path, s: _xcframework.Slice, arch: str) -> None:
    """For the platform that the folder's name says; calls nothing, has no memory of its own, defines what whit.h declares."""
    archive = apple.archive(root, s)
    heads = apple.said("llvm-objdump", "--macho", f"--arch={arch}", "--private-headers", archive)
    platform = re.findall(r"platform (\w+)", heads)
    assert {p.lower() for p in platform} == {s.platform + s.variant}
    assert set(re.findall(r"minos ([\d.]+)", heads)) == {s.minimum}
    assert not re.search(r"sectname __(data|bss|common|mod_init_func|thread_\w+)\b", heads)
    names = ["--arch", arch, archive]
    assert not re.search(r"\bU\b", apple.said("llvm-nm", "-u", *names))
    defined = re.findall(
        r" [A-Z] _(\w+)$", apple.said("llvm-nm", "-g", "--defined-only", *names), re.M
    )
    assert set(defined) == apple.PUBLIC


def test_properties(root: Path) -> None:
    top = properties(root / "Info.plist")
    assert top["CFBundlePackageType"] == "XFWK" and top["XCFrameworkFormatVersion"] == "1.0"
    libraries = top["AvailableLibraries"]
    assert isinstance(libraries, list) and len(libraries) == 3
    for entry in libraries:
        folder = root / entry["LibraryIdentifier"]
        assert (folder / entry["BinaryPath"]).read_bytes()[:8] in (
            b"!<arch>\n",
            b"\xca\xfe\xba\xbe\0\0\0\2",
        )
        framework = folder / entry["LibraryPath"]
        mac = entry["SupportedPlatform"] == "macos"
        resources = framework / "Resources" if mac else framework
        bundle = properties(resources / "Info.plist")
        assert bundle["CFBundlePackageType"] == "FMWK"
        assert (framework / str(bundle["CFBundleExecutable"])).resolve() == (
            folder / entry["BinaryPath"]
        ).resolve()
        assert ("LSMinimumSystemVersion" if mac else "MinimumOSVersion") in bundle
        privacy = properties(resources / "PrivacyInfo.xcprivacy")
        assert privacy["NSPrivacyTracking"] is False and privacy["NSPrivacyAccessedAPITypes"] == []
    assert [(e["LibraryIdentifier"], e["SupportedArchitectures"]) for e in libraries] == [
        ("ios-arm64", ["arm64"]),
        ("ios-arm64_x86_64-simulator", ["arm64", "x86_64"]),
        ("macos-arm64_x86_64", ["arm64", "x86_64"]),
    ]
    assert libraries[1]["SupportedPlatformVariant"] == "simulator"


def test_zip(root: Path, tmp_path: Path) -> None:
    """What comes out is the folder, links included."""
    packed = root.with_name("Whit.xcframework.zip")
    with zipfile.ZipFile(packed) as z:
        for info in z.infolist():
            to = tmp_path / info.filename
            to.parent.mkdir(parents=True, exist_ok=True)
            if stat.S_ISLNK(info.external_attr >> 16):
                to.symlink_to(z.read(info).decode())
            else:
                to.write_bytes(z.read(info))
    again = tmp_path / "Whit.xcframework"
    assert _listing(again) == _listing(root)
    assert (again / "macos-arm64_x86_64/CWhit.framework/CWhit").read_bytes()[
        :4
    ] == b"\xca\xfe\xba\xbe"


def _listing(root: Path) -> dict[str, object]:
    return {
        p.relative_to(root).as_posix(): p.readlink() if p.is_symlink() else p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_symlink() or p.is_file()
    }


def test_same_bytes_again(
    dates: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    """Built in another folder, and packed at another time."""
    root, model = dates
    packed = root.with_name("Whit.xcframework.zip").read_bytes()
    copy = tmp_path / "Whit.xcframework"
    shutil.copytree(root, copy, symlinks=True)
    for path in copy.rglob("*"):
        os.utime(path, (1e9, 1e9), follow_symlinks=False)
    assert _xcframework.pack(copy).read_bytes() == packed
    simulator = _xcframework.SLICES[1]
    monkeypatch.setattr(_xcframework, "SLICES", (simulator,))
    again = apple.build(tmp_path / "again", model)
    assert _listing(again / simulator.identifier) == _listing(root / simulator.identifier)
    checksum = hashlib.sha256(again.with_name("Whit.xcframework.zip").read_bytes()).hexdigest()
    assert f"checksum: {checksum}" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["", "https://example.org/Whit.xcframework.zip"])
def test_binary_package(root: Path, url: str, tmp_path: Path) -> None:
    """Its manifest names what is there, or what will be served and its checksum."""
    swift = pytest.importorskip("swift_source")
    spec = importlib.util.spec_from_file_location("ios_package", apple.ROOT / "ios/package.py")
    assert spec and spec.loader
    package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    package.binary_package(root, "0123abcd", url, tmp_path / "package")
    manifest = (tmp_path / "package/Package.swift").read_text()
    assert swift.errors(manifest.encode()) == []
    assert 'checksum: "0123abcd"' in manifest and "Target.target(" not in manifest
    if url:
        assert f'url: "{url}"' in manifest and "path:" not in manifest
    else:
        (path,) = re.findall(r'path: "(.*?)"', manifest)
        assert _listing(tmp_path / "package" / path) == _listing(root)
    assert list((tmp_path / "package/Sources/Whit").glob("*.swift"))
    assert not list((tmp_path / "package").rglob("*.py"))


# ---- the header and its module -------------------------------------------------------------------------

USE = """@import CWhit;
int use(const void *bytes, unsigned long n);
int use(const void *bytes, unsigned long n) {
  static whit_model model;
  const char *_Nullable name = whit_entry_name(&model, 0);
  return whit_open(&model, bytes, n) == WHIT_OK && name && WHIT_VERSION;
}
"""
STRICT = ["-Wall", "-Wextra", "-Werror", "-Wnullability-completeness", "-Wnullable-to-nonnull-conversion"]  # fmt: skip


@pytest.mark.parametrize(("s", "arch"), apple.SLICES, ids=apple.IDS)
def test_module(root: Path, s: _xcframework.Slice, arch: str, tmp_path: Path) -> None:
    """Objective-C imports it, as Swift does."""
    source = tmp_path / "use.m"
    source.write_text(USE)
    modules = [
        "-fmodules",
        f"-fmodules-cache-path={tmp_path}/cache",
        "-F",
        str(root / s.identifier),
    ]
    command = [*apple.freestanding(apple.triple(s, arch)), *modules, *STRICT, "-c", str(source), "-o", str(tmp_path / "use.o")]  # fmt: skip
    subprocess.run(command, check=True)


@pytest.mark.parametrize("language", ["c -std=c11", "c++ -std=c++17", "objective-c"])
def test_header(language: str, tmp_path: Path) -> None:
    source = tmp_path / "alone"
    source.write_text('#include "whit.h"\n')
    command = [
        *apple.freestanding("arm64-apple-ios15.0"),
        "-x",
        *language.split(),
        *STRICT,
        "-pedantic",
    ]
    subprocess.run(
        [*command, f"-I{apple.ROOT}/runtime_c/include", "-fsyntax-only", str(source)], check=True
    )


# ---- execution -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("s", "arch"), apple.SLICES, ids=apple.IDS)
def test_bits(root: Path, s: _xcframework.Slice, arch: str, tmp_path: Path) -> None:
    """The archive's own code, executed; on the iPhone's all three models."""
    macho = pytest.importorskip("macho", reason=NO_EMULATOR)
    made = apple.link(root, s, arch, tmp_path)
    assert macho.imports(made) == []
    for case in apple.DEMO if s is IOS else ("late",):
        model, inputs, want = apple.given(case)
        (got,) = macho.answers(made, model.read_bytes(), inputs).values()
        assert got == want, case


def test_library_for_one_model(root: Path, dates: tuple[Path, Path], tmp_path: Path) -> None:
    """Less of it, the same bits, and a model that it is not for is refused."""
    macho = pytest.importorskip("macho", reason=NO_EMULATOR)
    small, _ = dates
    assert apple.archive(small, IOS).stat().st_size < apple.archive(root, IOS).stat().st_size * 0.6
    made = apple.link(small, IOS, "arm64", tmp_path)
    model, inputs, want = apple.given("dates")
    (got,) = macho.answers(made, model.read_bytes(), inputs).values()
    assert got == want
    model, inputs, _ = apple.given("early")
    with pytest.raises(RuntimeError, match=r"status (34|0x22)"):  # WHIT_E_OPERATOR
        macho.answers(made, model.read_bytes(), inputs)


def test_sizes_are_those_of_the_docs(root: Path, dates: tuple[Path, Path], tmp_path: Path) -> None:
    """Code and constants that a linker takes, in KB, beside docs/ios.md."""
    docs = (apple.ROOT / "docs/ios.md").read_text()
    for row, built in (("every operator", root), ("dates", dates[0])):
        stated = re.search(rf"^\| {row}.*?\| (\d+) KB", docs, re.M)
        assert stated
        assert abs(apple.linked_bytes(built, IOS, "arm64", tmp_path) / 1000 - int(stated[1])) < 4, (
            row
        )


def test_bad_arguments(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for words in (["--target", "ios"], ["--target", "macos", "--xcframework"]):
        assert cli.main(["build", *words, "-o", str(tmp_path)]) == 1
        assert "--xcframework and --target ios go together" in capsys.readouterr().err
    (tmp_path / "Whit.xcframework").mkdir()
    apple.clang()
    assert cli.main(["build", "--target", "ios", "--xcframework", "-o", str(tmp_path)]) == 1
    assert "is no .xcframework" in capsys.readouterr().err
    with pytest.raises(_targets.ToolError):
        _targets.target("ios")


def test_after_an_interrupted_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it leaves is taken for a framework, and replaced."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    apple.clang()
    words = ["build", "--target", "ios", "--xcframework", "--profile", "size", "-o", str(tmp_path)]
    words.append(str(apple.ROOT / "tests/vectors/triple.whit"))
    with monkeypatch.context() as m:
        m.setattr(_xcframework, "_framework", interrupted)
        assert cli.main(words) != 0
    assert (tmp_path / "Whit.xcframework").exists()
    assert cli.main(words) == 0
