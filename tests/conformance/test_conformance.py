"""The harness itself, what is refused, and that the pages of the documentation know the standard that is installed."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import isas
import numpy as np
import onnx
import pages
import pytest
import run
import runners
import suite
from everywhere import ACCEPTED, NAN_SIGN, SAME, difference

import whit

STAND_IN = """
import json, os, sys, time
print(json.dumps({"cases": {"test_%d" % i: "Node" for i in range(5)}, "library": "none"}), flush=True)
for line in sys.stdin:
    if line.strip() == "test_1":
        print("runtime error: a fault", file=sys.stderr)
        os.abort()
    if line.strip() == "test_3":
        time.sleep(60)
    print(json.dumps({"outcome": "pass", "why": ""}), flush=True)
"""


@pytest.fixture
def results(tmp_path: Path) -> run.Results:
    """Of a worker that crashes at one case and hangs at another."""
    worker = tmp_path / "worker.py"
    worker.write_text(STAND_IN)
    return run.run_all("", 1, command=[sys.executable, str(worker)], seconds=1)


@pytest.mark.native
def test_a_crash_and_a_hang_cost_one_case_each(results: run.Results) -> None:
    outcomes = {name: r["outcome"] for name, r in results.items()}
    assert outcomes == {
        "test_0": "pass", "test_1": "crash", "test_2": "pass", "test_3": "timeout", "test_4": "pass",
    }  # fmt: skip
    assert "runtime error: a fault" in results["test_1"]["why"]
    text = pages.tables(results)
    assert "crash: test_1" in text and "timeout: test_3" in text


@pytest.mark.native
def test_what_fails_the_run(results: run.Results, tmp_path: Path) -> None:
    baseline = tmp_path / "passed.txt"
    baseline.write_text("test_0\ntest_4\n")
    assert run.compare(results, baseline) == 1, "a crash fails even where nothing is lost"
    good = {n: r for n, r in results.items() if r["outcome"] == "pass"}
    assert run.compare(good, baseline) == 0
    good["test_4"] = {"outcome": "wrong", "why": ""}
    assert run.compare(good, baseline) == 1


def has_strings(model: onnx.ModelProto) -> bool:
    ports = (*model.graph.input, *model.graph.output)
    return any(p.type.tensor_type.elem_type == onnx.TensorProto.STRING for p in ports)


@pytest.fixture(scope="module")
def out_of_scope() -> dict[str, tuple[str, onnx.ModelProto]]:
    """{case: (operator, model)} of the suite's cases with strings, pictures in a file format, or gradients."""
    found = {}
    for name, model in models().items():
        operators = suite.operators_of(model.graph)
        named = operators & {"ImageDecoder", "ai.onnx.preview.training.Gradient"}
        if named or has_strings(model):
            found[name] = ((named or operators).pop(), model)
    return found


def models() -> dict[str, onnx.ModelProto]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [c for kind in ("node", "simple") for c in load_model_tests(kind=kind)]
    return {c.name: c.model or onnx.load(str(Path(c.model_dir) / "model.onnx")) for c in cases}


def test_out_of_scope_is_refused_with_operator_and_reason(out_of_scope: dict[str, Any]) -> None:
    """By the exporter, and nothing else of the suite is: passed.txt has all others."""
    for name, (operator, model) in out_of_scope.items():
        with pytest.raises(whit.ConvertError) as e:
            whit.convert(model)
        reasons = (
            "type STRING",
            "Whit has no strings",
            "give the model the pixels",
            "export the gradient as nodes",
        )
        assert e.value.operator == operator and operator in str(e.value), (name, str(e.value))
        assert any(reason in e.value.message for reason in reasons), (name, str(e.value))
    passed = set(run.BASELINE.read_text().split())
    assert len(out_of_scope) == 43 and not passed & set(out_of_scope)
    assert len(passed) + len(out_of_scope) == 2033


def test_operators_page_has_every_operator() -> None:
    text = (run.ROOT / "docs/operators.md").read_text()
    for domain in pages.DOMAINS:
        rows = [
            line.split(" | ")
            for line in text.split(f"## {domain or 'ai.onnx'}\n")[1].split("\n## ")[0].splitlines()
        ]
        found = {row[0].removeprefix("| "): row for row in rows if len(row) == 5}
        for (where, name), versions in pages.schemas().items():
            if where == domain:
                assert found[name][1] == ", ".join(str(s.since_version) for s in versions), name
                assert found[name][2] == pages.types(versions[-1]), name


@pytest.mark.slow
@pytest.mark.native
def test_same_bits_on_every_instruction_set(tmp_path: Path) -> None:
    """All cases but the whole networks; `make conformance-isas` has these too, judged at every level."""
    results = run.run_all(
        "^test_(?!bvlc|densenet|inception|resnet50|shufflenet|squeezenet|vgg|zfnet)", 1, tmp_path
    )
    found = isas.compare_bits(results, tmp_path, emulate=True)
    assert isas.bad(found) == []
    for way, outcome in found.items():
        signs = {case for case, what in outcome.items() if what == NAN_SIGN}
        assert len(outcome) == 1981 and signs == (NAN_SIGNS if way.startswith("arm") else set()), (
            way
        )


NAN_SIGNS = {
    *(f"test_mod_float_edge_cases_fmod_0_float{n}" for n in (16, 32, 64)),
    "test_operator_pow",
    "test_operator_sqrt",
}
"""Cases whose operations make a NaN: x86 sets its sign, arm64 does not. Nothing else may depend on the machine."""


def test_what_counts_as_the_same() -> None:
    x = np.array([1, np.nan, np.inf], np.float32)
    same = {SAME: x, NAN_SIGN: -x * np.float32([-1, 1, -1])}
    other = {
        "a number": x + np.float32([1e-6, 0, 0]),
        "a sign": x * np.float32([1, 1, -1]),
        "another NaN": np.array([0x3F800000, 0x7FC00001, 0x7F800000], np.uint32).view(np.float32),
        "a shape": x[None],
        "a type": x.astype(np.float64),
        "a kind": [x],
        "nothing": None,
    }
    for want, y in same.items():
        assert difference(runners.record(y), runners.record(x)) == want
        assert difference(runners.record([x, y]), runners.record([x, x])) == want
    for what, y in other.items():
        assert difference(runners.record(y), runners.record(x)) not in ACCEPTED, what
    assert difference(runners.record(x) * 2, runners.record(x)) not in ACCEPTED
    for value in (x, [x, x[:0]], None, np.float64(3), np.zeros((0, 3), np.int8)):
        (read,) = runners.values(runners.record(np.asarray(value) if np.isscalar(value) else value))
        np.testing.assert_equal(read, value)
