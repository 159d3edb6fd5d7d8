"""One step of the optimisers of ai.onnx.preview.training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...dtypes import DType
from ...ir import Value
from .expr import Expr
from .registry import NodeContext, lower

TRAINING = "ai.onnx.preview.training"


def each_tensor(
    n: NodeContext, per_tensor: int, step: Callable[..., Sequence[Expr]]
) -> list[Value]:
    """Inputs R, T, then all tensors, all gradients, all states; outputs all new tensors, all new states."""
    rest = [Expr(n.b, v) for v in n.values()[2:]]
    count = len(rest) // per_tensor
    results = [step(*rest[i::count]) for i in range(count)]
    return [r.v for group in zip(*results, strict=True) for r in group]


def of_type(rate: Expr, x: Expr) -> Expr:
    """The rate, whose type is its own, in the type of a tensor."""
    return rate.cast(x.v.dtype or DType.F32)


@lower("Adagrad", domain=TRAINING)
def adagrad(n: NodeContext) -> list[Value]:
    t = Expr(n.b, n.value(1)).cast(n.dtype(0))
    rate = Expr(n.b, n.value(0)) / (1.0 + t * n.float("decay_factor", 0.0))

    def step(x: Expr, gradient: Expr, h: Expr) -> tuple[Expr, Expr]:
        g = n.float("norm_coefficient", 0.0) * x + gradient
        h = h + g * g
        return x - of_type(rate, x) * g / (h.sqrt() + n.float("epsilon", 1e-6)), h

    return each_tensor(n, 3, step)


@lower("Adam", domain=TRAINING)
def adam(n: NodeContext) -> list[Value]:
    """The bias correction of the rate applies from the second step on."""
    alpha, beta = n.float("alpha", 0.9), n.float("beta", 0.999)
    rate, t = Expr(n.b, n.value(0)), Expr(n.b, n.value(1)).cast(DType.F64)
    correction = (1.0 - beta**t).sqrt() / (1.0 - alpha**t)
    rate = (t > 0.0).where(correction, 1.0).cast(n.dtype(0)) * rate

    def step(x: Expr, gradient: Expr, v: Expr, h: Expr) -> tuple[Expr, Expr, Expr]:
        g = n.float("norm_coefficient", 0.0) * x + gradient
        v = alpha * v + (1 - alpha) * g
        h = beta * h + (1 - beta) * (g * g)
        x = x - of_type(rate, x) * v / (h.sqrt() + n.float("epsilon", 1e-6))
        return (1 - n.float("norm_coefficient_post", 0.0)) * x, v, h

    return each_tensor(n, 4, step)


@lower("Momentum", domain=TRAINING)
def momentum(n: NodeContext) -> list[Value]:
    alpha, nesterov = n.float("alpha"), n.str("mode") == "nesterov"
    rate, t = Expr(n.b, n.value(0)), Expr(n.b, n.value(1))
    beta = (t > 0).where(Expr(n.b, n.b.scalar(rate.v, n.float("beta"))), 1.0)

    def step(x: Expr, gradient: Expr, v: Expr) -> tuple[Expr, Expr]:
        g = n.float("norm_coefficient") * x + gradient
        v = alpha * v + of_type(beta, x) * g
        return x - of_type(rate, x) * (g + alpha * v if nesterov else v), v

    return each_tensor(n, 3, step)
