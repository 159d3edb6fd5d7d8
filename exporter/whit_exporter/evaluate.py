"""Computes constants: the runtime itself runs a small program, so there is no second implementation to drift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from whit.errors import WhitError

from . import write
from .ir import Entry, Graph, Node, Region, Value


class EvaluateError(Exception):
    """The runtime refused the program or failed while running it."""


def run_nodes(nodes: Sequence[Node], wanted: Sequence[Value]) -> list[np.ndarray[Any, Any]]:
    """Values that the nodes, in order, make from constants alone.

    The nodes are not changed. Raises EvaluateError if the runtime reports an error, and whit.errors.LoadError if
    the native library is not there.
    """
    from whit import _native

    region = Region(nodes=list(nodes), results=list(wanted))
    graph = Graph(entries=[Entry("main", region)])
    _native.lib()  # A library that is missing is told as such, not as a node that cannot be computed.
    try:
        results = _native.run_bytes(write.write(graph, strip=True), [])
    except WhitError as e:
        raise EvaluateError(str(e)) from e
    return [_typed(array, v) for array, v in zip(results, wanted, strict=True)]


def _typed(array: np.ndarray[Any, Any], v: Value) -> np.ndarray[Any, Any]:
    """The array in v's type, of its own memory; types that NumPy lacks may come as plain bytes."""
    array = np.array(array)
    if v.dtype is not None and array.dtype != v.dtype.numpy:
        if array.dtype.itemsize != v.dtype.size:
            raise EvaluateError(f"expected {v.dtype.short}, the runtime gave {array.dtype}")
        array = array.view(v.dtype.numpy)
    return array
