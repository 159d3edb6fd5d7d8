"""The Kotlin files, compiled with warnings as errors and run in the JVM; the logic of the sample app; the code in the docs."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

import java_tools
import pytest

from whit import _android, _targets

ROOT = java_tools.ROOT
NO_KOTLIN = "there is no Kotlin compiler: .venv/bin/pip install --no-deps kotlin-jupyter-kernel (80 MB; it carries one)"
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


def test_kotlin(built: java_tools.Built) -> None:
    to = built.folder / "kotlin"
    sources = [*(ROOT / "android/kotlin").glob("*.kt"), *(java_tools.HERE / "kotlin").glob("*.kt")]
    compile_kotlin(sorted(sources), to, built.path())
    said = built.java("org.junit.runner.JUnitCore", "KotlinTest", more=[to, stdlib()])
    passed = re.search(r"^OK \((\d+) tests?\)", said, re.M)
    assert (
        passed
        and int(passed[1]) == (java_tools.HERE / "kotlin/KotlinTest.kt").read_text().count("@Test")
    )


def test_code_in_the_docs(built: java_tools.Built) -> None:
    text = (ROOT / "docs/android.md").read_text()
    kotlin, java = (re.findall(rf"```{k}\n(.*?)```", text, re.S) for k in ("kotlin", "java"))
    assert len(kotlin) == 3 and len(java) == 2
    folder = built.folder / "docs"
    folder.mkdir()
    imports = "android.content.res.AssetManager java.util.concurrent.Executor dev.whit.*".split()
    lines = "".join(f"import {i}\n" for i in imports)
    (folder / "Docs.kt").write_text(lines + "\n".join(kotlin))
    lines = "".join(f"import {i};\n" for i in ("android.content.res.AssetManager", "dev.whit.*", "java.io.*", "java.nio.*", "java.util.*"))  # fmt: skip
    (folder / "DocsJava.java").write_text(f"{lines}class DocsJava {{\n{chr(10).join(java)}\n}}\n")
    classes = [built.classes, built.stubs]
    _android.compile_java([folder / "DocsJava.java"], folder / "java", classes, stubs=False)
    sources = [folder / "Docs.kt", *(ROOT / "android/kotlin").glob("*.kt"), java_tools.HERE / "kotlin/Coroutines.kt"]  # fmt: skip
    compile_kotlin(sorted(sources), folder / "kotlin", built.path())
