"""What is timed does what it says: the models that make bench-overhead takes apart."""

from __future__ import annotations

import numpy as np
import overhead
import pytest

import whit


@pytest.mark.parametrize("graph", [overhead.WHILE, overhead.STACKED])
def test_loops_count(graph: str) -> None:
    found = whit.load(whit.convert(overhead.parse(graph))).run({"trips": np.array(5)})
    assert found["sum"] == 5
    if "sums" in found:
        np.testing.assert_array_equal(found["sums"], [1, 2, 3, 4, 5])


@pytest.mark.parametrize("graph", [overhead.chain, overhead.branches], ids=["nodes", "branches"])
def test_as_many_nodes_as_asked_for(graph: overhead.Graph) -> None:
    """None is left out or joined with another: each runs, and can be looked at."""
    model = whit.load(whit.convert(overhead.parse(graph(7)), fuse=False))
    feeds = {"c": np.array(True), "x": np.array(2, np.float32), "v0": np.array(1, np.float32)}
    assert model.run(feeds)["v7"] == 15
    assert model.last_steps == (7 if graph is overhead.chain else 14)


def test_every_goal_has_a_number() -> None:
    rows = overhead.measure(rounds=1)
    assert len({r.what for r in rows}) == len(rows) == 6
    assert overhead.table(rows).count("\n") == 7
