"""The same bits on every instruction set: each golden model on every ISA of this machine, and on emulated arm64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import runners

import whit

FILES = sorted((runners.ROOT / "tests" / "golden").glob("v*/*.whit"))
EACH_FILE = pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")


@pytest.fixture(scope="module")
def native() -> list[str]:
    return runners.native()


@pytest.fixture(scope="module")
def arm64() -> list[str]:
    if not runners.ARM64_CC or not runners.QEMU:
        pytest.skip(runners.NO_ARM64)
    return runners.arm64()


def inputs_of(path: Path, folder: Path) -> Path:
    arrays = np.load(path.with_suffix(".npz"))
    feeds = {k.removeprefix("in:"): arrays[k] for k in arrays.files if k.startswith("in:")}
    runners.write_inputs(whit.load(path), feeds, folder / "inputs")
    return folder / "inputs"


@pytest.mark.native
@EACH_FILE
def test_isas_of_this_machine(native: list[str], path: Path, tmp_path: Path) -> None:
    inputs = inputs_of(path, tmp_path)
    scalar = runners.answer(native, path, inputs, "scalar")
    assert len(scalar) > 8
    for isa in runners.isas():
        for threads in (1, 2):
            assert runners.answer(native, path, inputs, isa, threads=threads) == scalar, isa


@pytest.mark.native
@pytest.mark.parametrize("mode", ["stop", "move"])
@EACH_FILE
def test_stopped_at_every_node(native: list[str], path: Path, mode: str, tmp_path: Path) -> None:
    """A run that stops before and after every node, and whose arena moves each time, gives the same bits."""
    inputs = inputs_of(path, tmp_path)
    plain = runners.answer(native, path, inputs, "scalar")
    assert runners.answer(native, path, inputs, "scalar", mode=mode) == plain


@pytest.mark.slow
@pytest.mark.native
@EACH_FILE
def test_arm64(native: list[str], arm64: list[str], path: Path, tmp_path: Path) -> None:
    inputs = inputs_of(path, tmp_path)
    expected = runners.answer(native, path, inputs, "scalar")
    for isa in ("scalar", "neon"):
        assert runners.answer(arm64, path, inputs, isa) == expected, isa
