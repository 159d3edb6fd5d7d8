"""Results that stand twice: what a tile makes for both needs no copy."""

from __future__ import annotations

from ..ir import Graph, Region, Value
from ..micro import MAX_PORTS


def _store_again(region: Region) -> int:
    made = {v: n for n in region.nodes if n.tile is not None and n.op == "tile" for v in n.outputs}
    seen: set[Value] = set()
    changes = 0
    for k, v in enumerate(region.results):
        if v is None:
            continue
        node = made.get(v)
        if v in seen and node is not None and len(node.outputs) < MAX_PORTS:
            assert v.dtype is not None
            port = node.outputs.index(v)
            stored = next(i for i in node.tile.code if i.op == "store" and i.port == port)
            copy = Value(dtype=v.dtype, shape=v.shape, producer=node, perm=v.perm)
            node.tile.store(stored.args[0], len(node.outputs), v.dtype)
            node.outputs.append(copy)
            region.results[k] = copy
            changes += 1
        seen.add(v)
    return changes


def store_again(g: Graph) -> int:
    """Before: a tile's output is two results of a region, as an RNN's state that is also stacked; write.py would add an identity.
    After: the tile stores it twice. Outputs of an entry stay what they are, for they have names."""
    entries = {id(e.region) for e in g.entries}
    return sum(_store_again(r) for r in g.regions() if id(r) not in entries)
