"""Graph -> bytes of a .whit file (runtime_c/schema/whit.fbs).

The file is a FlatBuffer, small, then the constants, each at a multiple of 64 bytes. Constants are written one by one
straight from the arrays that hold them, so a model of many gigabytes needs no second copy in memory.

Nothing in the graph is changed. What the format asks for beyond the IR is added on the way: element-wise nodes
become `tile` nodes of one operation, and a result that is not the output of a node of its own region, or stands twice, goes
through an `identity`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import flatbuffers
import numpy as np

from . import micro, ops
from .dtypes import DType
from .errors import ConvertError
from .finish import FIRST_INPUT, finish_of
from .ir import Entry, Graph, Node, Region, Value

VERSION = 1
NONE = 0xFFFFFFFF
ALIGN = 64
UNKNOWN_RANK = 255

NODE = np.dtype(
    [
        ("op", "<u2"),
        ("n_in", "<u2"),
        ("n_out", "<u2"),
        ("n_attr", "<u2"),
        ("args", "<u4"),
        ("end", "<u4"),
    ]
)
REGION = np.dtype([
    ("begin", "<u4"), ("end", "<u4"), ("params", "<u4"), ("results", "<u4"), ("n_params", "<u2"), ("n_results", "<u2"),
])  # fmt: skip
CONSTANT = np.dtype(
    [("offset", "<u8"), ("dims", "<u4"), ("dtype", "u1"), ("rank", "u1"), ("reserved", "<u2")]
)
STATE = np.dtype([("initial", "<u4"), ("name", "<u4")])
PORT = np.dtype([
    ("name", "<u4"), ("dims", "<u4"), ("dtype", "u1"), ("rank", "u1"), ("kind", "u1"), ("reserved", "u1"),
])  # fmt: skip
ENTRY = np.dtype([
    ("name", "<u4"), ("region", "<u4"), ("ports", "<u4"), ("states", "<u4"), ("n_inputs", "<u2"), ("n_outputs", "<u2"),
    ("n_updates", "<u2"), ("reserved", "<u2"),
])  # fmt: skip
NAME = np.dtype(
    [
        ("name", "<u4"),
        ("value", "<u4"),
        ("node", "<u4"),
        ("step", "<u4"),
        ("perm", "<u4"),
        ("source", "<u4"),
    ]
)

Array = np.ndarray[Any, Any]
Row = tuple[int, ...]

_NIBBLES = {DType.U4: 0x0F, DType.I4: 0x0F, DType.F4E2M1: 0x0F, DType.U2: 0x03, DType.I2: 0x03}


def write(
    graph: Graph, file: str | os.PathLike[str] | BinaryIO | None = None, *, strip: bool = False
) -> bytes:
    """Writes the graph to a path or an open file; without one, returns the bytes (else b"").

    strip: leave the debug section out. A path is replaced only once all is written.
    """
    writer = _Writer(graph, strip)
    head = writer.program()
    if file is None:
        return b"".join((head, *writer.data(len(head))))
    if not isinstance(file, (str, os.PathLike)):
        for part in (head, *writer.data(len(head))):
            file.write(part)
        return b""
    path = Path(file)
    part_file = path.with_name(path.name + ".part")
    try:
        with part_file.open("wb") as f:
            f.write(head)
            for part in writer.data(len(head)):
                f.write(part)
        os.replace(part_file, path)
    finally:
        part_file.unlink(missing_ok=True)
    return b""


def raw_bytes(array: Array, dtype: DType) -> Array:
    """The elements as bytes in memory order; types below a byte take one, with the bits above them clear."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    mask = _NIBBLES.get(dtype)
    return flat if mask is None else flat & np.uint8(mask)


@dataclass(slots=True)
class _Strings:
    """NUL-terminated strings, each stored once."""

    data: bytearray = field(default_factory=bytearray)
    at: dict[str, int] = field(default_factory=dict)

    def add(self, text: str) -> int:
        """The string's offset. What stands behind a NUL would be lost on the way, so a NUL is replaced."""
        text = text.replace("\0", " ")
        if text not in self.at:
            self.at[text] = len(self.data)
            self.data += text.encode("utf-8", "replace") + b"\0"
        return self.at[text]


class _Writer:
    """One pass over the graph collects the tables; see the vectors of Program in the schema."""

    def __init__(self, graph: Graph, strip: bool) -> None:
        self.graph, self.strip = graph, strip
        self.ops: dict[int, int] = {}
        self.words: list[int] = []
        self.nodes: list[list[int]] = []
        self.regions: list[list[int]] = []
        self.constants: list[Row] = []
        self.states: list[Row] = []
        self.ports: list[Row] = []
        self.entries: list[Row] = []
        self.strings, self.debug_strings = _Strings(), _Strings()
        self.node_names: list[int] = []
        self.tile_names: list[tuple[str, Node, int]] = []
        self.arrays: list[tuple[Array, DType]] = []
        self.offsets: list[int] = []
        self.data_size = 0
        self.numbers: dict[Value, int] = {}
        self.maker: dict[Value, int] = {}
        self.n_values = 0
        self.uses = graph.uses()

    def program(self) -> bytes:
        """The FlatBuffer, with the position of the data in it."""
        if not self.graph.entries:
            raise ConvertError("the program has no entry point")
        owners = {e.region: e for e in self.graph.entries}
        loops = {n.regions[0] for _, n in self.graph.walk() if n.op == "loop"}
        bodies = {r: _Body(r, owners.get(r), r in loops) for r in self.graph.regions()}
        self._number_constants(bodies)
        for entry in self.graph.entries:
            self._entry(entry, bodies)
        return self._encode()

    # ---- constants and states ----

    def _number_constants(self, bodies: dict[Region, _Body]) -> None:
        by_content: dict[tuple[DType, tuple[int, ...], bytes], int] = {}
        by_array: dict[tuple[int, DType], int] = {}
        initial: list[int] = []

        def add(v: Value) -> int:
            array, dtype = v.const, v.dtype
            if array is None or dtype is None:
                raise ConvertError(f"{_show(v)} is used but nothing makes it")
            known = by_array.get((id(array), dtype))
            if known is not None:
                return known
            if array.dtype != dtype.numpy:
                raise ConvertError(f"constant {_show(v)} is {dtype.short} but holds {array.dtype}")
            content = hashlib.blake2b(raw_bytes(array, dtype), digest_size=32).digest()
            key = (dtype, array.shape, content)
            if key not in by_content:
                by_content[key] = len(self.arrays)
                self.arrays.append((array, dtype))
            by_array[id(array), dtype] = by_content[key]
            return by_content[key]

        used: dict[Value, None] = {}
        for body in bodies.values():
            for node in body.nodes:
                used.update(
                    (v, None) for v in _inputs(node) if v is not None and v.const is not None
                )
        for v in used:
            if v.state is None:
                self.numbers[v] = add(v)
        for state in self.graph.states.values():
            initial.append(add(state))
        for k, state in enumerate(self.graph.states.values()):
            self.numbers[state] = len(self.arrays) + k
        for v in used:
            if v.state is not None and v not in self.numbers:
                raise ConvertError(f"state {v.state!r} is read but not among the program's states")
        for first, name in zip(initial, self.graph.states, strict=True):
            self.states.append((first, self.strings.add(name)))
        self.n_values = len(self.arrays) + len(self.states)
        for array, dtype in self.arrays:
            if array.ndim > 8:
                raise ConvertError(f"a constant has {array.ndim} axes; the runtime takes 8")
            dims = self._list(array.shape)
            self.data_size = _round(self.data_size, ALIGN)
            self.constants.append((self.data_size, dims, int(dtype), array.ndim, 0))
            self.offsets.append(self.data_size)
            self.data_size += array.size * dtype.size

    def data(self, n_head: int) -> Iterable[Array | bytes]:
        """What follows the FlatBuffer: padding and constants."""
        at = -(_round(n_head, ALIGN) - n_head)
        for (array, dtype), offset in zip(self.arrays, self.offsets, strict=True):
            yield bytes(offset - at)
            part = raw_bytes(array, dtype)
            yield part
            at = offset + part.nbytes
        if not self.arrays:
            yield bytes(-at)

    # ---- the program ----

    def _entry(self, entry: Entry, bodies: dict[Region, _Body]) -> None:
        region, first = len(self.regions), len(self.ports)
        results = entry.region.results
        names = entry.output_names or [v.name if v is not None else "" for v in results]
        if len(names) != len(results):
            raise ConvertError(
                f"entry point {entry.name!r} names {len(names)} of {len(results)} outputs"
            )
        for v in entry.region.params:
            self._port(v, v.name)
        for result, name in zip(results, names, strict=True):
            if result is None:
                raise ConvertError(f"an output of entry point {entry.name!r} is missing")
            self._port(result, name)
        states = list(self.graph.states)
        for name, _ in entry.updates:
            if name not in states:
                raise ConvertError(
                    f"entry point {entry.name!r} updates the state {name!r}, which does not exist"
                )
        updates = self._list(states.index(name) for name, _ in entry.updates)
        self.entries.append((
            self.strings.add(entry.name), region, first, updates,
            len(entry.region.params), len(results), len(entry.updates), 0,
        ))  # fmt: skip
        self._walk(bodies, entry.region)

    def _port(self, v: Value, name: str) -> None:
        if v.dtype is None:
            raise ConvertError(f"the element type of {name!r} is not known")
        kind = (1 if v.kind == "sequence" else 0) + (2 if v.optional else 0)
        dims: list[int] = []
        for d in v.shape or ():
            dims.append(d if isinstance(d, int) else (-1 - self.strings.add(d or "")) & NONE)
        if len(dims) > 8:
            raise ConvertError(f"{name!r} has {len(dims)} axes; the runtime takes 8")
        rank = UNKNOWN_RANK if v.shape is None else len(dims)
        self.ports.append((self.strings.add(name), self._list(dims), int(v.dtype), rank, kind, 0))

    def _walk(self, bodies: dict[Region, _Body], top: Region) -> None:
        """Numbers and encodes in preorder; an explicit stack, as regions may nest deeper than Python's."""
        stack: list[tuple[Region, int, Node | None, int, int]] = []
        self._open(top)
        stack.append((top, len(self.regions) - 1, None, -1, 0))
        while stack:
            region, number, owner, owner_number, at = stack.pop()
            nodes = bodies[region].nodes
            if at < len(nodes):
                stack.append((region, number, owner, owner_number, at + 1))
                node = nodes[at]
                self._node(node)
                if node.regions:
                    self._open(node.regions[0])
                    stack.append(
                        (node.regions[0], len(self.regions) - 1, node, len(self.nodes) - 1, 0)
                    )
                continue
            self._close(bodies[region], number)
            if owner is None:
                continue
            following = next(k for k, r in enumerate(owner.regions) if r is region) + 1
            if following < len(owner.regions):
                self._open(owner.regions[following])
                stack.append(
                    (owner.regions[following], len(self.regions) - 1, owner, owner_number, 0)
                )
            else:
                self.nodes[owner_number][5] = len(self.nodes)

    def _open(self, region: Region) -> None:
        params = self._list(self._define(v) for v in region.params)
        self.regions.append([len(self.nodes), 0, params, 0, len(region.params), 0])

    def _close(self, body: _Body, number: int) -> None:
        row = self.regions[number]
        row[1], row[5] = len(self.nodes), len(body.results)
        row[3] = self._list(NONE if v is None else self._number(v, None) for v in body.results)

    def _node(self, node: Node) -> None:
        if ops.is_elementwise(node.op):
            node = micro.tile_of(node)
        op = ops.ops().get(node.op)
        if op is None:
            raise ConvertError("the runtime has no such operator", node=node.name, operator=node.op)
        inputs = _inputs(node)
        if "control" not in op.flags:
            while inputs and inputs[-1] is None:
                inputs.pop()
        attrs = attribute_words(node, op)
        counts = (len(inputs), len(node.outputs), len(attrs))
        if max(counts) > 0xFFFF:
            raise ConvertError(
                f"too many inputs, outputs or attributes: {counts}",
                node=node.name,
                operator=node.op,
            )
        least, most = op.n_inputs
        if len(inputs) < least or (most != ops.ANY and len(inputs) > most):
            raise ConvertError(f"got {len(inputs)} inputs", node=node.name, operator=node.op)
        args = [NONE if v is None else self._number(v, node) for v in inputs]
        number = len(self.nodes)
        for k, v in enumerate(node.outputs):
            optional = op.outputs[min(k, len(op.outputs) - 1)].optional and not op.flags & {
                "control"
            }
            wanted = (
                not optional
                or v.name
                or v in self.uses
                or len(node.outputs) == 1
                or node.tile is not None
            )
            args.append(self._define(v, number) if wanted else NONE)
        code = self.ops.setdefault(op.id, len(self.ops))
        self.nodes.append([code, *counts, self._list([*args, *attrs]), number + 1])
        if not self.strip:
            self.node_names.append(self.debug_strings.add(node.name))
            if node.tile is not None:
                self.tile_names += [(name, node, k) for k, name in sorted(node.tile.names.items())]

    def _define(self, v: Value, node: int | None = None) -> int:
        if v in self.numbers:
            raise ConvertError(f"{_show(v)} is made twice")
        self.numbers[v] = self.n_values
        if node is not None:
            self.maker[v] = node
        self.n_values += 1
        return self.numbers[v]

    def _number(self, v: Value, node: Node | None) -> int:
        if v not in self.numbers:
            raise ConvertError(
                f"{_show(v)} is read before it is made",
                node=node.name if node else "",
                operator=node.op if node else "",
            )
        return self.numbers[v]

    def _list(self, words: Iterable[int]) -> int:
        first = len(self.words)
        self.words += [w & NONE for w in words]
        return first

    # ---- bytes ----

    def _names(self) -> list[Row]:
        """Name records, by value, step and node; a value's own name stands before its aliases."""
        found: list[tuple[int, int, int, int, str, str]] = []

        def add(name: str, v: Value, step: int = 0) -> None:
            maker = self.maker.get(v, NONE)
            found.append((self.numbers[v], step, maker, _perm_word(v.perm), name, v.source))

        for v in self.numbers:
            if v.name and v.name != v.state:
                add(v.name, v)
        for name, v in self.graph.aliases.items():
            if v in self.numbers and name != v.name:
                add(name, v)
        for name, node, k in self.tile_names:
            v = node.outputs[0]
            perm = node.tile.perms.get(k)
            source = node.tile.sources.get(k, "")
            found.append((self.numbers[v], k + 1, self.maker[v], _perm_word(perm), name, source))
        rows: list[Row] = []
        for value, step, node_number, perm, name, source in sorted(
            dict.fromkeys(found), key=lambda r: r[:3]
        ):
            made_by = self.debug_strings.add(source) if source else NONE
            rows.append((self.debug_strings.add(name), value, node_number, step, perm, made_by))
        return rows

    def _encode(self) -> bytes:
        b = flatbuffers.Builder(1024 + 4 * len(self.words) + 32 * len(self.nodes))
        b.ForceDefaults(True)
        debug = 0
        if not self.strip:
            names = _vector(b, _table(self._names(), NAME), 4)
            node_names = _vector(b, np.array(self.node_names, "<u4"), 4)
            strings = _vector(b, np.frombuffer(bytes(self.debug_strings.data), np.uint8), 1)
            b.StartObject(3)
            _slots(b, [strings, node_names, names])
            debug = b.EndObject()
        vectors = [
            _vector(b, np.frombuffer(bytes(self.strings.data), np.uint8), 1),
            _vector(b, _table(self.entries, ENTRY), 4),
            _vector(b, _table(self.ports, PORT), 4),
            _vector(b, _table(self.states, STATE), 4),
            _vector(b, _table(self.constants, CONSTANT), 8),
            _vector(b, _table(self.regions, REGION), 4),
            _vector(b, _table(self.nodes, NODE), 4),
            _vector(b, np.array(self.words, "<u4"), 4),
            _vector(b, np.array(list(self.ops), "<u4"), 4),
        ]
        b.StartObject(14)
        b.PrependUint32Slot(0, VERSION, 0)
        b.PrependUint32Slot(1, self.n_values, 0)
        b.PrependUint64Slot(2, 0, 0)
        b.PrependUint64Slot(3, self.data_size, 0)
        _slots(b, [*reversed(vectors), debug], 4)
        b.Finish(b.EndObject(), file_identifier=b"WHIT")
        head = b.Output()
        return _patch_data_offset(head)


@dataclass(slots=True, init=False)
class _Body:
    """A region in the form that the file wants: nodes with the identities added, and the results."""

    nodes: list[Node]
    results: list[Value | None]

    def __init__(self, region: Region, entry: Entry | None, of_loop: bool) -> None:
        self.nodes = list(region.nodes)
        self.results = []
        results = (
            [*region.results, *(v for _, v in entry.updates)] if entry else list(region.results)
        )
        free = {v for n in region.nodes for v in n.outputs}
        for k, v in enumerate(results):
            if of_loop and k == 0 and (v is None or _is_true(v)):
                self.results.append(None)
                continue
            if v is None:
                raise ConvertError(f"result {k} of a region is missing")
            if v not in free:
                copy = Value(dtype=v.dtype, shape=v.shape, kind=v.kind, optional=v.optional)
                self.nodes.append(Node("identity", [v], [copy]))
                v = copy
            free.discard(v)
            self.results.append(v)


def attribute_words(node: Node, op: ops.Op) -> list[int]:
    """A node's attributes in the order of the operator's row; what is not given is 0 or an empty list."""
    given = dict(node.attrs)
    if node.tile is not None:
        given["program" if node.op == "tile" else "epilogue"] = node.tile.encode()
        if node.op != "tile":
            given["finish"] = finish_of(node.tile, max(0, len(node.inputs) - FIRST_INPUT))
    unknown = set(given) - {a.name for a in op.attrs} - IR_ONLY.get(op.name, frozenset())
    if unknown:
        raise ConvertError(
            f"has no attribute {sorted(unknown)[0]!r}", node=node.name, operator=node.op
        )
    words: list[int] = []
    for a in op.attrs:
        value = given.get(a.name)
        try:
            if a.is_list:
                items = _scalars(() if value is None else value, a)
                words += [len(items), *items]
            else:
                words += _scalars((0 if value is None else value,), a)
        except (TypeError, ValueError, OverflowError) as e:
            message = f"attribute {a.name!r} is {value!r}, expected {a.type}"
            raise ConvertError(message, node=node.name, operator=node.op) from e
    return words


IR_ONLY: dict[str, frozenset[str]] = {
    "seq_make": frozenset(("dtype",)),
    "opt_none": frozenset(("dtype",)),
}
"""Attributes that help inference and that the file does not need."""

_NUMPY = {"i32": "<i4", "f32": "<f4", "i64": "<i8", "f64": "<f8"}


def _scalars(values: Sequence[Any], a: ops.Attr) -> list[int]:
    kind = a.type.removesuffix("[]")
    if a.is_float:
        array = np.array([float(v) for v in values], _NUMPY[kind])
    else:
        if any(isinstance(v, float) and v != int(v) for v in values):
            raise ValueError
        array = np.array([int(v) for v in values], _NUMPY[kind])
    return [int(w) for w in array.view("<u4")]


# ---- helpers ----------------------------------------------------------------------------------------


def _is_true(v: Value | None) -> bool:
    """Is the value the constant true?"""
    return (
        v is not None
        and v.const is not None
        and v.state is None
        and v.const.size == 1
        and bool(v.const.all())
    )


def _inputs(node: Node) -> list[Value | None]:
    """A node's inputs; a loop's condition that is always true is left out."""
    inputs = list(node.inputs)
    if node.op == "loop" and len(inputs) > 1 and _is_true(inputs[1]):
        inputs[1] = None
    return inputs


def _show(v: Value) -> str:
    return f"value {v.name!r}" if v.name else "an unnamed value"


def _round(n: int, to: int) -> int:
    return (n + to - 1) // to * to


def _perm_word(perm: tuple[int, ...] | None) -> int:
    return NONE if perm is None else sum(p << 4 * k for k, p in enumerate(perm))


def _table(rows: Sequence[Sequence[int]], dtype: np.dtype[Any]) -> Array:
    return np.array([tuple(r) for r in rows], dtype)


def _vector(b: flatbuffers.Builder, items: Array, align: int) -> int:
    """A vector of structs or numbers, copied as it lies in memory. 0 (leave the field out) if it is empty."""
    if not items.size:
        return 0
    b.StartVector(items.itemsize, items.size, align)
    data = items.tobytes()
    b.head = b.head - len(data)
    b.Bytes[b.head : b.head + len(data)] = data
    b.vectorNumElems = items.size
    return int(b.EndVector())


def _slots(b: flatbuffers.Builder, offsets: Sequence[int], first: int = 0) -> None:
    for k, offset in enumerate(offsets):
        if offset:
            b.PrependUOffsetTRelativeSlot(first + k, offset, 0)


def _patch_data_offset(head: bytearray) -> bytes:
    """Puts the position of the data segment, which follows from the length, into Program.data_offset."""
    root = int.from_bytes(head[:4], "little")
    vtable = root - int.from_bytes(head[root : root + 4], "little", signed=True)
    at = root + int.from_bytes(head[vtable + 8 : vtable + 10], "little")
    head[at : at + 8] = _round(len(head), ALIGN).to_bytes(8, "little")
    return bytes(head)
