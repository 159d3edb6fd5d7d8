"""Element types and symbolic shapes of what nodes make, one rule per operator.

The runtime's own shape functions decide when a model runs; this is about what holds for every run, so dimensions may
be symbols or unknown. A rule therefore never guesses: None is always right, a number or a symbol must be.

Beside types, integers that shape arithmetic computes are followed element by element (`Known`), so that
`reshape(x, concat(shape(x)[0:1], [-1]))` keeps its first dimension although no tensor there is constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from . import ops
from .dtypes import DType
from .errors import ConvertError
from .ir import Dim, Graph, Node, Region, Shape, Value

Known = dict[Value, list[Dim]]
"""Elements of integer tensors of rank 0 or 1 as far as they are known."""

END = 0x7FFFFFFF
KNOWN_MAX = 64  # elements that are followed; shapes are short


@dataclass(slots=True)
class Type:
    """What a rule says about one output."""

    dtype: DType | None
    shape: Shape = None
    kind: str = "tensor"
    optional: bool = False
    known: list[Dim] | None = None


@dataclass(slots=True)
class Call:
    """A node as a rule sees it: None for whatever is not known."""

    node: Node
    known: Known = field(default_factory=dict)

    def value(self, k: int) -> Value | None:
        """Input k, or None if it is not given."""
        return self.node.inputs[k] if k < len(self.node.inputs) else None

    def need(self, k: int) -> Value:
        """Input k, which must be given."""
        v = self.value(k)
        return self.fail(f"input {k} is missing") if v is None else v

    def shape(self, k: int = 0) -> Shape:
        return self.need(k).shape

    def dtype(self, k: int = 0) -> DType | None:
        return self.need(k).dtype

    def rank(self, k: int = 0) -> int | None:
        return self.need(k).rank

    def attr(self, name: str, default: int = 0) -> int:
        """An integer attribute."""
        return int(self.node.attrs.get(name, default))

    def attrs(self, name: str) -> list[int]:
        """An attribute that is a list of integers."""
        return [int(x) for x in self.node.attrs.get(name, ())]

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front."""
        if not -rank <= axis < rank:
            self.fail(f"axis {axis} is outside a tensor of {rank} axes")
        return axis % rank

    def elements(self, k: int) -> list[Dim] | None:
        """The integers of input k as far as they are known."""
        v = self.value(k)
        return None if v is None else elements_of(v, self.known)

    def ints(self, k: int) -> list[int] | None:
        """The integers of input k if all are known."""
        items = self.elements(k)
        if items is None or not all(isinstance(x, int) for x in items):
            return None
        return [x for x in items if isinstance(x, int)]

    def fail(self, message: str) -> NoReturn:
        raise ConvertError(message, node=self.node.name, operator=self.node.op)


Rule = Callable[[Call], list[Type]]
_RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Declares the rule of one or more operators."""

    def add(f: Rule) -> Rule:
        for name in names:
            _RULES[name] = f
        return f

    return add


def infer(node: Node, known: Known | None = None) -> None:
    """Sets type, shape and kind of a node's outputs, and notes known elements in `known`. ConvertError if the node
    can never run. Regions of a control node must have been inferred before."""
    known = {} if known is None else known
    f = _RULES.get(node.op)
    if f is None:
        if not ops.is_elementwise(node.op):
            raise ConvertError(
                "is neither an operator of the runtime nor a micro-operation",
                node=node.name,
                operator=node.op,
            )
        f = _elementwise
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


def widen(body: Region) -> list[Shape] | None:
    """Do the results of a loop's body fit the params that they become in the next iteration? None: they do. Otherwise
    the shapes that the carried params must have when the body is made anew."""
    shapes: list[Shape] = []
    changed = False
    for p, r in zip(body.params[1:], body.results[1:], strict=False):
        shape = p.shape if r is None else merge(p.shape, r.shape)
        changed = changed or shape != p.shape
        shapes.append(shape)
    return shapes if changed else None


# ---- dimensions -----------------------------------------------------------------------------------


def merge(a: Shape, b: Shape) -> Shape:
    """What holds of a value that has either shape."""
    if a is None or b is None or len(a) != len(b):
        return None
    return tuple(x if x == y else None for x, y in zip(a, b, strict=True))


def broadcast_dim(a: Dim, b: Dim) -> Dim:
    """One axis of a broadcast. ValueError if the numbers do not fit."""
    if a == b:
        return a
    if a == 1:
        return b
    if b == 1:
        return a
    if isinstance(a, int) and isinstance(b, int):
        raise ValueError
    if isinstance(a, int):
        return a
    return b if isinstance(b, int) else None


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """numpy broadcasting. Equal symbols stay; a symbol against a number other than 1 is that number (or the model
    fails when it runs). ValueError if numbers do not fit."""
    result: list[Dim] = []
    for shape in shapes:
        if shape is None:
            return None
        old: list[Dim] = result
        new: list[Dim] = list(shape)
        n = max(len(old), len(new))
        old, new = [*[1] * (n - len(old)), *old], [*[1] * (n - len(new)), *new]
        result = [broadcast_dim(x, y) for x, y in zip(old, new, strict=True)]
    return tuple(result)


def product(dims: Sequence[Dim]) -> tuple[int, list[str]] | None:
    """A number and the symbols it is to be multiplied by; None if a factor is unknown. 0 is 0 whatever the rest."""
    if any(isinstance(d, int) and d == 0 for d in dims):
        return 0, []
    if any(d is None for d in dims):
        return None
    return math.prod(d for d in dims if isinstance(d, int)), [d for d in dims if isinstance(d, str)]


def product_dim(dims: Sequence[Dim]) -> Dim:
    """The product as a dimension, if it can be written as one."""
    p = product(dims)
    if p is None:
        return None
    n, symbols = p
    if not symbols or n == 0:
        return n
    return symbols[0] if n == 1 and len(symbols) == 1 else None


def quotient_dim(whole: Sequence[Dim], part: Sequence[Dim]) -> Dim:
    """product(whole) / product(part). Equal factors cancel, unknown ones only if they are the same axis of both."""
    rest, divisors = list(whole), []
    for d in part:
        if isinstance(d, str) and d in rest:
            rest.remove(d)
        else:
            divisors.append(d)
    a, b = product(rest), product(divisors)
    if a is None or b is None or b[1] or b[0] == 0 or a[0] % b[0]:
        return None
    return product_dim([a[0] // b[0], *a[1]])


def add_dim(a: Dim, b: Dim) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    if a == 0:
        return b
    return a if b == 0 else None


def unknown(rank: int | None) -> Shape:
    """A shape of which only the rank is known."""
    return None if rank is None else (None,) * rank


def elements_of(v: Value, known: Known) -> list[Dim] | None:
    """The elements of an integer tensor of rank 0 or 1, as far as they are known."""
    if v.const is not None and v.state is None:
        c = v.const
        if c.ndim > 1 or c.size > KNOWN_MAX or c.dtype.kind not in "iub":
            return None
        return [int(x) for x in c.reshape(-1)]
    return known.get(v)


# ---- element-wise ---------------------------------------------------------------------------------

_TRUTH = frozenset(("eq", "lt", "le", "ltu", "leu", "not", "is_nan", "is_inf"))


def _arith(op: str, a: Dim, b: Dim) -> Dim:
    """One element of shape arithmetic."""
    if isinstance(a, int) and isinstance(b, int):
        return _arith_ints(op, a, b)
    if op == "add":
        return add_dim(a, b)
    if op == "sub":
        if a is not None and a == b:
            return 0
        return a if b == 0 else None
    if op == "mul":
        if a == 0 or b == 0:
            return 0
        if a == 1:
            return b
        return a if b == 1 else None
    if op == "div":
        return a if b == 1 else None
    if op in ("min", "max"):
        return a if a == b else None
    if op == "eq":
        # A symbol stands for a size, so it is never a negative number.
        number, symbol = (a, b) if isinstance(a, int) else (b, a)
        return 0 if isinstance(number, int) and number < 0 and isinstance(symbol, str) else None
    return None


def _arith_ints(op: str, a: int, b: int) -> Dim:
    if op == "div":
        return None if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if op == "mod":
        return None if b == 0 else a % b
    table: dict[str, Callable[[int, int], int]] = {
        "add": lambda x, y: x + y,
        "sub": lambda x, y: x - y,
        "mul": lambda x, y: x * y,
        "min": min,
        "max": max,
        "eq": lambda x, y: int(x == y),
        "lt": lambda x, y: int(x < y),
        "le": lambda x, y: int(x <= y),
    }
    if op not in table:
        return None
    r = table[op](a, b)
    return r if -(1 << 62) < r < 1 << 62 else None


def _arith_known(call: Call, shape: Shape) -> list[Dim] | None:
    """Elements of an element-wise result, for int64 and int32 (which no shape overflows) and truth values."""
    if shape is None or len(shape) > 1:
        return None
    items = [call.elements(k) for k in range(len(call.node.inputs))]
    if any(x is None for x in items):
        return None
    lists = [x for x in items if x is not None]
    n = max((len(x) for x in lists if len(x) != 1), default=1)
    if any(len(x) not in (1, n) for x in lists):
        return None
    rows = [x * n if len(x) == 1 else x for x in lists]
    op = call.node.op
    if op == "cast":
        return _cast_known(call, rows[0])
    if call.dtype(len(rows) - 1) not in (DType.I64, DType.I32, DType.BOOL):
        return None
    if op == "where":
        return [_choose(c, a, b) for c, a, b in zip(*rows, strict=True)]
    if op == "neg":
        return [-x if isinstance(x, int) else None for x in rows[0]]
    if op == "not":
        return [int(not x) if isinstance(x, int) else None for x in rows[0]]
    if len(rows) != 2 or op in ("and", "or", "xor"):
        return None
    result = [_arith(op, a, b) for a, b in zip(*rows, strict=True)]
    if call.dtype() == DType.I32:
        result = [x if not isinstance(x, int) or abs(x) < 1 << 31 else None for x in result]
    return result


def _choose(c: Dim, a: Dim, b: Dim) -> Dim:
    if isinstance(c, int):
        return a if c else b
    return a if a == b else None


def _cast_known(call: Call, items: list[Dim]) -> list[Dim] | None:
    to = DType(call.node.attrs["to"])
    if to == DType.I64:
        return items
    if to == DType.I32:
        return [x if not isinstance(x, int) or abs(x) < 1 << 31 else None for x in items]
    if to == DType.BOOL:
        return [int(x != 0) if isinstance(x, int) else None for x in items]
    return None


def _elementwise(call: Call) -> list[Type]:
    """Every micro-operation: broadcast inputs of one type; `cast` changes it, comparisons give BOOL."""
    op = call.node.op
    n = len(call.node.inputs)
    n_args = 1 if op == "cast" else ops.micro_ops()[op].n_args
    if n != n_args:
        call.fail(f"takes {n_args} inputs, got {n}")
    try:
        shape = broadcast([call.shape(k) for k in range(n)])
    except ValueError:
        shapes = ", ".join(show_shape(call.shape(k)) for k in range(n))
        call.fail(f"shapes {shapes} do not broadcast")
    types = [call.dtype(k) for k in range(n)]
    if op == "where":
        if types[0] not in (DType.BOOL, None):
            call.fail(f"the condition must be bool, not {types[0].short}")
        types = types[1:]
    given = {t for t in types if t is not None}
    if len(given) > 1:
        names = " and ".join(sorted(t.short for t in given))
        call.fail(f"inputs must have one element type, got {names}; cast one of them")
    dtype = next(iter(given), None)
    if op == "cast":
        dtype = DType(call.node.attrs["to"])
    elif op in _TRUTH:
        dtype = DType.BOOL
    return [Type(dtype, shape, known=_arith_known(call, shape))]


def show_shape(shape: Shape) -> str:
    """A shape for people."""
    if shape is None:
        return "[?...]"
    return "[" + ", ".join("?" if d is None else str(d) for d in shape) + "]"


@rule("tile")
def _tile(call: Call) -> list[Type]:
    """All outputs have the broadcast shape of the inputs; the program's stores say the types."""
    try:
        shape = broadcast([call.shape(k) for k in range(len(call.node.inputs))])
    except ValueError:
        call.fail("shapes of the inputs do not broadcast")
    stores = {i.port: i.dtype for i in call.node.tile.code if i.op == "store"}
    return [Type(stores.get(k), shape) for k in range(len(call.node.outputs))]


# ---- views ----------------------------------------------------------------------------------------


def _same(call: Call, k: int = 0) -> Type:
    v = call.need(k)
    return Type(v.dtype, v.shape, v.kind, v.optional, call.elements(k))


@rule("identity")
def _identity(call: Call) -> list[Type]:
    return [_same(call)]


@rule("bitcast")
def _bitcast(call: Call) -> list[Type]:
    x, to = call.need(0), DType(call.attr("to"))
    if x.dtype is not None and x.dtype.size != to.size:
        call.fail(f"{x.dtype.short} and {to.short} differ in size")
    return [Type(to, x.shape)]


def _numbers(call: Call, k: int) -> int | None:
    """How many elements input k, a vector, has."""
    shape = call.shape(k)
    n = shape[0] if shape is not None and len(shape) == 1 else None
    return n if isinstance(n, int) else None


@rule("reshape")
def _reshape(call: Call) -> list[Type]:
    x = call.need(0)
    if call.value(1) is None:
        target, sources = _reshape_words(call, x.shape)
    else:
        items = call.elements(1)
        if items is None:
            return [Type(x.dtype, unknown(_numbers(call, 1)))]
        target, sources = _reshape_items(call, x.shape, items)
    if -1 in target:
        at = target.index(-1)
        if target.count(-1) > 1:
            call.fail("at most one dimension may be -1")
        target[at] = _reshape_rest(call, x.shape, target, sources, at)
    elif x.shape is not None:
        _reshape_check(call, x.shape, target)
        if None in target and target.count(None) == 1:
            at = target.index(None)
            # The element counts are equal, so one unknown dimension follows from the others unless they hold a 0.
            target[at] = _reshape_rest(call, x.shape, target, sources, at)
    known = call.elements(0) if len(target) <= 1 else None
    return [Type(x.dtype, tuple(target), known=known)]


def _reshape_words(call: Call, shape: Shape) -> tuple[list[Dim], list[list[int]]]:
    """Target dimensions from attr dims (see the contract of `reshape`), and the input axes each one multiplies."""
    target: list[Dim] = []
    sources: list[list[int]] = []
    for w in call.attrs("dims"):
        if w >= -1:
            target.append(w)
            sources.append([])
            continue
        start, end = (-2 - w) >> 4, (-2 - w) & 15
        if shape is None:
            target.append(None)
        elif not start <= end <= len(shape):
            call.fail(f"dims word {w} names axes {start}..{end} of a tensor of {len(shape)} axes")
        else:
            target.append(product_dim(shape[start:end]))
        sources.append(list(range(start, end)))
    return target, sources


def _reshape_items(call: Call, shape: Shape, items: list[Dim]) -> tuple[list[Dim], list[list[int]]]:
    target: list[Dim] = []
    sources: list[list[int]] = []
    for k, d in enumerate(items):
        sources.append([])
        if d == 0 and not call.attr("allowzero"):
            if shape is not None and k >= len(shape):
                call.fail(
                    f"dimension {k} of the new shape copies an axis that {show_shape(shape)} does not have"
                )
            target.append(None if shape is None else shape[k])
            sources[-1] = [k]
        elif isinstance(d, int) and d < -1:
            call.fail(f"the new shape has the dimension {d}")
        else:
            target.append(d)
    return target, sources


def _reshape_rest(
    call: Call, shape: Shape, target: list[Dim], sources: list[list[int]], at: int
) -> Dim:
    """The dimension at `at`, from the element count. Axes that others copy cancel even if they are unknown."""
    if shape is None:
        return None
    used: set[int] = set()
    part: list[Dim] = []
    for k, d in enumerate(target):
        if k != at and sources[k] and used.isdisjoint(sources[k]):
            used.update(sources[k])
        elif k != at:
            part.append(d)
    whole = [d for k, d in enumerate(shape) if k not in used]
    if any(d == 0 for d in part) or any(shape[k] == 0 for k in used):
        return None
    if all(isinstance(d, int) for d in whole + part):
        n, m = (math.prod(d for d in x if isinstance(d, int)) for x in (whole, part))
        if n % m:
            call.fail(f"{show_shape(shape)} cannot be given the shape {show_shape(tuple(target))}")
        return n // m
    return quotient_dim(whole, part)


def _reshape_check(call: Call, shape: tuple[Dim, ...], target: list[Dim]) -> None:
    if all(isinstance(d, int) for d in [*shape, *target]):
        n, m = (math.prod(d for d in x if isinstance(d, int)) for x in (shape, target))
        if n != m:
            call.fail(f"{show_shape(shape)} cannot be given the shape {show_shape(tuple(target))}")


@rule("transpose")
def _transpose(call: Call) -> list[Type]:
    x = call.need(0)
    perm = call.attrs("perm")
    if x.shape is None:
        return [Type(x.dtype, unknown(len(perm) or None))]
    perm = perm or list(range(len(x.shape)))[::-1]
    if sorted(perm) != list(range(len(x.shape))):
        call.fail(f"perm {perm} does not fit the shape {show_shape(x.shape)}")
    known = call.elements(0) if len(perm) <= 1 else None
    return [Type(x.dtype, tuple(x.shape[p] for p in perm), known=known)]


def _slice_dim(d: Dim, start: Dim, end: Dim, step: Dim) -> Dim:
    if not (isinstance(start, int) and isinstance(end, int) and isinstance(step, int)):
        return d if d is not None and (start, end, step) == (0, d, 1) else None
    if isinstance(d, int):
        if step < 0 and start + d < 0:
            return None  # the runtime decides
        return len(range(d)[slice(*_clamp(d, start, end, step))])
    if start == 0 and step == 1 and end >= END:
        return d
    if step == -1 and start in (-1, END, 2**63 - 1) and end <= -END:
        return d
    if (start >= 0) == (end >= 0) and step > 0 and start >= end:
        return 0
    return None


def _clamp(d: int, start: int, end: int, step: int) -> tuple[int, int | None, int]:
    """ONNX's starts and ends as Python's, whose meaning differs only for an end before the first element."""
    if step > 0:
        return start, end, step
    end = end + d if end < 0 else end
    return start, None if end < 0 else end, step


@rule("slice")
def _slice(call: Call) -> list[Type]:
    x = call.need(0)
    if x.shape is None:
        return [Type(x.dtype)]
    starts, ends = call.elements(1), call.elements(2)
    n = _numbers(call, 1) if starts is None else len(starts)
    axes = call.ints(3) if call.value(3) is not None else None if n is None else list(range(n))
    if axes is None:
        return [Type(x.dtype, unknown(len(x.shape)))]
    none: list[Dim] = [None] * len(axes)
    ones: list[Dim] = [1] * len(axes)
    starts, ends = starts or none, ends or none
    steps = ones if call.value(4) is None else call.elements(4) or none
    if not len(starts) == len(ends) == len(steps) == len(axes):
        call.fail("starts, ends, axes and steps differ in length")
    if 0 in steps:
        call.fail("a step is 0")
    shape = list(x.shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        axis = call.axis(axis, len(shape))
        shape[axis] = _slice_dim(shape[axis], start, end, step)
    known = call.elements(0)
    if known is not None and len(shape) == 1 and len(axes) == 1:
        bounds = [v[0] for v in (starts, ends, steps) if isinstance(v[0], int)]
        known = known[slice(*_clamp(len(known), *bounds))] if len(bounds) == 3 else None
    elif len(axes):
        known = None
    return [Type(x.dtype, tuple(shape), known=known)]


@rule("expand")
def _expand(call: Call) -> list[Type]:
    x = call.need(0)
    items = call.elements(1)
    if items is None:
        n = _numbers(call, 1)
        rank = max(n, x.rank) if n is not None and x.rank is not None else None
        return [Type(x.dtype, unknown(rank))]
    try:
        shape = broadcast([x.shape, tuple(items)])
    except ValueError:
        call.fail(f"{show_shape(x.shape)} cannot be expanded to {show_shape(tuple(items))}")
    known = call.elements(0)
    if known is not None and shape is not None and len(shape) == 1 and isinstance(shape[0], int):
        known = known * shape[0] if len(known) == 1 and shape[0] <= KNOWN_MAX else known
    elif shape != ():
        known = None
    return [Type(x.dtype, shape, known=known)]


@rule("diagonal")
def _diagonal(call: Call) -> list[Type]:
    x = call.need(0)
    if x.shape is None:
        return [Type(x.dtype)]
    a, b = (call.axis(call.attr(n), len(x.shape)) for n in ("axis1", "axis2"))
    if a == b:
        call.fail("axis1 and axis2 are the same axis")
    m, n = x.shape[a], x.shape[b]
    last = min(m, n) if isinstance(m, int) and isinstance(n, int) else m if m == n else None
    return [Type(x.dtype, (*(d for k, d in enumerate(x.shape) if k not in (a, b)), last))]


@rule("shape")
def _shape(call: Call) -> list[Type]:
    shape = call.shape()
    if shape is None:
        return [Type(DType.I64, (None,))]
    dims = list(shape)[call.attr("start") : call.attr("end", END)]
    return [Type(DType.I64, (len(dims),), known=dims)]


# ---- movement -------------------------------------------------------------------------------------


@rule("concat")
def _concat(call: Call) -> list[Type]:
    values = [call.need(k) for k in range(len(call.node.inputs))]
    if not values:
        call.fail("has no input")
    types = {v.dtype for v in values if v.dtype is not None}
    if len(types) > 1:
        call.fail(f"inputs have several element types: {', '.join(sorted(t.short for t in types))}")
    shapes = [v.shape for v in values if v.shape is not None]
    if not shapes:
        return [Type(values[0].dtype)]
    rank = len(shapes[0])
    if any(len(s) != rank for s in shapes):
        call.fail(f"inputs differ in rank: {', '.join(show_shape(s) for s in shapes)}")
    axis = call.axis(call.attr("axis"), rank)
    result: list[Dim] = []
    for k in range(rank):
        dims = [s[k] for s in shapes]
        if k == axis:
            total: Dim = 0
            for d in dims if len(shapes) == len(values) else [None]:
                total = None if total is None else add_dim(total, d)
            result.append(total)
            continue
        numbers = {d for d in dims if isinstance(d, int)}
        if len(numbers) > 1:
            call.fail(f"inputs differ on axis {k}: {', '.join(show_shape(s) for s in shapes)}")
        symbols = [d for d in dims if d is not None]
        result.append(next(iter(numbers)) if numbers else symbols[0] if symbols else None)
    known: list[Dim] | None = None
    parts = [call.elements(k) for k in range(len(values))]
    if rank == 1 and all(p is not None for p in parts):
        known = [d for p in parts if p is not None for d in p]
    return [Type(values[0].dtype, tuple(result), known=known)]


@rule("gather")
def _gather(call: Call) -> list[Type]:
    x, indices = call.need(0), call.need(1)
    if x.shape is None:
        return [Type(x.dtype)]
    axis = call.axis(call.attr("axis"), len(x.shape))
    if indices.shape is None:
        return [Type(x.dtype)]
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    known, at = call.elements(0), call.ints(1)
    if known is not None and at is not None and len(shape) <= 1:
        if any(not -len(known) <= i < len(known) for i in at):
            call.fail(f"index {at} is outside a tensor of {len(known)} elements")
        return [Type(x.dtype, shape, known=[known[i] for i in at])]
    return [Type(x.dtype, shape)]


@rule("gather_elements")
def _gather_elements(call: Call) -> list[Type]:
    return [Type(call.dtype(), call.shape(1))]


@rule("gather_nd")
def _gather_nd(call: Call) -> list[Type]:
    x, indices = call.need(0), call.need(1)
    if x.shape is None or not indices.shape or not isinstance(indices.shape[-1], int):
        return [Type(x.dtype)]
    batch = call.attr("batch_dims")
    n = batch + indices.shape[-1]
    if n > len(x.shape):
        call.fail(f"indices name {n} axes of a tensor of {len(x.shape)}")
    return [Type(x.dtype, (*indices.shape[:-1], *x.shape[n:]))]


@rule("scatter_elements", "scatter_nd")
def _scatter(call: Call) -> list[Type]:
    x, updates = call.need(0), call.need(2)
    if x.dtype is not None and updates.dtype is not None and x.dtype != updates.dtype:
        call.fail(f"updates are {updates.dtype.short}, the tensor is {x.dtype.short}")
    return [Type(x.dtype, x.shape)]


@rule("pad")
def _pad(call: Call) -> list[Type]:
    x = call.need(0)
    if x.shape is None:
        return [Type(x.dtype)]
    rank = len(x.shape)
    pads = call.elements(1)
    axes = call.ints(3) if call.value(3) is not None else list(range(rank))
    if pads is None or axes is None:
        return [Type(x.dtype, unknown(rank))]
    if len(pads) != 2 * len(axes):
        call.fail(f"{len(pads)} pads for {len(axes)} axes")
    shape = list(x.shape)
    for k, axis in enumerate(axes):
        axis = call.axis(axis, rank)
        shape[axis] = add_dim(add_dim(shape[axis], pads[k]), pads[k + len(axes)])
        d = shape[axis]
        if isinstance(d, int) and d < 0:
            call.fail(f"axis {axis} gets the size {d}")
    return [Type(x.dtype, tuple(shape))]


@rule("range")
def _range(call: Call) -> list[Type]:
    """range(0, N, 1) has N elements even if N is a symbol."""
    parts = [call.elements(k) for k in range(3)]
    first = [p[0] if p else None for p in parts]
    n: Dim = None
    if all(isinstance(x, int) for x in first):
        start, limit, delta = (x for x in first if isinstance(x, int))
        if delta == 0:
            call.fail("the step is 0")
        n = max(-((start - limit) // delta), 0)
    elif first[0] == 0 and first[2] == 1:
        n = first[1]
    else:
        floats = [
            v.const
            for v in call.node.inputs
            if v is not None and v.const is not None and v.state is None
        ]
        if len(floats) == 3 and float(floats[2].reshape(-1)[0]):
            a, b, c = (float(x.reshape(-1)[0]) for x in floats)
            n = max(math.ceil((b - a) / c), 0)
    return [Type(call.dtype(), (n,))]


@rule("nonzero")
def _nonzero(call: Call) -> list[Type]:
    return [Type(DType.I64, (call.rank(), None))]


@rule("topk")
def _topk(call: Call) -> list[Type]:
    x = call.need(0)
    if x.shape is None:
        return [Type(x.dtype), Type(DType.I64)]
    shape = list(x.shape)
    k = call.elements(1)
    axis = call.axis(call.attr("axis", -1), len(shape))
    n = shape[axis]
    shape[axis] = k[0] if k else None
    if k and isinstance(k[0], int) and isinstance(n, int) and not 0 <= k[0] <= n:
        call.fail(f"k is {k[0]}, the axis has {n} elements")
    return [Type(x.dtype, tuple(shape)), Type(DType.I64, tuple(shape))]


@rule("unique")
def _unique(call: Call) -> list[Type]:
    x = call.need(0)
    axis = call.attr("axis", END)
    vector = Type(DType.I64, (None,))
    if axis == END:
        inverse: Dim = product_dim(x.shape) if x.shape is not None else None
        return [Type(x.dtype, (None,)), vector, Type(DType.I64, (inverse,)), vector]
    if x.shape is None:
        return [Type(x.dtype), vector, vector, vector]
    axis = call.axis(axis, len(x.shape))
    shape = tuple(None if k == axis else d for k, d in enumerate(x.shape))
    return [Type(x.dtype, shape), vector, Type(DType.I64, (x.shape[axis],)), vector]


# ---- reduction ------------------------------------------------------------------------------------


@rule("reduce")
def _reduce(call: Call) -> list[Type]:
    x = call.need(0)
    keep = call.attr("keepdims")
    axes: list[int] | None = call.attrs("axes")
    if call.value(1) is not None:
        axes = call.ints(1)
    if x.shape is None:
        everything = axes == [] and not call.attr("noop") and not keep
        return [Type(x.dtype, () if everything else None)]
    rank = len(x.shape)
    if axes is None:
        n = _numbers(call, 1)
        if keep:
            return [Type(x.dtype, unknown(rank))]
        return [Type(x.dtype, unknown(rank - n) if n else None)]
    if not axes:
        if call.attr("noop"):
            return [_same(call)]
        axes = list(range(rank))
    gone = {call.axis(a, rank) for a in axes}
    shape = [1 if k in gone else d for k, d in enumerate(x.shape) if keep or k not in gone]
    known: list[Dim] | None = None
    if call.attr("kind") == 1 and rank == 1 and x.dtype == DType.I64 and gone:
        # The element count of a shape: ReduceProd(Shape(x)).
        items = call.elements(0)
        known = None if items is None else [product_dim(items)]
    return [Type(x.dtype, tuple(shape), known=known)]


@rule("argreduce")
def _argreduce(call: Call) -> list[Type]:
    shape = call.shape()
    if shape is None:
        return [Type(DType.I64)]
    axis = call.axis(call.attr("axis"), len(shape))
    keep = call.attr("keepdims")
    return [
        Type(
            DType.I64,
            tuple(1 if k == axis else d for k, d in enumerate(shape) if keep or k != axis),
        )
    ]


@rule("cumulative")
def _cumulative(call: Call) -> list[Type]:
    return [Type(call.dtype(), call.shape())]


# ---- contraction and windows ----------------------------------------------------------------------


@rule("matmul")
def _matmul(call: Call) -> list[Type]:
    a, b = call.need(0), call.need(1)
    if a.dtype is not None and b.dtype is not None and a.dtype != b.dtype:
        call.fail(f"element types differ: {a.dtype.short} and {b.dtype.short}")
    if a.shape is None:
        return [Type(a.dtype)]
    if len(a.shape) < 2:
        call.fail(f"operands need at least two axes, got {show_shape(a.shape)}")
    swap_a = call.attr("trans_a") != 0
    m, k = (a.shape[-1], a.shape[-2]) if swap_a else (a.shape[-2], a.shape[-1])
    if call.attr("panels"):
        n: Dim = call.attr("n")
        if (
            b.shape is not None
            and isinstance(k, int)
            and isinstance(b.shape[-2], int)
            and k != b.shape[-2]
        ):
            call.fail(f"{show_shape(a.shape)} times panels of {b.shape[-2]} rows")
        return [Type(a.dtype, (*a.shape[:-2], m, n))]
    if b.shape is None:
        return [Type(a.dtype)]
    if len(b.shape) < 2:
        call.fail(f"operands need at least two axes, got {show_shape(b.shape)}")
    k2, n = (b.shape[-1], b.shape[-2]) if call.attr("trans_b") else (b.shape[-2], b.shape[-1])
    try:
        batch = broadcast([a.shape[:-2], b.shape[:-2]])
    except ValueError:
        call.fail(f"{show_shape(a.shape)} times {show_shape(b.shape)}: batch axes do not broadcast")
    if isinstance(k, int) and isinstance(k2, int) and k != k2:
        call.fail(
            f"{show_shape(a.shape)} times {show_shape(b.shape)}: inner dimensions {k} and {k2} differ"
        )
    return [Type(a.dtype, None if batch is None else (*batch, m, n))]


@dataclass(slots=True)
class Window:
    """The window attributes of one spatial axis."""

    kernel: Dim
    stride: int
    dilation: int
    before: int
    after: int


def _windows(call: Call, kernel: Sequence[Dim]) -> list[Window]:
    n = len(kernel)
    strides, dilations, pads = (call.attrs(k) for k in ("strides", "dilations", "pads"))
    strides, dilations, pads = strides or [1] * n, dilations or [1] * n, pads or [0] * (2 * n)
    if len(strides) != n or len(dilations) != n or len(pads) != 2 * n:
        call.fail(f"strides, dilations and pads do not fit {n} spatial axes")
    if min([*strides, *dilations], default=1) < 1:
        call.fail("strides and dilations must be at least 1")
    return [Window(kernel[k], strides[k], dilations[k], pads[k], pads[n + k]) for k in range(n)]


def _window_dim(d: Dim, w: Window, auto_pad: int, ceil_mode: int) -> Dim:
    """How many windows fit. auto_pad: 0 NOTSET, 1 SAME_UPPER, 2 SAME_LOWER, 3 VALID."""
    if auto_pad in (1, 2):
        if w.stride == 1:
            return d
        return -(-d // w.stride) if isinstance(d, int) else None
    before, after = (0, 0) if auto_pad == 3 else (w.before, w.after)
    if not isinstance(w.kernel, int):
        return None
    extra = before + after - (w.kernel - 1) * w.dilation - 1
    if not isinstance(d, int):
        return d if w.stride == 1 and extra == -1 else None
    room = d + extra
    if room < 0:
        return 0 if not ceil_mode else max(-(-room // w.stride) + 1, 0)
    if not ceil_mode:
        return room // w.stride + 1
    n = -(-room // w.stride) + 1
    # A window that would start in the padding behind the data does not count.
    return n - 1 if (n - 1) * w.stride >= d + before else n


def _spatial(call: Call, kernel: list[Dim]) -> list[Dim]:
    shape = call.shape()
    if shape is None:
        return [None] * len(kernel)
    if len(shape) != len(kernel) + 2:
        call.fail(f"input {show_shape(shape)} with a kernel of {len(kernel)} spatial axes")
    windows = _windows(call, kernel)
    auto_pad, ceil_mode = call.attr("auto_pad"), call.attr("ceil_mode")
    dims = [
        _window_dim(d, w, auto_pad, ceil_mode) for d, w in zip(shape[1:-1], windows, strict=True)
    ]
    for d in dims:
        if isinstance(d, int) and d <= 0 and 0 not in shape:
            call.fail(
                f"the window {show_shape(tuple(kernel))} does not fit into the input {show_shape(shape)}"
            )
    return dims


@rule("conv")
def _conv(call: Call) -> list[Type]:
    x, w = call.need(0), call.need(1)
    kernel: list[Dim] = list(call.attrs("kernel"))
    channels: Dim = call.attr("channels")
    if not call.attr("panels"):
        if w.shape is None:
            return [Type(x.dtype, unknown(x.rank))]
        kernel, channels = list(w.shape[:-2]), w.shape[-1]
        if x.shape is not None and len(x.shape) == len(w.shape):
            c, per_group = x.shape[-1], w.shape[-2]
            group = call.attr("group", 1)
            if isinstance(c, int) and isinstance(per_group, int) and c != per_group * group:
                call.fail(f"the input has {c} channels, the weights take {per_group * group}")
    batch = None if x.shape is None else x.shape[0]
    return [Type(x.dtype, (batch, *_spatial(call, kernel), channels))]


@rule("conv_transpose")
def _conv_transpose(call: Call) -> list[Type]:
    x, w = call.need(0), call.need(1)
    if x.shape is None or w.shape is None:
        return [Type(x.dtype, unknown(x.rank))]
    n = len(x.shape) - 2
    if len(w.shape) != n + 2:
        call.fail(f"input {show_shape(x.shape)} with weights {show_shape(w.shape)}")
    windows = _windows(call, list(w.shape[:-2]))
    given, extra = call.attrs("output_shape"), call.attrs("output_padding") or [0] * n
    dims: list[Dim] = []
    for k, (d, win) in enumerate(zip(x.shape[1:-1], windows, strict=True)):
        if given:
            dims.append(given[-n:][k])
        elif not isinstance(d, int) or not isinstance(win.kernel, int):
            dims.append(None)
        elif call.attr("auto_pad") in (1, 2):
            dims.append(d * win.stride)
        else:
            pads = 0 if call.attr("auto_pad") == 3 else win.before + win.after
            dims.append(
                win.stride * (d - 1) + extra[k] + (win.kernel - 1) * win.dilation + 1 - pads
            )
    m = w.shape[-1]
    channels = m * call.attr("group", 1) if isinstance(m, int) else None
    return [Type(x.dtype, (x.shape[0], *dims, channels))]


@rule("max_pool", "avg_pool")
def _pool(call: Call) -> list[Type]:
    x = call.need(0)
    kernel: list[Dim] = list(call.attrs("kernel"))
    ends = (None, None) if x.shape is None else (x.shape[0], x.shape[-1])
    shape = (ends[0], *_spatial(call, kernel), ends[1])
    y = Type(x.dtype, shape)
    return [y, Type(DType.I64, shape)] if call.node.op == "max_pool" else [y]


# ---- lists and optionals --------------------------------------------------------------------------


def _join(call: Call, values: Sequence[Value | None]) -> tuple[DType | None, Shape]:
    """Element type and shape of a sequence that holds all of the values."""
    given = [v for v in values if v is not None]
    types = {v.dtype for v in given if v.dtype is not None}
    if len(types) > 1:
        call.fail(f"elements have several types: {', '.join(sorted(t.short for t in types))}")
    shape = given[0].shape if given else None
    for v in given[1:]:
        shape = merge(shape, v.shape)
    return next(iter(types), None), shape


@rule("seq_make")
def _seq_make(call: Call) -> list[Type]:
    dtype, shape = _join(call, call.node.inputs)
    if dtype is None and "dtype" in call.node.attrs:
        dtype = DType(call.node.attrs["dtype"])
    return [Type(dtype, shape, "sequence")]


@rule("seq_insert")
def _seq_insert(call: Call) -> list[Type]:
    s, x = call.need(0), call.need(1)
    dtype, shape = _join(call, [s, x])
    empty = s.producer is not None and s.producer.op == "seq_make" and not s.producer.inputs
    return [Type(dtype, x.shape if empty else shape, "sequence")]


@rule("seq_erase")
def _seq_erase(call: Call) -> list[Type]:
    return [Type(call.dtype(), call.shape(), "sequence")]


@rule("seq_at")
def _seq_at(call: Call) -> list[Type]:
    return [Type(call.dtype(), call.shape())]


@rule("seq_length")
def _seq_length(call: Call) -> list[Type]:
    return [Type(DType.I64, ())]


@rule("seq_concat")
def _seq_concat(call: Call) -> list[Type]:
    shape = call.shape()
    if shape is None:
        return [Type(call.dtype())]
    dims = list(shape)
    if call.attr("new_axis"):
        dims.insert(call.axis(call.attr("axis"), len(dims) + 1), None)
    else:
        dims[call.axis(call.attr("axis"), len(dims))] = None
    return [Type(call.dtype(), tuple(dims))]


@rule("split_to_sequence")
def _split_to_sequence(call: Call) -> list[Type]:
    shape = call.shape()
    if shape is None:
        return [Type(call.dtype(), None, "sequence")]
    axis = call.axis(call.attr("axis"), len(shape))
    dims: list[Dim] = list(shape)
    dims[axis] = None
    if call.value(1) is None:
        dims[axis] = 1
        if not call.attr("keepdims", 1):
            del dims[axis]
    else:
        sizes = call.ints(1)
        split_rank = call.rank(1)
        if sizes and len(set(sizes)) == 1 and (split_rank == 1 or sizes == [1]):
            dims[axis] = sizes[
                0
            ]  # One size for all; of other single numbers the last part may be smaller.
    return [Type(call.dtype(), tuple(dims), "sequence")]


@rule("opt_has")
def _opt_has(call: Call) -> list[Type]:
    return [Type(DType.BOOL, ())]


@rule("opt_none")
def _opt_none(call: Call) -> list[Type]:
    kind = "sequence" if call.attr("kind") & 1 else "tensor"
    return [Type(DType(call.attr("dtype", DType.F32)), None, kind, True)]


@rule("opt_get")
def _opt_get(call: Call) -> list[Type]:
    v = call.need(0)
    return [Type(v.dtype, v.shape, v.kind)]


# ---- control --------------------------------------------------------------------------------------


@rule("if")
def _if(call: Call) -> list[Type]:
    a, b = (r.results for r in call.node.regions)
    if len(a) != len(b):
        call.fail(f"the branches give {len(a)} and {len(b)} results")
    types = []
    for k, (x, y) in enumerate(zip(a, b, strict=True)):
        if x is None or y is None:
            call.fail(f"result {k} of a branch is missing")
        if x.kind != y.kind:
            call.fail(f"result {k} is a {x.kind} in one branch and a {y.kind} in the other")
        if (
            x.dtype is not None
            and y.dtype is not None
            and x.dtype != y.dtype
            and not (x.optional or y.optional)
        ):
            call.fail(
                f"result {k} is {x.dtype.short} in one branch and {y.dtype.short} in the other"
            )
        full = y if x.producer is not None and x.producer.op == "opt_none" else x
        types.append(
            Type(full.dtype or y.dtype, merge(x.shape, y.shape), x.kind, x.optional or y.optional)
        )
    return types


def _is_true(v: Value | None) -> bool:
    return v is None or (v.const is not None and v.state is None and bool(v.const.reshape(-1)[0]))


@rule("loop")
def _loop(call: Call) -> list[Type]:
    """Fills in the attributes n_carried and scans, which describe the body."""
    node = call.node
    body, inits = node.regions[0], node.inputs[2:]
    n = len(inits)
    if len(body.params) != n + 1:
        call.fail(
            f"{n} carried values, but the body has {len(body.params)} params; it needs {n + 1}"
        )
    if len(body.results) < n + 1:
        call.fail(f"the body gives {len(body.results)} results; it needs {n + 1} or more")
    types = []
    for k, (init, p, r) in enumerate(zip(inits, body.params[1:], body.results[1:], strict=False)):
        if init is None or r is None:
            call.fail(f"carried value {k} is missing")
        if r.dtype is not None and init.dtype is not None and r.dtype != init.dtype:
            call.fail(f"carried value {k} starts as {init.dtype.short} and becomes {r.dtype.short}")
        for v, when in ((init, "starts"), (r, "goes on")):
            if merge(p.shape, v.shape) != p.shape:
                call.fail(
                    f"carried value {k} has the shape {show_shape(p.shape)} in the body but {when} as "
                    f"{show_shape(v.shape)}; the body must be made with what both have in common (infer.widen)"
                )
        types.append(Type(r.dtype or init.dtype, merge(init.shape, r.shape), p.kind, p.optional))
    endless = _is_true(call.value(1)) and _is_true(body.results[0])
    trips = call.elements(0) if endless else None
    count = trips[0] if trips else None
    if isinstance(count, int):
        count = max(count, 0)
    scans: list[int] = []
    for s in body.results[n + 1 :]:
        if s is None:
            call.fail("a scan output is missing")
        types.append(Type(s.dtype, None if s.shape is None else (count, *s.shape)))
        dims = None if s.shape is None else [d if isinstance(d, int) else -1 for d in s.shape]
        scans += [int(s.dtype or 0), 255] if dims is None else [int(s.dtype or 0), len(dims), *dims]
    node.attrs["n_carried"], node.attrs["scans"] = n, scans
    return types


# ---- the rest -------------------------------------------------------------------------------------


@rule("random")
def _random(call: Call) -> list[Type]:
    items = call.elements(0)
    shape = unknown(_numbers(call, 0)) if items is None else tuple(items)
    return [Type(DType(call.attr("dtype")), shape)]


@rule("nms")
def _nms(call: Call) -> list[Type]:
    return [Type(DType.I64, (None, 3))]


def is_static(shape: Shape) -> bool:
    """All dimensions are numbers."""
    return shape is not None and all(isinstance(d, int) for d in shape)


def static(shape: Shape) -> tuple[int, ...] | None:
    """The shape if all dimensions are numbers."""
    if shape is None or not all(isinstance(d, int) for d in shape):
        return None
    return tuple(d for d in shape if isinstance(d, int))


def constant_of(v: Value, known: Known) -> np.ndarray[Any, Any] | None:
    """The value as an array if its elements are all known although it was made by a node."""
    items = known.get(v)
    shape = static(v.shape)
    if items is None or shape is None or v.dtype is None or math.prod(shape) != len(items):
        return None
    numbers = [x for x in items if isinstance(x, int)]
    if len(numbers) != len(items):
        return None
    return np.array(numbers, dtype=v.dtype.numpy).reshape(shape)
