"""ONNX models into IR. `import_model` is the way in; the operators are lowered by the modules beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import external_data_helper, shape_inference, version_converter

from ...build import Builder
from ...errors import ConvertError
from ...ir import Dim, Entry, Graph, Shape, Value
from .refused import REASONS
from .registry import NodeContext, array_of, dtype_of, lowering

NEWEST_OPSET = 28
OLDEST_NATIVE_OPSET = 6
"""onnx's own converter brings older models up."""
BROADCAST_BY_ATTRIBUTE = frozenset(
    ("Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Less", "Greater")
)
"""Before opset 7 the second input of these lies along the axes from attribute `axis` on (default: the last ones)."""
MAX_PROTO_BYTES = 2**31 - 1

FunctionKey = tuple[str, str, str]


@dataclass(slots=True)
class Scope:
    """The names that one graph or function body sees."""

    prefix: str = ""
    opsets: dict[str, int] = field(default_factory=dict)
    parent: Scope | None = None
    attributes: dict[str, onnx.AttributeProto] | None = None
    """Of a function body: what its attribute references stand for."""
    values: dict[str, Value | None] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    """Of a function body: parameters that the call left out."""
    initializers: dict[str, onnx.TensorProto | onnx.SparseTensorProto] = field(default_factory=dict)
    declared: dict[str, onnx.TypeProto] = field(default_factory=dict)


def import_model(
    model: onnx.ModelProto | str | os.PathLike[str] | bytes, *, state: dict[str, str] | None = None
) -> Graph:
    """The model as IR, with one entry point "main".

    model: a path (external data is found beside it), the bytes of a file, or a ModelProto.
    state: {input name: output name}: such an input becomes persistent state, which starts as the initialiser of
    that name (zeros if there is none) and takes the output's value after each run. Neither stays in the interface.
    """
    proto = _bring_up(_load(model))
    return Importer(proto).run(state or {})


def _load(model: onnx.ModelProto | str | os.PathLike[str] | bytes) -> onnx.ModelProto:
    if isinstance(model, onnx.ModelProto):
        proto = model
    else:
        try:
            if isinstance(model, bytes):
                proto = onnx.load_model_from_string(model)
            else:
                proto = onnx.load(os.fspath(model))
        except FileNotFoundError:
            raise ConvertError(f"no such file: {os.fspath(model)!r}") from None
        except (OSError, onnx.checker.ValidationError) as e:
            raise ConvertError(f"cannot read the model: {e}") from None
        except DecodeError:
            raise ConvertError("not an ONNX model (its bytes are no protocol buffer)") from None
    if not proto.HasField("graph") or not (proto.opset_import or proto.ir_version):
        raise ConvertError("not an ONNX model (no graph or no version in it)")
    for tensor in external_data_helper._get_all_tensors(proto):
        if external_data_helper.uses_external_data(tensor):
            raise ConvertError(
                f"tensor {tensor.name!r} lies in another file; give the model's path, "
                "or load it with onnx.load(path), which reads the other file too"
            )
    return proto


def _bring_up(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Models before OLDEST_NATIVE_OPSET through onnx's converter, if it can; too new ones are refused."""
    version = next((o.version for o in proto.opset_import if _domain(o.domain) == ""), NEWEST_OPSET)
    if version > NEWEST_OPSET:
        raise ConvertError(
            f"the model uses opset {version}; Whit knows opsets up to {NEWEST_OPSET}: "
            "export with a lower opset, or convert with onnx.version_converter"
        )
    if version >= OLDEST_NATIVE_OPSET:
        return proto
    try:
        return version_converter.convert_version(proto, OLDEST_NATIVE_OPSET)
    except (
        Exception
    ):  # whatever the C++ converter throws: the lowerings know the common old forms themselves
        return proto


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _has_graphs(nodes: Iterable[onnx.NodeProto]) -> bool:
    return any(a.HasField("g") for node in nodes for a in node.attribute)


class Importer:
    """Walks the model once, in order, and emits through the Builder."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self.proto = proto
        self.b = Builder()
        self.scope = Scope()
        self.empty: set[Value] = set()
        """Sequences known to be empty: they say nothing about the shape of elements to come."""
        self.symbols: set[str] = set()
        """Symbolic dimensions of the interface; all others mean something in one region only."""
        self._calls: list[FunctionKey] = []
        self._functions = {(_domain(f.domain), f.name, f.overload): f for f in proto.functions}

    def run(self, state: dict[str, str]) -> Graph:
        graph = self.b.graph
        graph.source = self.proto.graph.name
        main = self._typed().graph
        self.scope = self._graph_scope(main, "", None)
        self.scope.opsets = {_domain(o.domain): o.version for o in self.proto.opset_import}
        entry = Entry("main", self.b.region)
        if not any(e.region is self.b.region for e in graph.entries):
            graph.entries.append(entry)
        entry = next(e for e in graph.entries if e.region is self.b.region)
        self._bind_inputs(main, state)
        self.run_nodes(main.node)
        updated = set(state.values())
        entry.updates = [
            (source, self.lookup(target, f"state {source!r}")) for source, target in state.items()
        ]
        for output in main.output:
            if output.name not in updated:
                v = self.lookup(output.name, "the model's interface")
                _declare_shape(v, output)
                entry.region.results.append(v)
                entry.output_names.append(output.name)
        return graph

    def _typed(self) -> onnx.ModelProto:
        """The model with inferred types where bodies need them: slices of scan outputs that nothing scanned."""
        proto = self.proto
        if _has_graphs(proto.graph.node) or any(_has_graphs(f.node) for f in proto.functions):
            try:
                if proto.ByteSize() < MAX_PROTO_BYTES:
                    return shape_inference.infer_shapes(proto, data_prop=True)
            except Exception:  # inference is a help, not a check; the Builder has its own
                return proto
        return proto

    # the interface

    def _graph_scope(self, graph: onnx.GraphProto, prefix: str, parent: Scope | None) -> Scope:
        scope = Scope(prefix, parent.opsets if parent else {}, parent)
        scope.attributes = parent.attributes if parent else None
        scope.initializers = {t.name: t for t in graph.initializer}
        scope.initializers |= {t.values.name: t for t in graph.sparse_initializer}
        infos = (graph.value_info, graph.input, graph.output)
        scope.declared = {i.name: i.type for info in infos for i in info}
        return scope

    def _bind_inputs(self, graph: onnx.GraphProto, state: dict[str, str]) -> None:
        for info in graph.input:
            for d in _tensor_type(info.type).shape.dim:
                if d.dim_param:
                    self.symbols.add(d.dim_param)
        inputs = {i.name for i in graph.input}
        outputs = {o.name for o in graph.output}
        for source, target in state.items():
            if source not in inputs:
                raise ConvertError(
                    f"state: the model has no input {source!r}; it has {sorted(inputs)}"
                )
            if target not in outputs:
                raise ConvertError(
                    f"state: the model has no output {target!r}; it has {sorted(outputs)}"
                )
        for info in graph.input:
            if info.name in state:
                self.scope.values[info.name] = self._state(info)
            elif info.name not in self.scope.initializers:
                v = self._parameter(info, graph)
                self.b.region.params.append(v)
                self.scope.values[info.name] = v

    def _parameter(self, info: onnx.ValueInfoProto, graph: onnx.GraphProto) -> Value:
        try:
            v = typed_value(info.name, info.type)
        except ConvertError as e:
            message = f"input {info.name!r}: {e.message}"
            for index, proto in enumerate(graph.node):
                if info.name in proto.input:
                    raise self._context(proto, index).fail(message) from None
            raise ConvertError(message) from None
        if v.shape is not None and v.kind == "tensor":
            v.shape = tuple(self._fresh() if d is None else d for d in v.shape)
        return v

    def _fresh(self) -> str:
        """A symbol for an unnamed dimension."""
        i = 0
        while f"d{i}" in self.symbols:
            i += 1
        self.symbols.add(f"d{i}")
        return f"d{i}"

    def _state(self, info: onnx.ValueInfoProto) -> Value:
        v = typed_value(info.name, info.type)
        if v.kind != "tensor" or v.optional or v.dtype is None:
            raise ConvertError(f"state {info.name!r} must be a tensor")
        tensor = self.scope.initializers.get(info.name)
        if tensor is not None:
            v.const, v.dtype = array_of(tensor)
            v.shape = v.const.shape
        elif v.shape is None or not all(isinstance(d, int) for d in v.shape):
            raise ConvertError(
                f"state {info.name!r} has dimensions that are not numbers: {v.shape}; "
                "fix them, or give the input an initialiser to start from"
            )
        else:
            v.const = np.zeros([d for d in v.shape if isinstance(d, int)], v.dtype.numpy)
        v.state = info.name
        self.b.graph.states[info.name] = v
        return v

    # names

    def lookup(self, name: str, user: str) -> Value:
        """What a name means in the current scope. user: who asks, for the message."""
        v = self._find(name, user)
        if v is None:
            raise ConvertError(f"{user} reads {name!r}, an argument that the call leaves out")
        return v

    def _find(self, name: str, user: str) -> Value | None:
        """Like lookup, or None for what a call leaves out."""
        scope: Scope | None = self.scope
        while name and scope is not None:
            if name in scope.values:
                v = scope.values[name]
                if v is None and name not in scope.left_out:
                    raise ConvertError(f"{user} reads {name!r}, an output that is not computed")
                return v
            tensor = scope.initializers.get(name)
            if tensor is not None:
                v = self._constant(name, tensor, scope)
                scope.values[name] = v
                return v
            scope = scope.parent
        if not name:
            return None
        raise ConvertError(f"{user} reads {name!r}, which nothing makes; the model is not valid")

    def _constant(
        self, name: str, tensor: onnx.TensorProto | onnx.SparseTensorProto, scope: Scope
    ) -> Value:
        try:
            array, dtype = array_of(tensor)
        except ConvertError as e:
            raise ConvertError(f"initialiser {name!r}: {e.message}") from None
        v = self.b.const(array, dtype)
        self._call_it(v, scope.prefix + name)
        return v

    def _call_it(self, v: Value, name: str) -> None:
        """Makes name lead to v."""
        if not v.name:
            v.name = name
        elif v.name != name:
            self.b.graph.aliases[name] = v

    def _define(self, name: str, v: Value | None) -> None:
        self.scope.values[name] = v
        if v is None:
            return
        self._call_it(v, self.scope.prefix + name)
        if v.shape is None and v.kind == "tensor" and name in self.scope.declared:
            shape = declared_shape(self.scope.declared[name])
            v.shape = None if shape is None else (None,) * len(shape)

    # nodes

    def run_nodes(self, nodes: Sequence[onnx.NodeProto]) -> None:
        for index, proto in enumerate(nodes):
            self._run_node(proto, index)

    def _context(self, proto: onnx.NodeProto, index: int) -> NodeContext:
        """A node, without its inputs so far."""
        name = self.scope.prefix + (proto.name or f"{proto.op_type}_{index}")
        domain = _domain(proto.domain)
        opset = self.scope.opsets.get(domain, NEWEST_OPSET if domain == "" else 1)
        return NodeContext(self, proto, [], name, opset)

    def _run_node(self, proto: onnx.NodeProto, index: int) -> None:
        scope = self.scope
        if scope.attributes is not None:
            proto = _bound(proto, scope.attributes)
        n = self._context(proto, index)
        domain, opset, name = _domain(proto.domain), n.opset, n.name
        try:
            n.inputs.extend(self._find(i, "it") for i in proto.input)
            before, self.b.name = self.b.name, name
            if opset < 7 and domain == "":
                _broadcast_as_of_old(n)
            outputs = self._outputs(n, domain)
            self.b.name = before
        except ConvertError as e:
            if e.node or e.operator:
                raise
            raise n.fail(e.message) from e
        except (ValueError, TypeError, LookupError, ArithmeticError) as e:
            raise n.fail(
                f"its inputs or attributes do not fit the operator ({type(e).__name__}: {e})"
            ) from e
        for i, output in enumerate(proto.output):
            if output:
                self._define(output, outputs[i] if i < len(outputs) else None)

    def _outputs(self, n: NodeContext, domain: str) -> Sequence[Value | None]:
        function = self._functions.get((domain, n.op_type, n.proto.overload))
        if function is not None:
            return self._call(n, function)
        lower = lowering(domain, n.op_type)
        if lower is not None:
            result = lower(n)
            return [result] if isinstance(result, Value) else result
        return self.standard_body(n, domain)

    def standard_body(self, n: NodeContext, domain: str) -> Sequence[Value | None]:
        """The node by the function that the standard defines it with."""
        function = standard_function(n, domain)
        if function is None:
            raise self._unsupported(n)
        return self._call(n, function)

    def _call(self, n: NodeContext, function: onnx.FunctionProto) -> list[Value | None]:
        """The function's body in place of the call."""
        key = (_domain(function.domain), function.name, function.overload)
        if key in self._calls:
            raise n.fail("a function that calls itself cannot be inlined; use Loop")
        attributes = {a.name: a for a in function.attribute_proto}
        attributes |= {a.name: a for a in n.proto.attribute}
        opsets = {_domain(o.domain): o.version for o in function.opset_import}
        scope = Scope(n.name + "/", opsets or self.scope.opsets, None, attributes)
        given: list[Value | None] = [*n.inputs, *[None] * len(function.input)]
        scope.values = dict(zip(function.input, given, strict=False))
        scope.left_out = {formal for formal in function.input if scope.values[formal] is None}
        scope.declared = {i.name: i.type for i in function.value_info}
        self._calls.append(key)
        with self.inside(scope):
            self.run_nodes(function.node)
            outputs = [
                self.lookup(o, f"output {i}") if n.wants(i) else None
                for i, o in enumerate(function.output)
            ]
        self._calls.pop()
        return outputs

    @contextmanager
    def inside(self, scope: Scope) -> Iterator[Scope]:
        """Lets names mean what they mean in scope."""
        outer, self.scope = self.scope, scope
        try:
            yield scope
        finally:
            self.scope = outer

    def run_body(
        self, n: NodeContext, graph: onnx.GraphProto, arguments: Sequence[Value | None]
    ) -> list[Value]:
        """Emits a subgraph of node n into the current region; its outputs."""
        if len(arguments) < len(
            [i for i in graph.input if i.name not in _names(graph.initializer)]
        ):
            raise n.fail(f"its body takes {len(graph.input)} inputs, not {len(arguments)}")
        scope = self._graph_scope(graph, n.name + "/", self.scope)
        for info, v in zip(graph.input, arguments, strict=False):
            scope.values[info.name] = v
            if v is not None and not v.name:
                v.name = scope.prefix + info.name
        with self.inside(scope):
            self.run_nodes(graph.node)
            return [self.lookup(o.name, "the body's outputs") for o in graph.output]

    # what cannot be done

    def _unsupported(self, n: NodeContext) -> ConvertError:
        """All of the model's operators that nothing lowers, in one message; or why this one never will be."""
        reason = REASONS.get((_domain(n.proto.domain), n.op_type))
        if reason:
            return n.fail(f"operator is not supported: {reason}")
        missing: dict[str, list[str]] = {}
        self._find_missing(self.proto.graph.node, self.scope.opsets, "", missing)
        for f in self.proto.functions:
            opsets = {_domain(o.domain): o.version for o in f.opset_import}
            self._find_missing(f.node, opsets, f"{f.name}/", missing)
        this = _full_name(_domain(n.proto.domain), n.op_type)
        missing.setdefault(this, [n.name])
        listed = "; ".join(f"{op} ({_some(nodes)})" for op, nodes in missing.items())
        plural = "operators are" if len(missing) > 1 else "operator is"
        return n.fail(
            f"{plural} not supported: {listed}. Rewrite the model without, give it a model-local function of that "
            "name, or add a lowering (docs: add an operator)"
        )

    def _find_missing(
        self,
        nodes: Iterable[onnx.NodeProto],
        opsets: dict[str, int],
        prefix: str,
        missing: dict[str, list[str]],
    ) -> None:
        stack = [(prefix, i, proto) for i, proto in enumerate(nodes)][::-1]
        while stack:
            at, index, proto = stack.pop()
            name = at + (proto.name or f"{proto.op_type}_{index}")
            domain = _domain(proto.domain)
            known = (
                (domain, proto.op_type, proto.overload) in self._functions
                or lowering(domain, proto.op_type) is not None
                or has_standard_function(domain, proto.op_type, opsets.get(domain, 1))
            )
            if not known:
                missing.setdefault(_full_name(domain, proto.op_type), []).append(name)
            for a in proto.attribute:
                if a.HasField("g"):
                    inner = [(f"{name}/", i, p) for i, p in enumerate(a.g.node)]
                    stack.extend(inner[::-1])


def _full_name(domain: str, op_type: str) -> str:
    return f"{domain}.{op_type}" if domain else op_type


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(n) for n in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _names(tensors: Iterable[onnx.TensorProto]) -> set[str]:
    return {t.name for t in tensors}


def _broadcast_as_of_old(n: NodeContext) -> None:
    """Gives the second input the axes of size 1 that broadcasting as of opset 7 needs."""
    if n.op_type in BROADCAST_BY_ATTRIBUTE and n.int("broadcast", 0) and n.has("axis"):
        axis = n.int("axis") % n.rank(0)
    elif n.op_type == "PRelu" and n.rank(1) == 1 and n.shape(1) != (1,):
        axis = 1
    else:
        return
    behind = n.rank(0) - axis - n.rank(1)
    if behind > 0:
        rank = n.rank(1)
        n.inputs[1] = n.b.unsqueeze(n.value(1), list(range(rank, rank + behind)))


# types


def _tensor_type(proto: onnx.TypeProto) -> onnx.TypeProto.Tensor:
    while proto.HasField("sequence_type") or proto.HasField("optional_type"):
        sequence = proto.HasField("sequence_type")
        proto = proto.sequence_type.elem_type if sequence else proto.optional_type.elem_type
    return proto.tensor_type


def declared_shape(proto: onnx.TypeProto) -> Shape:
    """The shape that a type declares: unnamed dimensions are None."""
    tensor = _tensor_type(proto)
    if not tensor.HasField("shape"):
        return None
    dims: list[Dim] = []
    for d in tensor.shape.dim:
        known: Dim = d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None
        dims.append(d.dim_param or known)
    return tuple(dims)


def _declare_shape(v: Value, info: onnx.ValueInfoProto) -> None:
    """Gives an output, if a node makes it, what its declaration knows about its shape."""
    if v.producer is None:
        return
    declared = declared_shape(info.type) if v.kind == "tensor" else None
    if v.shape is None:
        v.shape = declared
    elif declared is not None and len(declared) == len(v.shape):
        v.shape = tuple(b if a is None else a for a, b in zip(v.shape, declared, strict=True))


def typed_value(name: str, proto: onnx.TypeProto) -> Value:
    """A value of a declared type. ConvertError for types that Whit has not."""
    v = Value(name)
    if proto.HasField("optional_type"):
        v.optional = True
        proto = proto.optional_type.elem_type
    if proto.HasField("sequence_type"):
        v.kind = "sequence"
        proto = proto.sequence_type.elem_type
    if not proto.HasField("tensor_type"):
        kind = proto.WhichOneof("value") or "no type"
        raise ConvertError(f"values of type {kind} are not supported; use tensors")
    v.dtype = dtype_of(proto.tensor_type.elem_type)
    v.shape = declared_shape(proto)
    return v


def type_proto(v: Value) -> onnx.TypeProto:
    """The ONNX type of a value, for function bodies that depend on it."""
    dims = None if v.shape is None else [d if isinstance(d, int) else None for d in v.shape]
    proto = onnx.helper.make_tensor_type_proto(int(v.dtype or 0), dims)
    if v.kind == "sequence":
        proto = onnx.helper.make_sequence_type_proto(proto)
    return onnx.helper.make_optional_type_proto(proto) if v.optional else proto


# functions


def _bound(proto: onnx.NodeProto, given: dict[str, onnx.AttributeProto]) -> onnx.NodeProto:
    """The node with references to the function's attributes replaced by what was given."""
    if not any(a.ref_attr_name for a in proto.attribute):
        return proto
    bound = onnx.NodeProto()
    bound.CopyFrom(proto)
    del bound.attribute[:]
    for a in proto.attribute:
        if not a.ref_attr_name:
            bound.attribute.append(a)
        elif a.ref_attr_name in given:
            copy = bound.attribute.add()
            copy.CopyFrom(given[a.ref_attr_name])
            copy.name = a.name
    return bound


def _schema(domain: str, op_type: str, opset: int) -> onnx.defs.OpSchema | None:
    try:
        return onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return None


def has_standard_function(domain: str, op_type: str, opset: int) -> bool:
    schema = _schema(domain, op_type, opset)
    return schema is not None and (schema.has_function or schema.has_context_dependent_function)


def standard_function(n: NodeContext, domain: str) -> onnx.FunctionProto | None:
    """The body that the standard gives an operator, for the node's attributes and types."""
    schema = _schema(domain, n.op_type, n.opset)
    if schema is None:
        return None
    function = onnx.FunctionProto()
    if schema.has_function:
        versions = [v for v in schema.function_opset_versions if v <= n.opset]
        version = max(versions, default=max(schema.function_opset_versions))
        function.ParseFromString(schema.get_function_with_opset_version(version))
        defaults = (schema.attributes[name] for name in function.attribute)
        function.attribute_proto.extend(a.default_value for a in defaults if a.default_value.type)
        return function
    if schema.has_context_dependent_function:
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= n.opset]
        version = max(versions, default=max(schema.context_dependent_function_opset_versions))
        types = [type_proto(v) if v is not None else onnx.TypeProto() for v in n.inputs]
        function.ParseFromString(
            schema.get_context_dependent_function_with_opset_version(
                version, n.proto.SerializeToString(), [t.SerializeToString() for t in types]
            )
        )
        return function if function.node else None
    return None


__all__ = ["Importer", "Scope", "import_model"]
