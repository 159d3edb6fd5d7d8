"""The arena of bench models beside the values and scratch that a plan has to hold at once."""

from __future__ import annotations

from pathlib import Path

import arena
import living
import models
import onnx
import pytest

pytestmark = pytest.mark.native


@pytest.mark.parametrize("way", ["balanced", "memory", "speed"])
@pytest.mark.parametrize(
    "name", ["tiny_resnet8", "tiny_autoencoder", "keyword_ds_cnn", "bert_tiny"]
)
def test_no_larger_than_what_lives_at_once(name: str, way: str, tmp_path: Path) -> None:
    """bert_tiny and tiny_resnet8: scratch that the values left a hole for, but not a large enough one."""
    model, feeds = onnx.load(str(models.ensure(name))), models.feeds(name)
    instance, _ = living.ran(model, feeds, optimize=way)
    both = arena.reader(tmp_path).arena_living(instance.handle)
    assert both <= instance.arena.nbytes <= arena.NEAR * both
