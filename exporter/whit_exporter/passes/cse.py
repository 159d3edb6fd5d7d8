"""Common subexpressions: the same operator on the same values is computed once."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir import Graph, Node, Region, Value

IMPURE = frozenset(("random",))


def _key(node: Node, constants: dict[Any, Value]) -> Any:
    def of(v: Value | None) -> int:
        if v is None:
            return 0
        if v.const is not None and v.state is None and v.const.size <= 64:
            array = np.ascontiguousarray(v.const)
            return id(constants.setdefault((v.dtype, array.shape, array.tobytes()), v))
        return id(v)

    return (
        node.op,
        tuple(of(v) for v in node.inputs),
        repr(sorted(node.attrs.items())),
        len(node.outputs),
    )


def eliminate_common(g: Graph) -> int:
    """Before: any graph. After: no two equal pure nodes where one dominates the other.

    Never merges control nodes or anything impure. Constants are compared by content (small) or by identity.
    """
    constants: dict[Any, Value] = {}
    mapping: dict[Value, Value] = {}

    def final(v: Value | None) -> Value | None:
        while v is not None and v in mapping:
            v = mapping[v]
        return v

    def visit(region: Region, outer: dict[Any, Node]) -> None:
        seen = dict(outer)
        kept = []
        for node in region.nodes:
            node.inputs = [final(v) for v in node.inputs]
            if node.regions or node.op in IMPURE:
                for inner in node.regions:
                    visit(inner, seen)
                kept.append(node)
                continue
            first = seen.setdefault(_key(node, constants), node)
            if first is node:
                kept.append(node)
                continue
            mapping.update(zip(node.outputs, first.outputs, strict=True))
        region.nodes = kept

    for entry in g.entries:
        visit(entry.region, {})
    g.replace(mapping)
    return len(mapping)
