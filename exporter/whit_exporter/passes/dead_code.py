"""Dead code: a node none of whose outputs is read does not run, nor does what only serves an output of a branch or a stacked output
of a loop that nobody reads."""

from __future__ import annotations

from ..ir import Graph, Node, Region


def slice_at(words: list[int], k: int) -> slice:
    """Where the type of stacked output k stands in a loop's `scans`: dtype, rank, dimensions (rank 255: none)."""
    at = 0
    while True:
        end = at + 2 + (words[at + 1] if words[at + 1] != 255 else 0)
        if not k:
            return slice(at, end)
        at, k = end, k - 1


def remove_dead(g: Graph) -> int:
    """Before: any graph. After: every node has an output that is read, and control makes nothing else but what it carries. Interface
    inputs stay."""
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

    def prune(node: Node) -> None:
        """Unread outputs of control that nothing else needs, with the results that they come from."""
        nonlocal removed
        first, before = (node.attrs["n_carried"], 1) if node.op == "loop" else (0, 0)
        for k in reversed(range(first, len(node.outputs) if node.regions else 0)):
            if uses.get(node.outputs[k], 0):
                continue
            removed += 1
            del node.outputs[k]
            for region in node.regions:
                v = region.results.pop(before + k)
                if v is not None:
                    uses[v] -= 1
            if node.op == "loop":
                del node.attrs["scans"][slice_at(node.attrs["scans"], k - first)]

    def sweep(region: Region) -> None:
        kept = []
        for node in reversed(region.nodes):
            if not any(uses.get(v, 0) for v in node.outputs):
                drop(node)
                continue
            prune(node)
            for inner in node.regions:
                sweep(inner)
            kept.append(node)
        region.nodes = kept[::-1]

    for entry in g.entries:
        sweep(entry.region)
    return removed
