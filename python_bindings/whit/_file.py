"""Reads the structure of a .whit file in place (runtime_c/schema/FORMAT.md), and writes the smallest one there is.

whit_open has checked every index before anything here reads it; how regions nest, only the plan of an instance does.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from . import dtypes
from ._native import NONE, UNKNOWN_RANK, Array

_STRUCTS: dict[str, np.dtype[Any]] = {
    name: np.dtype([(field, f"<u{size}") for field, size in fields])
    for name, fields in {
        "node": [("op", 2), ("n_in", 2), ("n_out", 2), ("n_attr", 2), ("args", 4), ("end", 4)],
        "region": [("begin", 4), ("end", 4), ("params", 4), ("results", 4), ("n_params", 2), ("n_results", 2)],
        "constant": [("offset", 8), ("dims", 4), ("dtype", 1), ("rank", 1), ("reserved", 2)],
        "state": [("initial", 4), ("name", 4)],
        "port": [("name", 4), ("dims", 4), ("dtype", 1), ("rank", 1), ("kind", 1), ("reserved", 1)],
        "entry": [
            ("name", 4), ("region", 4), ("ports", 4), ("states", 4), ("n_inputs", 2), ("n_outputs", 2),
            ("n_updates", 2), ("reserved", 2),
        ],
        "name": [("name", 4), ("value", 4), ("node", 4), ("step", 4), ("perm", 4), ("source", 4)],
    }.items()
}  # fmt: skip
_U8, _U32 = np.dtype("<u1"), np.dtype("<u4")


@dataclass(slots=True, frozen=True)
class Name:
    """Where a value of the source model is found."""

    name: str
    value: int
    node: int
    step: int
    perm: tuple[int, ...] | None
    """The stored value is the source's, transposed by perm; None: unchanged. As long as the longest rank."""
    source: str = ""
    """The source model's node that makes it, if the node here is named after another."""


class _Table:
    """A FlatBuffer table: fields by number."""

    def __init__(self, data: Array, at: int) -> None:
        self.data, self.at = data, at
        self.vtable = at - int(struct.unpack_from("<i", data, at)[0])
        self.n_fields = (struct.unpack_from("<H", data, self.vtable)[0] - 4) // 2

    def position(self, field: int) -> int:
        if field >= self.n_fields:
            return 0
        offset = struct.unpack_from("<H", self.data, self.vtable + 4 + 2 * field)[0]
        return self.at + offset if offset else 0

    def number(self, field: int, code: str = "<I") -> int:
        at = self.position(field)
        return int(struct.unpack_from(code, self.data, at)[0]) if at else 0

    def vector(self, field: int, item: np.dtype[Any]) -> Array:
        at = self.position(field)
        if not at:
            return np.empty(0, item)
        at += struct.unpack_from("<I", self.data, at)[0]
        n = struct.unpack_from("<I", self.data, at)[0]
        return np.frombuffer(self.data, item, n, at + 4)

    def table(self, field: int) -> _Table | None:
        at = self.position(field)
        return _Table(self.data, at + struct.unpack_from("<I", self.data, at)[0]) if at else None


def _string(strings: Array, at: int) -> str:
    raw = strings[at : at + 256].tobytes()
    if b"\0" not in raw:
        raw = strings[at:].tobytes()
    return raw.partition(b"\0")[0].decode("utf-8", "replace")


def _perm(word: int) -> tuple[int, ...] | None:
    return None if word == NONE else tuple(word >> 4 * k & 15 for k in range(8))


class File:
    """The vectors of a .whit file as NumPy arrays over its bytes."""

    def __init__(self, data: Array) -> None:
        self.data = data
        root = _Table(data, struct.unpack_from("<I", data, 0)[0])
        self._root = root
        self.version, self.n_values = root.number(0), root.number(1)
        self.data_offset, self.data_size = root.number(2, "<Q"), root.number(3, "<Q")
        self.ops, self.words = root.vector(4, _U32), root.vector(5, _U32)
        self.nodes, self.regions = (
            root.vector(6, _STRUCTS["node"]),
            root.vector(7, _STRUCTS["region"]),
        )
        self.constants, self.states = (
            root.vector(8, _STRUCTS["constant"]),
            root.vector(9, _STRUCTS["state"]),
        )
        self.entries = root.vector(11, _STRUCTS["entry"])
        self.strings = root.vector(12, _U8)

    # ---- values ----

    def node_inputs(self, node: int) -> list[int]:
        n = self.nodes[node]
        at = int(n["args"])
        return [int(v) for v in self.words[at : at + int(n["n_in"])]]

    def node_outputs(self, node: int) -> list[int]:
        n = self.nodes[node]
        at = int(n["args"]) + int(n["n_in"])
        return [int(v) for v in self.words[at : at + int(n["n_out"])]]

    def node_attributes(self, node: int) -> Array:
        n = self.nodes[node]
        at = int(n["args"]) + int(n["n_in"]) + int(n["n_out"])
        return self.words[at : at + int(n["n_attr"])]

    def constant(self, value: int) -> Array:
        """Constant number value, in place."""
        c = self.constants[value]
        dims = tuple(int(d) for d in self.words[int(c["dims"]) : int(c["dims"]) + int(c["rank"])])
        dtype = dtypes.to_numpy(int(c["dtype"]))
        n, at = int(np.prod(dims, dtype=np.int64)), self.data_offset + int(c["offset"])
        return np.frombuffer(self.data, dtype, n, at).reshape(dims) if n else np.empty(dims, dtype)

    def state_layout(self) -> list[tuple[str, int, Array]]:
        """(name, offset in the state's memory, initial value) of each state."""
        found, at = [], 0
        for s in self.states:
            initial = self.constant(int(s["initial"]))
            found.append((_string(self.strings, int(s["name"])), at, initial))
            at += -(-initial.nbytes // 64) * 64
        return found

    def place_of(self, value: int, node: int) -> tuple[int, int, int] | None:
        """(node, after, number): where a value can be read: among the outputs of the node that makes it (NONE: not known)
        after it, else among the inputs of the first node that reads it, before that."""
        for n in range(len(self.nodes)) if node == NONE else (node,):
            outputs = self.node_outputs(n)
            if value in outputs:
                return n, 1, outputs.index(value)
        for n in range(len(self.nodes)):
            inputs = self.node_inputs(n)
            if value in inputs:
                return n, 0, inputs.index(value)
        return None

    def entry_values(self, entry: int) -> tuple[list[int], list[int]]:
        """Value numbers of an entry's inputs and outputs."""
        e = self.entries[entry]
        r = self.regions[int(e["region"])]
        params, results = int(r["params"]), int(r["results"])
        return (
            [int(v) for v in self.words[params : params + int(e["n_inputs"])]],
            [int(v) for v in self.words[results : results + int(e["n_outputs"])]],
        )

    def entry_nodes(self, entry: int) -> range:
        r = self.regions[int(self.entries[entry]["region"])]
        return range(int(r["begin"]), int(r["end"]))

    def owners(self) -> list[int]:
        """Per node: the control node whose region it stands in, or -1."""
        owner, stack = [], list[int]()
        for node in range(len(self.nodes)):
            while stack and int(self.nodes[stack[-1]]["end"]) <= node:
                stack.pop()
            owner.append(stack[-1] if stack else -1)
            if int(self.nodes[node]["end"]) > node + 1:
                stack.append(node)
        return owner

    # ---- names ----

    @cached_property
    def has_names(self) -> bool:
        return bool(self._root.position(13))

    @cached_property
    def names(self) -> list[Name]:
        """Every value of the source model that can be found again."""
        debug = self._root.table(13)
        if debug is None:
            return []
        strings = debug.vector(0, _U8).tobytes()
        return [
            Name(
                _cut(strings, at),
                value,
                node,
                step,
                _perm(perm),
                _cut(strings, source) if source != NONE else "",
            )
            for at, value, node, step, perm, source in debug.vector(2, _STRUCTS["name"]).tolist()
        ]

    @cached_property
    def node_names(self) -> list[str]:
        """Per node the name of the source model's node, "" if names were stripped."""
        debug = self._root.table(13)
        offsets = debug.vector(1, _U32).tolist() if debug else []
        if debug is None or not offsets:
            return [""] * len(self.nodes)
        strings = debug.vector(0, _U8).tobytes()
        found = [_cut(strings, at) for at in offsets]
        return (found + [""] * len(self.nodes))[: len(self.nodes)]

    # ---- size ----

    def sizes(self) -> dict[str, int]:
        """Bytes of the file by part; they add up to the file."""
        items = {
            "nodes": self.nodes,
            "words": self.words,
            "regions": self.regions,
            "strings": self.strings,
        }
        found = {name: int(v.nbytes) for name, v in items.items()}
        debug = self._root.table(13)
        found["debug"] = 0
        if debug is not None:
            parts = (debug.vector(0, _U8), debug.vector(1, _U32), debug.vector(2, _STRUCTS["name"]))
            found["debug"] = int(sum(p.nbytes for p in parts))
        found["constants"] = self.data_size
        found["other"] = self.data.nbytes - sum(found.values())
        return found


def _cut(strings: bytes, at: int) -> str:
    return strings[at : strings.index(0, at)].decode("utf-8", "replace")


# ---- writing a program of one node -------------------------------------------------------------------


def one_node(
    op_id: int,
    attributes: Sequence[int],
    in_dtypes: Sequence[int | None],
    out_dtypes: Sequence[int],
) -> bytes:
    """A .whit file of one node with inputs and outputs of any shape; an optional input that is not given has the type None."""
    given = [t for t in in_dtypes if t is not None]
    n_in, n_out = len(given), len(out_dtypes)
    numbers = iter(range(n_in))
    args = [NONE if t is None else next(numbers) for t in in_dtypes]
    args += range(n_in, n_in + n_out)
    params = len(args) + len(attributes)
    words = struct.pack(f"<{params + n_in + n_out}I", *args, *attributes, *range(n_in + n_out))
    node = struct.pack("<4H2I", 0, len(in_dtypes), n_out, len(attributes), 0, 1)
    region = struct.pack("<4I2H", 0, 1, params, params + n_in, n_in, n_out)
    ports = b"".join(
        struct.pack("<2I4B", 0, 0, t, UNKNOWN_RANK, 0, 0) for t in (*given, *out_dtypes)
    )
    entry = struct.pack("<4I4H", 0, 0, 0, 0, n_in, n_out, 0, 0)
    vectors = {
        4: (struct.pack("<I", op_id), 4), 5: (words, 4), 6: (node, 16), 7: (region, 20), 10: (ports, 12),
        11: (entry, 24), 12: (b"\0", 1),
    }  # fmt: skip
    # header 8, vtable 4 + 2 * 13 (padded to 32), table: vtable offset, two u32, seven offsets
    table_at, slots = 40, sorted(vectors)
    field_at = {0: 4, 1: 8} | {field: 12 + 4 * k for k, field in enumerate(slots)}
    table_bytes = 12 + 4 * len(slots)
    vtable = struct.pack("<2H13H", 30, table_bytes, *(field_at.get(k, 0) for k in range(13)))
    table = bytearray(struct.pack("<iII", table_at - 8, 1, n_in + n_out)) + bytes(4 * len(slots))
    tail = bytearray()
    for field in slots:
        content, size = vectors[field]
        start = table_at + table_bytes + len(tail)
        struct.pack_into("<I", table, field_at[field], start - (table_at + field_at[field]))
        tail += struct.pack("<I", len(content) // size) + content
        tail += bytes(-len(tail) % 4)
    head = struct.pack("<I4s", table_at, b"WHIT") + vtable
    return bytes(head + bytes(table_at - len(head)) + table + tail)
