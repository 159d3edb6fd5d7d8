"""How an ONNX operator is lowered: `@lower("Softmax")` on a function of one NodeContext.

A lowering reads the node through its context, emits primitives through `n.b` (the Builder) and returns the node's
outputs: one Value, or a list with one entry per output (None for an output that the node does not name). Every module
of this package is imported when a model is, so a new operator is one decorated function and no list is edited.
"""

from __future__ import annotations

import builtins
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from ...build import Builder
from ...dtypes import DType, from_numpy
from ...errors import ConvertError
from ...ir import Dim, Value

if TYPE_CHECKING:
    from . import Importer

Array = np.ndarray[Any, Any]
Lowering = Callable[["NodeContext"], "Value | Sequence[Value | None]"]

_LOWERINGS: dict[tuple[str, str], Lowering] = {}


def lower(*op_types: str, domain: str = "") -> Callable[[Lowering], Lowering]:
    """Registers the decorated function as the lowering of these operators, of every version."""

    def register(function: Lowering) -> Lowering:
        for op_type in op_types:
            if (domain, op_type) in _LOWERINGS:
                raise RuntimeError(f"two lowerings of {domain or 'ai.onnx'}.{op_type}")
            _LOWERINGS[domain, op_type] = function
        return function

    return register


def lowering(domain: str, op_type: str) -> Lowering | None:
    """The lowering of an operator, or None."""
    _import_modules()
    return _LOWERINGS.get((domain, op_type))


@cache
def _import_modules() -> None:
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")


def dtype_of(element_type: int) -> DType:
    """The DType with this ONNX number. ConvertError for strings and complex numbers."""
    try:
        return DType(element_type)
    except ValueError:
        name = onnx.TensorProto.DataType.Name(element_type) if element_type else "undefined"
        raise ConvertError(
            f"tensors of type {name} are not supported; keep such work outside the model"
        ) from None


def array_of(tensor: onnx.TensorProto | onnx.SparseTensorProto) -> tuple[Array, DType]:
    """The contents of a tensor, sparse or not, and its type."""
    if isinstance(tensor, onnx.SparseTensorProto):
        return _dense(tensor)
    dtype = dtype_of(tensor.data_type)
    array = np.asarray(onnx.numpy_helper.to_array(tensor))
    if array.dtype != dtype.numpy:
        array = array.astype(dtype.numpy)
    return array, dtype


def _dense(tensor: onnx.SparseTensorProto) -> tuple[Array, DType]:
    values, dtype = array_of(tensor.values)
    indices = onnx.numpy_helper.to_array(tensor.indices)
    array = np.zeros(list(tensor.dims), dtype.numpy)
    if indices.ndim == 1:
        array.reshape(-1)[indices] = values
    else:
        array[tuple(indices.T)] = values
    return array, dtype


class NodeContext:
    """One source node as its lowering sees it."""

    __slots__ = ("attributes", "b", "importer", "inputs", "name", "opset", "proto")

    def __init__(
        self,
        importer: Importer,
        proto: onnx.NodeProto,
        inputs: list[Value | None],
        name: builtins.str,
        opset: builtins.int,
    ) -> None:
        self.importer, self.proto, self.inputs, self.name, self.opset = (
            importer,
            proto,
            inputs,
            name,
            opset,
        )
        self.b: Builder = importer.b
        self.attributes = {a.name: a for a in proto.attribute}

    @property
    def op_type(self) -> builtins.str:
        return builtins.str(self.proto.op_type)

    @property
    def n_outputs(self) -> builtins.int:
        """How many outputs the node lists; see also `wants`."""
        return len(self.proto.output)

    def wants(self, i: builtins.int) -> bool:
        """Whether output i is there and named."""
        return i < len(self.proto.output) and bool(self.proto.output[i])

    def fail(self, message: builtins.str) -> ConvertError:
        """The error to raise when this node cannot be converted."""
        domain = f"{self.proto.domain}." if self.proto.domain else ""
        return ConvertError(
            message, node=self.name, operator=domain + self.op_type, opset=self.opset
        )

    # inputs

    def value(self, i: builtins.int) -> Value:
        """Input i, which must be there."""
        v = self.opt(i)
        if v is None:
            raise self.fail(f"input {i} is missing")
        return v

    def opt(self, i: builtins.int) -> Value | None:
        """Input i, or None if it is left out."""
        return self.inputs[i] if i < len(self.inputs) else None

    def values(self) -> list[Value]:
        """All inputs, each of which must be there."""
        return [self.value(i) for i in range(len(self.inputs))]

    def rank(self, i: builtins.int) -> builtins.int:
        return self.rank_of(self.value(i), f"input {i}")

    def rank_of(self, v: Value, what: builtins.str = "a value") -> builtins.int:
        if v.shape is None:
            raise self.fail(
                f"the number of axes of {what} ({v.name!r}) is not known; "
                "declare the shape of the model's inputs (dimensions may be symbolic)"
            )
        return len(v.shape)

    def shape(self, i: builtins.int) -> tuple[Dim, ...]:
        """Shape of input i, whose rank must be known; a dimension may be a symbol or None."""
        self.rank(i)
        return self.value(i).shape or ()

    def static_dim(self, i: builtins.int, axis: builtins.int, what: builtins.str) -> builtins.int:
        """A dimension of input i that must be a number."""
        d = self.shape(i)[axis]
        if not isinstance(d, int):
            raise self.fail(f"{what} must be a fixed number, not {d!r}; fix it in the model")
        return d

    def dtype(self, i: builtins.int) -> DType:
        """Element type of input i."""
        v = self.value(i)
        if v.dtype is None:
            raise self.fail(f"the element type of input {i} ({v.name!r}) is not known")
        return v.dtype

    def const(self, i: builtins.int) -> Array | None:
        """Input i if it is there and constant."""
        v = self.opt(i)
        return None if v is None or v.state is not None else v.const

    def const_ints(self, i: builtins.int) -> list[builtins.int] | None:
        """The numbers of input i if it is there and a constant integer tensor."""
        v = self.opt(i)
        return None if v is None else self.b.ints(v)

    # attributes

    def has(self, name: builtins.str) -> bool:
        return name in self.attributes

    def _attribute(self, name: builtins.str, default: object) -> onnx.AttributeProto | None:
        a = self.attributes.get(name)
        if a is None and default is _REQUIRED:
            raise self.fail(f"attribute {name!r} is missing")
        return a

    def int(self, name: builtins.str, default: Any = ...) -> builtins.int:
        a = self._attribute(name, default)
        return int(a.i) if a is not None else int(default)

    def float(self, name: builtins.str, default: Any = ...) -> builtins.float:
        a = self._attribute(name, default)
        return float(a.f) if a is not None else float(default)

    def str(self, name: builtins.str, default: Any = ...) -> builtins.str:
        a = self._attribute(name, default)
        return a.s.decode("utf-8", "replace") if a is not None else str(default)

    def ints(self, name: builtins.str, default: Any = ()) -> list[builtins.int]:
        """The attribute's numbers; default when it is left out."""
        a = self._attribute(name, default)
        return [int(i) for i in (a.ints if a is not None else default)]

    def floats(self, name: builtins.str, default: Any = ()) -> list[builtins.float]:
        a = self._attribute(name, default)
        return [float(f) for f in (a.floats if a is not None else default)]

    def strs(self, name: builtins.str, default: Any = ()) -> list[builtins.str]:
        a = self._attribute(name, default)
        if a is None:
            return [str(s) for s in default]
        return [s.decode("utf-8", "replace") for s in a.strings]

    def tensor(self, name: builtins.str) -> Array | None:
        """A tensor attribute as an array, or None if it is left out."""
        a = self.attributes.get(name)
        return None if a is None else self._checked(lambda: array_of(a.t))[0]

    def constant(self, name: builtins.str) -> Value | None:
        """A tensor attribute, sparse or not, as a constant."""
        a = self.attributes.get(name)
        if a is None:
            return None
        sparse = a.type == onnx.AttributeProto.SPARSE_TENSOR
        array, dtype = self._checked(lambda: array_of(a.sparse_tensor if sparse else a.t))
        return self.b.const(array, dtype)

    def dtype_attr(self, name: builtins.str, default: DType | None = None) -> DType | None:
        """An attribute that names an element type."""
        a = self.attributes.get(name)
        return default if a is None else self._checked(lambda: dtype_of(a.i))

    def graph(self, name: builtins.str) -> onnx.GraphProto:
        a = self._attribute(name, ...)
        if a is None:
            raise self.fail(f"attribute {name!r} is missing")
        return a.g

    def _checked(self, get: Callable[[], Any]) -> Any:
        try:
            return get()
        except ConvertError as e:
            raise self.fail(e.message) from None


_REQUIRED = ...

__all__ = ["Array", "NodeContext", "array_of", "dtype_of", "from_numpy", "lower", "lowering"]
