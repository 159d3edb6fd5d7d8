"""A convolution without a spatial axis: rows [N, C] times a matrix, with the bits of a product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runners

import whit
from whit_exporter import write
from whit_exporter.build import Builder
from whit_exporter.dtypes import DType
from whit_exporter.ir import Entry
from whit_exporter.passes.panels import pack_panels

pytestmark = pytest.mark.native
ATTRS: dict[str, Any] = {"kernel": [], "strides": [], "pads": [], "dilations": []}


def written(
    op: str, rows: int, k: int, n: int, *, dtype: DType = DType.F32, group: int = 1
) -> bytes:
    b = Builder()
    b.graph.entries.append(Entry("main", b.region))
    rng = np.random.default_rng(4)
    w = b.const(rng.standard_normal((k // group, n)).astype(np.float32))
    bias = b.const(rng.standard_normal(n).astype(np.float32))
    x = b.param("x", dtype, (rows, k))
    if dtype != DType.F32:
        w, bias = b.cast(w, dtype), b.cast(bias, dtype)
    attrs = {} if op == "matmul" else {**ATTRS, "group": group}
    b.region.results = [b.op(op, x, w, bias, **attrs)]
    if dtype == DType.F32:
        pack_panels(b.graph)
    return write.write(b.graph)


@pytest.mark.parametrize("rows", [1, 2, 7, 300])
def test_bits(rows: int, tmp_path: Path) -> None:
    """One row is summed in an order of its own, and more in another, as matmul does; so in the size profile."""
    x = np.random.default_rng(5).standard_normal((rows, 66)).astype(np.float32)
    answers = []
    for op in ("conv", "matmul"):
        path, inputs = tmp_path / f"{op}.whit", tmp_path / "inputs"
        path.write_bytes(written(op, rows, 66, 50))
        runners.write_inputs(whit.load(path), {"x": x}, inputs)
        for isa in ("scalar", *runners.isas()):
            answers.append(runners.answer(runners.native(), path, inputs, isa, threads=2))
            answers.append(runners.answer(runners.small(), path, inputs, isa, threads=2))
    assert len(set(answers)) == 1


def test_groups() -> None:
    x = np.random.default_rng(5).standard_normal((3, 8)).astype(np.float32)
    model = whit.load(written("conv", 3, 8, 6, group=2))
    rng = np.random.default_rng(4)
    w, bias = (
        rng.standard_normal((4, 6)).astype(np.float32),
        rng.standard_normal(6).astype(np.float32),
    )
    want = np.concatenate([x[:, :4] @ w[:, :3], x[:, 4:] @ w[:, 3:]], axis=1) + bias
    np.testing.assert_allclose(model(x), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "group", "n"), [(DType.F16, 1, 6), (DType.I64, 1, 6), (DType.F32, 8, 8)]
)
def test_refused(dtype: DType, group: int, n: int) -> None:
    """Other types, and each channel by itself: their loops run along a spatial axis."""
    model = whit.load(written("conv", 3, 8, n, dtype=dtype, group=group))
    with pytest.raises(whit.WhitError, match="spatial axis"):
        model(np.ones((3, 8), model.inputs[0].dtype))
