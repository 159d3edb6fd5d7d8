"""Builds IR: each emitted node gets its types at once, and what is constant is computed at once.

So a frontend can look at `v.const`, `v.rank`, `v.shape` and `v.dtype` of whatever it has made so far, and shape
arithmetic of the source model is gone before any pass runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import evaluate, infer, ops
from .dtypes import DType, from_numpy
from .errors import ConvertError
from .ir import Dim, Graph, Node, Region, Shape, Value

Array = np.ndarray[Any, Any]
NewDim = int | tuple[str, int] | tuple[str, int, int]
"""For reshape_to: a number, -1 (what remains), ("dim", k): input axis k, ("prod", a, b): input axes a to b-1."""

FOLD_MAX = 1 << 20
"""Elements of the largest constant that is computed while building, if it takes more bytes than its inputs."""
FOLD_INPUT_MAX = 1 << 30
"""Bytes of constants that are handed to the runtime to be folded; it gets a copy."""

_MAX_AXIS = 15  # reshape words hold axes in 4 bits


class Builder:
    """Emits nodes into a region of a graph.

    name: the source model's node; every node emitted carries it.
    fold: compute constants at once. It needs the native library; without it, folding raises LoadError.
    """

    def __init__(
        self, graph: Graph | None = None, region: Region | None = None, *, fold: bool = True
    ) -> None:
        self.graph = Graph() if graph is None else graph
        self.region = Region() if region is None else region
        self.name = ""
        self.fold = fold
        self.known: infer.Known = {}

    # ---- nodes ----

    def op(self, name: str, *inputs: Value | None, **attrs: Any) -> Value:
        """Emits a node with one output."""
        return self.multi(name, 1, *inputs, **attrs)[0]

    def multi(self, name: str, n_outputs: int, *inputs: Value | None, **attrs: Any) -> list[Value]:
        """Emits a node with several outputs. An attribute of None is left out."""
        given = {k: _plain(v) for k, v in attrs.items() if v is not None}
        node = Node(name, list(inputs), [Value() for _ in range(n_outputs)], given, self.name)
        self._infer(node)
        folded = self._constants(node)
        if folded is not None:
            return folded
        return self._emit(node)

    def control(
        self,
        name: str,
        inputs: Sequence[Value | None],
        regions: Sequence[Region],
        n_outputs: int,
        **attrs: Any,
    ) -> list[Value]:
        """Emits `if` or `loop`. Of a loop, n_carried and scans are filled in from the body.

        A loop's body must hold for every iteration: see `infer.widen`, which tells whether its carried params have
        to be given a more general shape and the body be made again.
        """
        outputs = [Value() for _ in range(n_outputs)]
        node = Node(name, list(inputs), outputs, dict(attrs), self.name, list(regions))
        self._infer(node)
        return self._emit(node)

    @contextmanager
    def sub(self) -> Iterator[Region]:
        """A new region that the builder emits into meanwhile."""
        outer, self.region = self.region, Region()
        try:
            yield self.region
        finally:
            self.region = outer

    def param(
        self,
        name: str,
        dtype: DType | None,
        shape: Shape,
        *,
        kind: str = "tensor",
        optional: bool = False,
    ) -> Value:
        """Adds a parameter to the current region."""
        v = Value(name, dtype, shape, kind=kind, optional=optional)
        self.region.params.append(v)
        return v

    def const(self, value: Any, dtype: DType | None = None, name: str = "") -> Value:
        """A constant. Python integers become I64, floats F32, arrays keep their type, if dtype is None."""
        if dtype is None and isinstance(value, (np.ndarray, np.generic)):
            array = np.asarray(value)
        else:
            array = np.asarray(value)
            if dtype is None:
                dtype = _default_type(array)
            array = array.astype(dtype.numpy, copy=False)
        try:
            found = from_numpy(array.dtype)
        except KeyError:
            raise ConvertError(
                f"a constant of type {array.dtype} cannot be stored", node=self.name
            ) from None
        return Value(name, found, array.shape, np.ascontiguousarray(array).reshape(array.shape))

    def _infer(self, node: Node) -> None:
        try:
            infer.infer(node, self.known)
        except (IndexError, ValueError, KeyError, TypeError) as e:
            raise ConvertError(
                f"inputs or attributes are malformed ({e!r})", node=node.name, operator=node.op
            ) from e

    def _emit(self, node: Node) -> list[Value]:
        for v in node.outputs:
            v.producer = node
        self.region.nodes.append(node)
        return node.outputs

    def _constants(self, node: Node) -> list[Value] | None:
        """The outputs as constants, if they can be known now."""
        arrays: list[Array] = []
        for v in node.outputs:
            array = infer.constant_of(v, self.known)
            if array is None:
                break
            arrays.append(array)
        else:
            return [self.const(a) for a in arrays]
        if not self.fold or not foldable(node):
            return None
        shape = infer.static(node.outputs[0].shape)
        if node.op in ("reshape", "identity") and shape is not None and node.inputs[0] is not None:
            # Shares the memory: weights are large.
            source = node.inputs[0].const
            return None if source is None else [self.const(source.reshape(shape))]
        try:
            return [self.const(a) for a in evaluate.run_nodes([node], node.outputs)]
        except evaluate.EvaluateError:
            return None  # It fails when it runs, if it runs: perhaps it stands in a branch that is never taken.

    # ---- shorthands ----

    def cast(self, x: Value, dtype: DType) -> Value:
        """x as dtype; x itself if it is that already."""
        return x if x.dtype == dtype else self.op("cast", x, to=dtype)

    def reshape_to(self, x: Value, dims: Sequence[NewDim]) -> Value:
        """Reshapes to dimensions given as numbers or in terms of x's own axes (NewDim)."""
        words = []
        for d in dims:
            if isinstance(d, int):
                words.append(d)
                continue
            start, end = (d[1], d[1] + 1) if d[0] == "dim" else (d[1], d[2])  # type: ignore[misc]
            if not 0 <= start <= end <= _MAX_AXIS:
                raise ConvertError(
                    f"axes {start}..{end} of a reshape are out of range", node=self.name
                )
            words.append(-2 - (start << 4 | end))
        return self.op("reshape", x, dims=words)

    def unsqueeze(self, x: Value, axes: Sequence[int]) -> Value:
        """Inserts axes of size 1; axes count in the result."""
        rank = self._rank(x, "unsqueeze") + len(axes)
        new = {self._axis(a, rank) for a in axes}
        if len(new) != len(axes):
            raise ConvertError(
                f"unsqueeze with the axes {list(axes)}: one stands twice", node=self.name
            )
        if not new:
            return x
        source = iter(range(rank))
        return self.reshape_to(x, [1 if k in new else ("dim", next(source)) for k in range(rank)])

    def squeeze(self, x: Value, axes: Sequence[int] | None = None) -> Value:
        """Drops axes of size 1 (None: all that are known to be 1, so every axis must be a number)."""
        rank = self._rank(x, "squeeze")
        shape = x.shape or ()
        if axes is None:
            if not infer.is_static(x.shape):
                raise ConvertError(
                    f"squeeze of {infer.show_shape(x.shape)} without axes: its rank would depend on the input",
                    node=self.name,
                )
            axes = [k for k, d in enumerate(shape) if d == 1]
        gone = {self._axis(a, rank) for a in axes}
        for k in gone:
            d = shape[k]
            if isinstance(d, int) and d != 1:
                raise ConvertError(
                    f"squeeze of axis {k} of {infer.show_shape(x.shape)}", node=self.name
                )
        if not gone:
            return x
        return self.reshape_to(x, [("dim", k) for k in range(rank) if k not in gone])

    def scalar(self, like: Value, number: float) -> Value:
        """A constant of like's type."""
        if like.dtype is None:
            raise ConvertError("the element type is not known here", node=self.name)
        return self.const(number, like.dtype)

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        """Reorders axes; x itself if they stay."""
        rank = len(perm)
        axes = [self._axis(p, rank) for p in perm]
        return x if axes == list(range(rank)) else self.op("transpose", x, perm=axes)

    def ints(self, v: Value | None) -> list[int] | None:
        """The elements of a constant integer tensor, in order; None if it is not constant."""
        if v is None or v.const is None or v.state is not None or v.const.dtype.kind not in "iub":
            return None
        return [int(x) for x in v.const.reshape(-1)]

    def partial(self, v: Value) -> list[Dim] | None:
        """The elements of an integer tensor of rank 0 or 1, as far as they are known (None or a symbol if not)."""
        return infer.elements_of(v, self.known)

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Joins along an axis; a single value is itself."""
        return values[0] if len(values) == 1 else self.op("concat", *values, axis=axis)

    def shape_of(self, x: Value, start: int = 0, end: int | None = None) -> Value:
        """x's dimensions start..end-1 as an I64 vector."""
        return self.op("shape", x, start=start, end=infer.END if end is None else end)

    def slice(
        self,
        x: Value,
        starts: Value | Sequence[int],
        ends: Value | Sequence[int],
        axes: Value | Sequence[int] | None,
        steps: Value | Sequence[int] | None = None,
    ) -> Value:
        """ONNX Slice. Bounds are numbers or integer tensors."""

        def tensor(v: Value | Sequence[int] | None) -> Value | None:
            return v if v is None or isinstance(v, Value) else self.const(np.array(v, np.int64))

        inputs = [tensor(v) for v in (starts, ends, axes, steps)]
        return self.op("slice", x, *(inputs if steps is not None else inputs[:3]))

    def _rank(self, x: Value, what: str) -> int:
        if x.shape is None:
            raise ConvertError(f"{what} needs to know how many axes its input has", node=self.name)
        return len(x.shape)

    def _axis(self, axis: int, rank: int) -> int:
        if not -rank <= axis < rank:
            raise ConvertError(f"axis {axis} is outside a tensor of {rank} axes", node=self.name)
        return axis % rank


def foldable(node: Node) -> bool:
    """Can the node be computed now, and is the result worth its bytes? Pure, all inputs constant, and the result of
    known size: small, or no larger than what it is made of (a transposed weight)."""
    if node.regions or not all(
        v is None or (v.const is not None and v.state is None) for v in node.inputs
    ):
        return False
    if not ops.is_elementwise(node.op):
        op = ops.ops().get(node.op)
        if op is None or not op.pure:
            return False
    n_bytes = 0
    n_input = sum(v.const.nbytes for v in node.inputs if v is not None and v.const is not None)
    if n_input > FOLD_INPUT_MAX and node.op not in ("reshape", "identity"):
        return False
    for v in node.outputs:
        shape = infer.static(v.shape)
        if v.dtype is None or v.kind != "tensor":
            return False
        if shape is None:
            n_bytes += n_input  # Data decide, as for nonzero: of the inputs' order.
            continue
        if len(shape) > 8:
            return False
        n_bytes += math.prod(shape) * v.dtype.size
    return n_bytes <= max(n_input, FOLD_MAX * 4)


def _default_type(array: Array) -> DType:
    if array.dtype.kind == "b":
        return DType.BOOL
    if array.dtype.kind in "iu":
        return DType.I64
    if array.dtype.kind == "f":
        return DType.F32
    raise ConvertError(f"a constant of type {array.dtype} cannot be stored")


def _plain(x: Any) -> Any:
    """Attributes hold plain Python numbers, so that text and bytes of a graph do not depend on where they came from."""
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, (list, tuple, np.ndarray)):
        return [_plain(i) for i in x]
    return x
