"""No byte more than tests/size/budget.json allows. The commit that raises a budget says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import size_cases
import size_docs

from whit import _build, _size, _targets, cli

BUDGET = json.loads(size_cases.BUDGET.read_text())
ADVICE = (
    "spend less, or say in the commit why it is worth it: python tests/size/size_cases.py --write"
)


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("case", BUDGET)
def test_budget(case: str, tmp_path: Path) -> None:
    name, compiler = case.split(", ")
    try:
        found = size_cases.measured(name, compiler, tmp_path)
    except _targets.ToolError as e:
        pytest.skip(str(e))
    over = {k: n - BUDGET[case][k] for k, n in found.items() if n > BUDGET[case][k]}
    assert not over, f"bytes over the budget of {case}: {over}; {ADVICE}"


def test_every_case_has_a_budget() -> None:
    assert set(BUDGET) == {f"{n}, {c}" for n, c in size_cases.wanted()}


def test_components_add_up() -> None:
    symbols = (
        _size.Symbol("whit_plan", 40, "text", "src/plan.c"),
        _size.Symbol("gemm_f32_neon", 30, "text", "kernels/kernels.c"),
        _size.Symbol("whit_conv_run", 20, "text", "ops/conv.c"),
    )
    size = _size.Size(symbols, {"text": 90, "rodata": 7, "data": 0}, 0, 0)
    assert size.by_component() == {"core": 40, "operators": 20, "kernels": 30, "literals": 7}
    assert size.by("kernels") == {"gemm_f32_neon": 30}


def test_where_a_function_is_from() -> None:
    source = (
        "/* ---- src/plan.c ---- */\nstatic whit_status plan_walk(whit_instance *i) {\n"
        "/* ---- kernels/kernels.c ---- */\nTARGET static void NAME(add_to_f32)(float *y) {\n"
        "/* ---- ops/tile.c ---- */\nwhit_status whit_tile_run(whit_call *c) {\n"
    )
    files = _size._files(source)
    assert files["plan_walk"] == "src/plan.c"
    assert files["add_to_f32"] == "kernels/kernels.c"
    assert files["whit_tile_run"] == "ops/tile.c"


@pytest.mark.slow
@pytest.mark.native
def test_types_and_abis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As JSON: what each type that a model uses costs; the library of each target, compressed too."""
    try:
        _targets.compiler(_targets.target("wasm32"))
    except _targets.ToolError as e:
        pytest.skip(str(e))
    size_cases.model("digits", tmp_path)
    model = str(tmp_path / "digits.whit")

    def said(*options: str) -> Any:
        assert cli.main(["size", model, "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)

    found = said("--target", "linux-aarch64", "--dtypes")
    assert set(found["dtypes"]) == {"f32", "i64", "bool"}
    assert all(abs(c["last"]) < found["total"] / 10 for c in found["dtypes"].values())

    few = ("linux-aarch64", "ios-arm64", "wasm32", "cortex-m4", "c")
    monkeypatch.setattr(_targets, "TARGETS", {n: _targets.TARGETS[n] for n in few})
    rows = {f["target"]: f for f in said("--abis")["targets"]}
    assert set(rows) == set(few) - {"c"}
    assert rows["linux-aarch64"]["n_bytes"] == found["shared"]
    assert rows["linux-aarch64"]["compressed"] == found["compressed"]
    assert all(f["compressed"] < f["n_bytes"] for f in rows.values())
    assert rows["cortex-m4"]["compressed"] == 0 < rows["wasm32"]["compressed"]


def test_the_page_has_all_tables() -> None:
    """docs/size.md is what size_docs.py writes: all rivals, targets, profiles and cases are there."""
    page = size_docs.PAGE.read_text()
    for _, name, size, how in size_docs.RIVALS:
        assert f"| {name} | {size} | {how} |" in page
    shipped = [t.name for t in _targets.TARGETS.values() if t.output != "source"]
    for name in (*BUDGET, *_build.PROFILES, *shipped):
        assert f"| {name} |" in page, name
    assert size_docs.table(("bytes", "what"), [(1234, "a"), (5, "b")]) == (
        "| bytes | what |\n|--:|---|\n| 1,234 | a |\n| 5 | b |"
    )
