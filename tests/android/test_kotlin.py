"""The Kotlin files, compiled with warnings as errors and run in the JVM; the logic of the sample app; the code in the docs."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import java_tools
import pytest
import ui_stubs

from whit import _android, _targets

ROOT = java_tools.ROOT
NO_KOTLIN = "there is no Kotlin compiler: make .venv/.kotlin"
pytestmark = [pytest.mark.slow, pytest.mark.native]


def jars() -> list[Path]:
    """Of the package that carries a Kotlin compiler."""
    spec = importlib.util.find_spec("run_kotlin_kernel")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = sorted(Path(places[0], "jars").glob("*.jar")) if places else []
    if not found:
        pytest.skip(NO_KOTLIN)
    return found


def stdlib() -> Path:
    return next(j for j in jars() if j.name.startswith("kotlin-stdlib-"))


def compile_kotlin(sources: Sequence[Path], to: Path, class_path: str) -> None:
    compiler = ":".join(map(str, jars()))
    _targets.run([
        _android.jdk() / "bin/java", "-Xmx700m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", compiler,
        "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-no-stdlib", "-no-reflect", "-Werror", "-jvm-target", "1.8",
        "-Xsuppress-deprecated-jvm-target-warning", "-cp", f"{class_path}:{stdlib()}", "-d", to, *sources,
    ])  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> java_tools.Built:
    java_tools.need()
    jars()
    return java_tools.Built(tmp_path_factory.mktemp("kotlin"))


def passed(said: str, source: str) -> bool:
    found = re.search(r"^OK \((\d+) tests?\)", said, re.M)
    return bool(found) and int(found[1]) == (java_tools.HERE / source).read_text().count("@Test")


SAMPLE = ROOT / "android/sample/app/src/main"
LOGIC = [SAMPLE / "kotlin/dev/whit/sample" / f"{n}.kt" for n in ("Digits", "Dates", "Bench")]


def test_kotlin(built: java_tools.Built, tmp_path: Path) -> None:
    """The extensions and the sample's logic. The sample's JSON is that of `whit bench`, with the same outputs for the same inputs."""
    to = built.folder / "kotlin"
    sources = [*(ROOT / "android/kotlin").glob("*.kt"), *(java_tools.HERE / "kotlin").glob("*.kt")]
    compile_kotlin(sorted([*sources, *LOGIC]), to, built.path())
    junit, more = "org.junit.runner.JUnitCore", [to, stdlib()]
    assert passed(built.java(junit, "KotlinTest", more=more), "kotlin/KotlinTest.kt")
    options = [f"-Djson={tmp_path}"]
    said = built.java(junit, "SampleTest", more=more, options=options)
    assert passed(said, "kotlin/SampleTest.kt")
    for name in ("triple", "digits", "dates"):
        ours = json.loads((tmp_path / f"{name}.json").read_text())
        arguments = ["bench", str(java_tools.VECTORS / f"{name}.whit"), "--json", "--runs", "3"]
        said = subprocess.run(
            [sys.executable, "-m", "whit", *arguments], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}/exporter:{ROOT}/python_bindings"},
        ).stdout  # fmt: skip
        theirs = json.loads(said)
        # Java plans in the first run: it cannot tell the time of that alone.
        assert set(ours) == set(theirs) - {"plan_ns"}
        for key in ("outputs", "nodes", "operators"):
            assert set(ours[key][0]) == set(theirs[key][0]), key
        for key in ("shapes", "file_bytes", "state_bytes"):
            assert ours[key] == theirs[key], key
        # the archive's profile is size, whose tables are smaller
        assert 0 < ours["instance_bytes"] < theirs["instance_bytes"]
        shown = [{k: v for k, v in o.items() if k != "crc32"} for o in ours["outputs"]]
        if name != "dates":  # whose shapes are the run's
            assert shown == [{k: v for k, v in o.items() if k != "crc32"} for o in theirs["outputs"]]  # fmt: skip


def test_sample_is_compiled(built: java_tools.Built) -> None:
    """The screens, against stand-ins of Android's classes; names in the manifest are those of classes."""
    stubs, to = built.folder / "ui", built.folder / "ui-classes"
    _android.compile_java(ui_stubs.write(stubs), to, stubs=False)
    sources = [*(SAMPLE / "kotlin").rglob("*.kt"), *(ROOT / "android/kotlin").glob("*.kt"), java_tools.HERE / "kotlin/Coroutines.kt"]  # fmt: skip
    compile_kotlin(sorted(sources), built.folder / "sample", f"{to}:{built.classes}")
    manifest = ET.parse(SAMPLE / "AndroidManifest.xml").getroot()
    for activity in manifest.iter("activity"):
        name = activity.get("{http://schemas.android.com/apk/res/android}name") or ""
        assert (built.folder / f"sample/dev/whit/sample{name.replace('.', '/')}.class").exists()


def test_code_in_the_docs(built: java_tools.Built) -> None:
    text = (ROOT / "docs/android.md").read_text()
    kotlin, java = (re.findall(rf"```{k}\n(.*?)```", text, re.S) for k in ("kotlin", "java"))
    assert len(kotlin) == 3 and len(java) == 2
    folder = built.folder / "docs"
    folder.mkdir()
    imports = ["android.content.res.AssetManager", "java.util.concurrent.Executor", "dev.whit.*"]
    lines = "".join(f"import {i}\n" for i in imports)
    (folder / "Docs.kt").write_text(lines + "\n".join(kotlin))
    lines = "".join(f"import {i};\n" for i in ("android.content.res.AssetManager", "dev.whit.*", "java.io.*", "java.nio.*", "java.util.*"))  # fmt: skip
    (folder / "DocsJava.java").write_text(f"{lines}class DocsJava {{\n{chr(10).join(java)}\n}}\n")
    classes = [built.classes, built.stubs]
    _android.compile_java([folder / "DocsJava.java"], folder / "java", classes, stubs=False)
    sources = [folder / "Docs.kt", *(ROOT / "android/kotlin").glob("*.kt"), java_tools.HERE / "kotlin/Coroutines.kt"]  # fmt: skip
    compile_kotlin(sorted(sources), folder / "kotlin", built.path())
