"""The program at the top of whit.h and the examples in C and C++ compile with one line and run; so does the header alone as C++."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import whit

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "examples" / "models"
INCLUDES = [f"-I{ROOT}/runtime_c/include", f"-I{ROOT}/runtime_c/platform"]
LIBRARY = str(ROOT / "build" / "libwhit.a")
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic"]

pytestmark = pytest.mark.native


def build(compiler: list[str], source: Path, program: Path) -> None:
    subprocess.run(
        [*compiler, "-O2", *WARNINGS, *INCLUDES, source, LIBRARY, "-lpthread", "-o", program],
        check=True,
    )


def output(*command: object, cwd: Path) -> str:
    return subprocess.run(
        [str(c) for c in command], check=True, capture_output=True, text=True, cwd=cwd
    ).stdout


def test_program_of_the_header(tmp_path: Path) -> None:
    text = (ROOT / "runtime_c/include/whit.h").read_text()
    lines = re.findall(r"^ \*   (.*)$", text[: text.index("#ifndef")], re.M)
    source = tmp_path / "program.c"
    source.write_text("\n".join(lines) + "\n")
    build(["cc", "-std=c11"], source, tmp_path / "program")
    whit.convert(MODELS / "triple.onnx", tmp_path / "triple.whit")
    assert output(tmp_path / "program", cwd=tmp_path) == "42\n"


def test_dates_in_c(tmp_path: Path) -> None:
    build(["cc", "-std=c11"], ROOT / "examples/c/dates.c", tmp_path / "dates")
    whit.convert(MODELS / "dates.onnx", tmp_path / "dates.whit")
    said = output(tmp_path / "dates", "dates.whit", "sunday 22 november 2026", cwd=tmp_path)
    assert said.startswith("2026-11-22 ")


def test_digits_in_cpp(tmp_path: Path) -> None:
    build(["c++", "-std=c++17"], ROOT / "examples/c/digits.cpp", tmp_path / "digits")
    whit.convert(MODELS / "digits.onnx", tmp_path / "digits.whit")
    assert output(tmp_path / "digits", "digits.whit", cwd=tmp_path).startswith("a 0, early exit:")


@pytest.mark.parametrize("language", ["c", "c++"])
def test_headers_alone(language: str, tmp_path: Path) -> None:
    for header in ("whit.h", "whit_platform.h"):
        source = tmp_path / "alone.src"
        source.write_text(f'#include "{header}"\n')
        subprocess.run(
            ["cc", "-x", language, *WARNINGS, *INCLUDES, "-c", source, "-o", tmp_path / "alone.o"],
            check=True,
        )
