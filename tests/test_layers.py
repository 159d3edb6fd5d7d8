"""Dependencies point one way: in C src -> ops -> kernels -> isa, in Python frontends and passes know the IR and not each other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
C = ROOT / "runtime_c"
EXPORTER = ROOT / "exporter" / "whit_exporter"
STANDARD = {"stddef.h", "stdint.h", "stdbool.h", "immintrin.h", "arm_neon.h", "wasm_simd128.h"}
C_MAY = {
    "src": r'"(internal\.h|selection\.h|\.\./include/whit\.h|\.\./kernels/tile\.h)"',
    "ops": r'"(\w+\.h|\.\./src/internal\.h|\.\./kernels/\w+\.h)"',
    "kernels": r'"(\.\./src/internal\.h|\w+\.h|\w+\.inc|isa/\w+\.h)"',
}


@pytest.mark.parametrize("layer", sorted(C_MAY))
def test_includes(layer: str) -> None:
    files = [p for p in (C / layer).rglob("*") if p.suffix in (".c", ".h", ".inc")]
    assert files
    for path in files:
        for what in re.findall(r"^#include\s+(.+?)(?:\s*/\*.*)?$", path.read_text(), re.M):
            allowed = re.fullmatch(C_MAY[layer], what) or what.strip("<>") in STANDARD
            assert allowed, f"{path.relative_to(ROOT)} includes {what}"


def imports(path: Path) -> set[str]:
    """Modules that a file imports, relative ones as paths inside the package."""
    found = set()
    package = path.relative_to(EXPORTER.parent).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(x for x in (base, node.module or "") if x)
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize(
    ("folder", "unknown"),
    [
        ("frontends", ("whit_exporter.passes", "whit_exporter.write", "whit_exporter.read")),
        (
            "passes",
            ("whit_exporter.frontends", "whit_exporter.write", "whit_exporter.read", "onnx"),
        ),
        (
            "infer",
            ("whit_exporter.frontends", "whit_exporter.passes", "whit_exporter.write", "onnx"),
        ),
    ],
)
def test_python_layers(folder: str, unknown: tuple[str, ...]) -> None:
    for path in (EXPORTER / folder).rglob("*.py"):
        for module in imports(path):
            for name in unknown:
                assert module != name and not module.startswith(name + "."), (
                    f"{path} imports {module}"
                )


def test_the_binding_runs_without_the_exporter() -> None:
    """Only functions that convert import the exporter, and only when they are called."""
    for path in (ROOT / "python_bindings" / "whit").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += (
                [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            )
            assert not any(
                n.split(".")[0] in ("whit_exporter", "onnx", "flatbuffers") for n in names
            ), path


def test_file_names_are_unique_in_c() -> None:
    names = [p.name for p in C.rglob("*.[ch]")]
    assert len(names) == len(set(names))


def test_no_test_file_is_left_out(request: pytest.FixtureRequest) -> None:
    """pytest passes over folders of certain names (build, dist) without a word, unless it is told otherwise."""
    options = request.config.option
    if (
        [Path(a).resolve() for a in request.config.args] != [ROOT / "tests"]
        or options.keyword
        or options.markexpr
    ):
        pytest.skip("says something only of a run of all tests")
    collected = {item.path for item in request.session.items}
    assert collected == set((ROOT / "tests").rglob("test_*.py"))
