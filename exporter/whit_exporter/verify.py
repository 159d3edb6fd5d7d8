"""Checks that a graph is one: run between passes in tests and with --check."""

from __future__ import annotations

from typing import NoReturn

from . import ops
from .errors import ConvertError
from .finish import FIRST_INPUT
from .ir import Entry, Graph, Node, Region, Value
from .write import IR_ONLY


def verify(graph: Graph) -> None:
    """Raises ConvertError at the first rule that does not hold: one producer per value, values read only where they
    are in scope, inputs, outputs and attributes as the operator's row says, regions of the right form, types set."""
    names = [e.name for e in graph.entries]
    if len(set(names)) != len(names):
        raise ConvertError(f"two entry points have the same name: {names}")
    for name, v in graph.states.items():
        if v.state != name or v.const is None or v.producer is not None:
            raise ConvertError(f"state {name!r} is not a constant that carries its name")
    made: set[Value] = set()
    for entry in graph.entries:
        _entry(graph, entry, made)


def _entry(graph: Graph, entry: Entry, made: set[Value]) -> None:
    if entry.output_names and len(entry.output_names) != len(entry.region.results):
        raise ConvertError(
            f"entry point {entry.name!r} has {len(entry.region.results)} outputs, other names"
        )
    if None in entry.region.results:
        raise ConvertError(f"an output of entry point {entry.name!r} is missing")
    updated = [name for name, _ in entry.updates]
    if len(set(updated)) != len(updated) or not set(updated) <= set(graph.states):
        raise ConvertError(f"entry point {entry.name!r} updates {updated}: unknown or twice")
    scope = _Scope(graph, made)
    scope.region(entry.region, None)
    for v in (*entry.region.params, *entry.region.results):
        if v is not None and v.dtype is None:
            raise ConvertError(f"the element type of {v.name!r} is not known")


class _Scope:
    """Which values can be read now. Regions nest no deeper than the runtime's 16, so this may recurse."""

    def __init__(self, graph: Graph, made: set[Value]) -> None:
        self.states = set(graph.states.values())
        self.made = made
        self.visible: set[Value] = set()
        self.entry_updates = {e.region: [v for _, v in e.updates] for e in graph.entries}

    def region(self, region: Region, owner: Node | None) -> None:
        """Checks a region; what it defines is out of scope afterwards."""
        outer = set(self.visible)
        for v in region.params:
            self._define(v, None, owner)
        for node in region.nodes:
            self._node(node)
        for k, r in enumerate(region.results):
            if r is not None:
                self._read(r, owner, "a region's result")
            elif owner is None or owner.op != "loop" or k:
                _fail(owner, f"result {k} of a region is missing")
        for v in self.entry_updates.get(region, ()):
            self._read(v, owner, "a state's new value")
        self.visible = outer

    def _define(self, v: Value, producer: Node | None, where: Node | None) -> None:
        if v in self.made:
            _fail(where, f"value {v.name!r} is made twice")
        if v.const is not None:
            _fail(where, f"value {v.name!r} is made by a node or is a param, and is constant")
        if v.producer is not producer:
            _fail(where, f"value {v.name!r} does not know the node that makes it")
        if v.kind not in ("tensor", "sequence"):
            _fail(where, f"value {v.name!r} is of the kind {v.kind!r}")
        self.made.add(v)
        self.visible.add(v)

    def _read(self, v: Value, where: Node | None, what: str) -> None:
        if v.const is None:
            if v not in self.visible:
                _fail(where, f"{what} {v.name!r} is not in scope")
            return
        if v.state is not None and v not in self.states:
            _fail(where, f"{what} {v.name!r} is a state that the program does not have")
        if v.dtype is None or v.const.dtype != v.dtype.numpy or v.const.shape != v.shape:
            _fail(where, f"{what} {v.name!r} is constant and its array differs from its type")

    def _node(self, node: Node) -> None:
        for v in node.inputs:
            if v is not None:
                self._read(v, node, "input")
        if ops.is_elementwise(node.op):
            _elementwise(node)
        else:
            _primitive(node)
        _control(node)
        for v in node.outputs:
            self._define(v, node, node)
            if v.dtype is None and v.kind == "tensor":
                _fail(node, f"the element type of output {v.name!r} is not set")
        # Regions open after the outputs are numbered, but may not read them.
        self.visible.difference_update(node.outputs)
        for region in node.regions:
            self.region(region, node)
        self.visible.update(node.outputs)


def _elementwise(node: Node) -> None:
    n = 1 if node.op == "cast" else ops.micro_ops()[node.op].n_args
    allowed = {"to"} if node.op == "cast" else set()
    if len(node.inputs) != n or None in node.inputs or len(node.outputs) != 1:
        _fail(node, f"takes {n} inputs and makes one output")
    if set(node.attrs) != allowed:
        _fail(node, f"has the attributes {sorted(node.attrs)}, expected {sorted(allowed)}")


def _primitive(node: Node) -> None:
    op = ops.ops().get(node.op)
    if op is None:
        _fail(node, "the runtime has no such operator")
    for what, items, (least, most) in (
        ("inputs", node.inputs, op.n_inputs),
        ("outputs", node.outputs, op.n_outputs),
    ):
        if len(items) < least or (most != ops.ANY and len(items) > most):
            _fail(node, f"has {len(items)} {what}, expected {least} to {most}")
    if None in node.inputs[: op.n_inputs[0]]:
        _fail(node, "a required input is missing")
    unknown = set(node.attrs) - {a.name for a in op.attrs} - IR_ONLY.get(op.name, frozenset())
    if unknown:
        _fail(node, f"has the unknown attribute {sorted(unknown)[0]!r}")
    epilogue = ops.has_epilogue(op)
    if (node.op == "tile") > (node.tile is not None) or (
        node.tile and node.op != "tile" and not epilogue
    ):
        _fail(
            node, "a tile node, or an operator with an epilogue, and only that, has a tile program"
        )
    if node.tile is not None:
        ports = {i.port for i in node.tile.code if i.op == "store"}
        loads = {i.port for i in node.tile.code if i.op == "load"}
        more = max(0, len(node.inputs) - FIRST_INPUT)
        n_loads = len(node.inputs) if node.op == "tile" else 1 + more
        if ports != set(range(len(node.outputs))) or not loads <= set(range(n_loads)):
            _fail(node, "the tile program's loads and stores are not the node's inputs and outputs")


def _control(node: Node) -> None:
    n_regions = {"if": 2, "loop": 1}.get(node.op, 0)
    if len(node.regions) != n_regions:
        _fail(node, f"has {len(node.regions)} regions, expected {n_regions}")
    if node.op == "if":
        for region in node.regions:
            if region.params or len(region.results) != len(node.outputs):
                _fail(node, "a branch has params, or not as many results as the node has outputs")
    if node.op == "loop":
        n = len(node.inputs) - 2
        body = node.regions[0]
        if n < 0 or None in node.inputs[2:] or len(body.params) != n + 1:
            _fail(
                node,
                "inputs are trip count, condition and carried values; the body takes 1 + carried values",
            )
        if len(body.results) != 1 + len(node.outputs) or len(node.outputs) < n:
            _fail(node, "the body's results are a condition and one for each output")


def _fail(node: Node | None, message: str) -> NoReturn:
    raise ConvertError(message, node=node.name if node else "", operator=node.op if node else "")
