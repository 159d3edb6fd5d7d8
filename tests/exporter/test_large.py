"""A file of more than 2 GB: constants lie behind 64-bit offsets, and opening it touches its structure only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import whit
from whit_exporter.build import Builder
from whit_exporter.dtypes import DType
from whit_exporter.ir import Entry, Graph
from whit_exporter.write import write

ELEMENTS = 300_000_000


@pytest.mark.slow
@pytest.mark.native
def test_more_than_2_gb(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    i = b.param("i", DType.I64, ())
    for name, last in (("y", 5), ("z", 7)):
        weights = np.zeros(ELEMENTS, np.float32)
        weights[-1] = last
        v = b.op("gather", b.const(weights), i, axis=0)
        v.name = name
        b.region.results.append(v)
    graph.entries = [Entry("main", b.region)]
    path = tmp_path / "large.whit"
    write(graph, path)
    assert path.stat().st_size > 2**31
    results = whit.load(path).run({"i": np.int64(-1)})
    path.unlink()
    assert results["y"] == 5 and results["z"] == 7
