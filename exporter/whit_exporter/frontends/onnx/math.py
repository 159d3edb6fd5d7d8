"""Element-wise operators, contractions and reductions."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import numpy as np

from ...dtypes import DType
from ...ir import Value
from .einsum import einsum
from .expr import REDUCE, Expr, arange, constant
from .registry import NodeContext, lower

# One input


UNARY = {
    "Abs": "abs", "Neg": "neg", "Ceil": "ceil", "Floor": "floor", "Round": "round",
    "Sqrt": "sqrt", "Exp": "exp", "Log": "log", "Sin": "sin", "Cos": "cos",
    "Atan": "atan", "Tanh": "tanh", "Erf": "erf", "Sign": "sign", "Sigmoid": "sigmoid",
    "Not": "not", "BitwiseNot": "bitnot", "IsNaN": "is_nan",
}  # fmt: skip


@lower(*UNARY)
def unary(n: NodeContext) -> Value:
    return n.b.op(UNARY[n.op_type], n.value(0))


def log1p(x: Expr) -> Expr:
    """log(1 + x) for x >= 0, exact to rounding for small x: adds back what 1 + x rounded away."""
    u = x + 1.0
    return (x < 1.0).where(u.log() + (x - (u - 1.0)) / u, u.log())


def softplus(x: Expr) -> Expr:
    return x.max(0.0) + log1p((-x.abs()).exp())


def asinh(x: Expr) -> Expr:
    a = x.abs()
    square = a * a
    near = log1p(a + square / (1.0 + (square + 1.0).sqrt()))
    return x.op("sign") * (a < 1e9).where(near, a.log() + math.log(2))


def acosh(x: Expr) -> Expr:
    t = x - 1.0
    return (t < 1e9).where(log1p(t + (2.0 * t + t * t).sqrt()), t.log() + math.log(2))


def atanh(x: Expr) -> Expr:
    a = x.abs()
    return 0.5 * x.op("sign") * log1p(2.0 * a / (1.0 - a))


def sinh(x: Expr) -> Expr:
    """exp(x) - exp(-x) loses its digits near 0; there from tanh(x/2)."""
    t = (0.5 * x).op("tanh")
    return (x.abs() < 1.0).where(2.0 * t / (1.0 - t * t), 0.5 * (x.exp() - (-x).exp()))


def gelu(x: Expr) -> Expr:
    return 0.5 * x * (1.0 + (x * math.sqrt(0.5)).op("erf"))


def gelu_tanh(x: Expr) -> Expr:
    return 0.5 * x * (1.0 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)).op("tanh"))


FORMULAS: dict[str, Callable[[Expr], Expr]] = {
    "Reciprocal": lambda x: 1.0 / x,
    "Tan": lambda x: x.op("sin") / x.op("cos"),
    "Acos": lambda x: 2.0 * ((1.0 - x) / (1.0 + x)).sqrt().op("atan"),
    "Asin": lambda x: 2.0 * (x / (1.0 + ((1.0 - x) * (1.0 + x)).sqrt())).op("atan"),
    "Acosh": acosh,
    "Asinh": asinh,
    "Atanh": atanh,
    "Cosh": lambda x: 0.5 * (x.exp() + (-x).exp()),
    "Sinh": sinh,
    "Softplus": softplus,
    "Softsign": lambda x: x / (1.0 + x.abs()),
    "HardSwish": lambda x: x * (x * (1 / 6) + 0.5).clip(0.0, 1.0),
    "Mish": lambda x: x * softplus(x).op("tanh"),
}


def widened(n: NodeContext, f: Callable[[Expr], Expr]) -> Value:
    """f in f32 for the small floats: their formulas would lose digits at every step. In f64 for integers: it has reals."""
    x, dtype = Expr(n.b, n.value(0)), n.dtype(0)
    if dtype in (DType.F16, DType.BF16):
        return f(x.cast(DType.F32)).cast(dtype).v
    return f(x).v if dtype.is_float else f(x.cast(DType.F64)).cast(dtype).v


@lower(*FORMULAS)
def formula(n: NodeContext) -> Value:
    return widened(n, FORMULAS[n.op_type])


@lower("Relu")
def relu(n: NodeContext) -> Value:
    return Expr(n.b, n.value(0)).max(0).v


@lower("Gelu")
def gelu_op(n: NodeContext) -> Value:
    return widened(n, gelu_tanh if n.str("approximate", "none") == "tanh" else gelu)


def elu(x: Expr, alpha: float) -> Expr:
    return (x < 0.0).where(alpha * (x.exp() - 1.0), x)


def shrink(x: Expr, bias: float, lambd: float) -> Expr:
    return (x < -lambd).where(x + bias, (x > lambd).where(x - bias, x * 0))


PARAMETRIC: dict[str, tuple[dict[str, float], Callable[..., Expr]]] = {
    "LeakyRelu": ({"alpha": 0.01}, lambda x, alpha: (x < 0.0).where(alpha * x, x)),
    "Elu": ({"alpha": 1.0}, elu),
    "Selu": (
        {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
        lambda x, alpha, gamma: gamma * elu(x, alpha),
    ),
    "Celu": (
        {"alpha": 1.0},
        lambda x, alpha: x.max(0.0) + (alpha * ((x * (1 / alpha)).exp() - 1.0)).min(0.0),
    ),
    "ThresholdedRelu": ({"alpha": 1.0}, lambda x, alpha: (x > alpha).where(x, 0.0)),
    "HardSigmoid": (
        {"alpha": 0.2, "beta": 0.5},
        lambda x, alpha, beta: (alpha * x + beta).clip(0.0, 1.0),
    ),
    "Shrink": ({"bias": 0.0, "lambd": 0.5}, shrink),
    "Swish": (
        {"alpha": 1.0},
        lambda x, alpha: x * (x if alpha == 1 else alpha * x).op("sigmoid"),
    ),
}


@lower(*PARAMETRIC)
def parametric(n: NodeContext) -> Value:
    defaults, f = PARAMETRIC[n.op_type]
    values = {k: n.float(k, v) for k, v in defaults.items()}
    return widened(n, lambda x: f(x, **values))


@lower("SwiGLU")
def swiglu(n: NodeContext) -> Value:
    a = Expr(n.b, n.value(0))
    return (a * (n.float("alpha", 1.0) * a).op("sigmoid") * n.value(1)).v


@lower("IsInf")
def is_inf(n: NodeContext) -> Value:
    x = Expr(n.b, n.value(0))
    positive, negative = n.int("detect_positive", 1), n.int("detect_negative", 1)
    if positive and negative:
        return x.op("is_inf").v
    return (x.op("is_inf") & (x > 0.0 if positive else (x < 0.0 if negative else x < x))).v


@lower("Clip")
def clip(n: NodeContext) -> Value:
    x = Expr(n.b, n.value(0))
    if n.opset < 11:
        x = x.max(n.float("min")) if n.has("min") else x
        return (x.min(n.float("max")) if n.has("max") else x).v
    low, high = n.opt(1), n.opt(2)
    x = x.max(low) if low is not None else x
    x = x.min(high) if high is not None else x
    return x.v


# Types

F8_OVERFLOW = {  # |x| from here on rounds past the largest number; the tie of E4M3FN rounds down
    DType.F8E4M3FN: float(np.nextafter(np.float32(464), np.float32(np.inf))),
    DType.F8E4M3FNUZ: 248.0,
    DType.F8E5M2: 61440.0,
    DType.F8E5M2FNUZ: 61440.0,
}
BELOW_BYTE = (DType.U4, DType.I4, DType.U2, DType.I2)
BITS = {DType.U4: 4, DType.I4: 4, DType.F4E2M1: 4, DType.U2: 2, DType.I2: 2}


def cast_to(n: NodeContext, x: Value, to: DType) -> Value:
    """Cast with the node's `saturate` and `round_mode`."""
    if to in F8_OVERFLOW and not n.int("saturate", 1):
        wide = f32_or_f64(n, x)
        over = wide.abs() >= F8_OVERFLOW[to]
        if to == DType.F8E5M2:
            return with_infinities(wide, over, to)
        return over.where(float("nan"), wide).cast(to).v
    if to == DType.F8E8M0 and x.dtype is not None and x.dtype.is_float:
        wide = f32_or_f64(n, x)
        y = power_of_two(wide, n.str("round_mode", "up"))
        if not n.int("saturate", 1):
            y = ((wide >= 2.0**-127) & (wide <= 2.0**127)).where(y, float("nan"))
        return y.cast(to).v
    if to == DType.F8E8M0 and x.dtype is not None and x.dtype.is_signed:
        x = Expr(n.b, x).max(0).v  # as a real below 0; the cast would drop the sign
    if to in BELOW_BYTE and x.dtype is not None and x.dtype.is_float:
        x = n.b.cast(x, DType.I32)  # then keeps the low bits; a cast from a real would saturate
    return n.b.cast(x, to)


def f32_or_f64(n: NodeContext, x: Value) -> Expr:
    """x in f32, or as it is in f64."""
    return Expr(n.b, x if x.dtype == DType.F64 else n.b.cast(x, DType.F32))


def with_infinities(x: Expr, over: Expr, to: DType) -> Value:
    """x cast to a type with infinities, and these where x is too large: gathered, as every cast saturates."""
    flat = x.cast(to).reshape([-1])
    size = flat.dim(0)
    infinities = constant(x.b, np.array([np.inf, -np.inf]), to)
    table = Expr(x.b, x.b.concat([flat.v, infinities.v], 0))
    beyond = size + (x < 0.0).reshape([-1]).cast(DType.I64)
    index = over.reshape([-1]).where(beyond, arange(x.b, size))
    return table.gather(index, 0).reshape_like(x).v


def power_of_two(x: Expr, mode: str) -> Expr:
    """The power of two above, below or nearest (ties up) to x > 0, by comparison with all of them."""
    dtype = x.v.dtype or DType.F32
    powers = np.ldexp(np.ones(255), np.arange(-127, 128)).astype(dtype.numpy)
    bounds = {"up": powers[:-1], "down": powers[1:], "nearest": powers[:-1] * 1.5}[mode]
    table = constant(x.b, bounds.astype(dtype.numpy), dtype)
    column = x.unsqueeze(-1)
    above = (column > table) if mode == "up" else (column >= table)
    index = above.cast(DType.I64).sum([-1], keepdims=False)
    result = constant(x.b, powers, dtype).gather(index, 0)
    return x.op("is_nan").where(x, result)


@lower("Cast")
def cast(n: NodeContext) -> Value:
    if n.has("to") and not n.int("to") and n.str("to"):  # opset 1 named the type
        to: DType | None = {"FLOAT": DType.F32, "DOUBLE": DType.F64, "FLOAT16": DType.F16}.get(
            n.str("to")
        )
        to = to or {"INT32": DType.I32, "INT64": DType.I64, "BOOL": DType.BOOL}.get(n.str("to"))
    else:
        to = n.dtype_attr("to")
    if to is None:
        raise n.fail("attribute 'to' is missing or names no known type")
    return cast_to(n, n.value(0), to)


@lower("CastLike")
def cast_like(n: NodeContext) -> Value:
    return cast_to(n, n.value(0), n.dtype(1))


@lower("BitCast")
def bit_cast(n: NodeContext) -> Value:
    """A view, through u8 for types below a byte, which lie in the low bits of one."""
    to, source = n.dtype_attr("to"), n.dtype(0)
    if to is None:
        raise n.fail("attribute 'to' is missing")
    if BITS.get(to, 8 * to.size) != BITS.get(source, 8 * source.size):
        raise n.fail(f"{source.short} and {to.short} differ in size; only equal sizes are allowed")
    x = n.value(0)
    if source in BITS:
        low = n.b.op("bitcast", x, to=DType.U8) if source.is_float else x
        unsigned = n.b.cast(low, DType.U2 if BITS[source] == 2 else DType.U4)
        if not to.is_float:
            return n.b.cast(unsigned, to)
        x = n.b.cast(unsigned, DType.U8)
    return x if to == source else n.b.op("bitcast", x, to=to)


# Two inputs


def operands(n: NodeContext) -> tuple[Value, Value]:
    """The two inputs, with the explicit broadcasting of opset 1 to 6 made implicit."""
    a, b = n.value(0), n.value(1)
    if n.opset < 7 and n.int("broadcast", 0) and n.has("axis"):
        rank = n.rank(0)
        axis = n.int("axis") % rank
        trailing = rank - axis - n.rank(1)
        b = n.b.unsqueeze(b, list(range(n.rank(1), n.rank(1) + trailing)))
    return a, b


BINARY = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "And": "and", "Or": "or",
    "Xor": "xor", "BitwiseAnd": "and", "BitwiseOr": "or", "BitwiseXor": "xor", "Equal": "eq",
    "Less": "lt", "LessOrEqual": "le", "Greater": ">lt", "GreaterOrEqual": ">le",
}  # fmt: skip


@lower(*BINARY)
def binary(n: NodeContext) -> Value:
    a, b = operands(n)
    op = BINARY[n.op_type]
    return n.b.op(op[1:], b, a) if op[0] == ">" else n.b.op(op, a, b)


@lower("Mod")
def mod(n: NodeContext) -> Value:
    return n.b.op("fmod" if n.int("fmod", 0) else "mod", *operands(n))


@lower("BitShift")
def bit_shift(n: NodeContext) -> Value:
    """Counts that are negative or too large shift everything out, as the primitives do."""
    return n.b.op("shl" if n.str("direction") == "LEFT" else "shr", *operands(n))


def whole_power(n: NodeContext, a: Value, e: Value) -> Value:
    """Low bits of an integer's power. Exponents beyond i64 take another of the same effect: those of odd numbers count
    modulo 2^62, and even ones give 0 from 64 on."""
    base, exponent = n.dtype(0), Expr(n.b, e)
    if n.dtype(1) == DType.U64:
        exponent = (exponent & (1 << 63) - 1) | exponent.op("shr", 63).op("shl", 62)
    if base == n.dtype(1) and base != DType.U64:
        return n.b.op("pow", a, e)
    return n.b.cast(n.b.op("pow", n.b.cast(a, DType.I64), exponent.cast(DType.I64).v), base)


@lower("Pow")
def power(n: NodeContext) -> Value:
    """The result has the base's type; integers with real exponents are computed in f32."""
    a, e = operands(n)
    base, number = n.dtype(0), n.const(1)
    if base.is_float and number is not None and number.size == 1 and number.ndim <= (a.rank or 0):
        x = Expr(n.b, a)
        match float(number.reshape(())):
            case 0.5:
                return x.sqrt().v
            case 1.0:
                return a
            case 2.0:
                return (x * x).v
            case 3.0:
                return (x * x * x).v
    if not base.is_float and not n.dtype(1).is_float:
        return whole_power(n, a, e)
    if base.is_float:
        return n.b.op("pow", a, n.b.cast(e, base))
    wide = DType.F64 if n.dtype(1) == DType.F64 or base.size > 2 else DType.F32
    return n.b.cast(n.b.op("pow", n.b.cast(a, wide), n.b.cast(e, wide)), base)


@lower("PRelu")
def prelu(n: NodeContext) -> Value:
    """Before opset 7 a vector lies along the channels; models brought up to 7 may still have it so."""
    x, slope = Expr(n.b, n.value(0)), n.value(1)
    vector = n.rank(1) == 1 and n.rank(0) > 1 and n.shape(1) != (1,)
    fits = (
        n.shape(0)[-1] == n.shape(1)[0] or not isinstance(n.shape(0)[-1], int) if vector else True
    )
    if vector and (n.opset < 7 or (not fits and n.shape(0)[1] == n.shape(1)[0])):
        slope = n.b.unsqueeze(slope, list(range(1, n.rank(0) - 1)))
    return (x < 0).where(x * slope, x).v


# Any number of inputs

VARIADIC = {"Max": "max", "Min": "min", "Sum": "add", "Mean": "add"}


@lower(*VARIADIC)
def variadic(n: NodeContext) -> Value:
    total = reduce(lambda a, b: n.b.op(VARIADIC[n.op_type], a, b), n.values())
    count = len(n.values())
    return (Expr(n.b, total) / count).v if n.op_type == "Mean" and count > 1 else total


# Scans, contractions


@lower("CumSum", "CumProd")
def cumulative(n: NodeContext) -> Value:
    axis = n.const_ints(1)
    return n.b.op(
        "cumulative",
        n.value(0),
        None if axis else n.value(1),
        axis=axis[0] if axis else 0,
        product=int(n.op_type == "CumProd"),
        exclusive=n.int("exclusive", 0),
        reverse=n.int("reverse", 0),
    )


@lower("MatMul")
def matmul(n: NodeContext) -> Value:
    return matmul_1d(n, n.value(0), n.value(1))


def matmul_1d(n: NodeContext, a: Value, b: Value) -> Value:
    """numpy.matmul: one-dimensional operands become a row and a column for the while. An unknown number of axes
    counts as two or more; if it is one, the runtime refuses."""
    row, column = a.rank == 1, b.rank == 1
    x = Expr(n.b, a).unsqueeze(0) if row else Expr(n.b, a)
    y = x.matmul(n.b.unsqueeze(b, [1]) if column else b)
    y = y.squeeze(-1) if column else y
    if row:
        y = y.squeeze(-1 if column else -2)
    return y.v


@lower("Gemm")
def gemm(n: NodeContext) -> Value:
    """alpha and beta go into constants where there are any; a C that is a row becomes the bias."""
    a, b, c = Expr(n.b, n.value(0)), Expr(n.b, n.value(1)), n.opt(2)
    alpha, beta = n.float("alpha", 1.0), n.float("beta", 1.0)
    trans_a, trans_b = n.int("transA", 0), n.int("transB", 0)
    if b.v.const is not None and trans_b:
        b, trans_b = b.transpose([1, 0]), 0
    if alpha != 1 and b.v.const is not None:
        b, alpha = b * alpha, 1.0
    attrs = {"panels": 0, "n": 0, "trans_a": trans_a, "trans_b": trans_b}
    if c is None or beta == 0:
        y = a.op("matmul", b, **attrs)
        return (y * alpha if alpha != 1 else y).v
    width = None if b.v.shape is None else b.v.shape[0 if trans_b else 1]
    extra = Expr(n.b, c) * beta if beta != 1 else Expr(n.b, c)
    row = c.shape is not None and c.shape in ((width,), (1, width)) and isinstance(width, int)
    if row and alpha == 1 and n.dtype(0) == DType.F32:
        return a.op("matmul", b, extra.reshape([width]), **attrs).v
    y = a.op("matmul", b, **attrs)
    y = y * alpha if alpha != 1 else y
    if n.opset < 7 and n.int("broadcast", 0) and c.rank == 1:
        extra = extra.unsqueeze(0)
    return (y + extra).v


@lower("Einsum")
def einsum_op(n: NodeContext) -> Value:
    ranks = [n.rank(i) for i in range(len(n.inputs))]
    try:
        return einsum(n.str("equation"), [Expr(n.b, v) for v in n.values()], ranks).v
    except ValueError as e:
        raise n.fail(str(e)) from None


@lower("Det")
def det(n: NodeContext) -> Value:
    """Elimination with pivoting, one column after the other; the size must be known."""
    a = Expr(n.b, n.value(0))
    size = n.static_dim(0, -1, "the size of the matrix")
    result: Expr | None = None
    for m in range(size, 0, -1):  # a is m x m: take its largest first-column element as the pivot
        if m == 1:
            pivot = a.squeeze(-2, -1)
            return (pivot if result is None else result * pivot).v
        p = a.slice(0, 1, -1).abs().op("argreduce", axis=-2, keepdims=1, max=1, last=0)
        rows = arange(n.b, m).unsqueeze(1)
        swapped = p.eq(rows).where(0 * rows, rows)  # the first row takes the place of row p
        order = rows.eq(0).where(p, swapped)
        order = order.op("expand", n.b.shape_of(a.v))
        a = a.op("gather_elements", order, axis=-2)
        pivot = a.slice(0, 1, -2)
        corner = pivot.slice(0, 1, -1)
        sign = p.eq(0).where(corner, -corner).squeeze(-2, -1)
        result = sign if result is None else result * sign
        safe = corner.eq(0.0).where(1.0, corner)
        factor = a.slice(1, m, -2).slice(0, 1, -1) / safe
        a = a.slice(1, m, -2).slice(1, m, -1) - factor * pivot.slice(1, m, -1)
    return n.b.op("reduce", a.v, None, kind=REDUCE["prod"], keepdims=0, noop=0, axes=[-2, -1])


# Reductions


class Reducer:
    """The axes of a Reduce operator, given by attribute or by input, applied to several tensors."""

    def __init__(self, n: NodeContext) -> None:
        self.b = n.b
        self.keepdims = n.int("keepdims", 1)
        self.noop = n.int("noop_with_empty_axes", 0)
        self.dynamic: Value | None = None
        axes = n.ints("axes") if n.has("axes") else n.const_ints(1)
        if axes is None and n.opt(1) is not None:
            self.dynamic = n.value(1)
        self.axes = axes or []

    def __call__(self, x: Expr, kind: str, keepdims: int | None = None) -> Expr:
        """Half floats and small integers keep their type; bool is reduced as u8."""
        keep = self.keepdims if keepdims is None else keepdims
        dtype = x.v.dtype
        if dtype == DType.BOOL:
            return self(x.cast(DType.U8), kind, keep).cast(DType.BOOL)
        if not self.axes and self.dynamic is None and self.noop:
            return x
        attrs = {"kind": REDUCE[kind], "keepdims": keep, "noop": self.noop, "axes": self.axes}
        return x.op("reduce", self.dynamic, **attrs)


def reduce_log_sum_exp(x: Expr, r: Reducer) -> Expr:
    """Less the maximum, which cancels; an infinite maximum is not subtracted."""
    top = r(x, "max", 1)
    top = top.op("is_inf").where(0.0, top)
    total = r((x - top).exp(), "sum")
    return total.log() + (top if r.keepdims else r(top, "max"))


REDUCTIONS: dict[str, Callable[[Expr, Reducer], Expr]] = {
    "ReduceSum": lambda x, r: r(x, "sum"),
    "ReduceProd": lambda x, r: r(x, "prod"),
    "ReduceMax": lambda x, r: r(x, "max"),
    "ReduceMin": lambda x, r: r(x, "min"),
    "ReduceMean": lambda x, r: r(x, "mean"),
    "ReduceL1": lambda x, r: r(x.abs(), "sum"),
    "ReduceL2": lambda x, r: r(x * x, "sum").sqrt(),
    "ReduceSumSquare": lambda x, r: r(x * x, "sum"),
    "ReduceLogSum": lambda x, r: r(x, "sum").log(),
    "ReduceLogSumExp": reduce_log_sum_exp,
}
REAL = ("ReduceL2", "ReduceLogSum", "ReduceLogSumExp")


@lower(*REDUCTIONS)
def reduction(n: NodeContext) -> Value:
    x, dtype = Expr(n.b, n.value(0)), n.dtype(0)
    if n.op_type in REAL and not dtype.is_float:
        return REDUCTIONS[n.op_type](x.cast(DType.F64), Reducer(n)).cast(dtype).v
    return REDUCTIONS[n.op_type](x, Reducer(n)).v


@lower("ArgMax", "ArgMin")
def arg_reduce(n: NodeContext) -> Value:
    return n.b.op(
        "argreduce",
        n.value(0),
        axis=n.int("axis", 0),
        keepdims=n.int("keepdims", 1),
        max=int(n.op_type == "ArgMax"),
        last=n.int("select_last_index", 0),
    )


@lower("Hardmax")
def hardmax(n: NodeContext) -> Value:
    x = Expr(n.b, n.value(0))
    rank, axis = n.rank(0), n.int("axis", 1 if n.opset < 13 else -1)
    if n.opset < 13:  # the axes from `axis` on count as one
        split = axis % rank
        x, axis, rank = x.reshape([("prod", 0, split), ("prod", split, rank)]), 1, 2
    best = x.op("argreduce", axis=axis, keepdims=1, max=1, last=0)
    hot = arange(n.b, x.dim(axis)).to_axis(axis % rank, rank).eq(best).cast(n.dtype(0))
    return (hot.reshape_like(n.value(0)) if n.opset < 13 else hot).v
