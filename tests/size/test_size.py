"""No byte more than tests/size/budget.json allows. The commit that raises a budget says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import size_cases

from whit import _size, _targets

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
    wanted = {f"{n}, {c}" for n in size_cases.CASES for c in size_cases.COMPILERS}
    assert set(BUDGET) == wanted


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
