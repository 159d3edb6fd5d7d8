"""A run ends when the caller asks for it or its budget is used up, also in a loop whose trips have no node."""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import pytest

from whit import _native
from whit._instance import Instance
from whit._threads import host
from whit.model import Model, load
from whit_exporter import write
from whit_exporter.build import Builder
from whit_exporter.dtypes import DType
from whit_exporter.ir import Entry

CANCELLED, BUDGET = 0x44, 0x45


def endless() -> Model:
    b = Builder()
    b.graph.entries.append(Entry("main", b.region))
    x = b.param("x", DType.F32, (2,))
    with b.sub() as body:
        b.param("i", DType.I64, ())
        body.results = [None]
    b.control("loop", [b.const(2**62), None], [body], 0)
    b.region.results = [b.op("add", x, x)]
    return load(write.write(b.graph))


@pytest.mark.native
def test_trips_without_nodes_are_counted() -> None:
    instance = Instance(endless(), 0, [np.zeros(2, np.float32)], 1, host(1, 1000))
    assert _native.lib().whit_run(instance.handle) == BUDGET


@pytest.mark.native
def test_trips_without_nodes_are_cancelled() -> None:
    flag = ctypes.c_int(0)
    lent = host(1, 0)
    lent.cancel = ctypes.addressof(flag)
    instance = Instance(endless(), 0, [np.zeros(2, np.float32)], 1, lent)
    timer = threading.Timer(0.2, lambda: setattr(flag, "value", 1))
    timer.start()
    assert _native.lib().whit_run(instance.handle) == CANCELLED
    timer.join()
