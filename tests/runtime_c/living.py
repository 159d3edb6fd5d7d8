"""What lives at once in a run: the least that any plan which keeps the order of nodes needs, but for scratch."""

from __future__ import annotations

from typing import Any

import onnx

import whit
from whit import _native, dtypes
from whit._file import File
from whit._instance import Instance
from whit._native import NONE, lib


def covered(ranges: list[tuple[int, int]]) -> int:
    """Bytes in any of the ranges."""
    total, last = 0, 0
    for begin, end in sorted(ranges):
        total += max(0, end - max(begin, last))
        last = max(last, end)
    return total


def bytes_of(t: _native.Tensor) -> tuple[int, int]:
    """Addresses between which a tensor's elements lie."""
    size = dtypes.to_numpy(t.dtype).itemsize
    begin, end = int(t.data or 0), int(t.data or 0) + size
    for n, step in zip(t.shape[: t.rank], t.stride[: t.rank], strict=True):
        if n == 0:
            return begin, begin
        begin, end = begin + min(0, (n - 1) * step * size), end + max(0, (n - 1) * step * size)
    return begin, end


def done(file: File, node: int) -> float:
    """When a node is done, in numbers of nodes: a control node after all that it owns."""
    end = int(file.nodes[node]["end"])
    return end - 0.5 if end > node + 1 else node


def last_uses(file: File) -> dict[int, float]:
    """When each value has been read for the last time: what a loop reads from outside and what it carries, when it is done."""
    owners, regions = file.owners(), {int(r["begin"]): r for r in file.regions}
    home = {v: owners[n] for n in range(len(owners)) for v in file.node_outputs(n)}
    last: dict[int, float] = {}
    for n in range(len(owners)):
        for v in file.node_inputs(n):
            at, inside = done(file, n), owners[n]
            while inside >= 0 and home.get(v, -1) != inside:
                at, inside = done(file, inside), owners[inside]
            last[v] = max(last.get(v, 0), at)
        if n + 1 in regions:
            r = regions[n + 1]
            results = file.words[int(r["results"]) : int(r["results"]) + int(r["n_results"])]
            last |= {int(v): done(file, n) for v in results}
    last |= dict.fromkeys(file.entry_values(0)[1], len(owners))
    return last


def ran(
    model: onnx.ModelProto, feeds: dict[str, Any], **options: Any
) -> tuple[Instance, list[Any]]:
    """An instance that has run once, so that its arena has grown by what is dynamic; and its inputs."""
    instance, arrays = whit.load(whit.convert(model, **options)).instance(feeds)
    instance.run(arrays)
    return instance, arrays


def arena_and_living(
    model: onnx.ModelProto, feeds: dict[str, Any], **options: Any
) -> tuple[int, int]:
    """Bytes of the arena, and of the largest set of values that are still to be read after some node."""
    instance, arrays = ran(model, feeds, **options)
    return instance.arena.nbytes, most_living(instance, arrays)


def most_living(instance: Instance, arrays: list[Any]) -> int:
    """Bytes of the largest set of values that are still to be read after some node of a run."""
    file, c = instance.model.file, lib()
    low = _native.address(instance.arena)
    high = low + instance.arena.nbytes
    last = last_uses(file)
    alive: dict[
        tuple[int, int], tuple[int, int]
    ] = {}  # by value and place: a carried value has two
    most = 0

    def observe(_context: int | None, handle: int, node: int, after: int) -> int:
        nonlocal most
        for k, v in enumerate(file.node_outputs(node) if after else []):
            if v == NONE:
                continue
            begin, end = bytes_of(c.whit_node_value(handle, node, 1, k).contents)
            if low <= begin < high:
                alive[v, begin] = begin, end
        most = max(most, covered(list(alive.values())))
        for key in [key for key in alive if after and last.get(key[0], 0) <= done(file, node)]:
            del alive[key]
        return 0

    instance.run_observed(arrays, observe)
    assert instance.arena.nbytes == high - low
    return most
