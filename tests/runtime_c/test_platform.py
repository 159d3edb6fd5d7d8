"""platform/: the thread pool (also under the thread sanitizer), file mapping, clock, processor features."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "runtime_c/platform").glob("*.c"))
CC = os.environ.get("CC", "cc")
WARN = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]


def build(folder: Path, *flags: str) -> Path:
    program = folder / "platform"
    include = [f"-I{ROOT}/runtime_c/include", f"-I{ROOT}/runtime_c/platform"]
    source = ROOT / "tests/runtime_c/platform.c"
    subprocess.run(
        [CC, *WARN, "-O2", *flags, *include, *SOURCES, source, "-o", program, "-pthread"],
        check=True,
    )
    return program


@pytest.mark.parametrize("sanitizer", ["none", "thread", "address"])
def test_platform(tmp_path: Path, sanitizer: str) -> None:
    flags = [] if sanitizer == "none" else [f"-fsanitize={sanitizer}", "-g"]
    try:
        program = build(tmp_path, *flags)
    except subprocess.CalledProcessError:
        if sanitizer == "none":
            raise
        pytest.skip(f"{CC} has no {sanitizer} sanitizer")
    command: list[str | Path] = [program, ROOT / "LICENSE"]
    if sanitizer == "thread" and platform.system() == "Linux":
        command = [
            "setarch",
            "-R",
            *command,
        ]  # its shadow memory and address randomisation do not get along
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    said = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
    assert said.returncode == 0, said.stderr
    assert said.stdout == "ok\n"
