"""Builds what the Android tests run, once: the shipping library for this processor, the classes, and the tests themselves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import whit
from whit import _android, _targets

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VECTORS = ROOT / "tests/vectors"
JARS = [Path("/usr/share/java", n) for n in ("junit4.jar", "hamcrest-core.jar", "hamcrest.jar")]
PACKAGES = "apt install openjdk-17-jdk-headless junit4 libhamcrest-java clang-19 lld-19 llvm-19"


def missing() -> str:
    """What is not here, as a sentence; empty if nothing."""
    try:
        _android.jdk()
        _targets.compiler(_targets.target("android-x86_64"), "clang")
    except _targets.ToolError as e:
        return str(e)
    if not JARS[0].exists():
        return f"there is no JUnit 4: {PACKAGES}"
    return ""


def need() -> None:
    said = missing()
    if said:
        pytest.skip(said)


def cases(to: Path) -> Path:
    """vectors.json as lines that Java and C read without a parser."""
    lines: list[str] = []

    def value(kind: str, t: dict[str, Any], name: str) -> None:
        if t.get("absent"):
            lines.append(f"{kind}\t{name}\tabsent")
        elif "items" in t:
            lines.append(f"{kind}\t{name}\tlist")
            for item in t["items"]:
                value(kind, item, name)
        else:
            dims = ",".join(map(str, t["shape"]))
            lines.append(f"{kind}\t{name}\t{t['dtype']}\t{dims}\t{t['at']}\t{t['bytes']}")

    for case in json.loads((VECTORS / "vectors.json").read_text())["cases"]:
        lines.append(f"case\t{case['name']}\t{case['model']}")
        for run in case["runs"]:
            lines.append(f"run\t{run['entry']}\t{run.get('steps', 0)}")
            for t in run["inputs"]:
                value("in", t, t["name"])
            for t in run.get("outputs", ()):
                value("out", t, t["name"])
            if "fails" in run:
                f = run["fails"]
                lines.append(f"fails\t{f['status']}\t{f['node']}\t{f['operator']}")
    taps(lines, to.with_name("taps.bin"))
    to.write_text("\n".join(lines) + "\n")
    return to


def taps(lines: list[str], data: Path) -> None:
    """Everything that the Python binding's tap="*" shows of two cases, but what is computed inside fused nodes or is no node's."""
    content = bytearray()
    for case in json.loads((VECTORS / "vectors.json").read_text())["cases"]:
        if case["name"] not in ("late", "dates"):
            continue
        model = whit.load(VECTORS / case["model"])
        (t,) = case["runs"][0]["inputs"]
        raw = (VECTORS / "vectors.bin").read_bytes()[t["at"] : t["at"] + t["bytes"]]
        found = model.run({t["name"]: np.frombuffer(raw, t["dtype"]).reshape(t["shape"])}, tap="*")
        names = {
            n.name for n in model.file.names if not n.step and n.value >= len(model.file.constants)
        }
        for name in names & found.keys():
            dims = ",".join(map(str, found[name].shape))
            lines.append(
                f"tap\t{case['name']}\t{name}\t{dims}\t{len(content)}\t{found[name].nbytes}"
            )
            content += np.ascontiguousarray(found[name]).tobytes()
    data.write_bytes(content)


class Built:
    """A folder with the library, the classes and the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.library = _android.library([], "x86_64", "size", folder / "x86_64/libwhit.so")
        self.classes = folder / "classes.jar"
        self.classes.write_bytes(_android.classes_jar())
        self.stubs, self.tests = folder / "stubs", folder / "tests"
        stubs = sorted((_android.home() / "stubs").rglob("*.java"))
        _android.compile_java(stubs, self.stubs, stubs=False)
        self.tests.mkdir(exist_ok=True)
        javac = _android.jdk() / "bin/javac"
        sources = sorted((HERE / "java").glob("*.java"))
        _targets.run([javac, "--release", "8", "-Xlint:-options", "-cp", self.path(), "-d", self.tests, *sources])  # fmt: skip
        self.cases = cases(folder / "cases.txt")

    def path(self, *more: Path) -> str:
        return os.pathsep.join(map(str, (self.classes, self.stubs, *JARS, self.tests, *more)))

    def java(self, *arguments: str, options: Sequence[str] = (), more: Sequence[Path] = ()) -> str:
        """Runs a class; what it says. Nothing may warn of JNI."""
        command = [
            str(_android.jdk() / "bin/java"), "-Xcheck:jni", "-Xmx256m", f"-Ddev.whit.library={self.library}",
            f"-Dvectors={VECTORS}", f"-Dcases={self.cases}", *options, "-cp", self.path(*more), *arguments,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-6000:]
        assert "WARNING in native method" not in said and "FATAL ERROR in native" not in said, said[
            -3000:
        ]
        return said


def copy_library(library: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(library, to)
