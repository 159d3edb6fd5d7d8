"""Element-wise fusion: chains and trees of element-wise nodes over one shape become one tile program."""

from __future__ import annotations

from dataclasses import dataclass, field

from .. import micro
from ..ir import Graph, Node, Region, Value
from ..micro import TileProgram
from ..ops import is_elementwise

MAX_NODES = 48
MAX_INPUTS = 24


@dataclass(slots=True, eq=False)
class Group:
    """Nodes that become one. Open: nobody outside has read a result yet, so it may run as late as its last node."""

    nodes: list[Node] = field(default_factory=list)
    domains: tuple[str, ...] = ()
    is_open: bool = True

    def made(self) -> dict[Value, Node]:
        return {v: n for n in self.nodes for v in n.outputs}

    def inputs(self) -> list[Value]:
        made = self.made()
        found = dict.fromkeys(
            v for n in self.nodes for v in n.inputs if v is not None and v not in made
        )
        return list(found)


def _shape(node: Node) -> tuple[int | str, ...] | None:
    """The node's shape if every dimension has a number or a symbol: then equal means equal."""
    shape = node.outputs[0].shape
    if shape is None or any(d is None for d in shape):
        return None
    return tuple(d for d in shape if d is not None)


def _joined(groups: list[Group], node: Node) -> Group | None:
    """The groups that node reads from and node itself as one group, or None if they cannot be."""
    shape = _shape(node)
    if shape is None or not groups or not all(g.is_open for g in groups):
        return None
    if any(_shape(n) != shape for g in groups for n in g.nodes[:1]):
        return None
    allowed = micro.domains(node)
    for g in groups:
        allowed = tuple(d for d in allowed if d in g.domains)
        for v, producer in g.made().items():
            if v in node.inputs:
                allowed = tuple(d for d in allowed if micro.can_continue(producer, d))
    merged = Group([n for g in groups for n in g.nodes] + [node], allowed)
    fits = allowed and len(merged.nodes) <= MAX_NODES and len(merged.inputs()) <= MAX_INPUTS
    return merged if fits else None


def _reads(node: Node) -> list[Value]:
    """Everything that running the node reads, inside its regions too."""
    found = [v for v in node.inputs if v is not None]
    for region in node.regions:
        for inner in region.nodes:
            found += _reads(inner)
        found += [v for v in region.results if v is not None]
    return found


def _scalars(group: Group) -> set[Value]:
    """Constants of one element that can stand in the program: another input still gives the rank."""
    rank = len(group.nodes[0].outputs[0].shape or ())
    inputs = group.inputs()
    single = {v for v in inputs if v.const is not None and v.state is None and v.const.size == 1}
    loaded = [v for v in inputs if v not in single]
    return {
        v for v in single if v.const is not None and loaded and any(x.rank == rank for x in loaded)
    }


def _literal(v: Value) -> float:
    assert v.const is not None
    item = v.const.reshape(-1)[0]
    return int(item) if v.dtype is not None and not v.dtype.is_float else float(item)


def _tile(group: Group, used_outside: set[Value]) -> Node:
    program = TileProgram(group.domains[0])
    scalars = _scalars(group)
    inputs = [v for v in group.inputs() if v not in scalars]
    register: dict[Value, int] = {v: program.load(k) for k, v in enumerate(inputs)}
    outputs: list[Value] = []
    read_inside = {v for n in group.nodes for v in n.inputs}
    name = group.nodes[-1].name
    for node in group.nodes:
        for v in node.inputs:
            if v in scalars and v not in register:
                register[v] = program.imm(_literal(v))
        out = node.outputs[0]
        made = micro.append(program, node, [register[v] for v in node.inputs if v is not None])
        if out in used_outside:
            assert out.dtype is not None
            program.store(made, len(outputs), out.dtype)
            outputs.append(out)
            if node.name != name:
                out.source = node.name
        if out in read_inside:
            made = micro.settle(program, made, node)
            register[out] = made
        if out not in used_outside and out.name and made not in program.names:
            program.names[made] = out.name
            program.perms[made] = out.perm
            if node.name != name:
                program.sources[made] = node.name
    tile = Node("tile", list(inputs), outputs, {}, name, tile=program)
    for v in outputs:
        v.producer = tile
    return tile


def _fuse_region(region: Region, uses: dict[Value, int]) -> int:
    group_of: dict[Value, Group] = {}
    groups: list[Group] = []
    order = {id(n): k for k, n in enumerate(region.nodes)}
    for node in region.nodes:
        read = [group_of[v] for v in dict.fromkeys(_reads(node)) if v in group_of]
        producers = list(dict.fromkeys(read))
        if not is_elementwise(node.op):
            for g in producers:
                g.is_open = False
            continue
        merged = _joined(producers, node)
        if merged is None:
            for g in producers:
                g.is_open = False
            merged = Group([node], micro.domains(node))
        else:
            merged.nodes.sort(key=lambda n: order[id(n)])
            groups = [g for g in groups if g not in producers]
        groups.append(merged)
        for n in merged.nodes:
            group_of.update(dict.fromkeys(n.outputs, merged))
    last = {id(g.nodes[-1]): g for g in groups}
    members = {id(n) for g in groups for n in g.nodes}
    kept: list[Node] = []
    for node in region.nodes:
        if id(node) in last:
            group = last[id(node)]
            inside: dict[Value, int] = {}
            for n in group.nodes:
                for v in n.inputs:
                    if v is not None:
                        inside[v] = inside.get(v, 0) + 1
            outside = {v for v in group.made() if uses.get(v, 0) > inside.get(v, 0)}
            if outside:
                kept.append(_tile(group, outside))
        elif id(node) not in members:
            kept.append(node)
    region.nodes = kept
    return sum(len(g.nodes) - 1 for g in groups)


def fuse_tiles(g: Graph) -> int:
    """Before: element-wise nodes. After: `tile` nodes, each over one shape and in one domain.

    Never moves a node past one that reads its result, never repeats work for a broadcast, and leaves apart what only a
    store can convert (a float's cast to an integer that is read on).
    """
    uses = g.uses()
    return sum(_fuse_region(region, uses) for region in list(g.regions()))


def single_tiles(g: Graph) -> int:
    """The same without fusion: a tile program for each element-wise node."""
    changes = 0
    for region in g.regions():
        for k, node in enumerate(region.nodes):
            if is_elementwise(node.op):
                region.nodes[k] = micro.tile_of(node)
                for v in node.outputs:
                    v.producer = region.nodes[k]
                changes += 1
    return changes
