"""Files of every release load for ever and give the answers that onnxruntime gave when they were made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import whit

FILES = sorted(Path(__file__).parent.glob("v*/*.whit"))


def test_there_are_golden_files() -> None:
    assert len(FILES) >= 8


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_golden(path: Path) -> None:
    arrays = np.load(path.with_suffix(".npz"))
    model = whit.load(path)
    feeds = {k.removeprefix("in:"): arrays[k] for k in arrays.files if k.startswith("in:")}
    for _ in range(2):  # the second run finds the first one's memory
        results = model.run(feeds)
        for key in arrays.files:
            if key.startswith("out:"):
                got, expected = results[key.removeprefix("out:")], arrays[key]
                assert got.dtype == expected.dtype and got.shape == expected.shape
                np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
