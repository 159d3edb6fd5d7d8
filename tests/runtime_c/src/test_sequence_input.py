"""whit_input_sequence: items are dense whatever strides the caller left in them, and are checked as whit_input_set checks."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx.parser
import pytest

import whit
from whit import _native, dtypes
from whit._native import ABSENT, Tensor

Array = np.ndarray[Any, Any]
GRAPH = """<ir_version: 10, opset_import: ["": 21]>
glue (seq(float[n, k]) items) => (float[m, k] y) { y = ConcatFromSequence <axis = 0> (items) }"""
ITEMS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.full((1, 3), -1, np.float32)]


def item(a: Array) -> Tensor:
    """As a C program writes it that knows its data to be dense: the strides stay 0."""
    t = Tensor(data=a.ctypes.data, dtype=dtypes.from_numpy(a.dtype), rank=a.ndim)
    t.shape[: a.ndim] = a.shape
    return t


def run(items: Sequence[Tensor]) -> tuple[int, Array | None]:
    """Status of the run, and its output."""
    model = whit.load(whit.convert(onnx.parser.parse_model(GRAPH)))
    c, at = _native.lib(), model.at
    tables = _native.aligned(c.whit_instance_bytes(at))
    handle = c.whit_instance_init(tables.ctypes.data, tables.nbytes, at, 0, None)
    array = (Tensor * len(items))(*items)
    assert c.whit_input_sequence(handle, 0, ctypes.addressof(array), len(items)) == _native.OK
    n_bytes = ctypes.c_size_t()
    assert c.whit_plan(handle, ctypes.addressof(n_bytes)) == _native.OK
    n = max(64, n_bytes.value)
    while True:
        arena = _native.arena(n)
        assert c.whit_arena_set(handle, arena.ctypes.data, n) == _native.OK
        status = c.whit_run(handle)
        if status != _native.E_MEMORY:
            break
        c.whit_reset(handle)
        n = 2 * max(n, c.whit_arena_needed(handle))
    if status:
        return status, None
    return status, _native.read_tensor(c.whit_output(handle, 0).contents)


def test_strides_left_at_zero() -> None:
    status, y = run([item(a) for a in ITEMS])
    assert status == _native.OK and y is not None
    np.testing.assert_array_equal(y, np.concatenate(ITEMS))


def shape(t: Tensor) -> None:
    t.shape[0] = -2


def dtype(t: Tensor) -> None:
    t.dtype = dtypes.F64


def no_such_dtype(t: Tensor) -> None:
    t.dtype = 200


def rank(t: Tensor) -> None:
    t.rank = 9


def kind(t: Tensor) -> None:
    t.kind = ABSENT


def data(t: Tensor) -> None:
    t.data = None


@pytest.mark.parametrize("damage", [shape, dtype, no_such_dtype, rank, kind, data])
def test_wrong_items_are_errors(damage: Callable[[Tensor], None]) -> None:
    items = [item(a) for a in ITEMS]
    damage(items[1])
    assert run(items) == (_native.E_INPUT, None)


def test_python_takes_items_that_are_not_dense() -> None:
    model = whit.load(whit.convert(onnx.parser.parse_model(GRAPH)))
    items = [np.arange(6, dtype=np.float32).reshape(3, 2).T, np.ones((9, 3), np.float32)[::-4]]
    np.testing.assert_array_equal(model.run({"items": items})["y"], np.concatenate(items))
