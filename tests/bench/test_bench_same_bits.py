"""The bench's models give the same bits everywhere; `make same-bits` does all of them, this the quick ones."""

from __future__ import annotations

import models
import onnx
import pytest
import runners
import same_bits


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("name", ["keyword_ds_cnn", "bert_tiny", "conv_tasnet"])
def test_same_bits(name: str) -> None:
    assert same_bits.departures(name, bool(runners.ARM64_CC and runners.QEMU)) == []


def test_small_forms_have_the_same_layers() -> None:
    """All but the decoders, which have fewer."""
    for name in ("squeezenet_1_1", "keyword_ds_cnn", "vit_tiny"):
        full, small = (models.build(name, small=s)[0] for s in (False, True))
        assert [n.op_type for n in full.graph.node] == [n.op_type for n in small.graph.node]
        assert onnx.checker.check_model(small) is None
