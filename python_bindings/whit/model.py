"""whit.load and whit.Model: a .whit file as a Python object."""

from __future__ import annotations

import ctypes
import difflib
import mmap
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import _native, _threads, dtypes
from ._file import File
from ._instance import Feed, Instance
from ._native import SEQUENCE, UNKNOWN_RANK, Array, lib
from ._tap import Tap
from .errors import LibraryError, LoadError, RunError

Dim = int | str | None
"""A dimension: a number, the name of one that may change, or None if it may change and has no name."""

MAX_PLANS = 16
MAX_IDLE_BYTES = 1 << 29
"""What a model keeps for shapes it has met: so many plans, and at most so much memory beside the latest one."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a model."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[Dim, ...] | None
    """None: not even the number of axes is known. Of a sequence: the shape of its elements."""
    kind: str
    """"tensor" or "sequence"."""
    optional: bool

    def __str__(self) -> str:
        kind = "sequence of " if self.kind == "sequence" else ""
        return f"{'optional ' if self.optional else ''}{kind}{self.dtype.name} {shape_text(self.shape)}"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry point: a function of the model."""

    name: str
    index: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    number: dict[str, int] = field(repr=False)
    """Position of an input by its name."""


def shape_text(shape: Sequence[Dim] | None) -> str:
    """A shape for people: [batch, 3, ?], or [...] if the rank is not known."""
    if shape is None:
        return "[...]"
    return f"[{', '.join('?' if d is None else str(d) for d in shape)}]"


class _Lane:
    """Idle instances of one entry point under one set of options, by the shapes they are planned for."""

    def __init__(self, model: Model, entry: Entry, n_threads: int, max_steps: int) -> None:
        self.model, self.entry, self.n_threads, self.max_steps = model, entry, n_threads, max_steps
        self.plain = all(p.kind == "tensor" and not p.optional for p in entry.inputs)
        self.dtypes = tuple(p.dtype for p in entry.inputs)
        self.n_inputs = len(self.dtypes)
        self.idle: OrderedDict[Any, list[Instance]] = OrderedDict()

    def take(self, key: Any, feeds: Sequence[Feed]) -> Instance:
        idle = self.idle.get(key)
        try:
            if idle:
                return idle.pop()
        except IndexError:  # another thread was quicker
            pass
        e = self.entry
        host = _threads.host(self.n_threads, self.max_steps)
        return Instance(self.model, e.index, feeds, len(e.outputs), host)

    def give(self, key: Any, instance: Instance) -> None:
        idle = self.idle.get(key)
        if idle is not None:
            idle.append(instance)
            self.idle.move_to_end(key)
        else:
            self.model._make_room(self, key, instance)


class Model:
    """A loaded model. Any number of threads may use it at once; a model with state runs one call at a time."""

    def __init__(self, file: Array, source: str = "<bytes>") -> None:
        self.source = source
        self._bytes = file
        self.struct = _native.open_model(file)
        self.at = ctypes.addressof(self.struct)
        self._entries = _read_entries(self.at)
        self.entries: dict[str, Entry] = {e.name: e for e in self._entries}
        """Entry points by name; the first is the one that runs if none is named."""
        self.inputs: tuple[Port, ...] = self._entries[0].inputs
        self.outputs: tuple[Port, ...] = self._entries[0].outputs
        self.last_steps = 0
        """Nodes executed by the latest `run` (of any thread); those of a branch not taken do not count."""
        self._file: File | None = None
        self._lock = threading.Lock()
        self._lanes: dict[tuple[int, int, int], _Lane] = {}
        n_bytes = lib().whit_state_bytes(self.at)
        self.state_memory: Array | None = _native.aligned(n_bytes) if n_bytes else None
        self._turn: Any = threading.Lock() if n_bytes else nullcontext()
        if n_bytes:
            self.reset_state()
        self._main = self._lane(0, 1, 0)

    def __repr__(self) -> str:
        ports = "; ".join(f"{p.name}: {p}" for p in (*self.inputs, *self.outputs))
        return f"<whit.Model {self.source}: {ports}>"

    @property
    def file(self) -> File:
        """The structure of the file: nodes, regions, constants, names."""
        if self._file is None:
            self._file = File(self._bytes)
        return self._file

    # ---- state ----

    @property
    def state(self) -> dict[str, Array]:
        """The persistent variables by name: live, writable arrays."""
        if self.state_memory is None:
            return {}
        return {
            name: self.state_memory[at : at + initial.nbytes]
            .view(initial.dtype)
            .reshape(initial.shape)
            for name, at, initial in self.file.state_layout()
        }

    def reset_state(self) -> None:
        """Gives every persistent variable its initial value."""
        with self._turn:
            for (_, _, initial), array in zip(
                self.file.state_layout(), self.state.values(), strict=True
            ):
                array[...] = initial

    # ---- running ----

    def __call__(self, *arrays: Any) -> Any:
        """Runs the first entry point on inputs by position. Returns its output, or a tuple if there are several."""
        lane = self._main
        feeds: Sequence[Feed] = arrays
        key: Any = ()
        if lane.plain and len(arrays) == lane.n_inputs:
            for a, dtype in zip(arrays, lane.dtypes):  # noqa: B905 (lengths are equal)
                if type(a) is not np.ndarray or a.dtype is not dtype or not a.flags.c_contiguous:
                    key = None
                    break
                key += (a.shape,)
        else:
            key = None
        idle = lane.idle.get(key)
        if idle is None:
            feeds, key = _prepare(lane.entry, self._positional(lane.entry, arrays))
        if idle and self.state_memory is None:  # as nearly always: in as few steps as can be
            try:
                instance = idle.pop()
            except IndexError:  # another thread was quicker
                instance = lane.take(key, feeds)
            results = instance.run(feeds)
            if len(lane.idle) == 1:
                idle.append(instance)
            else:
                lane.give(key, instance)
        else:
            with self._turn:
                instance = lane.take(key, feeds)
                results = instance.run(feeds)
                lane.give(key, instance)
        return results[0] if len(results) == 1 else tuple(results)

    def run(
        self,
        feeds: Mapping[str, Any],
        *,
        tap: str | Iterable[str] | None = None,
        entry: str | int | None = None,
        threads: int | None = None,
        max_steps: int = 0,
    ) -> dict[str, Any]:
        """Runs an entry point and returns its outputs by name.

        feeds: arrays by input name; a list of arrays for a sequence, None (or nothing) for an absent optional.
        tap: names or globs of values or nodes of the source model that the result shall contain as well.
            A value in a loop is that of its last iteration, unless `@` chooses: `"decoder/*@3"` is iteration 3
            (from 0) of the innermost loop, `"@2.3"` names the outer loop's as well, `"@*"` gives a list of all.
            Tapped values come under their source names; chosen ones also under name@choice. What did not run
            (a branch not taken) is not in the result.
        entry: name or index of the entry point (None: the first). threads: how many to compute with (None: 1);
            results do not depend on it. max_steps: nodes after which the run ends with RunError (0: no limit).
        """
        lane = self._lane(self.entry(entry).index, 1 if threads is None else threads, max_steps)
        arrays, key = _prepare(lane.entry, _by_name(lane.entry, feeds))
        with self._turn, self._borrow(lane, key, arrays) as instance:
            found: dict[str, Any] = {}
            if tap is None:
                results = instance.run(arrays)
            else:
                observer = Tap(self.file, tap, lane.entry, instance.handle)
                results = observer.run(instance, arrays)
                found = observer.results()
            self.last_steps = instance.steps()
        outputs = {p.name: r for p, r in zip(lane.entry.outputs, results, strict=True)}
        return {**found, **outputs}

    def instance(
        self,
        feeds: Mapping[str, Any],
        *,
        entry: str | int | None = None,
        threads: int | None = None,
    ) -> tuple[Instance, list[Feed]]:
        """A new planned instance and its prepared inputs: for measuring, outside the pool."""
        e = self.entry(entry)
        arrays, _ = _prepare(e, _by_name(e, feeds))
        host = _threads.host(threads or 1, 0)
        return Instance(self, e.index, arrays, len(e.outputs), host), arrays

    def entry(self, which: str | int | None) -> Entry:
        """An entry point by name or index."""
        if which is None:
            return self._entries[0]
        if isinstance(which, int):
            if 0 <= which < len(self._entries):
                return self._entries[which]
        elif which in self.entries:
            return self.entries[which]
        raise RunError(f"no entry point {which!r}; the model has {', '.join(self.entries)}")

    # ---- the pool ----

    def _lane(self, entry: int, n_threads: int, max_steps: int) -> _Lane:
        key = (entry, n_threads, max_steps)
        lane = self._lanes.get(key)
        if lane is None:
            if n_threads < 1:
                raise RunError(f"threads={n_threads}: expected 1 or more")
            lane = self._lanes.setdefault(
                key, _Lane(self, self._entries[entry], n_threads, max_steps)
            )
        return lane

    @contextmanager
    def _borrow(self, lane: _Lane, key: Any, feeds: Sequence[Feed]) -> Iterator[Instance]:
        instance = lane.take(key, feeds)
        yield instance
        lane.give(key, instance)  # one that failed is not used again

    def _make_room(self, lane: _Lane, key: Any, instance: Instance) -> None:
        with self._lock:
            lane.idle.setdefault(key, []).append(instance)
            n_bytes = sum(i.arena.nbytes for p in lane.idle.values() for i in list(p))
            while len(lane.idle) > 1 and (len(lane.idle) > MAX_PLANS or n_bytes > MAX_IDLE_BYTES):
                _, dropped = lane.idle.popitem(last=False)
                n_bytes -= sum(i.arena.nbytes for i in dropped)

    def _positional(self, entry: Entry, arrays: Sequence[Any]) -> list[Any]:
        if len(arrays) > len(entry.inputs):
            raise RunError(f"{len(arrays)} inputs given, the model has {len(entry.inputs)}")
        feeds = list(arrays)
        for port in entry.inputs[len(arrays) :]:
            if not port.optional:
                raise RunError(f"input {port.name!r} is missing: expected {port}")
            feeds.append(None)
        return feeds


def _read_entries(at: int) -> list[Entry]:
    c, info = lib(), _native.PortInfo()
    entries: list[Entry] = []
    where = ctypes.addressof(info)
    while (name := c.whit_entry_name(at, len(entries))) is not None:
        index = len(entries)
        ports: list[tuple[Port, ...]] = []
        for outputs in (0, 1):
            found: list[Port] = []
            while not c.whit_port_get(at, index, outputs, len(found), where):
                found.append(_port(info))
            ports.append(tuple(found))
        number = {p.name: k for k, p in enumerate(ports[0])}
        entries.append(Entry(_native.text(name), index, ports[0], ports[1], number))
    return entries


def _port(info: _native.PortInfo) -> Port:
    rank = info.rank
    shape: tuple[Dim, ...] | None = None
    if rank != UNKNOWN_RANK:
        dims = info.dims[:rank]
        shape = tuple(dims)
        if min(dims, default=0) < 0:
            named = zip(dims, info.symbols[:rank], strict=True)
            shape = tuple((_native.text(s) or None) if d < 0 else d for d, s in named)
    kind = "sequence" if info.kind == SEQUENCE else "tensor"
    return Port(
        _native.text(info.name), dtypes.to_numpy(info.dtype), shape, kind, bool(info.optional)
    )


# ---- inputs -----------------------------------------------------------------------------------------


def _by_name(entry: Entry, feeds: Mapping[str, Any]) -> list[Any]:
    """Inputs in order. RunError for unknown names and for missing ones."""
    for name in feeds:
        if name not in entry.number:
            close = difflib.get_close_matches(str(name), entry.number, 1)
            hint = (
                f"; did you mean {close[0]!r}?"
                if close
                else f"; it has {', '.join(entry.number) or 'none'}"
            )
            raise RunError(f"the model has no input {name!r}{hint}")
    for port in entry.inputs:
        if port.name not in feeds and not port.optional:
            raise RunError(f"input {port.name!r} is missing: expected {port}")
    return [feeds.get(p.name) for p in entry.inputs]


def _prepare(entry: Entry, values: Sequence[Any]) -> tuple[list[Feed], Any]:
    """Inputs as C can read them, and the key of the plan that they need."""
    feeds: list[Feed] = []
    key: list[Any] = []
    symbols: dict[str, tuple[int, str]] = {}
    for port, value in zip(entry.inputs, values, strict=True):
        if value is None and port.optional:
            feeds.append(None)
            key.append(None)
        elif port.kind == "sequence":
            if not isinstance(value, (list, tuple)):
                raise RunError(
                    f"input {port.name!r}: expected a list of arrays ({port}), got {_type_of(value)}"
                )
            feeds.append([_tensor(port, v, f"{port.name}[{k}]") for k, v in enumerate(value)])
            key.append("sequence")
        elif _fits(port, value):  # so it has no symbols
            feeds.append(value)
            key.append(value.shape)
        else:
            a = _tensor(port, value, port.name)
            _bind_symbols(port, a, symbols)
            feeds.append(a)
            key.append(a.shape)
    return feeds, tuple(key)


def _fits(port: Port, value: Any) -> bool:
    """Is it what C reads, as it is? Most inputs are, and this costs less than _tensor's answers for the others."""
    return (
        type(value) is np.ndarray
        and value.dtype is port.dtype
        and value.shape == port.shape
        and value.flags.c_contiguous
    )


def _type_of(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array {value.dtype.name} {shape_text(value.shape)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _tensor(port: Port, value: Any, name: str) -> Array:
    """The value as a dense array of the port's type. Python numbers and nested lists take that type if they fit."""
    if value is None or isinstance(value, (str, bytes, dict)):
        raise RunError(f"input {name!r}: expected {port}, got {_type_of(value)}")
    a: Array
    try:
        a = value if isinstance(value, np.ndarray) else np.asarray(value)
    except (ValueError, TypeError) as e:
        raise RunError(f"input {name!r}: expected {port}, got {_type_of(value)}: {e}") from None
    if a.dtype != port.dtype:
        is_plain = isinstance(value, (bool, int, float, list, tuple))
        converted = _converted(a, port.dtype) if is_plain else None
        if converted is None and a.dtype.newbyteorder("=") != port.dtype:
            raise RunError(
                f"input {name!r}: expected {port}, got {a.dtype.name} {shape_text(a.shape)}"
            )
        a = a if converted is None else converted
    want = port.shape
    if want is not None and (
        len(want) != a.ndim
        or any(isinstance(d, int) and d != n for d, n in zip(want, a.shape, strict=True))
    ):
        raise RunError(f"input {name!r}: expected {port}, got {a.dtype.name} {shape_text(a.shape)}")
    return _native.dense(a)


def _converted(a: Array, dtype: np.dtype[Any]) -> Array | None:
    """Plain Python numbers in the wanted type, or None if they do not fit it."""
    if a.size == 0:
        return a.astype(dtype)
    if a.dtype.kind not in "biuf":
        return None
    if a.dtype.kind == "f" and dtype.kind in "iub":
        return None
    converted = a.astype(dtype)
    return (
        converted if a.dtype.kind == "f" or np.array_equal(converted.astype(a.dtype), a) else None
    )


def _bind_symbols(port: Port, a: Array, symbols: dict[str, tuple[int, str]]) -> None:
    """Equal names of dimensions must be equal numbers."""
    for d, n in zip(port.shape or (), a.shape, strict=False):
        if not isinstance(d, str):
            continue
        known, where = symbols.setdefault(d, (n, port.name))
        if known != n:
            raise RunError(
                f"input {port.name!r}: dimension {d!r} is {n}, but {known} in input {where!r}; "
                f"expected {port}, got {a.dtype.name} {shape_text(a.shape)}"
            )


# ---- loading ----------------------------------------------------------------------------------------


_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)


def load(model: str | os.PathLike[str] | bytes | bytearray | memoryview) -> Model:
    """Opens a .whit file: a path, which is mapped into memory, or its bytes, which are copied once."""
    if isinstance(model, (bytes, bytearray, memoryview)):
        raw = np.frombuffer(model, np.uint8) if len(model) else np.empty(0, np.uint8)
        return _open(raw, "<bytes>", copy=True)
    path = os.fspath(model)
    try:
        file = os.open(path, _READ)  # a third of the time of open()
        try:
            mapped = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
        except ValueError:  # it is empty
            return _open(np.empty(0, np.uint8), path)
        finally:
            os.close(file)
    except OSError as e:
        why = "is a folder" if os.path.isdir(path) else e.strerror or e
        raise LoadError(f"{path}: {why}") from None
    return _open(np.frombuffer(mapped, np.uint8), path)


def _open(raw: Array, source: str, copy: bool = False) -> Model:
    """The model in these bytes; errors name the source."""
    try:
        if not raw.nbytes:
            raise LoadError("there are no bytes", offset=0, status=_native.E_FORMAT)
        file = _native.aligned(raw.nbytes) if copy else raw
        if copy:
            file[:] = raw
        return Model(file, source)
    except LibraryError:
        raise
    except LoadError as e:
        hint = "; an ONNX model has to be converted first: whit.convert"
        message = f"{source}: {e.message}{hint if source.endswith('.onnx') else ''}"
        raise LoadError(message, offset=e.offset, operator=e.operator, status=e.status) from None
