"""Epilogues: what is done element by element to a convolution's or a product's result is done before it leaves the cache."""

from __future__ import annotations

import math
from dataclasses import replace

from ..dtypes import DType
from ..finish import FIRST_INPUT, finish_of
from ..ir import Graph, Node, Region, Value
from ..micro import TileProgram

MAX_INPUTS = 7
"""Tensors that an epilogue may read besides the result (WHIT_EPILOGUE_INPUTS in runtime_c/ops/epilogue.h)."""

FEW = 256
"""Elements that a program does in one go (WHIT_TILE in runtime_c/src/internal.h): as an epilogue of no more it gains nothing, unless
kernels do it in registers, and a library for the model would hold the way there for nothing."""

_TRUTHS = ("eq", "lt", "le", "not", "is_nan", "is_inf")


def _known(shape: tuple[int | str | None, ...] | None) -> bool:
    return shape is not None and None not in shape


def _suits(tile: Node) -> bool:
    """One f32 result, and no value inside that a tap would have to show in another type."""
    program: TileProgram = tile.tile
    return (
        len(tile.outputs) == 1
        and program.domain == "f32"
        and tile.outputs[0].dtype == DType.F32
        and _known(tile.outputs[0].shape)
        and not any(program.code[k].op in _TRUTHS for k in program.names)
    )


def _maker(
    tile: Node, v: Value | None, order: dict[int, int], uses: dict[Value, int]
) -> Node | None:
    """The node of this region that makes v for this tile alone and can take it over."""
    if v is None or uses.get(v) != 1 or v.dtype != DType.F32:
        return None
    p = v.producer
    if p is None or p.op not in ("conv", "matmul") or id(p) not in order or p.tile is not None:
        return None
    return p if v.shape == tile.outputs[0].shape and len(tile.inputs) - 1 <= MAX_INPUTS else None


def _worthwhile(tile: Node, result: Value) -> bool:
    """Is the result large, or can kernels do the program in registers?"""
    shape = result.shape or ()
    sizes = [d for d in shape if isinstance(d, int)]
    if len(sizes) < len(shape) or math.prod(sizes) > FEW:
        return True
    return bool(finish_of(tile.tile, len(tile.inputs) - 1, tile.inputs.index(result)))


def _attach(tile: Node, maker: Node) -> Node:
    """The two as one node, where the tile stood."""
    result, out, program = maker.outputs[0], tile.outputs[0], tile.tile
    port = tile.inputs.index(result)
    others = [k for k in range(len(tile.inputs)) if k != port]
    ports = {port: 0} | {k: n + 1 for n, k in enumerate(others)}
    for k, i in enumerate(program.code):
        if i.op != "load":
            program.sources.setdefault(k, tile.name)
            continue
        if i.port == port and result.name:
            program.names[k], program.perms[k] = result.name, result.perm
            program.sources[k] = result.source or maker.name
        program.code[k] = replace(i, port=ports[i.port])
    out.source = out.source or tile.name
    inputs = [*maker.inputs, *[None] * (FIRST_INPUT - len(maker.inputs))]
    fused = Node(
        maker.op, inputs + [tile.inputs[k] for k in others], [out], dict(maker.attrs), maker.name
    )
    fused.tile = program
    out.producer = fused
    return fused


def _region(region: Region, uses: dict[Value, int]) -> int:
    order = {id(n): k for k, n in enumerate(region.nodes)}
    gone: set[int] = set()
    for k, node in enumerate(region.nodes):
        if node.op != "tile" or not _suits(node):
            continue
        makers = [p for v in node.inputs if (p := _maker(node, v, order, uses)) is not None]
        if not makers:
            continue
        last = max(makers, key=lambda p: order[id(p)])
        if _worthwhile(node, last.outputs[0]):
            region.nodes[k] = _attach(node, last)
            gone.add(id(last))
    region.nodes = [n for n in region.nodes if id(n) not in gone]
    return len(gone)


def attach_epilogues(g: Graph) -> int:
    """Before: `tile` nodes behind the `conv` or `matmul` whose f32 result only they read. After: one node with a program.
    Not if the result has few elements and the program is more than a finish (finish.py).

    Of two such results the later one takes the program. Values inside stay observable, the first result too.
    """
    uses = g.uses()
    return sum(_region(region, uses) for region in list(g.regions()))
