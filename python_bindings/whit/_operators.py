"""The operators' rows and the micro-operations, from the table that tools/gen.py makes of the C sources."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

PROGRAMS = frozenset(("program", "epilogue"))
"""Lists of words without a sign."""


@cache
def table() -> dict[str, Any]:
    """All of it: "ops" and "micro"."""
    text = Path(__file__).with_name("_ops.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def by_id() -> dict[int, dict[str, Any]]:
    """Rows of operators by the hash that stands for them in a file."""
    return {int(row["id"]): row for row in table()["ops"]}


def attributes(op_id: int, words: np.ndarray[Any, Any]) -> dict[str, Any]:
    """A node's attributes by name: whole numbers (of two words the first), and lists of words. A file older than a list lacks it."""
    found: dict[str, Any] = {}
    at = 0
    signed = words.view(np.int32)
    for a in by_id()[op_id]["attrs"]:
        name = a["name"]
        if a["type"].endswith("[]"):
            n = int(words[at]) if at < len(words) else 0
            found[name] = (words if name in PROGRAMS else signed)[at + 1 : at + 1 + n].tolist()
            at += 1 + n
        else:
            found[name] = int(signed[at])
            at += 2 if a["type"] in ("i64", "f64") else 1
    return found
