"""A table that a gather reads by rows and a matmul by columns is stored once: in the matmul's panels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import DType
from ..ir import Graph, Node, Value
from .panels import WIDTH


def _reads_table(node: Node) -> bool:
    if node.op != "gather" or node.attrs.get("panels"):
        return False
    x = node.inputs[0]
    return (
        node.attrs.get("axis") in (0, -2)
        and x is not None
        and x.const is not None
        and x.const.ndim == 2
        and x.state is None
        and x.dtype == DType.F32
    )


def _same(table: np.ndarray[Any, Any], panels: np.ndarray[Any, Any]) -> bool:
    """Is every row of the table, bit for bit, that column of the panels? Panel by panel, so that a large table is not
    copied and the first difference ends it."""
    for k, panel in enumerate(panels):
        rows = table[k * WIDTH : (k + 1) * WIDTH]
        columns = panel.T[: len(rows)]
        if not np.array_equal(
            np.ascontiguousarray(rows).view(np.uint32),
            np.ascontiguousarray(columns).view(np.uint32),
        ):
            return False
    return True


def tie_tables(g: Graph) -> int:
    """Before: `gather` with axis 0 of a constant [n, k] f32, and a `matmul` whose panels hold the same numbers as [k, n] (a
    model's embedding that is also its last layer). After: the gather reads rows out of the panels, and the table is gone.

    Not where somebody else reads the table too: it would have to stay. A row in panels is a cache line a number instead
    of sixteen numbers, which is little beside the matmul.
    """
    weights: dict[tuple[int, int], dict[Value, None]] = {}
    readers: dict[Value, list[Node]] = {}
    for _, node in g.walk():
        if node.op == "matmul" and node.attrs.get("panels"):
            w = node.inputs[1]
            if w is not None and w.const is not None:
                weights.setdefault((int(node.attrs["n"]), w.const.shape[1]), {})[w] = None
        elif _reads_table(node) and node.inputs[0] is not None:
            readers.setdefault(node.inputs[0], []).append(node)
    uses = g.uses()
    changes = 0
    for table, nodes in readers.items():
        rows = table.const
        assert rows is not None
        if uses[table] != len(nodes):
            continue
        for w in weights.get((rows.shape[0], rows.shape[1]), {}):
            if w.const is not None and _same(rows, w.const):
                for node in nodes:
                    node.inputs[0] = w
                    node.attrs.update(axis=0, panels=[rows.shape[0]])
                changes += len(nodes)
                break
    return changes
