"""One instance of one entry point, planned for one set of input shapes: buffers bound once, then run many times."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _native, dtypes
from ._native import E_MEMORY, STOPPED, TENSOR, Array, Tensor, address, lib, pointer
from .errors import RunError

if TYPE_CHECKING:
    from .model import Model

Feed = Any
"""An array, a list of arrays (sequence), or None (absent)."""

Planned = tuple[tuple[int, ...], np.dtype[Any], ctypes.c_uint32, ctypes.c_size_t]
"""An output that runs write straight into a fresh array: shape, type, number, bytes."""


class Instance:
    """Belongs to one thread at a time; the model's pool sees to that."""

    def __init__(
        self,
        model: Model,
        entry: int,
        feeds: Sequence[Feed],
        n_outputs: int,
        host: _native.Host,
    ) -> None:
        c = lib()
        self.model, self.entry = model, entry
        self._host = host
        self._tables = _native.aligned(c.whit_instance_bytes(model.at))
        self._items: list[Any] = []
        made = c.whit_instance_init(
            address(self._tables),
            self._tables.nbytes,
            model.at,
            entry,
            ctypes.addressof(self._host),
        )
        if not made:
            raise RunError("whit_instance_init refused its arguments")
        self.handle: int = made
        memory = model.state_memory
        if memory is not None:
            self._check(c.whit_state_set(self.handle, address(memory), memory.nbytes, 0))
        self._handle = ctypes.c_void_p(made)
        bare = _native.bare_lib()
        self._run, self._bind = _native.bare_run(), bare.whit_output_bind
        self._set = [
            (k, partial(bare.whit_input_set, self._handle, *_input_arguments(k, f)))
            for k, f in enumerate(feeds)
            if isinstance(f, np.ndarray)
        ]
        """Per tensor input: its number, and the call that sets its data."""
        self._only_tensors = len(self._set) == len(feeds)
        self._set_inputs(feeds)
        for k in range(n_outputs):  # will be bound: no arena for them
            self._check(c.whit_output_bind(self.handle, k, None, 0))
        n_bytes = ctypes.c_size_t()
        self._check(c.whit_plan(self.handle, ctypes.addressof(n_bytes)))
        self._n_planned = n_bytes.value
        self.arena = _native.arena(max(n_bytes.value, 64))
        self._check(c.whit_arena_set(self.handle, address(self.arena), self.arena.nbytes))
        self._outputs = [c.whit_output(self.handle, k).contents for k in range(n_outputs)]
        self._planned = [self._planned_output(k) for k in range(n_outputs)]
        self._known = [p for p in self._planned if p is not None]
        self._all_planned = len(self._known) == n_outputs

    def like(self, host: _native.Host, feeds: Sequence[Feed]) -> Instance:
        """Another one for the same entry point, on another host."""
        return Instance(self.model, self.entry, feeds, len(self._outputs), host)

    def _planned_output(self, k: int) -> Planned | None:
        t: Tensor = self._outputs[k]
        if t.kind != TENSOR or t.rank == _native.UNKNOWN_RANK or not t.dtype:
            return None
        probe = np.empty(tuple(t.shape[: t.rank]), dtypes.to_numpy(t.dtype))
        number, n_bytes = ctypes.c_uint32(k), ctypes.c_size_t(probe.nbytes)
        if self._bind(self._handle, number, pointer(probe), n_bytes):
            return None
        return probe.shape, probe.dtype, number, n_bytes

    def _check(self, status: int) -> None:
        if status:
            raise _native.run_error(self.model.struct, self.handle, status)

    def _set_inputs(self, feeds: Sequence[Feed]) -> None:
        for k, set_data in self._set:
            status = set_data(pointer(feeds[k]))
            if status:
                self._check(status)
        if self._only_tensors:
            return
        c, self._items = lib(), []
        for k, feed in enumerate(feeds):
            if feed is None:
                self._check(c.whit_input_absent(self.handle, k))
            elif isinstance(feed, list):
                items = (Tensor * len(feed))(*(_describe(a) for a in feed))
                self._items.append(items)
                where = ctypes.addressof(items)
                self._check(c.whit_input_sequence(self.handle, k, where, len(feed)))

    def _new_outputs(self) -> list[Any]:
        """Fresh arrays that the next run writes; None for outputs whose shapes the plan does not know."""
        results: list[Any] = []
        for planned in self._planned:
            if planned is None:
                results.append(None)
                continue
            shape, dtype, number, n_bytes = planned
            y: Array = np.empty(shape, dtype)
            if self._bind(self._handle, number, pointer(y), n_bytes):
                raise RunError(f"output {number.value} does not fit its plan")
            results.append(y)
        return results

    def run(self, feeds: Sequence[Feed]) -> list[Any]:
        """Outputs for inputs of the shapes that the instance was made for."""
        if self._only_tensors:  # the loop of _set_inputs, without a call
            for k, set_data in self._set:
                if set_data(pointer(feeds[k])):
                    raise RunError(f"input {k} does not fit its plan")
        else:
            self._set_inputs(feeds)
        results: list[Any] = []
        if self._all_planned:  # the loop of _new_outputs
            for shape, dtype, number, n_bytes in self._known:
                y = np.empty(shape, dtype)
                if self._bind(self._handle, number, pointer(y), n_bytes):
                    raise RunError(f"output {number.value} does not fit its plan")
                results.append(y)
        else:
            results = self._new_outputs()
        status = self._run(self._handle)
        if status:
            self._continue(status)
        if not self._all_planned:
            for k, planned in enumerate(self._planned):
                if planned is None:
                    results[k] = _native.read_value(self.handle, self._outputs[k])
        return results

    def _continue(self, status: int) -> None:
        """Grows the arena as long as the run asks for it."""
        while status == E_MEMORY:
            self.arena = _native.grow_arena(self.handle, self.arena, self._n_planned)
            status = self._run(self._handle)
        if status == STOPPED:
            lib().whit_reset(self.handle)
            raise RunError("stopped by the observer", status=status)
        if status:
            raise _native.run_error(self.model.struct, self.handle, status)

    def run_observed(self, feeds: Sequence[Feed], observer: Callable[..., int]) -> list[Any]:
        """Like run, with an observer that sees every node."""
        c = lib()
        callback = _native.Observer(observer)
        c.whit_observe(self.handle, ctypes.cast(callback, ctypes.c_void_p), None)
        try:
            return self.run(feeds)
        finally:
            c.whit_observe(self.handle, None, None)

    def times(self, feeds: Sequence[Feed], n_runs: int, until: float) -> list[int]:
        """Nanoseconds of each of n_runs runs, or fewer if perf_counter passes until; of the C call alone, and of what a larger arena
        takes."""
        self._set_inputs(feeds)
        results = self._new_outputs()
        run, handle, clock = self._run, self._handle, time.perf_counter_ns
        found: list[int] = []
        end = until * 1e9
        for _ in range(n_runs):
            start = clock()
            status = run(handle)
            if status:
                self._continue(status)
            now = clock()
            found.append(now - start)
            if now > end:
                break
        del results  # the runs wrote into them
        return found

    def profile(self, feeds: Sequence[Feed], n_runs: int) -> tuple[Array, Array] | None:
        """Nanoseconds and number of executions of each node, summed over n_runs runs; None without the platform library."""
        c, helper = lib(), _native.platform_lib()
        if helper is None:
            return None
        n_nodes = max(len(self.model.file.nodes), 1)
        ns, count = np.zeros(n_nodes, np.uint64), np.zeros(n_nodes, np.uint64)
        profile = _native.Profile(ns=address(ns), count=address(count))
        observer = ctypes.cast(helper.whit_profile_observe, ctypes.c_void_p)
        c.whit_observe(self.handle, observer, ctypes.addressof(profile))
        try:
            for _ in range(n_runs):
                self.run(feeds)
        finally:
            c.whit_observe(self.handle, None, None)
        return ns, count

    def steps(self) -> int:
        return int(lib().whit_steps(self.handle))


def _describe(a: Array) -> Tensor:
    t = Tensor(data=address(a), dtype=dtypes.from_numpy(a.dtype), rank=a.ndim, kind=TENSOR)
    t.shape[: a.ndim] = a.shape
    return t


def _input_arguments(k: int, a: Array) -> tuple[Any, ...]:
    """What whit_input_set takes between the instance and the data."""
    return (
        ctypes.c_uint32(k),
        ctypes.c_int(dtypes.from_numpy(a.dtype)),
        ctypes.c_int(a.ndim),
        _native.shape_words(a.shape),
    )
