"""A file whose nodes read what is not there yet: an error, whatever lies in memory. What is wrong before it, sanitizers tell."""

from __future__ import annotations

import numpy as np
import pytest

import whit
from whit._file import File
from whit_exporter import write
from whit_exporter.build import Builder
from whit_exporter.dtypes import DType
from whit_exporter.ir import Entry


def test_a_node_that_reads_its_own_output() -> None:
    """The input's last axis is long: its strides are what lies where a region that was never opened would be."""
    b = Builder()
    x = b.param("x", DType.F32, (1, 1, 1, 1 << 17))
    b.region.results.append(b.op("softmax", x))
    b.graph.entries.append(Entry("main", b.region))
    data = bytearray(write.write(b.graph))
    file = File(bytes(data))
    at = bytes(data).index(bytes(file.words)) + 4 * int(file.nodes[0]["args"])
    (output,) = file.node_outputs(0)
    data[at : at + 4] = int(output).to_bytes(4, "little")
    with pytest.raises(whit.WhitError, match="scope"):
        whit.load(bytes(data)).run({"x": np.zeros((1, 1, 1, 1 << 17), np.float32)})
