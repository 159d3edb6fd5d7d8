"""The shipping library for x86-64 and the shipping classes in the JVM of this machine, with -Xcheck:jni."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import java_tools
import pytest

from whit import __version__, cli


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> java_tools.Built:
    java_tools.need()
    return java_tools.Built(tmp_path_factory.mktemp("android"))


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("name", ["BitsTest", "ApiTest", "MisuseTest"])
def test_junit(built: java_tools.Built, name: str) -> None:
    said = built.java("org.junit.runner.JUnitCore", name)
    passed = re.search(r"^OK \((\d+) tests?\)", said, re.M)
    assert passed and int(passed[1]) == Path(java_tools.HERE, f"java/{name}.java").read_text().count("@Test")  # fmt: skip


@pytest.mark.slow
@pytest.mark.native
def test_cycles_and_leaks(built: java_tools.Built) -> None:
    """A hundred thousand times open, run, close: memory stays flat. What is left open is reported, and freed."""
    said = built.java("Cycles", "100000")
    assert "100000 cycles" in said and "42 leaks reported" in said


@pytest.mark.slow
@pytest.mark.native
def test_archive_for_a_model(built: java_tools.Built, tmp_path: Path) -> None:
    """whit build --aar: its library runs the model with the same bits, and refuses another, saying what to do."""
    digits = str(java_tools.VECTORS / "digits.whit")
    repository = tmp_path / "maven"
    arguments = ["build", digits, "--target", "android-x86_64", "--aar", "--profile", "size", "-o"]
    assert cli.main([*arguments, str(repository)]) == 0
    folder = repository / "dev/whit/whit" / __version__
    aar = zipfile.ZipFile(folder / f"whit-{__version__}.aar")
    assert [n for n in aar.namelist() if n.endswith(".so")] == ["jni/x86_64/libwhit.so"]
    library = Path(aar.extract("jni/x86_64/libwhit.so", tmp_path))
    assert library.stat().st_size < built.library.stat().st_size / 2
    said = built.java("Tailored", options=[f"-Ddev.whit.library={library}"])
    assert "lacks an operator" in said and "same bits" in said


@pytest.mark.parametrize(
    ("arguments", "part"),
    [(["--target", "ios-arm64", "--aar"], "goes with --target android"),
     (["--target", "android"], "there is no target 'android'"),
     (["--target", "android", "--aar", "--embed"], "--embed does not go with --aar")],
)  # fmt: skip
def test_wrong_use(
    arguments: list[str], part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["build", *arguments, "-o", str(tmp_path)]) == 1
    assert part in capsys.readouterr().err
