"""The C library through ctypes: structures and functions of whit.h, memory, processor features.

Libraries lie beside this file; WHIT_LIBRARY names another libwhit (a sanitizer build, say). WHIT_CPU forces a
kernel table: scalar, avx2, avx512 or neon.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import platform
import sys
from ctypes import (
    POINTER,
    c_char_p,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from . import _operators, dtypes
from .errors import LibraryError, LoadError, RunError, WhitError

Array = np.ndarray[Any, Any]

MAX_RANK = 8
MAX_DEPTH = 16
NONE = 0xFFFFFFFF
UNKNOWN_RANK = 255
TENSOR, SEQUENCE, ABSENT = 0, 1, 2
OK, STOPPED = 0, 1
E_INPUT, E_FORMAT, E_OPERATOR, E_MEMORY, E_CANCELLED, E_UNSUPPORTED = (
    0x11,
    0x20,
    0x22,
    0x30,
    0x44,
    0x50,
)
AVX2, AVX512, NEON = 1, 2, 4


class Tensor(ctypes.Structure):
    """whit_tensor"""

    _fields_ = [
        ("data", c_void_p), ("dtype", c_uint8), ("rank", c_uint8), ("kind", c_uint8), ("reserved", c_uint8),
        ("shape", c_int32 * MAX_RANK), ("stride", c_int32 * MAX_RANK),
    ]  # fmt: skip


class ModelStruct(ctypes.Structure):
    """whit_model; only bad_offset is read here."""

    _fields_ = [
        ("bytes", c_void_p), ("data", c_void_p), ("n_bytes", c_uint64), ("n_data", c_uint64),
        ("pointers", c_void_p * 12), ("counts", c_uint32 * 14), ("bad_offset", c_uint32),
    ]  # fmt: skip


class Host(ctypes.Structure):
    """whit_host"""

    _fields_ = [
        ("context", c_void_p), ("parallel_for", c_void_p), ("n_threads", c_uint32), ("cpu", c_uint32),
        ("cancel", c_void_p), ("max_steps", c_uint64),
    ]  # fmt: skip


class PortInfo(ctypes.Structure):
    """whit_port_info"""

    _fields_ = [
        ("name", c_char_p), ("dtype", c_uint8), ("rank", c_uint8), ("kind", c_uint8), ("optional", c_uint8),
        ("dims", c_int32 * MAX_RANK), ("symbols", c_char_p * MAX_RANK),
    ]  # fmt: skip


class Profile(ctypes.Structure):
    """whit_profile"""

    _fields_ = [
        ("ns", c_void_p), ("count", c_void_p), ("depth", c_uint32),
        ("start", c_uint64 * (MAX_DEPTH + 2)), ("inside", c_uint64 * (MAX_DEPTH + 2)),
    ]  # fmt: skip


class Trace(ctypes.Structure):
    """whit_trace"""

    _fields_ = [
        ("events", c_void_p), ("n_max", c_uint32), ("n", c_uint32), ("threads", c_void_p),
        ("node", c_uint32), ("depth", c_uint32), ("open", c_uint32 * (MAX_DEPTH + 2)),
    ]  # fmt: skip


class Peak(ctypes.Structure):
    """whit_peak"""

    _fields_ = [
        ("n_flops", c_uint64), ("n_bytes", c_uint64), ("data", c_void_p), ("n_times", c_uint32), ("cpu", c_uint32),
    ]  # fmt: skip


Observer = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_uint32, c_int)
TensorPointer = POINTER(Tensor)

_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "whit_open": (c_int, [c_void_p, c_void_p, c_size_t]),
    "whit_entry_name": (c_char_p, [c_void_p, c_uint32]),
    "whit_port_count": (c_uint32, [c_void_p, c_uint32, c_int]),
    "whit_port_get": (c_int, [c_void_p, c_uint32, c_int, c_uint32, c_void_p]),
    "whit_instance_bytes": (c_size_t, [c_void_p]),
    "whit_state_bytes": (c_size_t, [c_void_p]),
    "whit_instance_init": (c_void_p, [c_void_p, c_size_t, c_void_p, c_uint32, c_void_p]),
    "whit_state_set": (c_int, [c_void_p, c_void_p, c_size_t, c_int]),
    "whit_input_set": (c_int, [c_void_p, c_uint32, c_int, c_int, c_void_p, c_void_p]),
    "whit_input_sequence": (c_int, [c_void_p, c_uint32, c_void_p, c_uint32]),
    "whit_input_absent": (c_int, [c_void_p, c_uint32]),
    "whit_plan": (c_int, [c_void_p, c_void_p]),
    "whit_arena_set": (c_int, [c_void_p, c_void_p, c_size_t]),
    "whit_output_bind": (c_int, [c_void_p, c_uint32, c_void_p, c_size_t]),
    "whit_run": (c_int, [c_void_p]),
    "whit_reset": (None, [c_void_p]),
    "whit_arena_needed": (c_size_t, [c_void_p]),
    "whit_output": (TensorPointer, [c_void_p, c_uint32]),
    "whit_sequence_at": (c_int, [c_void_p, TensorPointer, c_uint32, TensorPointer]),
    "whit_observe": (None, [c_void_p, c_void_p, c_void_p]),
    "whit_node_value": (TensorPointer, [c_void_p, c_uint32, c_int, c_uint32]),
    "whit_loop_depth": (c_uint32, [c_void_p]),
    "whit_loop_iteration": (c_int64, [c_void_p, c_uint32]),
    "whit_steps": (c_uint64, [c_void_p]),
    "whit_node_operator": (c_char_p, [c_void_p, c_uint32]),
    "whit_node_name": (c_char_p, [c_void_p, c_uint32]),
    "whit_status_text": (c_char_p, [c_int]),
    "whit_error_node": (c_uint32, [c_void_p]),
    "whit_error_text": (c_char_p, [c_void_p]),
}
_PLATFORM: dict[str, tuple[Any, list[Any]]] = {
    "whit_clock_ns": (c_uint64, []),
    "whit_cpu_features": (c_uint32, []),
    "whit_threads_create": (c_void_p, [c_uint32]),
    "whit_threads_destroy": (None, [c_void_p]),
    "whit_threads_for": (None, [c_void_p, c_void_p, c_void_p, c_uint32]),
    "whit_profile_observe": (c_int, [c_void_p, c_void_p, c_uint32, c_int]),
    "whit_trace_observe": (c_int, [c_void_p, c_void_p, c_uint32, c_int]),
    "whit_trace_for": (None, [c_void_p, c_void_p, c_void_p, c_uint32]),
    "whit_peak_flops": (None, [c_void_p, c_uint32]),
    "whit_peak_read": (None, [c_void_p, c_uint32]),
}
_LONG = frozenset(("whit_open", "whit_plan", "whit_run"))
"""Calls that may take long: they let other Python threads run meanwhile. The others are over sooner than that costs."""


def _library_path(name: str) -> Path:
    suffix = ".dylib" if sys.platform == "darwin" else ".so"
    return Path(__file__).with_name(name + suffix)


def _libwhit_path() -> Path:
    path = os.environ.get("WHIT_LIBRARY")
    return Path(path) if path else _library_path("libwhit")


class Library:
    """The functions of a C library as attributes, with their types declared."""

    def __init__(self, path: Path, functions: dict[str, tuple[Any, list[Any]]]) -> None:
        try:
            slow, quick = ctypes.CDLL(str(path)), ctypes.PyDLL(str(path))
            for name, (result, arguments) in functions.items():
                f = getattr(slow if name in _LONG else quick, name)
                f.restype, f.argtypes = result, arguments
                setattr(self, name, f)
        except (OSError, AttributeError) as e:
            raise LibraryError(
                f"the C library {path} cannot be loaded ({e}); `make lib` builds it"
            ) from None

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@cache
def lib() -> Library:
    """libwhit, loaded when first asked for."""
    return Library(_libwhit_path(), _FUNCTIONS)


@cache
def platform_lib() -> Library | None:
    """libwhit_platform (threads, clock, profiler), or None where it was not built."""
    path = _library_path("libwhit_platform")
    return Library(path, _PLATFORM) if path.exists() else None


# ---- processor --------------------------------------------------------------------------------------

_X86_AVX2 = frozenset(("avx2", "fma", "f16c"))
_X86_AVX512 = _X86_AVX2 | {"avx512f", "avx512dq", "avx512bw", "avx512vl"}


def _features_of_cpuinfo() -> int:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
            line = next((line for line in f if line.startswith("flags")), "")
    except OSError:
        return 0
    flags = set(line.split())
    return AVX2 * (flags >= _X86_AVX2) | AVX512 * (flags >= _X86_AVX512)


def cpu_detected() -> int:
    """WHIT_CPU_* bits of this machine."""
    machine = platform.machine().lower()
    if machine in ("aarch64", "arm64"):
        return NEON
    helper = platform_lib()
    if helper:
        return int(helper.whit_cpu_features())
    return _features_of_cpuinfo() if machine in ("x86_64", "amd64") else 0


@cache
def cpu_features() -> int:
    """WHIT_CPU_* bits to use: the machine's, or what WHIT_CPU asks for."""
    found = cpu_detected()
    wanted = os.environ.get("WHIT_CPU", "")
    choices = {"": found, "scalar": 0, "avx2": AVX2, "avx512": AVX2 | AVX512, "neon": NEON}
    if wanted not in choices:
        raise WhitError(f"WHIT_CPU={wanted}: expected one of scalar, avx2, avx512, neon")
    if choices[wanted] & ~found:
        raise WhitError(f"WHIT_CPU={wanted}: this processor does not have it")
    return choices[wanted]


# ---- memory -----------------------------------------------------------------------------------------


def aligned(n_bytes: int, to: int = 64) -> Array:
    """n_bytes > 0 of uninitialised memory at an address that is a multiple of to."""
    block = np.empty(n_bytes + to, np.uint8)
    skip = -address(block) % to
    return block[skip : skip + n_bytes]


_HUGE = 1 << 21


def arena(n_bytes: int) -> Array:
    """n_bytes > 0 for an instance, in huge pages as far as they fit: its first run then meets few page faults."""
    n_huge = (n_bytes + _HUGE // 4) // _HUGE  # a last one is nearly full at least
    if not n_huge or not hasattr(mmap, "MADV_HUGEPAGE"):
        return aligned(n_bytes)
    memory = mmap.mmap(-1, n_bytes + _HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block = np.frombuffer(memory, np.uint8)
    skip = -address(block) % _HUGE
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE, skip, min(n_huge * _HUGE, n_bytes + _HUGE - skip))
    return block[skip : skip + n_bytes]


_HEADER = object.__basicsize__
_load_pointer = c_size_t.from_address


def _pointer_quick(array: Array) -> c_size_t:
    """The first field of NumPy's array struct is the data pointer: read there, it costs a tenth of the official way."""
    return _load_pointer(id(array) + _HEADER)


def _pointer_slow(array: Array) -> c_size_t:
    return c_size_t(array.__array_interface__["data"][0])


def _layout_is_known() -> bool:
    if sys.implementation.name != "cpython":
        return False
    probes: list[Array] = [np.arange(5), np.empty((0, 3)), np.zeros((4, 4))[1:, ::2], np.array(1.5)]
    return all(_pointer_quick(p).value == _pointer_slow(p).value for p in probes)


pointer = _pointer_quick if _layout_is_known() else _pointer_slow
"""Address of an array's first element, as a ctypes object that is good while the array lives."""


def address(array: Array) -> int:
    """Address of an array's first element."""
    return pointer(array).value


@cache
def bare_lib() -> Any:
    """libwhit without declared types: quicker to call, with arguments that are ctypes objects already."""
    return ctypes.PyDLL(str(_libwhit_path()))


@cache
def bare_run() -> Any:
    """whit_run in the same way, but that Python's other threads go on meanwhile."""
    return ctypes.CDLL(str(_libwhit_path())).whit_run


def read_tensor(t: Tensor) -> Array:
    """A copy of a tensor's content, dense whatever its strides."""
    dtype = dtypes.to_numpy(t.dtype)
    shape = tuple(t.shape[: t.rank])
    out = np.empty(shape, dtype)
    if not out.size:
        return out
    stride, dense = tuple(t.stride[: t.rank]), 1
    for n, s in zip(reversed(shape), reversed(stride), strict=True):
        if n != 1 and s != dense:
            break
        dense *= n
    else:
        ctypes.memmove(address(out), t.data, out.nbytes)
        return out
    low = sum(min(0, (n - 1) * s) for n, s in zip(shape, stride, strict=True)) * dtype.itemsize
    high = (
        sum(max(0, (n - 1) * s) for n, s in zip(shape, stride, strict=True)) * dtype.itemsize
        + dtype.itemsize
    )
    raw = np.frombuffer((c_uint8 * (high - low)).from_address(t.data + low), np.uint8)
    source: Array = np.ndarray(shape, dtype, raw, -low, tuple(s * dtype.itemsize for s in stride))
    out[...] = source
    return out


def read_value(handle: int, t: Tensor) -> Any:
    """A copy of a value of any kind: an array, a list for a sequence, None for an absent optional."""
    if t.kind == TENSOR:
        return read_tensor(t)
    if t.kind != SEQUENCE:
        return None
    c, item, found = lib(), Tensor(), list[Any]()
    for k in range(t.shape[0]):
        if c.whit_sequence_at(handle, ctypes.byref(t), k, ctypes.byref(item)):
            raise RunError(f"item {k} of a sequence cannot be read")
        found.append(read_tensor(item) if item.kind == TENSOR else None)
    return found


def dense(array: Array) -> Array:
    """The array itself if its elements lie in C order in this machine's byte order, else such a copy."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array if array.flags.c_contiguous else np.array(array, order="C")


_ShapeWords = c_int32 * MAX_RANK


def shape_words(shape: tuple[int, ...]) -> Any:
    """A shape as the int32 array that C reads."""
    if len(shape) > MAX_RANK or max(shape, default=0) > 0x7FFFFFFF:
        raise RunError(f"shape {list(shape)}: at most {MAX_RANK} axes of less than 2**31 elements")
    return _ShapeWords(*shape)


def text(raw: bytes | None) -> str:
    """A C string as str."""
    return (raw or b"").decode("utf-8", "replace")


# ---- one run of a small model ----------------------------------------------------------------------


def _operator_name(number: int) -> str:
    """The operator of an id, if this package knows it."""
    return str(_operators.by_id().get(number, {}).get("name", ""))


def open_model(file: Array) -> ModelStruct:
    """whit_open. LoadError says what is wrong and where; the array must outlive the result."""
    c, model = lib(), ModelStruct()
    status = c.whit_open(ctypes.addressof(model), address(file), file.nbytes)
    if not status:
        return model
    sentence = text(c.whit_status_text(status))
    if status == E_OPERATOR:
        hash_of = f"hash 0x{model.bad_offset:08x}"
        name = _operator_name(int(model.bad_offset))
        known = f": {name}, which `whit build` puts into one for this model" if name else ""
        raise LoadError(f"{sentence}{known} ({hash_of})", operator=name or hash_of, status=status)
    if status == E_FORMAT:
        raise LoadError(
            f"{sentence}: at byte {model.bad_offset}", offset=model.bad_offset, status=status
        )
    raise LoadError(sentence, status=status)


def grow_arena(handle: int, old: Array, planned: int) -> Array:
    """Gives an interrupted run a larger arena: with room for half as much again of what the plan did not foresee, so that a run is seldom
    interrupted. The old one must be kept until this returns."""
    c = lib()
    needed = int(c.whit_arena_needed(handle))
    arena = aligned(needed + max((needed - planned) // 2, 1024))
    arena[: old.nbytes] = old
    status = c.whit_arena_set(handle, address(arena), arena.nbytes)
    if status:
        raise RunError(f"the arena cannot grow: {text(c.whit_status_text(status))}", status=status)
    return arena


def run_error(model: ModelStruct, handle: int, status: int) -> RunError:
    """The first error of an instance as an exception."""
    c = lib()
    node = int(c.whit_error_node(handle))
    sentence, cause = text(c.whit_status_text(status)), text(c.whit_error_text(handle))
    message = sentence if cause in ("", sentence) else f"{sentence}: {cause}"
    if node == NONE:
        return RunError(message, status=status)
    at = ctypes.addressof(model)
    name, operator = text(c.whit_node_name(at, node)), text(c.whit_node_operator(at, node))
    return RunError(message, node=name or f"#{node}", operator=operator, status=status)


def run_bytes(model_bytes: bytes, inputs: list[Array]) -> list[Array]:
    """Runs entry point 0 of a model once on tensors given by position."""
    c = lib()
    file = aligned(len(model_bytes))
    file[:] = np.frombuffer(model_bytes, np.uint8)
    model = open_model(file)
    at = ctypes.addressof(model)
    tables = aligned(c.whit_instance_bytes(at))
    host = Host(cpu=cpu_features())
    handle = c.whit_instance_init(address(tables), tables.nbytes, at, 0, ctypes.addressof(host))
    n_bytes = c_size_t()
    keep = [dense(a) for a in inputs]
    status = OK
    for k, a in enumerate(keep):
        code = dtypes.from_numpy(a.dtype)
        status = status or c.whit_input_set(
            handle, k, code, a.ndim, shape_words(a.shape), address(a)
        )
    status = status or c.whit_plan(handle, ctypes.addressof(n_bytes))
    if status:
        raise run_error(model, handle, status)
    arena = aligned(max(n_bytes.value, 64))
    status = c.whit_arena_set(handle, address(arena), arena.nbytes) or c.whit_run(handle)
    while status == E_MEMORY:
        arena = grow_arena(handle, arena, n_bytes.value)
        status = c.whit_run(handle)
    if status:
        raise run_error(model, handle, status)
    return [
        read_tensor(c.whit_output(handle, k).contents) for k in range(c.whit_port_count(at, 0, 1))
    ]
