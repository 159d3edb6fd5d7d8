"""Outputs: a result that is a copy of another value of its region is that value, written straight to where it is wanted."""

from __future__ import annotations

from ..ir import Graph, Node, Region, Value


def drop_output_copies(g: Graph) -> int:
    """Before: the source model's outputs may be identities of other values. After: only where the file asks for a copy: of
    a parameter, a constant, a value of an outer region, what a loop makes, or a value that is a result already.

    A value inside keeps its own name; the outputs' names are the entry's.
    """
    uses = g.uses()
    return sum(_drop(region, uses) for region in g.regions())


def _drop(region: Region, uses: dict[Value, int]) -> int:
    here = {id(n) for n in region.nodes}
    results = set(region.results)
    gone: set[int] = set()
    for k, v in enumerate(region.results):
        node = v.producer if v is not None else None
        if (
            v is None
            or node is None
            or node.op != "identity"
            or id(node) not in here
            or uses[v] != 1
        ):
            continue
        x = node.inputs[0]
        if x is None or not _may_be_result(x, v, here) or x in results:
            continue
        region.results[k] = x
        results.add(x)
        gone.add(id(node))
    region.nodes = [n for n in region.nodes if id(n) not in gone]
    return len(gone)


def _may_be_result(x: Value, v: Value, here: set[int]) -> bool:
    maker: Node | None = x.producer
    if maker is None or id(maker) not in here or maker.op == "loop" or x.perm is not None:
        return False
    return x.const is None and (x.kind, x.optional, x.dtype) == (v.kind, v.optional, v.dtype)
