"""Any ONNX operator on arrays, one line: `whit.ops.conv(x, w, b, strides=2)`, `whit.ops.Softmax(x, axis=1)`.

Names are ONNX's, as they are or in snake_case. Inputs come by position or by name; arrays are inputs, Python numbers and
lists are constants (shapes, axes, pads). Attributes come by name; one number stands for a list where ONNX wants one a spatial axis.
`outputs=n` asks for n outputs where the operator has optional ones, `opset=n` for another version.
Needs whit[export]. What an operator becomes is kept per shapes, types and attributes, so a second call only runs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from . import dtypes
from ._native import Array
from .errors import ConvertError, RunError
from .model import Model, load

_MAX_CACHED = 256
_cache: dict[Any, Model] = {}


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("__"):
        raise AttributeError(name)
    schema = _schemas().get(_plain(name))
    if schema is None:
        close = difflib.get_close_matches(_plain(name), _schemas(), 1)
        hint = f"; did you mean {_snake(_schemas()[close[0]].name)!r}?" if close else ""
        raise AttributeError(f"ONNX has no operator {name!r}{hint}")

    def call(
        *inputs: Any, outputs: int | None = None, opset: int | None = None, **named: Any
    ) -> Any:
        return run(schema.name, inputs, named, outputs=outputs, opset=opset)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"ONNX {schema.name}({', '.join(i.name for i in schema.inputs)})\n{schema.doc}"
    return call


def __dir__() -> list[str]:
    return sorted(_snake(s.name) for s in _schemas().values())


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


@cache
def _schemas() -> dict[str, Any]:
    """The newest schema of each operator of the standard domain, by its name without case and underscores."""
    try:
        from onnx import defs
    except ImportError:
        raise ConvertError("whit.ops needs onnx: pip install 'whit[export]'") from None
    return {_plain(s.name): s for s in defs.get_all_schemas() if s.domain == ""}


def run(
    op: str,
    inputs: Sequence[Any],
    named: dict[str, Any],
    *,
    outputs: int | None = None,
    opset: int | None = None,
) -> Any:
    """Runs one operator. Returns its output, or a tuple if there are several."""
    schema = _schema(op, opset)
    feeds, attributes = _sort(schema, list(inputs), named)
    constants = _constants(schema, feeds)
    arrays = [f for f in feeds if isinstance(f, np.ndarray)]
    attributes = {k: _attribute(schema, k, v, feeds) for k, v in attributes.items()}
    n_outputs = _n_outputs(schema, attributes, feeds) if outputs is None else outputs
    key = (
        op, opset, n_outputs,
        tuple((f.dtype.str, f.dtype.name, f.shape) if isinstance(f, np.ndarray) else type(f).__name__ for f in feeds),
        tuple((k, c.dtype.name, c.shape, c.tobytes()) for k, c in constants.items()),
        tuple(sorted((k, _hashable(v)) for k, v in attributes.items())),
    )  # fmt: skip
    model = _cache.get(key)
    if model is None:
        model = _build(schema, feeds, constants, attributes, n_outputs, opset)
        while len(_cache) >= _MAX_CACHED:
            _cache.pop(next(iter(_cache)), None)
        _cache[key] = model
    return model(*arrays)


def _schema(op: str, opset: int | None) -> Any:
    from onnx import defs

    if opset is None:
        return _schemas()[_plain(op)]
    try:
        return defs.get_schema(op, opset, "")
    except defs.SchemaError:
        raise RunError(
            f"ONNX opset {opset} has no operator {op}", operator=op, opset=opset
        ) from None


def _sort(
    schema: Any, inputs: list[Any], named: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Keyword arguments put where they belong: among the inputs, or the attributes."""
    from onnx import defs

    variadic = (
        bool(schema.inputs)
        and schema.inputs[-1].option == defs.OpSchema.FormalParameterOption.Variadic
    )
    if len(inputs) > len(schema.inputs) and not variadic:
        raise RunError(
            f"{len(inputs)} inputs given, at most {len(schema.inputs)} taken", operator=schema.name
        )
    positions = {i.name.lower(): k for k, i in enumerate(schema.inputs)}
    attributes: dict[str, Any] = {}
    for name, value in named.items():
        if name in schema.attributes:
            if value is not None:
                attributes[name] = value
        elif name.lower() in positions:
            k = positions[name.lower()]
            inputs += [None] * (k + 1 - len(inputs))
            if inputs[k] is not None:
                raise RunError(f"input {name!r} is given twice", operator=schema.name)
            inputs[k] = value
        else:
            known = [*(i.name for i in schema.inputs), *schema.attributes]
            raise RunError(
                f"no input or attribute {name!r}; there are {', '.join(known)}",
                operator=schema.name,
            )
    while inputs and inputs[-1] is None:
        inputs.pop()
    for k, i in enumerate(schema.inputs[: schema.min_input]):
        if k >= len(inputs) or inputs[k] is None:
            raise RunError(f"input {i.name!r} is missing", operator=schema.name)
    feeds = [_feed(v) for v in inputs]
    return feeds, attributes


def _feed(value: Any) -> Any:
    """Arrays (and what can become one without a copy of Python objects) stay inputs; numbers and lists are constants."""
    if value is None or isinstance(value, (bool, int, float, list, tuple)):
        return tuple(value) if isinstance(value, list) else value
    return np.asarray(value)


def _constants(schema: Any, feeds: list[Any]) -> dict[int, Array]:
    """Inputs given as Python numbers or lists, in the type that the schema and the arrays beside them ask for."""
    constraints = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    params = [_parameter(schema, k) for k in range(len(feeds))]
    known = {
        p.type_str: f.dtype for p, f in zip(params, feeds, strict=True) if isinstance(f, np.ndarray)
    }
    found: dict[int, Array] = {}
    for k, (p, f) in enumerate(zip(params, feeds, strict=True)):
        if f is None or isinstance(f, np.ndarray):
            continue
        plain = np.asarray(f)
        if plain.dtype.kind not in "biuf":
            raise RunError(
                f"input {p.name!r}: expected an array or numbers, got {f!r}", operator=schema.name
            )
        allowed = constraints.get(p.type_str, [p.type_str])
        dtype = known.get(p.type_str)
        if dtype is None:
            names = {
                "b": ["bool"],
                "i": ["int64", "int32"],
                "u": ["int64"],
                "f": ["float", "double"],
            }[plain.dtype.kind]
            if plain.size == 0:
                names = ["int64", "float"]
            names = [*names, "float", "int64", "int32", "bool"]
            name = next((n for n in names if f"tensor({n})" in allowed), "float")
            dtype = np.dtype({"float": "float32", "double": "float64"}.get(name, name))
        found[k] = plain.astype(dtype)
    return found


def _parameter(schema: Any, k: int) -> Any:
    return schema.inputs[min(k, len(schema.inputs) - 1)]


def _attribute(schema: Any, name: str, value: Any, feeds: list[Any]) -> Any:
    """The value in the form that ONNX wants."""
    from onnx import defs

    kind = schema.attributes[name].type
    types = defs.OpSchema.AttrType
    if kind in (types.GRAPH, types.GRAPHS):
        raise RunError(
            f"attribute {name!r} is a graph: make a model of it and use whit.convert",
            operator=schema.name,
        )
    if kind in (types.INTS, types.FLOATS) and isinstance(value, (bool, int, float, np.generic)):
        first = feeds[0] if feeds else None
        axes = first.ndim - 2 if isinstance(first, np.ndarray) and first.ndim > 2 else 1
        counts = {
            "pads": 2 * axes,
            "strides": axes,
            "dilations": axes,
            "kernel_shape": axes,
            "output_padding": axes,
        }
        value = [value] * counts.get(name, 1)
    if kind == types.INT:
        return (
            int(value)
            if isinstance(value, (bool, int, np.integer))
            else _dtype_code(schema, name, value)
        )
    if kind == types.FLOAT:
        return float(value)
    if kind == types.INTS:
        return tuple(int(v) for v in value)
    if kind == types.FLOATS:
        return tuple(float(v) for v in value)
    if kind == types.TENSOR:
        return (
            np.asarray(value)
            if isinstance(value, np.ndarray)
            else np.asarray(value, _default_dtype(value))
        )
    return value


def _default_dtype(value: Any) -> Any:
    return np.float32 if np.asarray(value).dtype.kind == "f" else None


def _dtype_code(schema: Any, name: str, value: Any) -> int:
    """`to="float16"` or `to=np.float16`: the number of an element type."""
    try:
        return int(dtypes.from_numpy(np.dtype(value)))
    except (TypeError, KeyError):
        pass
    code = dtypes.from_name(str(value))
    if code is not None:
        return code
    raise RunError(
        f"attribute {name!r}: expected a number or an element type, got {value!r}",
        operator=schema.name,
    )


def _n_outputs(schema: Any, attributes: dict[str, Any], feeds: list[Any]) -> int:
    """The outputs that are not optional; all of them if every one is optional."""
    from onnx import defs

    options = defs.OpSchema.FormalParameterOption
    if schema.outputs and schema.outputs[-1].option == options.Variadic:
        if "num_outputs" in attributes:
            return int(attributes["num_outputs"])
        if schema.name == "Split" and len(feeds) > 1 and feeds[1] is not None:
            return int(np.size(feeds[1]))
        return max(int(schema.min_output), 1)
    needed = sum(o.option == options.Single for o in schema.outputs)
    return int(needed or len(schema.outputs))


def _hashable(value: Any) -> Any:
    return (
        (value.dtype.name, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value
    )


def _build(
    schema: Any, feeds: list[Any], constants: dict[int, Array], attributes: dict[str, Any], n_outputs: int,
    opset: int | None,
) -> Model:  # fmt: skip
    """Converts a model of the one node and loads it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from . import convert

    names = ["" if f is None else f"in{k}" for k, f in enumerate(feeds)]
    inputs = [
        helper.make_tensor_value_info(names[k], _code(schema, f), f.shape)
        for k, f in enumerate(feeds)
        if isinstance(f, np.ndarray)
    ]
    outputs = [f"out{k}" for k in range(n_outputs)]
    ready = {
        k: numpy_helper.from_array(v, "") if isinstance(v, np.ndarray) else v
        for k, v in attributes.items()
    }
    node = helper.make_node(schema.name, names, outputs, schema.name, **ready)
    graph = helper.make_graph(
        [node],
        schema.name,
        inputs,
        [helper.make_tensor_value_info(o, TensorProto.UNDEFINED, None) for o in outputs],
        [numpy_helper.from_array(c, names[k]) for k, c in constants.items()],
    )
    for o in graph.output:
        o.ClearField("type")
    version = onnx.defs.onnx_opset_version() if opset is None else opset
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    return load(convert(inferred))


def _code(schema: Any, array: Array) -> int:
    try:
        return dtypes.from_numpy(array.dtype)
    except KeyError:
        raise RunError(f"no support for arrays of {array.dtype}", operator=schema.name) from None
