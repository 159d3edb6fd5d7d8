"""What a command prints: text for people, JSON for machines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


class Report:
    """Lines and tables to print, the same as data, and the exit code."""

    def __init__(self, data: dict[str, Any], exit_code: int = 0) -> None:
        self.data, self.exit_code = data, exit_code
        self._lines: list[str] = []

    def line(self, text: str = "") -> None:
        self._lines.append(text)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Columns aligned; numbers to the right."""
        rows = list(rows)
        cells = [[_cell(v) for v in row] for row in rows]
        right = [
            bool(rows) and all(isinstance(r[k], (int, float)) for r in rows)
            for k in range(len(head))
        ]
        widths = [max([len(h), *(len(row[k]) for row in cells)]) for k, h in enumerate(head)]
        for row in ([*head], *cells):
            padded = (
                c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)
            )
            self.line("  " + "  ".join(padded).rstrip())

    def print(self) -> None:
        print("\n".join(self._lines))


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3g}" if value and abs(value) < 0.01 else f"{value:,.2f}"
    return str(value)


def json_value(value: Any) -> Any:
    """An array, list or None as JSON can hold it; what is not finite becomes a string."""
    if value is None:
        return None
    if isinstance(value, list):
        return [json_value(v) for v in value]
    a = np.asarray(value)
    content = a if a.dtype.kind in "biuf" else a.astype(np.float64)
    return {"dtype": a.dtype.name, "shape": list(a.shape), "data": _finite(content.tolist())}


def _finite(v: Any) -> Any:
    if isinstance(v, list):
        return [_finite(x) for x in v]
    return json_number(v) if isinstance(v, float) else v


def json_number(v: float) -> Any:
    """JSON has no infinity and no NaN."""
    return v if math.isfinite(v) else str(v)


def seconds(ns: float) -> str:
    """A time for people."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}" if ns < 1000 * size else f"{ns / size:.0f} {unit}"
    return f"{ns:.0f} ns"
