"""Targets built, their form checked, executed, the host's bits demanded: one of each kind. make targets does all, with gcc too."""

from __future__ import annotations

import pytest
import targets

Given = dict[str, targets.Given]


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    return targets.vectors(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def more(tmp_path_factory: pytest.TempPathFactory) -> Given:
    return targets.golden(tmp_path_factory.mktemp("golden"))


KINDS = (
    "android-arm64-v8a",
    "android-armeabi-v7a",
    "android-x86",
    "ios-simulator",
    "wasm32",
    "cortex-m4",
)


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("name", KINDS)
def test_target(name: str, given: Given, more: Given) -> None:
    target, family = targets.targets.target(name), "clang"
    try:
        targets.targets.compiler(target, family)
    except targets.targets.ToolError as e:
        pytest.skip(str(e))
    if targets.missing(target):
        pytest.skip(targets.missing(target))
    for holds in targets.HOLDS:
        row = targets.check(target, family, given, more, holds)
        assert set(row.results) - {"golden"} == set(targets.MODELS)


def test_other_bits_are_seen() -> None:
    """A last bit, a shape and a lost output do not pass."""
    want = bytes([1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 128, 63])
    assert targets.judge("linux-x86_64", "avx2", want, want) == "same bits"
    for target, level in (("linux-x86_64", "avx2"), ("linux-armv7", "neon")):
        for got in (want[:8] + b"\1" + want[9:], want[:8], b""):
            with pytest.raises((targets.Failed, ValueError)):
                targets.judge(target, level, got, want)
    with pytest.raises(targets.Failed):
        targets.judge("wasm32", "simd128", want[:8] + b"\0\0\0\x40", want)


def test_only_subnormals_may_be_zeros() -> None:
    head, zero, tiny, small = bytes([1, 1, 0, 0, 1, 0, 0, 0]), bytes(4), b"\1\0\0\0", b"\0\0\x80\0"
    assert "subnormals" in targets.judge("linux-armv7", "neon", head + zero, head + tiny)
    for target, level, want in (
        ("linux-armv7", "neon", small),
        ("linux-armv7", "scalar", tiny),
        ("linux-aarch64", "neon", tiny),
    ):
        with pytest.raises(targets.Failed):
            targets.judge(target, level, head + zero, head + want)


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(targets.targets.ToolError, match="wasm32"):
        targets.targets.target("wasm64")
