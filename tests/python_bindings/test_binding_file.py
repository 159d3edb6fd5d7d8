"""The reader of .whit files, against the flatbuffers package and against the compiler of the schema's layout."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from binding_models import BRANCH, COUNTER, LINEAR, SEQUENCE, loaded

import whit
from whit._file import File, one_node

flatbuffers = pytest.importorskip("flatbuffers")
from flatbuffers import table as fb  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
GRAPHS = {"linear": LINEAR, "counter": COUNTER, "branch": BRANCH, "sequence": SEQUENCE}


def fields_by_flatbuffers(data: bytes) -> dict[int, int]:
    """Length of each vector of the root table, as the flatbuffers package reads it."""
    root = fb.Table(bytearray(data), struct.unpack_from("<I", data, 0)[0])
    found = {}
    for field in range(4, 13):
        at = root.Offset(4 + 2 * field)
        found[field] = root.VectorLen(at) if at else 0
    return found


@pytest.mark.parametrize("name", GRAPHS)
def test_vectors(name: str) -> None:
    model = loaded(GRAPHS[name])
    f = model.file
    ours = dict(
        zip(
            range(4, 13),
            map(len, (f.ops, f.words, f.nodes, f.regions, f.constants, f.states)),
            strict=False,
        )
    )
    theirs = fields_by_flatbuffers(f.data.tobytes())
    assert {k: theirs[k] for k in ours} == ours
    assert theirs[11] == len(f.entries) and theirs[12] == len(f.strings)


def test_struct_sizes_match_the_documented_ones() -> None:
    from whit import _file

    sizes = {k: v.itemsize for k, v in _file._STRUCTS.items()}
    assert sizes == {
        "node": 16,
        "region": 20,
        "constant": 16,
        "state": 8,
        "port": 12,
        "entry": 24,
        "name": 24,
    }


@pytest.mark.parametrize("name", GRAPHS)
def test_structure_is_consistent(name: str) -> None:
    f = loaded(GRAPHS[name]).file
    made = [v for k in range(len(f.nodes)) for v in f.node_outputs(k)]
    assert len(made) == len(set(made))
    owners = f.owners()
    for k, owner in enumerate(owners):
        assert owner < k
        assert owner < 0 or f.nodes[owner]["end"] > k
    assert sum(f.sizes().values()) == f.data.nbytes
    assert len(f.node_names) == len(f.nodes)


def test_one_node_is_read_back() -> None:
    data = one_node(7, [1, 2, 3], [1, 7], [9])
    f = File(np.frombuffer(data, np.uint8))
    assert f.ops.tolist() == [7] and f.version == 1 and f.n_values == 3
    assert f.node_inputs(0) == [0, 1] and f.node_outputs(0) == [2]
    assert f.node_attributes(0).tolist() == [1, 2, 3]
    assert f.entry_values(0) == ([0, 1], [2])
    assert not f.has_names and f.names == []


def test_constants_are_read_in_place() -> None:
    model = loaded("k (float[2] x) => (float[2] y) <float[2] c = {3, 4}> { y = Add(x, c) }")
    f = model.file
    values = [f.constant(v) for v in range(len(f.constants))]
    assert any(np.array_equal(v, [3, 4]) for v in values)
    assert all(np.shares_memory(v, f.data) for v in values)
    assert isinstance(model, whit.Model)
