"""Pools of threads for the kernels, one per number of threads in a process."""

from __future__ import annotations

import ctypes
import os
import threading

from ._native import Host, cpu_features, platform_lib
from .errors import RunError

_lock = threading.Lock()
_pools: dict[int, int] = {}


def _forget() -> None:
    """After a fork the helper threads are gone; new pools are made when they are asked for."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def host(n_threads: int, max_steps: int) -> Host:
    """What an instance borrows from this process."""
    h = Host(cpu=cpu_features(), max_steps=max_steps, n_threads=1)
    helper = platform_lib()
    if n_threads < 2 or helper is None:
        return h
    with _lock:
        if n_threads not in _pools:
            pool = helper.whit_threads_create(n_threads)
            if not pool:
                raise RunError(
                    f"threads={n_threads}: the system gives no such number of threads (at most 256)"
                )
            _pools[n_threads] = pool
        h.context = _pools[n_threads]
    h.parallel_for = ctypes.cast(helper.whit_threads_for, ctypes.c_void_p).value
    h.n_threads = n_threads
    return h
