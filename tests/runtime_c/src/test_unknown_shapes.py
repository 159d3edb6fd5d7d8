"""What depends on data is checked while running as carefully as the rest is when it is planned."""

from __future__ import annotations

import numpy as np
import pytest

import whit
from whit import _operators
from whit_exporter import write
from whit_exporter.build import Builder
from whit_exporter.dtypes import DType
from whit_exporter.ir import Entry
from whit_exporter.passes.epilogue import attach_epilogues
from whit_exporter.passes.fuse import fuse_tiles

INVALID = (
    ("opcode", 2, 0xFF, 250),
    ("input", 2, 0x3F << 14, 60 << 14),
    ("register", 2, 0x3F << 8, 62 << 8),
)
"""A word of the program, the bits of it that are replaced, and by what."""


def written() -> bytes:
    """exp(nonzero(x)' w): a product whose rows nobody knows before, with a program on its results, as no exporter makes it."""
    b = Builder()
    b.graph.entries.append(Entry("main", b.region))
    x = b.param("x", DType.F32, (3, 4))
    rows = b.cast(b.transpose(b.op("nonzero", x), (1, 0)), DType.F32)
    product = b.op("matmul", rows, b.const(np.ones((2, 3), np.float32)))
    b.region.results = [b.op("exp", product)]
    product.shape = b.region.results[0].shape = ("rows", 3)
    fuse_tiles(b.graph)
    assert attach_epilogues(b.graph) == 1
    return write.write(b.graph)


def program_of(model: whit.Model) -> list[int]:
    file = model.file
    for node in range(len(file.nodes)):
        op_id = int(file.ops[int(file.nodes[node]["op"])])
        if _operators.by_id()[op_id]["name"] == "matmul":
            return list(_operators.attributes(op_id, file.node_attributes(node))["epilogue"])
    raise AssertionError("there is no product")


@pytest.mark.native
@pytest.mark.parametrize(
    ("word", "mask", "bits"), [i[1:] for i in INVALID], ids=[i[0] for i in INVALID]
)
def test_programs_of_epilogues(word: int, mask: int, bits: int) -> None:
    x = np.eye(3, 4, dtype=np.float32)
    content = written()
    program = program_of(whit.load(content))
    assert whit.load(content)(x).shape == (3, 3)
    words = np.array(program, np.int64).astype(np.uint32)
    at = content.index(words.tobytes())
    words[word] = int(words[word]) & ~mask | bits
    damaged = content[:at] + words.tobytes() + content[at + words.nbytes :]
    with pytest.raises(whit.WhitError):
        whit.load(damaged)(x)
