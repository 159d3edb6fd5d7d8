"""Executed instructions: exactly repeatable, near what the multiply-adds need, and not above the baseline."""

from __future__ import annotations

import arm64
import baseline
import counts
import pytest

SMALL = ("keyword_ds_cnn", "tiny_autoencoder")
EACH_ISA = pytest.mark.parametrize("isa", counts.ISAS)

pytestmark = [pytest.mark.slow, pytest.mark.native]


def measured(isa: str) -> dict[str, dict[str, counts.Count]]:
    if why := counts.missing(isa):
        pytest.skip(why)
    return counts.all_of(SMALL, (isa,))


@EACH_ISA
def test_counts(isa: str) -> None:
    found = measured(isa)
    assert found == measured(isa), "the same run counts the same"
    for cells in found.values():
        cell = cells[isa]
        # windows that hang over the border take fewer, last channels and exponentials some more
        assert 0.95 * cell["minimum"] <= cell["fma"] <= 1.1 * cell["minimum"]
        assert sum(cell["parts"].values()) == cell["instructions"] > cell["fma"]
    if baseline.read("compilers").get(isa) != counts.compiler(isa):
        pytest.skip("the baseline is of another compiler")
    assert counts.regressions(found) == []


def test_regressions_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = {"instructions": {"avx2": {"m": 1000}}, "compilers": {"avx2": "gcc 1.2.3"}}
    monkeypatch.setattr(baseline, "read", lambda section: stored[section])
    monkeypatch.setattr(counts, "compiler", lambda isa: "gcc 1.2.3")

    def told(n: int) -> list[str]:
        return counts.regressions({"m": {"avx2": {"instructions": n}}})

    assert told(900) == told(1020) == []
    assert told(1021) == ["m, avx2: 1,021 instructions, the baseline is 1,000 (+2.1 %)"]
    monkeypatch.setattr(counts, "compiler", lambda isa: "gcc 9.9.9")
    assert "this compiler is gcc 9.9.9" in told(900)[0]


ASSEMBLY = """
twice:
.LFB1:
	.cfi_startproc
	mov	x3, 0
.L2:
	ldr	q1, [x0, x3]
.L3:
	fmla	v0.4s, v1.4s, v2.s[0]   // a comment
	fmla	v3.4s, v1.4s, v2.s[1]
	subs	x4, x4, 1
	bne	.L3
	add	x3, x3, 16
	cbnz	x5, .L2
	ret
other:
	ret
"""


def test_innermost_loops_are_cut_out() -> None:
    parts = arm64.functions(ASSEMBLY.splitlines())
    assert list(parts) == ["twice", "other"]
    (loop,) = arm64.loops(parts["twice"])
    assert [line.split()[0] for line in loop] == ["fmla", "fmla", "subs", "bne"]
    assert arm64.multiply_adds(loop) == 8
    if arm64.MCA is None:
        pytest.skip(arm64.missing() or "")
    # the peaks that the makers state: two and four pipes of four lanes
    assert arm64.peak("neoverse-n1") == pytest.approx(8, rel=0.05)
    assert arm64.peak("neoverse-v1") == pytest.approx(16, rel=0.05)
