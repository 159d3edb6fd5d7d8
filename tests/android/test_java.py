"""The shipping library for x86-64 and the shipping classes in the JVM of this machine, with -Xcheck:jni."""

from __future__ import annotations

import re
from pathlib import Path

import java_tools
import pytest


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
