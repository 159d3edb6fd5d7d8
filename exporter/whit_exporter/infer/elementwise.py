"""Element-wise operators and tile programs; integers of shape arithmetic are followed here."""

from __future__ import annotations

from collections.abc import Callable

from .. import ops
from ..dtypes import DType
from ..ir import Dim, Shape
from .base import Call, Type, add_dim, broadcast, rule

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
    bits = 32 if call.dtype() == DType.I32 else 64
    if op == "where":
        return [_choose(c, a, b) for c, a, b in zip(*rows, strict=True)]
    if op == "neg":
        return _within(bits, [-x if isinstance(x, int) else None for x in rows[0]])
    if op == "not":
        return [int(not x) if isinstance(x, int) else None for x in rows[0]]
    if len(rows) != 2 or op in ("and", "or", "xor"):
        return None
    return _within(bits, [_arith(op, a, b) for a, b in zip(*rows, strict=True)])


def _within(bits: int, items: list[Dim]) -> list[Dim]:
    """Without the numbers that a signed type of this width does not have: they would wrap."""
    end = 1 << bits - 1
    return [None if isinstance(x, int) and not -end <= x < end else x for x in items]


def _choose(c: Dim, a: Dim, b: Dim) -> Dim:
    if isinstance(c, int):
        return a if c else b
    return a if a == b else None


def _cast_known(call: Call, items: list[Dim]) -> list[Dim] | None:
    to = DType(call.node.attrs["to"])
    if to in (DType.I64, DType.I32):
        return _within(8 * to.size, items)
    if to == DType.BOOL:
        return [int(x != 0) if isinstance(x, int) else None for x in items]
    return None


def elementwise_rule(call: Call) -> list[Type]:
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
