"""Executed instructions per operator: repeatable, complete, and in their places."""

from __future__ import annotations

import tempfile
from pathlib import Path

import baseline
import counts
import operators
import pytest
import runners

import whit

pytestmark = [pytest.mark.slow, pytest.mark.native]


def test_the_innermost_open_node_has_them() -> None:
    notes = [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 0), (2, 1), (1, 1)]
    marks = [10, 15, 16, 20, 50, 51, 80, 90, 100]
    found = operators.attributed(notes, marks, ["conv", "loop", "tile"])
    assert found == {"executor": 10 + 1 + 10, "conv": 5, "loop": 4 + 1 + 10, "tile": 30 + 29}
    with pytest.raises(RuntimeError, match="another one was open"):
        operators.attributed([(0, 0), (1, 1)], [1, 2, 3], ["conv", "loop"])


@pytest.mark.parametrize("isa", counts.ISAS)
@pytest.mark.parametrize("name", operators.EXAMPLES)
def test_examples(name: str, isa: str) -> None:
    if why := counts.missing(isa):
        pytest.skip(why)
    found = operators.measure(name, isa)
    assert found == operators.measure(name, isa), "the same run counts the same"
    with tempfile.TemporaryDirectory() as folder:
        path, inputs = Path(folder) / "model.whit", Path(folder) / "inputs"
        whit.convert(operators.MODELS / f"{name}.onnx", path)
        runners.write_inputs(whit.load(path), operators.EXAMPLES[name](), inputs)
        unobserved = counts.count(path, inputs, isa)
    # telling the observer costs the executor some instructions a node, and nothing else
    assert 0 <= sum(found.values()) - unobserved["instructions"] < 0.05 * unobserved["instructions"] + 200  # fmt: skip
    if baseline.read("compilers").get(isa) != counts.compiler(isa):
        pytest.skip("the baseline is of another compiler")
    assert operators.regressions({isa: {name: found}}) == []


def test_regressions_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = {
        "operators": {"neon": {"m": {"conv": 10_000, "tile": 10, "all": 10_010}}},
        "compilers": {"neon": "gcc 1.2.3"},
    }
    monkeypatch.setattr(baseline, "read", lambda section: stored[section])
    monkeypatch.setattr(counts, "compiler", lambda isa: "gcc 1.2.3")
    assert operators.regressions({"neon": {"m": {"conv": 10_220, "tile": 10}}}) == []
    said = operators.regressions({"neon": {"m": {"conv": 10_221, "tile": 30, "loop": 1}}})
    assert said == [
        "m, neon, conv: 10,221 instructions, the baseline is 10,000 (+2.2 %)",
        "m, neon, loop: not in the baseline",
        "m, neon, all: 10,252 instructions, the baseline is 10,010 (+2.4 %)",
    ]
