"""One instance of one entry point, planned for one set of input shapes: buffers bound once, then run many times."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _native, _threads, dtypes
from ._native import E_MEMORY, STOPPED, TENSOR, Array, Tensor, address, lib
from .errors import RunError

if TYPE_CHECKING:
    from .model import Model

Feed = Any
"""An array, a list of arrays (sequence), or None (absent)."""


class Instance:
    """Belongs to one thread at a time; the model's pool sees to that."""

    def __init__(
        self,
        model: Model,
        entry: int,
        feeds: Sequence[Feed],
        n_outputs: int,
        n_threads: int,
        max_steps: int,
    ) -> None:
        c = lib()
        self.model = model
        self._host = _threads.host(n_threads, max_steps)
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
        self._inputs = [
            (k, dtypes.from_numpy(f.dtype), f.ndim, _native.shape_words(f.shape))
            for k, f in enumerate(feeds)
            if isinstance(f, np.ndarray)
        ]
        """Per tensor: number, type, rank, shape as C wants it."""
        self._only_tensors = len(self._inputs) == len(feeds)
        self._run, self._set, self._bind = c.whit_run, c.whit_input_set, c.whit_output_bind
        self._set_inputs(feeds)
        n_bytes = ctypes.c_size_t()
        self._check(c.whit_plan(self.handle, ctypes.addressof(n_bytes)))
        self.arena = _native.aligned(max(n_bytes.value, 64))
        self._check(c.whit_arena_set(self.handle, address(self.arena), self.arena.nbytes))
        self._outputs = [c.whit_output(self.handle, k).contents for k in range(n_outputs)]
        self._planned = [self._planned_output(k) for k in range(n_outputs)]
        self._all_planned = None not in self._planned

    def _planned_output(self, k: int) -> tuple[tuple[int, ...], np.dtype[Any], int] | None:
        t: Tensor = self._outputs[k]
        if t.kind != TENSOR or t.rank == _native.UNKNOWN_RANK or not t.dtype:
            return None
        shape, dtype = tuple(t.shape[: t.rank]), dtypes.to_numpy(t.dtype)
        probe = np.empty(shape, dtype)
        status = self._bind(self.handle, k, address(probe), probe.nbytes)
        return None if status else (shape, dtype, probe.nbytes)

    def _check(self, status: int) -> None:
        if status:
            raise _native.run_error(self.model.struct, self.handle, status)

    def _set_inputs(self, feeds: Sequence[Feed]) -> None:
        handle = self.handle
        for k, code, rank, shape in self._inputs:
            status = self._set(handle, k, code, rank, shape, address(feeds[k]))
            if status:
                self._check(status)
        if self._only_tensors:
            return
        c, self._items = lib(), []
        for k, feed in enumerate(feeds):
            if feed is None:
                self._check(c.whit_input_absent(handle, k))
            elif isinstance(feed, list):
                items = (Tensor * len(feed))(*(_describe(a) for a in feed))
                self._items.append(items)
                self._check(c.whit_input_sequence(handle, k, ctypes.addressof(items), len(feed)))

    def run(self, feeds: Sequence[Feed]) -> list[Any]:
        """Outputs for inputs of the shapes that the instance was made for."""
        handle = self.handle
        bind = self._bind
        if self._only_tensors:
            for k, code, rank, shape in self._inputs:
                if self._set(handle, k, code, rank, shape, address(feeds[k])):
                    raise RunError(f"input {k} does not fit its plan")
        else:
            self._set_inputs(feeds)
        results: list[Any] = []
        for k, planned in enumerate(self._planned):
            if planned is None:
                results.append(None)
            else:
                y: Array = np.empty(planned[0], planned[1])
                if bind(handle, k, address(y), planned[2]):
                    raise RunError(f"output {k} does not fit its plan")
                results.append(y)
        status = self._run(handle)
        if status:
            self._continue(status)
        if not self._all_planned:
            for k, planned in enumerate(self._planned):
                if planned is None:
                    results[k] = _native.read_value(handle, self._outputs[k])
        return results

    def _continue(self, status: int) -> None:
        """Grows the arena as long as the run asks for it."""
        while status == E_MEMORY:
            self.arena = _native.grow_arena(self.handle, self.arena)
            status = self._run(self.handle)
        if status:
            stopped = RunError("stopped by the observer", status=status)
            error = (
                stopped
                if status == STOPPED
                else _native.run_error(self.model.struct, self.handle, status)
            )
            lib().whit_reset(self.handle)
            raise error

    def run_observed(self, feeds: Sequence[Feed], observer: Callable[..., int]) -> list[Any]:
        """Like run, with an observer that sees every node."""
        c = lib()
        callback = _native.Observer(observer)
        c.whit_observe(self.handle, ctypes.cast(callback, ctypes.c_void_p), None)
        try:
            return self.run(feeds)
        finally:
            c.whit_observe(self.handle, None, None)

    def time(self) -> int:
        """Nanoseconds of one more run on the inputs and into the outputs of the last one."""
        run, handle = self._run, self.handle
        start = time.perf_counter_ns()
        status = run(handle)
        end = time.perf_counter_ns()
        if status:
            self._continue(status)
        return end - start

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
    stride = 1
    for axis in reversed(range(a.ndim)):
        t.shape[axis], t.stride[axis] = a.shape[axis], stride
        stride *= a.shape[axis]
    return t
