"""What ONNX's operators draw has the distribution that the standard gives it.

The suite's random cases (Bernoulli and its body, Dropout in training) are run many times, which makes one long draw, for a
run does not repeat the run before. Generators are compared by the Kolmogorov-Smirnov test. Seeds are fixed: what passes once passes
always.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx.backend.test.loader import load_model_tests

import whit

Array = np.ndarray[Any, Any]
RUNS = 2000
SURE = 4.5
"""Standard deviations: one in 150,000 draws lies farther out."""
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of how onnx computes what it expects elsewhere
    CASES = {
        c.name: c for c in load_model_tests(kind="node")
        if c.name.startswith(("test_bernoulli", "test_training_dropout"))
    }  # fmt: skip


def draws(name: str) -> tuple[dict[str, Array], list[list[Array]], list[list[Array]]]:
    """Inputs of a case, what the suite expects of each output, and each output of many runs."""
    model, (inputs, expected) = CASES[name].model, CASES[name].data_sets[0]
    feeds = {i.name: np.asarray(x) for i, x in zip(model.graph.input, inputs, strict=False)}
    program = whit.load(whit.convert(model))
    runs = [program.run(feeds) for _ in range(RUNS)]
    return feeds, expected, [[np.asarray(r[o.name]) for r in runs] for o in model.graph.output]


def check_shares(drawn: Array, p: Array) -> None:
    """drawn: truth values, [runs, elements], each of which is true with its probability, whatever the others are."""
    n = len(drawn)
    share, sigma = drawn.mean(0), np.sqrt(p * (1 - p) / n)
    assert (np.abs(share - p) <= SURE * sigma).all(), (share, p)
    moving = (p > 0) & (p < 1)
    if not moving.any():
        return
    x = (drawn - p)[:, moving] / np.sqrt(p * (1 - p))[moving]
    of_runs = x.sum(1) / math.sqrt(x.shape[1])
    assert abs((of_runs**2).mean() - 1) < SURE * math.sqrt(3 / n), (
        "elements of a run depend on each other"
    )
    assert abs((x[1:] * x[:-1]).mean()) < SURE / math.sqrt(x.size), (
        "a run depends on the one before"
    )


def test_there_are_twelve() -> None:
    assert len(CASES) == 12


@pytest.mark.parametrize("name", sorted(n for n in CASES if "bernoulli" in n))
def test_bernoulli(name: str) -> None:
    feeds, expected, (y,) = draws(name)
    (p,) = feeds.values()
    assert all(a.shape == expected[0].shape and a.dtype == expected[0].dtype for a in y)
    drawn = np.stack(y).reshape(RUNS, -1).astype(np.float64)
    assert np.isin(drawn, (0, 1)).all()
    p = p.ravel().astype(np.float64)
    if (
        "expanded" in name
    ):  # the body has Greater(drawn, p), so it gives 1 where the text, and Whit's lowering, give 0
        p = 1 - p
    check_shares(drawn, p)


@pytest.mark.parametrize("name", sorted(n for n in CASES if "dropout" in n))
def test_dropout(name: str) -> None:
    feeds, expected, outputs = draws(name)
    x, ratio, _ = feeds.values()
    for got, want in zip(outputs, expected, strict=True):
        assert all(a.shape == want.shape and a.dtype == want.dtype for a in got)
    y = np.stack(outputs[0]).reshape(RUNS, -1)
    kept = np.stack(outputs[1]).reshape(RUNS, -1) if len(outputs) > 1 else y != 0
    scaled = x.ravel() / (1 - ratio).astype(x.dtype)
    np.testing.assert_allclose(y, np.where(kept, scaled, 0), rtol=1e-6)
    check_shares(kept.astype(np.float64), np.full(x.size, 1 - float(ratio)))


def normal(mean: float, scale: float) -> Callable[[Array], Array]:
    erf = np.vectorize(math.erf, otypes=[np.float64])
    return lambda x: (1 + erf((x - mean) / (scale * math.sqrt(2)))) / 2


def uniform(low: float, high: float) -> Callable[[Array], Array]:
    return lambda x: np.clip((x - low) / (high - low), 0, 1)


GENERATORS = [
    ("RandomUniform", "low = -1.0, high = 3.0", uniform(-1, 3)),
    ("RandomUniform", "low = 5.0, high = 5.5, seed = 3.0", uniform(5, 5.5)),
    ("RandomNormal", "mean = 2.0, scale = 0.5", normal(2, 0.5)),
    ("RandomNormal", "mean = -1.0, scale = 30.0, seed = 7.0", normal(-1, 30)),
]


@pytest.mark.parametrize("like", ["", "Like"])
@pytest.mark.parametrize(("to", "name"), [(1, "float"), (11, "double")])
@pytest.mark.parametrize(("op", "attributes", "distribution"), GENERATORS)
def test_generators(
    op: str, attributes: str, distribution: Callable[[Array], Array], to: int, name: str, like: str
) -> None:
    n = 40_000
    shape, x = ("", "x") if like else (f"shape = [{n}], ", "")
    graph = f"g (float[{n}] x) => ({name}[{n}] y) {{ y = {op}{like} <{shape}{attributes}, dtype = {to}> ({x}) }}"
    model = whit.load(
        whit.convert(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 22]> {graph}'))
    )
    feeds = {"x": np.zeros(n, np.float32)}
    drawn = [model.run(feeds)["y"].astype(np.float64) for _ in range(2)]
    for y in (*drawn, np.concatenate(drawn)):
        expected, m = distribution(np.sort(y)), len(y)
        steps = np.arange(m + 1) / m
        distance = max((steps[1:] - expected).max(), (expected - steps[:-1]).max())
        assert distance < 1.95 / math.sqrt(m), distance  # one in 1000 lies farther away
    a, b = (distribution(y) - 0.5 for y in drawn)
    for first, second in ((a, b), (a[1:], a[:-1]), (b[7:], b[:-7])):
        assert abs((first * second).mean()) < SURE / 12 / math.sqrt(len(first)), (
            "draws depend on each other"
        )
