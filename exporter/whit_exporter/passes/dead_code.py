"""Dead code: a node none of whose outputs is read does not run."""

from __future__ import annotations

from ..ir import Graph, Node, Region


def remove_dead(g: Graph) -> int:
    """Before: any graph. After: every node has an output that is read. Interface inputs stay."""
    uses = g.uses()
    removed = 0

    def drop(node: Node) -> None:
        nonlocal removed
        removed += 1
        for v in node.inputs:
            if v is not None:
                uses[v] -= 1
        for region in node.regions:
            for inner in region.nodes:
                drop(inner)
            for v in region.results:
                if v is not None:
                    uses[v] -= 1

    def sweep(region: Region) -> None:
        kept = []
        for node in reversed(region.nodes):
            if not any(uses.get(v, 0) for v in node.outputs):
                drop(node)
                continue
            for inner in node.regions:
                sweep(inner)
            kept.append(node)
        region.nodes = kept[::-1]

    for entry in g.entries:
        sweep(entry.region)
    return removed
