"""Attention of the standard, by the primitive and by the standard's own body, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_node import Array, Case, real

from whit_exporter.convert import to_graph

Q, K, V = real(2, 4, 5, 8), real(2, 2, 7, 8, seed=1), real(2, 2, 7, 6, seed=2)
FLAT = [real(2, 5, 32), real(2, 7, 16, seed=1), real(2, 7, 12, seed=2)]
HEADS = {"q_num_heads": 4, "kv_num_heads": 2}
PAST = [real(2, 2, 3, 8, seed=3), real(2, 2, 3, 6, seed=4)]
KEEP = np.random.default_rng(5).random((5, 7)) < 0.7
KEEP[:, 0] = True


def case(inputs: list[Array | None], attrs: dict[str, Any] | None = None, outputs: int = 1) -> Case:
    return Case("Attention", inputs, attrs or {}, opset=23, outputs=outputs, atol=1e-5)


FUSED = [
    case([Q, K, V]),
    case([Q, K, V], {"scale": 0.7}),
    case([Q, K, V], {"is_causal": 1}),
    case(FLAT, HEADS),
    case([*FLAT, real(5, 7)], HEADS),
    case([Q, K, V, real(2, 1, 5, 7)]),
    case([Q, K, V, None, *PAST], outputs=3),
    case([*FLAT, real(2, 4, 5, 10), *PAST], HEADS, outputs=3),
    case([Q[:, :, :1], K, V]),
]
BY_BODY = [
    case([Q, K, V], {"softcap": 2.0}),
    case([Q, K, V, KEEP]),
    case([a.astype(np.float16) for a in (Q, K, V)]),
]


def _primitives(c: Case) -> list[str]:
    return [n.op for _, n in to_graph(c.model(fixed=True)).walk()]


@pytest.mark.parametrize("c", FUSED, ids=str)
def test_fused(c: Case) -> None:
    assert "attention" in _primitives(c)
    c.check()


@pytest.mark.parametrize("c", BY_BODY, ids=str)
def test_by_body(c: Case) -> None:
    assert "attention" not in _primitives(c)
    half = c.inputs[0] is not None and c.inputs[0].dtype == np.float16
    Case(
        c.op, c.inputs, c.attrs, c.opset, rtol=1e-2 if half else 1e-5, atol=2e-2 if half else 1e-5
    ).check()


@pytest.mark.parametrize("c", [FUSED[0], FUSED[5]], ids=str)
def test_sizes_known_at_run_time(c: Case) -> None:
    assert "attention" not in _primitives_of_free(c)
    c.check(fixed=False)


def _primitives_of_free(c: Case) -> list[str]:
    return [n.op for _, n in to_graph(c.model(fixed=False)).walk()]
