"""Swift files as a syntax tree: there is no Swift compiler where these tests run, and a parser finds what is no Swift."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
import runners

ROOT = runners.ROOT
FILES = sorted([*(ROOT / "ios").rglob("*.swift"), *(ROOT / "tests/ios").rglob("*.swift")])
PACKAGE = [f for f in FILES if "Sources" in f.parts]

tree_sitter = pytest.importorskip(
    "tree_sitter", reason="no parser for Swift: pip install tree-sitter"
)
grammar = pytest.importorskip(
    "tree_sitter_swift", reason="no parser for Swift: pip install tree-sitter-swift"
)
Node = tree_sitter.Node


@functools.cache
def parser() -> tree_sitter.Parser:
    return tree_sitter.Parser(tree_sitter.Language(grammar.language()))


def tree(text: bytes) -> tree_sitter.Tree:
    return parser().parse(text)


def walk(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def errors(text: bytes) -> list[str]:
    """Places where the text is no Swift."""
    found = []
    for node in walk(tree(text).root_node):
        if node.type == "ERROR" or node.is_missing:
            found.append(f"line {node.start_point[0] + 1}: {node.text.decode()[:80]!r}")
    return found


def words(path: Path) -> set[str]:
    """Identifiers that a file uses."""
    kinds = ("simple_identifier", "type_identifier")
    return {n.text.decode() for n in walk(tree(path.read_bytes()).root_node) if n.type in kinds}


def undocumented(path: Path) -> list[str]:
    """Public declarations without a comment of DocC's kind right before them."""
    found = []
    lines = path.read_text().splitlines()
    for k, line in enumerate(lines):
        text = line.strip()
        before = lines[k - 1].strip() if k else ""
        if text.startswith("public ") and not before.startswith("///"):
            found.append(f"{path.name}:{k + 1}: {text}")
    return found
