"""The bench's tables and judgements on made-up results."""

from __future__ import annotations

from typing import Any

import bench
import overhead
import pytest
import report


def cell(ms: float, **more: Any) -> dict[str, Any]:
    return {"ns": int(ms * 1e6), "median_ns": ms * 1.1e6, "error_of_max": 1e-6, **more}


def cold(ms: float, anonymous: float) -> dict[str, Any]:
    own = {"arena_bytes": 1e6, "weights_bytes": 4e6, "output_bytes": 0}
    return cell(ms, peak_bytes=5e6, anonymous_bytes=anonymous * 1e6, **own)


RESULTS = {
    "warm/1/a": {"whit": cell(1), "one": cell(2), "two": cell(4)},
    "warm/1/b": {"whit": cell(3), "one": cell(2), "two": {"failure": "crashes"}},
    "warm/2/a": {"whit": cell(0.5), "one": cell(1), "two": cell(4)},
    "warm/2/b": {"whit": cell(3.3), "one": cell(1)},
    "cold/1/a": {"whit": cold(1, 1), "one": cold(4, 9)},
    "cold/1/b": {"whit": cold(1, 3), "one": cold(4, 9)},
}


def test_ratios() -> None:
    groups = report.grouped(RESULTS)
    one = groups["warm", "1"]
    assert report.to_best(one, "whit", "ns") == pytest.approx([1, 1.5])
    assert report.to_others(one, "whit", "ns") == pytest.approx({"a": 0.5, "b": 1.5})
    assert report.to_others(one, "one", "ns") == pytest.approx({"a": 0.5})
    # to "one" (1/2 * 3/2)^(1/2) over both, to "two" 1/4 over what it can run
    value, peer = report.nearest(one, "whit")
    assert peer == "one" and value == pytest.approx(0.75**0.5)
    assert report.scaled(groups, "whit") == {"a": (1e6, 5e5), "b": (3e6, 3.3e6)}


def test_goals() -> None:
    said = {row.split("|")[1].strip(): row.split("|")[2].strip() for row in report.goals(report.grouped(RESULTS)).splitlines()}  # fmt: skip
    assert said["warm, threads 1: geometric mean, of the nearest peer's, ≤ 1.00"] == "0.87 (one): reached"  # fmt: skip
    assert said["warm, threads 1: geometric mean, of the best peer's on each model, ≤ 1.00"] == "0.87: reached"  # fmt: skip
    assert said["warm, threads 1: no model above 1.10 of its best peer"] == "1 of 2; missed: b 1.50"
    assert said["warm, threads 2: no model above 1.10 of its best peer"] == "1 of 2; missed: b 3.30"
    assert said["warm, threads 1: audio net, GRU loop, tiny nets 1.3 times ahead of the best peer"] == "–"  # fmt: skip
    assert said["load + first inference: at most 0.50 of the best peer's on each model"] == "2 of 2: reached"  # fmt: skip
    assert said["load + first inference: geometric mean, of the nearest peer's, ≤ 0.50"] == "0.25 (one): reached"  # fmt: skip
    assert said["peak ≤ weights touched + arena + 1 MB"] == "reached (2 models)"
    assert said["anonymous ≤ arena + 1 MB"] == "missed: b by 1.0"
    assert said["nothing slower with two threads than with one"] == "missed: b"


def test_what_is_mapped_beside() -> None:
    parts = ("weights_bytes", *report.OWN)
    group = {"a": {"whit": cold(1, 1) | {"peak_bytes": 8e6, "mapped_bytes": 6e6}}}
    assert (
        report.memory_goal(group, "whit", "peak_bytes", parts)
        == "missed: a by 2.0 (mapped beside 2.0)"
    )


def test_what_the_multiply_adds_alone_take() -> None:
    group = {"a": {"whit": cell(3), "one": cell(4)}, "b": {"whit": cell(3), "one": cell(4)}}
    assert report.above(group, "whit", 0.5, {"a": 2.4e6, "b": 1e6}) == (
        "0 of 2; missed: a 0.75 (multiply-adds alone 0.60), b 0.75"
    )


def test_tables_name_everything() -> None:
    text = report.tables(RESULTS) + report.summary(RESULTS)
    for said in ("**1.00** / 1.10", "fails", "two: b: crashes", "## Standing", "0.87 (one)"):
        assert said in text


def test_document() -> None:
    paper = {"loops_missing": "no llvm-mca", "counts_missing": "no emulator"}
    control = [overhead.Row("node", 15, 12, 120), overhead.Row("call", 3000, 3500, None)]
    text = report.document(RESULTS, {"f": ("engine==1.2",)}, paper, control)
    assert "| node | 12.0 | 15 | 120 | 10 |" in text
    assert "| call | 3,500.0 | 3,000: missed |  |  |" in text
    assert "Versions: engine 1.2." in text and "Not counted: no emulator." in text


def test_wrong_answers_are_failures() -> None:
    cells = {"whit": cell(2), "one": cell(1, error_of_max=0.1)}
    bench.judge(cells)
    assert "wrong by" in cells["one"]["failure"] and cells["whit"]["ratio"] == 1


def test_an_environment_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(bench, "CACHE", tmp_path)
    monkeypatch.setitem(bench.FAMILIES, "none", ("/nowhere/none-1.0-py3-none-any.whl",))
    bench.environment.cache_clear()
    said = bench.environment("none")
    assert said and said.startswith("cannot be installed here: ") and "venv-none.log" in said
    assert not (tmp_path / "venv-none" / "installed").exists()


class Turns:
    """What settled() sees of a server."""

    failure = None

    def __init__(self, *least: int) -> None:
        self.least = list(least)

    stands_still = bench.Server.stands_still


@pytest.mark.parametrize(
    ("whit", "peer", "expected"),
    [((100, 100), (200, 200), True), ((100, 150), (200, 200), False), ((100, 100), (103, 103), False)],
)  # fmt: skip
def test_settled(whit: tuple[int, ...], peer: tuple[int, ...], expected: bool) -> None:
    servers: Any = {"whit": Turns(*whit), "one": Turns(*peer)}
    assert bench.settled(servers) is expected
