"""Depthwise convolutions become one node with the 1x1 convolutions around them, if what lies between would leave the caches."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..dtypes import DType
from ..finish import FIRST_INPUT, finish_of
from ..ir import Graph, Node, Region, Value

# Measured on a core of an Emerald Rapids server (2 MB of second-level cache), the layers of four MobileNets and 26 more from
# 14x14 to 224x224 pixels and 32 to 1536 channels between: what passes took 0.6 to 0.97 of the time of the nodes apart, and
# 0.7 to 1.0 where nothing is expanded. 1 MB between: 0.98 to 1.05.
BETWEEN = 3 << 19
"""Bytes between the convolutions from which one node is faster; less lies in the caches anyway."""
STRIP = 192 << 10
"""Bytes of them that the runtime works on at a time, if that is a line (BOTTLENECK_FLOATS in runtime_c/ops/bottleneck.c)."""
WEIGHTS = 4
"""Each strip reads the weights again: so many times the bytes between at most."""
TILE = 7
"""Positions of the depthwise kernel's tile."""


@dataclass(frozen=True, slots=True)
class _Bottleneck:
    expand: Node | None
    depth: Node
    project: Node

    @property
    def nodes(self) -> list[Node]:
        return [n for n in (self.expand, self.depth, self.project) if n is not None]

    @property
    def between(self) -> int:
        return sum(4 * math.prod(_sizes(n.outputs[0])) for n in self.nodes[:-1])

    def pays(self) -> bool:
        n, lines, *_ = _sizes(self.project.outputs[0])
        strips = min(n * lines, math.ceil(self.between / STRIP))
        weights = sum(
            w.const.nbytes for x in self.nodes if (w := x.inputs[1]) and w.const is not None
        )
        return self.between >= BETWEEN and strips * weights <= WEIGHTS * self.between

    def node(self) -> Node:
        """All of it as one node."""
        depth, project = self.depth, self.project
        first = self.expand or depth
        expand = [_input(self.expand, 1), _input(self.expand, 2)]
        biases = [_input(depth, 2), _input(project, 2)]
        inputs = [first.inputs[0], depth.inputs[1], project.inputs[1], *biases, *expand]
        attrs = {
            k: list(depth.attrs.get(k, ())) for k in ("kernel", "strides", "pads", "dilations")
        }
        attrs |= {"expand_finish": _finish(self.expand) or [], "depth_finish": _finish(depth) or []}
        attrs |= {"project_finish": _finish(project) or []}
        fused = Node(
            "bottleneck", [*inputs, _input(project, FIRST_INPUT)], project.outputs,
            {**attrs, "channels": project.attrs["channels"]}, project.name,
        )  # fmt: skip
        fused.outputs[0].producer = fused
        return fused


def _input(node: Node | None, k: int) -> Value | None:
    return node.inputs[k] if node is not None and k < len(node.inputs) else None


def _sizes(v: Value | None) -> tuple[int, ...]:
    """The shape of a picture in f32; () if it is none, or not known."""
    shape = v.shape if v is not None and v.dtype == DType.F32 else None
    sizes = tuple(d for d in shape or () if isinstance(d, int))
    return sizes if shape is not None and len(shape) == len(sizes) == 4 else ()


def _finish(node: Node | None) -> list[float] | None:
    """What is done to the result, in numbers; None if they do not say it."""
    if node is None or node.tile is None:
        return []
    return finish_of(node.tile, len(node.inputs[FIRST_INPUT:])) or None


def _suits(node: Node | None, adds: bool) -> bool:
    """A convolution of pictures of known sizes, with constant weights and an epilogue of numbers. adds: may it add another picture?"""
    if node is None or node.op != "conv" or node.attrs.get("auto_pad"):
        return False
    w, more = node.inputs[1], node.inputs[FIRST_INPUT:]
    return (
        bool(_sizes(node.inputs[0]) and _sizes(node.outputs[0]))
        and w is not None
        and w.const is not None
        and w.state is None
        and _finish(node) is not None
        and (not more or adds)
        and all(_sizes(v) == _sizes(node.outputs[0]) for v in more)
    )


def _is_product(node: Node | None, adds: bool = False) -> bool:
    """1x1, in panels, and not of a single pixel, whose sums have another order."""
    if node is None or not _suits(node, adds) or node.attrs.get("panels") != 1:
        return False
    a = node.attrs
    plain = a.get("group", 1) == 1 and {*a["kernel"], *a.get("strides", ())} == {1}
    return plain and not any(a.get("pads", ())) and math.prod(_sizes(node.outputs[0])[:3]) > 1


def _is_depthwise(node: Node | None) -> bool:
    if node is None or not _suits(node, adds=False):
        return False
    channels = _sizes(node.inputs[0])[3]
    group = node.attrs.get("group", 1)
    return channels == group == _sizes(node.outputs[0])[3] and not _is_turned(node)


def _is_turned(node: Node) -> bool:
    """Do its taps come along the first axis, so in another order? See whit_depthwise_turns in runtime_c/kernels/depthwise.c."""
    a = node.attrs
    _, high, wide, _ = _sizes(node.outputs[0])
    strides, dilations = a.get("strides") or [1], a.get("dilations") or [1]
    known = a["kernel"][0] in (3, 5) and strides[0] <= 2 and dilations[0] == 1
    return known and wide * math.ceil(high / TILE) < high * math.ceil(wide / TILE)


def _candidates(region: Region, uses: dict[Value, int]) -> list[_Bottleneck]:
    """What could be one node, most bytes first."""
    makers = {v: n for n in region.nodes for v in n.outputs}
    found = []
    for project in region.nodes:
        depth = _only(project.inputs[0], makers, uses) if _is_product(project, adds=True) else None
        if depth is None or not _is_depthwise(depth):
            continue
        found.append(_Bottleneck(None, depth, project))
        expand = _only(depth.inputs[0], makers, uses)
        if _is_product(expand):
            found.append(_Bottleneck(expand, depth, project))
    return sorted(found, key=lambda b: -b.between)


def _only(v: Value | None, makers: dict[Value, Node], uses: dict[Value, int]) -> Node | None:
    """What makes v in this region, if nothing else reads v."""
    return makers.get(v) if v is not None and uses.get(v) == 1 else None


def _region(region: Region, uses: dict[Value, int]) -> int:
    taken: set[int] = set()
    fused: dict[int, Node] = {}
    for b in _candidates(region, uses):
        if b.pays() and not taken & {id(n) for n in b.nodes}:
            taken |= {id(n) for n in b.nodes}
            fused[id(b.project)] = b.node()
    region.nodes = [
        fused.get(id(n), n) for n in region.nodes if id(n) in fused or id(n) not in taken
    ]
    return len(fused)


def fuse_bottlenecks(g: Graph) -> int:
    """Before: a depthwise `conv` with a 1x1 one behind it that alone reads it, perhaps another one before it that only it reads.
    After: one `bottleneck`, the same bits. What was between is no value any more, and cannot be tapped.

    Not where that is so small that it stays in the caches, or weights so large that reading them strip by strip costs more; not
    with shapes that are not known, nor with an epilogue that is more than numbers (finish.py).
    """
    uses = g.uses()
    return sum(_region(region, uses) for region in list(g.regions()))
