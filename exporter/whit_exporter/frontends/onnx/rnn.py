"""RNN, GRU, LSTM: the inputs of all steps in one matmul, the recurrence in a `loop`.

With sequence_lens, a sequence that has ended keeps its state and gives zeros. Backwards, the same rule starts each
sequence at its own last step: until there the state is the initial one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...dtypes import DType
from ...ir import Value
from .control import Step, loop
from .expr import Expr
from .movement import dim, scalar
from .registry import NodeContext, lower

Activation = Callable[[Expr], Expr]
State = list[Expr]
"""The hidden state, and the cell's state of an LSTM."""


def _hard_sigmoid(x: Expr, alpha: float, beta: float) -> Expr:
    return (x * alpha + beta).clip(0.0, 1.0)


def _softplus(x: Expr) -> Expr:
    """log(1 + exp(x)) that does not overflow."""
    return x.max(0.0) + ((-x.abs()).exp() + 1.0).log()


ACTIVATIONS: dict[str, tuple[int, float, float, Callable[[Expr, float, float], Expr]]] = {
    "affine": (2, 1.0, 0.0, lambda x, a, b: x * a + b),
    "elu": (1, 1.0, 0.0, lambda x, a, b: (x < 0.0).where((x.exp() - 1.0) * a, x)),
    "hardsigmoid": (2, 0.2, 0.5, _hard_sigmoid),
    "leakyrelu": (1, 0.01, 0.0, lambda x, a, b: (x < 0.0).where(x * a, x)),
    "relu": (0, 0.0, 0.0, lambda x, a, b: x.max(0.0)),
    "scaledtanh": (2, 1.0, 1.0, lambda x, a, b: (x * b).op("tanh") * a),
    "sigmoid": (0, 0.0, 0.0, lambda x, a, b: x.op("sigmoid")),
    "softplus": (0, 0.0, 0.0, lambda x, a, b: _softplus(x)),
    "softsign": (0, 0.0, 0.0, lambda x, a, b: x / (x.abs() + 1.0)),
    "tanh": (0, 0.0, 0.0, lambda x, a, b: x.op("tanh")),
    "thresholdedrelu": (1, 1.0, 0.0, lambda x, a, b: (x > a).where(x, 0.0)),
}
"""By name in lower case: how many of alpha and beta it takes, their defaults, the function."""


def activations(n: NodeContext, defaults: list[str], directions: int) -> list[list[Activation]]:
    """The activation functions of each direction; alphas and betas go to those that take them, in order."""
    names = n.strs("activations") or defaults * directions
    if len(names) != len(defaults) * directions:
        raise n.fail(f"{len(names)} activations, {len(defaults) * directions} are needed")
    alphas, betas = iter(n.floats("activation_alpha")), iter(n.floats("activation_beta"))
    clip = n.float("clip", 0.0)
    made = [_activation(n, name, alphas, betas, clip) for name in names]
    each = len(defaults)
    return [made[d * each : (d + 1) * each] for d in range(directions)]


def _activation(
    n: NodeContext, name: str, alphas: Iterator[float], betas: Iterator[float], clip: float
) -> Activation:
    known = ACTIVATIONS.get(name.lower())
    if known is None:
        raise n.fail(f"activation {name!r} is not one of {', '.join(sorted(ACTIVATIONS))}")
    takes, alpha, beta, function = known
    a = next(alphas, alpha) if takes > 0 else 0.0
    b = next(betas, beta) if takes > 1 else 0.0
    return lambda x: function(x.clip(-clip, clip) if clip > 0.0 else x, a, b)


@dataclass(slots=True)
class Direction:
    """One direction's operands. R is [gates * hidden, hidden]; x is [T, B, gates * hidden], biases added."""

    n: NodeContext
    hidden: int
    x: Value
    r: Value
    r_bias: Value | None
    peepholes: Value | None
    functions: list[Activation]

    def recurrent(self, h: Expr, first: int, last: int) -> Expr:
        """h R^T for the gates first..last-1."""
        b = self.n.b
        r = b.slice(self.r, [first * self.hidden], [last * self.hidden], [0])
        return h.matmul(b.transpose(r, [1, 0]))

    def gate(self, x: Expr, k: int) -> Expr:
        return x.slice(k * self.hidden, (k + 1) * self.hidden, -1)

    def peephole(self, k: int, c: Expr) -> Expr | float:
        if self.peepholes is None:
            return 0.0
        return c * self.gate(Expr(self.n.b, self.peepholes), k)


Cell = Callable[[Direction, Expr, State], State]


def rnn_cell(d: Direction, x: Expr, state: State) -> State:
    return [d.functions[0](x + d.recurrent(state[0], 0, 1))]


def gru_cell(d: Direction, x: Expr, state: State) -> State:
    """Gates z, r, h."""
    f, g = d.functions
    h = state[0]
    if d.n.int("linear_before_reset", 0):
        all_gates = d.recurrent(h, 0, 3)
        reset = f(d.gate(x, 1) + d.gate(all_gates, 1))
        linear = d.gate(all_gates, 2)
        if d.r_bias is not None:
            linear = linear + d.gate(Expr(d.n.b, d.r_bias), 2)
        update = f(d.gate(x, 0) + d.gate(all_gates, 0))
        new = g(d.gate(x, 2) + reset * linear)
    else:
        two_gates = d.recurrent(h, 0, 2)
        reset = f(d.gate(x, 1) + d.gate(two_gates, 1))
        update = f(d.gate(x, 0) + d.gate(two_gates, 0))
        new = g(d.gate(x, 2) + d.recurrent(reset * h, 2, 3))
    return [(1.0 - update) * new + update * h]


def lstm_cell(d: Direction, x: Expr, state: State) -> State:
    """Gates i, o, f, c; peepholes i, o, f."""
    f, g, h = d.functions
    hidden, cell = state
    gates = x + d.recurrent(hidden, 0, 4)
    i = f(d.gate(gates, 0) + d.peephole(0, cell))
    forget = 1.0 - i
    if not d.n.int("input_forget", 0):
        forget = f(d.gate(gates, 2) + d.peephole(2, cell))
    new = forget * cell + i * g(d.gate(gates, 3))
    o = f(d.gate(gates, 1) + d.peephole(1, new))
    return [o * h(new), new]


@lower("RNN")
def rnn(n: NodeContext) -> list[Value | None]:
    return recurrent(n, rnn_cell, 1, 1, ["Tanh"])


@lower("GRU")
def gru(n: NodeContext) -> list[Value | None]:
    return recurrent(n, gru_cell, 3, 1, ["Sigmoid", "Tanh"])


@lower("LSTM")
def lstm(n: NodeContext) -> list[Value | None]:
    return recurrent(n, lstm_cell, 4, 2, ["Sigmoid", "Tanh", "Tanh"])


def recurrent(
    n: NodeContext, cell: Cell, gates: int, n_states: int, defaults: list[str]
) -> list[Value | None]:
    """Y [T, D, B, H] and the final states [D, B, H] (layout 1: batch first)."""
    b = n.b
    names = {"forward": [0], "reverse": [1], "bidirectional": [0, 1]}
    direction = n.str("direction", "forward")
    if direction not in names:
        raise n.fail(f"direction {direction!r} is not one of {', '.join(names)}")
    backward = names[direction]
    hidden = n.int("hidden_size") if n.has("hidden_size") else n.static_dim(2, 2, "hidden_size")
    batch_first = n.int("layout", 0) == 1
    x = b.transpose(n.value(0), [1, 0, 2]) if batch_first else n.value(0)
    n.rank(0)
    functions = activations(n, defaults, len(backward))
    lens = None if n.opt(4) is None else b.unsqueeze(b.cast(n.value(4), DType.I64), [1])
    start = [initial_state(n, n.opt(5 + k), x, hidden, batch_first) for k in range(n_states)]
    all_steps: list[Value] = []
    finals: list[list[Value]] = [[] for _ in range(n_states)]
    for k, reverse in enumerate(backward):
        d = operands(n, k, x, gates, hidden, functions[k])
        h0 = [row(n, v, k) for v in start]
        steps, last = run(d, cell, h0, lens, bool(reverse))
        if steps is not None:
            all_steps.append(b.unsqueeze(steps, [1]))
        for s, v in zip(finals, last, strict=True):
            s.append(b.unsqueeze(v, [0]))
    y = b.concat(all_steps, 1) if all_steps else None
    states: list[Value | None] = [b.concat(s, 0) for s in finals]
    if batch_first:
        y = None if y is None else b.transpose(y, [2, 0, 1, 3])
        states = [None if s is None else b.transpose(s, [1, 0, 2]) for s in states]
    return [y, *states]


def row(n: NodeContext, v: Value, k: int) -> Value:
    """v[k]."""
    return n.b.squeeze(n.b.slice(v, [k], [k + 1], [0]), [0])


def initial_state(
    n: NodeContext, given: Value | None, x: Value, hidden: int, batch_first: bool
) -> Value:
    """The initial state as [D, B, H]; zeros if none is given."""
    b = n.b
    if given is not None:
        return b.transpose(given, [1, 0, 2]) if batch_first else given
    directions = 2 if n.str("direction", "forward") == "bidirectional" else 1
    shape = b.concat([b.const([directions]), dim(n, x, 1), b.const([hidden])], 0)
    return b.op("expand", b.scalar(x, 0), shape)


def operands(
    n: NodeContext, k: int, x: Value, gates: int, hidden: int, functions: list[Activation]
) -> Direction:
    """Direction k: its weights, and its share of the input for all steps at once."""
    b = n.b
    w = b.transpose(row(n, n.value(1), k), [1, 0])
    projected = Expr(b, x).matmul(w)
    r_bias = None
    if n.opt(3) is not None:
        bias = Expr(b, row(n, n.value(3), k))
        width = gates * hidden
        w_bias, recurrent_bias = bias.slice(0, width, 0), bias.slice(width, 2 * width, 0)
        r_bias = recurrent_bias.v
        if gates == 3 and n.int("linear_before_reset", 0):  # the reset gate scales the last third
            keep = recurrent_bias.slice(0, 2 * hidden, 0).v
            zeros = b.op("expand", b.scalar(x, 0), b.const([hidden]))
            recurrent_bias = Expr(b, b.concat([keep, zeros], 0))
        projected = projected + (w_bias + recurrent_bias)
    peepholes = None if gates != 4 or n.opt(7) is None else row(n, n.value(7), k)
    return Direction(n, hidden, projected.v, row(n, n.value(2), k), r_bias, peepholes, functions)


def run(
    d: Direction, cell: Cell, initial: list[Value], lens: Value | None, reverse: bool
) -> tuple[Value | None, list[Value]]:
    """All steps: the outputs [T, B, H] (None if nobody wants them) and the final states [B, H]."""
    n, b = d.n, d.n.b
    total = scalar(n, dim(n, d.x, 0))
    wanted = n.wants(0)
    last = b.const(-1) if lens is None else b.op("sub", total, b.const(1))

    def step(index: Value, carried: list[Value]) -> Step:
        at = index
        if reverse:
            at = b.op("sub", last, index)
        x = Expr(b, b.op("gather", d.x, at, axis=0))
        old = [Expr(b, v) for v in carried]
        new = cell(d, x, old)
        y = new[0]
        if lens is not None:
            running = Expr(b, b.op("lt", at, lens))
            y = running.where(new[0], 0.0)
            new = [running.where(a, o) for a, o in zip(new, old, strict=True)]
        slices = [y.v] if wanted else []
        if wanted and reverse:
            slices.append(at)
        return Step([v.v for v in new], slices)

    if b.ints(total) == [1]:
        once = step(b.const(0), initial)
        return (b.unsqueeze(once.slices[0], [0]) if wanted else None), once.carried
    outputs = loop(n, total, None, initial, step)
    states = outputs[: len(initial)]
    if not wanted:
        return None, states
    if reverse:  # the last trip's comes first; a slice by -1 would want more of the library
        return b.op("gather", outputs[-2], outputs[-1], axis=0), states
    return outputs[-1], states
