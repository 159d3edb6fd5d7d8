"""The Swift sources as far as they can be judged without a compiler: they parse, they call what whit.h declares with as many
arguments, what is public is documented, and numbers and names are those of the runtime and of whit bench."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import apple
import pytest
import runners
import swift_source as swift

import whit
from whit import cli, dtypes

IOS = swift.ROOT / "ios"
DECLARED = apple.HEADER + (IOS / "Sources/CWhitAtomics/include/CWhitAtomics.h").read_text()


def test_there_are_sources() -> None:
    assert len(swift.FILES) > 20 and len(swift.PACKAGE) > 8


@pytest.mark.parametrize("path", swift.FILES, ids=lambda p: p.stem)
def test_parses(path: Path) -> None:
    assert swift.errors(path.read_bytes()) == []


def test_the_parser_finds_errors() -> None:
    assert swift.errors(b"func f(_ x: Int) -> Int { return x + }")
    assert swift.errors(b"struct S { let a: Int")
    assert not swift.errors(b"let y = try await f { x in x! + 1 }")


@pytest.mark.parametrize("path", swift.PACKAGE, ids=lambda p: p.stem)
def test_names_of_c_are_declared(path: Path) -> None:
    for word in swift.words(path):
        if re.match(r"whit_|WHIT_", word):
            name = word if re.search(rf"\b{word}\b", DECLARED) else word.removeprefix("WHIT_")
            assert re.search(rf"\b{name}\b", DECLARED), word
    imported = re.findall(r"WHIT_SWIFT\(\"(\w+)\"\)", apple.HEADER)
    assert len(imported) == 6
    for word in swift.words(path):
        if re.match(r"Whit(Status|DType|Tensor|Model|Host|Port)", word):
            assert word in imported


def test_calls_of_c_have_the_right_number_of_arguments() -> None:
    counts = {
        name: 0 if arguments.strip() == "void" else arguments.count(",") + 1
        for name, arguments in re.findall(r"\b(whit_\w+)\(([^;{}]*?)\)(?:;| \{)", DECLARED)
    }
    calls = 0
    for path in swift.PACKAGE:
        for node in swift.walk(swift.tree(path.read_bytes()).root_node):
            if node.type != "call_expression":
                continue
            called = node.children[0].text.decode()
            if called not in counts:
                continue
            calls += 1
            given = [n for n in swift.walk(node.children[-1]) if n.type == "value_argument"]
            own = [n for n in given if n.parent.parent.parent == node]
            assert len(own) == counts[called], (path.name, node.text.decode())
    assert calls > 30


@pytest.mark.parametrize("path", swift.PACKAGE, ids=lambda p: p.stem)
def test_what_is_public_is_documented(path: Path) -> None:
    assert swift.undocumented(path) == []


def test_element_types_are_those_of_the_runtime() -> None:
    text = (IOS / "Sources/Whit/ElementType.swift").read_text()
    cases = {int(n): name for name, n in re.findall(r"case (\w+) = (\d+)", text)}
    special = dict(re.findall(r"case \.(\w+): return \"(\w+)\"", text))
    ours = {n: special.get(name, name) for n, name in cases.items()}
    enum = re.search(r"whit_dtype \{(.*?)\}", apple.HEADER, re.S)
    assert enum
    numbers = [int(n) for n in re.findall(r"= (\d+)", enum[1])]
    assert ours == {n: dtypes.name_of(n) for n in numbers}


def test_errors_know_every_status() -> None:
    text = (IOS / "Sources/Whit/WhitError.swift").read_text()
    known = {int(n, 16) for line in re.findall(r"case (0x.*?):", text) for n in line.split(", ")}
    statuses = {int(n, 16) for n in re.findall(r"X\(\w+, (0x\w+),", apple.HEADER)}
    rest = {
        0x00,
        0x01,
        0x10,
        0x12,
    }  # no error, stopped, and what only a mistake in the package itself can bring about
    assert known | rest == statuses and not known & rest


def test_docs_are_swift() -> None:
    blocks = re.findall(r"```swift\n(.*?)```", (swift.ROOT / "docs/ios.md").read_text(), re.S)
    assert len(blocks) >= 3
    for block in blocks:
        assert swift.errors(block.encode()) == [], block


@pytest.mark.slow
@pytest.mark.native
def test_report_has_the_keys_of_whit_bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    model = tmp_path / "triple.whit"
    whit.convert(swift.ROOT / "examples/models/triple.onnx", model)
    capsys.readouterr()
    assert cli.main(["bench", "--json", "--runs", "5", str(model)]) == 0
    said = json.loads(capsys.readouterr().out)
    text = (IOS / "Sources/WhitBench/Report.swift").read_text()
    keys = re.search(r"enum CodingKeys.*?\n    \}", text, re.S)
    assert keys
    named = re.findall(r"case \w+ = \"(\w+)\"", keys[0])
    plain = re.search(r"case (file, .*)", keys[0])
    assert plain
    assert {*named, *plain[1].split(", ")} - {"device"} == set(said)
    for struct, record in (("Output", "outputs"), ("Node", "nodes"), ("Operator", "operators")):
        body = re.search(rf"struct {struct}: Codable.*?\n    \}}", text, re.S)
        assert body
        fields = set(re.findall(r"let `?(\w+)`?:", body[0]))
        assert fields == set(said[record][0]), record


def test_sample_is_described() -> None:
    """What project.yml names is there."""
    sample = IOS / "Sample"
    text = (sample / "project.yml").read_text()
    manifest = (IOS / "Package.swift").read_text()
    for folder in re.findall(r"^      - (\w+)$", text, re.M):
        assert list((sample / folder).glob("*.swift")), folder
    products = re.search(r"products:\n((?:          - \w+\n)+)", text)
    assert products
    for product in re.findall(r"- (\w+)", products[1]):
        assert f'.library(name: "{product}"' in manifest
    assert "path: ../../build/ios/whit-swift\n" in text


# ---- the package -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """build/ios/whit-swift as make ios writes it."""
    folder = tmp_path_factory.mktemp("package")
    command = [sys.executable, str(IOS / "package.py"), "-o", str(folder), "--only", "source"]
    path = os.pathsep.join(str(swift.ROOT / p) for p in ("exporter", "python_bindings"))
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path})
    return folder / "whit-swift"


@pytest.mark.slow
@pytest.mark.native
def test_package_is_whole(package: Path) -> None:
    """A folder with sources for every target of the manifest."""
    text = (package / "Package.swift").read_text()
    assert not swift.errors(text.encode())
    names = set(re.findall(r"arget\(\s*name: \"(\w+)\"", text))
    assert names == {"CWhit", "CWhitAtomics", "Whit", "WhitBench", "SampleLogic", "WhitTests"}
    for name in names:
        place = package / ("Tests" if name.endswith("Tests") else "Sources") / name
        assert [f for f in place.iterdir() if f.suffix in (".swift", ".c")], name
    assert (package / "Sources/Whit/PrivacyInfo.xcprivacy").is_file()
    assert (package / "Tests/WhitTests/Vectors/vectors.json").is_file()
    for module in re.findall(r"^(?:@testable )?import (\w+)$", "\n".join(f.read_text() for f in package.rglob("*.swift")), re.M):  # fmt: skip
        assert module in names | {"Foundation", "Dispatch", "XCTest", "PackageDescription", "Darwin", "Glibc", "Musl", "Android"}  # fmt: skip


SWIFTPM = [
    "-DSWIFT_PACKAGE=1",
    "-DDEBUG=1",
    "-fblocks",
    "-g",
    "-Wall",
    "-Werror",
    "-Wno-error=#warnings",
]
"""What SwiftPM gives a C compiler in a debug build, and warnings as errors but for one in clang's own headers."""


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("target", ["arm64-apple-ios15.0", "x86_64-apple-macos11.0", ""])
def test_c_targets_compile_as_swiftpm_does(package: Path, target: str, tmp_path: Path) -> None:
    """Unoptimised, with modules, and the module that Swift imports is found by its map."""
    sources = package / "Sources"
    command = apple.freestanding(target)[:-1] if target else [apple.clang().path]
    if target:
        command.append("-ffreestanding")  # there are no headers of Apple's here
    modules = ["-fmodules", f"-fmodules-cache-path={tmp_path}/cache"]
    for name in ("CWhit", "CWhitAtomics"):
        include = f"-I{sources / name / 'include'}"
        for file in (sources / name).glob("*.c"):
            words = [*command, "-O0", *SWIFTPM, *modules, f"-fmodule-name={name}", include, "-c", str(file), "-o", str(tmp_path / f"{name}.o")]  # fmt: skip
            subprocess.run(words, check=True)
    use = tmp_path / "use.m"
    use.write_text(
        "@import CWhit;\nint use(whit_model *m);\nint use(whit_model *m) { return whit_open(m, m, 0); }\n"
    )
    if target:
        found = f"-fmodule-map-file={sources}/CWhit/include/module.modulemap"
        subprocess.run([*command, *modules, "-Wall", "-Werror", found, "-c", str(use), "-o", str(tmp_path / "use.o")], check=True)  # fmt: skip


@pytest.mark.slow
@pytest.mark.native
def test_bits_of_an_unoptimised_build(package: Path, tmp_path: Path) -> None:
    """What swift test runs on Linux gives the bits that the shared vectors state."""
    program, inputs = tmp_path / "runner", tmp_path / "inputs"
    root = swift.ROOT
    parts = [root / "tests/runtime_c/runner.c", *(root / "runtime_c/platform").glob("*.c")]
    includes = [f"-I{root}/runtime_c/platform", f"-I{package}/Sources/CWhit/include"]
    whole = package / "Sources/CWhit/whit.c"
    command = [apple.clang().path, "-O0", *includes, *parts, whole, "-pthread", "-lm", "-o", program]  # fmt: skip
    subprocess.run([str(c) for c in command], check=True)
    for case in apple.PLAIN:
        model, given, want = apple.given(case)
        inputs.write_bytes(given)
        for isa in ["scalar", *runners.isas()]:
            assert runners.answer([str(program)], model, inputs, isa, times=1) == want, (case, isa)
