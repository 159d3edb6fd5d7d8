"""Bytes of a .whit file -> Graph, with all the structure; names where the file has them.

The file says no types of what nodes make, so these are inferred. Needs nothing but NumPy.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whit.errors import LoadError

from . import infer, micro, ops
from .dtypes import DType
from .errors import ConvertError
from .ir import Dim, Entry, Graph, Node, Region, Value
from .write import CONSTANT, ENTRY, NAME, NODE, NONE, PORT, REGION, STATE, UNKNOWN_RANK, VERSION

Array = np.ndarray[Any, Any]


def read(source: bytes | bytearray | memoryview | str | os.PathLike[str]) -> Graph:
    """Reads a file's bytes, or the file at a path (mapped, so large constants stay on disk). Raises LoadError."""
    data: Array
    if isinstance(source, (str, os.PathLike)):
        data = np.memmap(source, np.uint8, "r")
    else:
        data = np.frombuffer(source, np.uint8)
    try:
        return _Reader(_Tables(data)).graph()
    except (LookupError, ValueError, ArithmeticError, TypeError, AttributeError, ConvertError) as e:
        raise LoadError(f"not a .whit file, or a damaged one ({e!r})") from e


class _Tables:
    """The vectors of the schema as arrays over the file's bytes."""

    def __init__(self, data: Array) -> None:
        self.bytes = data
        if bytes(data[4:8]) != b"WHIT":
            raise ValueError("no WHIT identifier")
        self._open(self._u32(0))
        version = self._scalar(0, 4)
        if version == 0:
            raise ValueError("no format version")
        if version > VERSION:
            raise LoadError(
                f"the file has format version {version}, this is {VERSION}: a newer whit can read it"
            )
        data_offset, data_size = self._scalar(2, 8), self._scalar(3, 8)
        self.data = data[data_offset : data_offset + data_size]
        if self.data.size != data_size:
            raise ValueError("the constants reach past the end of the file")
        self.ops = self._vector(4, np.dtype("<u4"))
        self.words = self._vector(5, np.dtype("<u4"))
        self.nodes = self._vector(6, NODE)
        self.regions = self._vector(7, REGION)
        self.constants = self._vector(8, CONSTANT)
        self.states = self._vector(9, STATE)
        self.ports = self._vector(10, PORT)
        self.entries = self._vector(11, ENTRY)
        self.strings = self._vector(12, np.dtype("u1"))
        debug = self._field(13)
        self.has_debug = debug != 0
        if debug:
            self._open(debug + self._u32(debug))
        empty = np.zeros(0, np.uint8)
        self.debug_strings = self._vector(0, np.dtype("u1")) if debug else empty
        self.node_names = self._vector(1, np.dtype("<u4")) if debug else empty.view("<u4")
        self.names = self._vector(2, NAME) if debug else empty.view(NAME)

    def _number(self, at: int, size: int, signed: bool = False) -> int:
        part = bytes(self.bytes[at : at + size]) if at >= 0 else b""
        if len(part) != size:
            raise ValueError("the file is cut off")
        return int.from_bytes(part, "little", signed=signed)

    def _u32(self, at: int) -> int:
        return self._number(at, 4)

    def _open(self, at: int) -> None:
        self.table = at
        self.vtable = at - self._number(at, 4, signed=True)
        self.n_vtable = self._number(self.vtable, 2)

    def _field(self, number: int) -> int:
        entry = 4 + 2 * number
        if entry >= self.n_vtable:
            return 0
        offset = self._number(self.vtable + entry, 2)
        return self.table + offset if offset else 0

    def _scalar(self, number: int, size: int) -> int:
        at = self._field(number)
        return self._number(at, size) if at else 0

    def _vector(self, number: int, dtype: np.dtype[Any]) -> Array:
        at = self._field(number)
        if not at:
            return np.zeros(0, dtype)
        start = at + self._u32(at)
        n = self._u32(start)
        part = self.bytes[start + 4 : start + 4 + n * dtype.itemsize]
        if part.size != n * dtype.itemsize:
            raise ValueError("a vector reaches past the end of the file")
        return np.frombuffer(part.tobytes(), dtype)


@dataclass(slots=True)
class _Open:
    """A region that is being read."""

    region: Region
    row: int
    owner: Node | None


class _Reader:
    def __init__(self, tables: _Tables) -> None:
        self.t = tables
        self.values: list[Value] = []
        self.next_node, self.next_region = 0, 0
        self.nodes: list[Node] = []
        self.strings = tables.strings.tobytes()
        self.debug_strings = tables.debug_strings.tobytes()

    def graph(self) -> Graph:
        """Everything; types are inferred at the end, as far as that goes."""
        graph = Graph()
        self._constants(graph)
        for row in self.t.entries:
            graph.entries.append(self._entry(graph, row))
        self._names(graph)
        scans = [(n, n.attrs["scans"]) for n in self.nodes if n.op == "loop"]
        # What cannot be inferred (an operator of a newer version, say) can be shown all the same.
        with contextlib.suppress(ConvertError, LookupError, ValueError, ArithmeticError, TypeError):
            infer.infer_graph(graph)
        for node, words in scans:
            node.attrs["scans"] = words  # The writer knew more than can be inferred.
        for entry, row in zip(graph.entries, self.t.entries, strict=True):
            ports = self._ports(row)[len(entry.region.params) :]
            for v, port in zip(entry.region.results, ports, strict=True):
                if v is not None:
                    self._port(v, port)
        return graph

    def _string(self, at: int) -> str:
        return self.strings[at : self.strings.index(b"\0", at)].decode()

    def _debug_string(self, at: int) -> str:
        return self.debug_strings[at : self.debug_strings.index(b"\0", at)].decode()

    def _constants(self, graph: Graph) -> None:
        for c in self.t.constants:
            dtype, first, rank = DType(int(c["dtype"])), int(c["dims"]), int(c["rank"])
            shape = tuple(int(d) for d in self.t.words[first : first + rank])
            n = int(np.prod(shape, dtype=np.int64)) * dtype.size
            raw = self.t.data[int(c["offset"]) : int(c["offset"]) + n]
            self.values.append(Value("", dtype, shape, raw.view(dtype.numpy).reshape(shape)))
        for s in self.t.states:
            initial = self.values[int(s["initial"])]
            name = self._string(int(s["name"]))
            v = Value(name, initial.dtype, initial.shape, initial.const, state=name)
            graph.states[name] = v
            self.values.append(v)

    def _entry(self, graph: Graph, row: Any) -> Entry:
        n_inputs, n_outputs, n_updates = (
            int(row[k]) for k in ("n_inputs", "n_outputs", "n_updates")
        )
        region = self._regions(int(row["region"]))
        entry = Entry(self._string(int(row["name"])), region)
        ports = self._ports(row)
        for v, port in zip(region.params, ports[:n_inputs], strict=True):
            v.name = self._string(int(port["name"]))
            self._port(v, port)
        results = region.results
        region.results, news = results[:n_outputs], results[n_outputs:]
        entry.output_names = [self._string(int(p["name"])) for p in ports[n_inputs:]]
        states = list(graph.states)
        numbers = self.t.words[int(row["states"]) : int(row["states"]) + n_updates]
        for number, new in zip(numbers, news, strict=True):
            if new is None:
                raise ValueError("a state has no new value")
            entry.updates.append((states[int(number)], new))
        return entry

    def _dims(self, port: Any) -> tuple[Dim, ...] | None:
        if port["rank"] == UNKNOWN_RANK:
            return None
        first = int(port["dims"])
        words = self.t.words[first : first + int(port["rank"])].view(np.int32)
        return tuple(int(w) if w >= 0 else self._string(-1 - int(w)) or None for w in words)

    def _ports(self, row: Any) -> Array:
        """The ports of an entry: inputs, then outputs."""
        first = int(row["ports"])
        return self.t.ports[first : first + int(row["n_inputs"]) + int(row["n_outputs"])]

    def _port(self, v: Value, port: Any) -> None:
        """What the interface says about a value."""
        v.dtype, v.shape = DType(int(port["dtype"])), self._dims(port)
        v.kind = "sequence" if port["kind"] & 1 else "tensor"
        v.optional = bool(port["kind"] & 2)

    # ---- the program ----

    def _open(self, owner: Node | None) -> _Open:
        number = self.next_region
        row = self.t.regions[number]
        self.next_region += 1
        region = Region()
        for _ in range(int(row["n_params"])):
            region.params.append(self._new())
        if owner is not None:
            owner.regions.append(region)
            if owner.op == "loop" and region.params:
                region.params[0].dtype, region.params[0].shape = DType.I64, ()
        return _Open(region, number, owner)

    def _new(self) -> Value:
        self.values.append(Value())
        return self.values[-1]

    def _regions(self, number: int) -> Region:
        """Reads a region and what is inside it, in preorder."""
        if number != self.next_region:
            raise ValueError("regions are not in preorder")
        top = self._open(None)
        stack = [top]
        while stack:
            current = stack[-1]
            row = self.t.regions[current.row]
            if self.next_node < int(row["end"]):
                node = self._node()
                current.region.nodes.append(node)
                if "control" in ops.ops()[node.op].flags:
                    stack.append(self._open(node))
                continue
            stack.pop()
            first = int(row["results"])
            for w in self.t.words[first : first + int(row["n_results"])]:
                current.region.results.append(None if w == NONE else self.values[int(w)])
            owner = current.owner
            if owner is not None and owner.op == "if" and len(owner.regions) == 1:
                stack.append(self._open(owner))
        return top.region

    def _node(self) -> Node:
        row = self.t.nodes[self.next_node]
        op_id = int(self.t.ops[int(row["op"])])
        op = ops.by_id().get(op_id)
        if op is None:
            raise LoadError(
                f"the file needs an operator with the id {op_id:#010x}, which this version does not know"
            )
        n_in, n_out, n_attr = (int(row[k]) for k in ("n_in", "n_out", "n_attr"))
        first = int(row["args"])
        words = self.t.words[first : first + n_in + n_out + n_attr]
        inputs = [None if w == NONE else self.values[int(w)] for w in words[:n_in]]
        outputs = [Value() if w == NONE else self._new() for w in words[n_in : n_in + n_out]]
        node = Node(op.name, inputs, outputs)
        for v in node.outputs:
            v.producer = node
        node.attrs = decode_attributes(words[n_in + n_out :], op)
        if op.name == "tile":
            node.tile = micro.decode(node.attrs.pop("program"))
        elif ops.has_epilogue(op):
            program = node.attrs.pop("epilogue")
            node.attrs.pop("finish")  # written anew
            node.tile = micro.decode(program) if program else None
        if self.t.node_names.size:
            node.name = self._debug_string(int(self.t.node_names[self.next_node]))
        self.next_node += 1
        self.nodes.append(node)
        return node

    def _names(self, graph: Graph) -> None:
        for r in self.t.names:
            name, v = self._debug_string(int(r["name"])), self.values[int(r["value"])]
            if r["step"]:
                program, step = self.nodes[int(r["node"])].tile, int(r["step"]) - 1
                program.names[step] = name
                if r["perm"] != NONE:
                    program.perms[step] = decode_perm(int(r["perm"]))
                if r["source"] != NONE:
                    program.sources[step] = self._debug_string(int(r["source"]))
                continue
            if r["source"] != NONE:
                v.source = self._debug_string(int(r["source"]))
            if r["perm"] != NONE:
                v.perm = decode_perm(int(r["perm"]))
            if not v.name or v.name == name:
                v.name = name
            else:
                graph.aliases[name] = v
        for entry in graph.entries:
            if entry.output_names == [
                v.name if v is not None else "" for v in entry.region.results
            ]:
                entry.output_names = []


def decode_attributes(words: Sequence[int] | Array, op: ops.Op) -> dict[str, Any]:
    """The attributes that a node's words hold, by the operator's row."""
    data = np.asarray(words, np.uint32)
    attrs: dict[str, Any] = {}
    at = 0
    for a in op.attrs:
        kind = np.dtype(
            {"i32": "<i4", "f32": "<f4", "i64": "<i8", "f64": "<f8"}[a.type.removesuffix("[]")]
        )
        n = 1
        if a.is_list and at == data.size:
            attrs[a.name] = []  # a file older than the list
            continue
        if a.is_list:
            n = int(data[at])
            at += 1
        size = n * kind.itemsize // 4
        if at + size > data.size:
            raise ValueError(f"attributes of {op.name} are cut off")
        items = np.frombuffer(data[at : at + size].tobytes(), kind).tolist()
        attrs[a.name] = items if a.is_list else items[0]
        at += size
    if at != data.size:
        raise ValueError(f"attributes of {op.name} have {data.size - at} words too many")
    return attrs


def decode_perm(word: int) -> tuple[int, ...]:
    """The axis order in Name.perm: as many axes as make a permutation with nothing but zeros behind."""
    for rank in range(1, 9):
        perm = tuple(word >> 4 * k & 15 for k in range(rank))
        if sorted(perm) == list(range(rank)) and word >> 4 * rank == 0:
            return perm
    raise ValueError(f"{word:#x} is no axis order")
