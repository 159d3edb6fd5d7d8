"""Element types and symbolic shapes of what nodes make, one rule per operator.

The runtime's own shape functions decide when a model runs; this is about what holds for every run, so dimensions may
be symbols or unknown. A rule therefore never guesses: None is always right, a number or a symbol must be.

Beside types, integers that shape arithmetic computes are followed element by element (`Known`), so that
`reshape(x, concat(shape(x)[0:1], [-1]))` keeps its first dimension although no tensor there is constant.
"""

from __future__ import annotations

from .. import ops
from ..errors import ConvertError
from ..ir import Graph, Node, Region
from . import contraction, control, lists, movement, views  # noqa: F401 - they declare rules
from .base import (
    END,
    KNOWN_MAX,
    RULES,
    Call,
    Known,
    Type,
    broadcast,
    constant_of,
    elements_of,
    is_static,
    merge,
    rule,
    static,
    unknown,
    widen,
)
from .elementwise import elementwise_rule, show_shape

__all__ = [
    "END",
    "Call",
    "Known",
    "Type",
    "broadcast",
    "constant_of",
    "elements_of",
    "infer",
    "infer_graph",
    "infer_region",
    "is_static",
    "merge",
    "rule",
    "show_shape",
    "static",
    "unknown",
    "widen",
]


def infer(node: Node, known: Known | None = None) -> None:
    """Sets type, shape and kind of a node's outputs, and notes known elements in `known`. ConvertError if the node
    can never run. Regions of a control node must have been inferred before."""
    known = {} if known is None else known
    f = RULES.get(node.op)
    if f is None:
        if not ops.is_elementwise(node.op):
            raise ConvertError(
                "is neither an operator of the runtime nor a micro-operation",
                node=node.name,
                operator=node.op,
            )
        f = elementwise_rule
    types = f(Call(node, known))
    if len(node.outputs) > len(types):
        raise ConvertError(
            f"makes {len(types)} outputs, {len(node.outputs)} were asked for",
            node=node.name,
            operator=node.op,
        )
    for v, t in zip(node.outputs, types, strict=False):
        v.dtype, v.shape, v.kind, v.optional = t.dtype, t.shape, t.kind, t.optional
        known.pop(v, None)
        if t.known is not None and len(t.known) <= KNOWN_MAX and v.kind == "tensor":
            known[v] = t.known
            if v.shape is None:
                continue
            if len(v.shape) == 1:
                v.shape = (len(t.known),)


def infer_graph(graph: Graph) -> None:
    """Infers everything anew, from the entries' inputs on; loops until their carried values hold still."""
    known: Known = {}
    for entry in graph.entries:
        infer_region(entry.region, known)


def infer_region(region: Region, known: Known) -> None:
    """Infers the nodes of a region whose params have their types, and the regions inside."""
    for node in region.nodes:
        if node.op == "loop":
            body, inits = node.regions[0], node.inputs[2:]
            for p, v in zip(body.params[1:], inits, strict=True):
                if v is not None:
                    p.dtype, p.shape, p.kind, p.optional = v.dtype, v.shape, v.kind, v.optional
            infer_region(body, known)
            while (wider := widen(body)) is not None:
                for p, shape in zip(body.params[1:], wider, strict=True):
                    p.shape = shape
                infer_region(body, known)
        else:
            for inner in node.regions:
                infer_region(inner, known)
        infer(node, known)
