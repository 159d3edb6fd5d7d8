"""RNN, GRU and LSTM against onnxruntime, and against NumPy where onnxruntime refuses (layout=1) or is wrong.

The NumPy cell below is one plain loop per sample; every case that onnxruntime can run goes through both oracles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
from helpers import assert_same, check, load, onnxruntime_oracle
from onnx import TensorProto, helper

N_INPUT, N_HIDDEN = 3, 4
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
DEFAULTS = {
    "RNN": ["Tanh"],
    "GRU": ["Sigmoid", "Tanh"],
    "LSTM": ["Sigmoid", "Tanh", "Tanh"],
}
OPTIONAL = {"B": 3, "sequence_lens": 4, "initial_h": 5, "initial_c": 6, "P": 7}
TOLERANCE = {"rtol": 1e-5, "atol": 2e-6}
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Rnn:
    """One recurrent node. inputs: the optional ones, by the names of the standard."""

    name: str
    op: str
    direction: str = "forward"
    inputs: str = "B"
    lengths: tuple[int, ...] = (5, 3, 1)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 22
    layout: int = 0
    outputs: str = "Y Y_h Y_c"
    constant: bool = True
    by_onnxruntime: bool = True

    def __str__(self) -> str:
        return f"{self.op}_{self.direction}_{self.name}".replace(" ", "_")

    @property
    def n_directions(self) -> int:
        return 2 if self.direction == "bidirectional" else 1

    def weights(self) -> dict[str, Array]:
        rng = np.random.default_rng(len(str(self)))
        d, n, h = self.n_directions, GATES[self.op], N_HIDDEN
        shapes = {
            "W": (d, n * h, N_INPUT),
            "R": (d, n * h, h),
            "B": (d, 2 * n * h),
            "P": (d, 3 * h),
        }
        wanted = {"W", "R", *self.inputs.split()}
        return {
            k: rng.uniform(-0.3, 0.3, s).astype(np.float32)
            for k, s in shapes.items()
            if k in wanted
        }

    def feeds(self, n_time: int, n_batch: int, layout: int) -> dict[str, Array]:
        rng = np.random.default_rng(n_time * 10 + n_batch)
        state = (self.n_directions, n_batch, N_HIDDEN)
        shapes = {"X": (n_time, n_batch, N_INPUT), "initial_h": state, "initial_c": state}
        feeds: dict[str, Array] = {
            k: rng.normal(size=s).astype(np.float32)
            for k, s in shapes.items()
            if k == "X" or k in self.inputs.split()
        }
        if layout:
            feeds = {k: np.ascontiguousarray(a.swapaxes(0, 1)) for k, a in feeds.items()}
        if "sequence_lens" in self.inputs.split():
            lengths = [min(self.lengths[k % len(self.lengths)], n_time) for k in range(n_batch)]
            feeds["sequence_lens"] = np.array(lengths, np.int32)
        return feeds if self.constant else {**feeds, **self.weights()}

    def model(self, layout: int) -> onnx.ModelProto:
        weights = self.weights()
        first, second = ("batch", "time") if layout else ("time", "batch")
        d = self.n_directions
        state = ["batch", d, N_HIDDEN] if layout else [d, "batch", N_HIDDEN]
        shapes: dict[str, list[Any]] = {
            "X": [first, second, N_INPUT],
            "sequence_lens": ["batch"],
            "initial_h": state,
            "initial_c": state,
        }
        names = ["X", "W", "R", *[""] * 5]
        for name in self.inputs.split():
            names[OPTIONAL[name]] = name
        while not names[-1]:
            names.pop()
        known = {**shapes, **({} if self.constant else {k: a.shape for k, a in weights.items()})}
        inputs = [
            helper.make_tensor_value_info(
                k, TensorProto.INT32 if k == "sequence_lens" else TensorProto.FLOAT, known[k]
            )
            for k in names
            if k in known
        ]
        allowed = {"RNN": 2, "GRU": 2, "LSTM": 3}[self.op]
        outputs = [k if k in self.outputs.split() else "" for k in ("Y", "Y_h", "Y_c")[:allowed]]
        attributes = {**self.attributes, **({"layout": 1} if layout else {})}
        node = helper.make_node(
            self.op, names, outputs, hidden_size=N_HIDDEN, direction=self.direction, **attributes
        )
        graph = helper.make_graph(
            [node],
            "g",
            inputs,
            [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs if o],
            [onnx.numpy_helper.from_array(a, k) for k, a in weights.items() if self.constant],
        )
        opset = helper.make_opsetid("", self.opset)
        return helper.make_model(graph, opset_imports=[opset], ir_version=10)

    def numpy(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The standard's equations, layout 0."""
        given = {**self.weights(), **feeds}
        n_time, n_batch, _ = given["X"].shape
        d = self.n_directions
        y = np.zeros((n_time, d, n_batch, N_HIDDEN), np.float32)
        last = np.zeros((2, d, n_batch, N_HIDDEN), np.float32)
        lengths = given.get("sequence_lens", np.full(n_batch, n_time))
        for k in range(d):
            backward = self.direction == "reverse" or k == 1
            step = self.cell({name: a[k] for name, a in given.items() if name in "WRBP"}, k)
            for b in range(n_batch):
                zero = np.zeros(N_HIDDEN, np.float32)
                state = [given[s][k, b] if s in given else zero for s in ("initial_h", "initial_c")]
                times = range(lengths[b])
                for t in reversed(times) if backward else times:
                    state = step(given["X"][t, b], *state)
                    y[t, k, b] = state[0]
                last[:, k, b] = state
        results = {"Y": y, "Y_h": last[0], "Y_c": last[1]}
        return {k: results[k] for k in self.outputs.split() if k != "Y_c" or self.op == "LSTM"}

    def cell(self, given: Mapping[str, Array], direction: int) -> Callable[..., list[Array]]:
        n, h = GATES[self.op], N_HIDDEN
        w, r = given["W"].reshape(n, h, -1), given["R"].reshape(n, h, h)
        bias = given.get("B", np.zeros(2 * n * h, np.float32)).reshape(2, n, h)
        peep = given.get("P", np.zeros(3 * h, np.float32)).reshape(3, h)
        f, g, *more = self.activations(direction) + [None] * 1
        attributes = self.attributes

        def rnn(x: Array, state: Array, _: Array) -> list[Array]:
            return [f(w[0] @ x + r[0] @ state + bias[0, 0] + bias[1, 0]), _]

        def gru(x: Array, state: Array, _: Array) -> list[Array]:
            z, reset = (f(w[k] @ x + r[k] @ state + bias[0, k] + bias[1, k]) for k in (0, 1))
            if attributes.get("linear_before_reset"):
                inner = reset * (r[2] @ state + bias[1, 2])
            else:
                inner = r[2] @ (reset * state) + bias[1, 2]
            return [(1 - z) * g(w[2] @ x + inner + bias[0, 2]) + z * state, _]

        def lstm(x: Array, state: Array, c: Array) -> list[Array]:
            i, o, forget, new = (
                w[k] @ x + r[k] @ state + bias[0, k] + bias[1, k] for k in range(4)
            )
            i = f(i + peep[0] * c)
            forget = 1 - i if attributes.get("input_forget") else f(forget + peep[2] * c)
            c = forget * c + i * g(new)
            return [f(o + peep[1] * c) * more[0](c), c]

        return {"RNN": rnn, "GRU": gru, "LSTM": lstm}[self.op]

    def activations(self, direction: int) -> list[Any]:
        names = self.attributes.get("activations", DEFAULTS[self.op] * self.n_directions)
        alphas = iter(self.attributes.get("activation_alpha", []))
        betas = iter(self.attributes.get("activation_beta", []))
        clip = self.attributes.get("clip", np.inf)
        made = []
        for name in names:
            function, defaults = FUNCTIONS[name]
            sources = (alphas, betas)[: len(defaults)]
            params = [next(s, v) for s, v in zip(sources, defaults, strict=True)]
            made.append(
                lambda x, function=function, params=params: function(
                    np.clip(x, -clip, clip), *params
                ).astype(np.float32)
            )
        n = len(made) // self.n_directions
        return made[direction * n : (direction + 1) * n]


# Each with the defaults of alpha and beta; they are consumed in order by those that have them.
FUNCTIONS: dict[str, tuple[Callable[..., Array], list[float]]] = {
    "Relu": (lambda x: np.maximum(x, 0), []),
    "Tanh": (np.tanh, []),
    "Sigmoid": (lambda x: 1 / (1 + np.exp(-x)), []),
    "Softsign": (lambda x: x / (1 + np.abs(x)), []),
    "Softplus": (lambda x: np.logaddexp(0, x), []),
    "Affine": (lambda x, a, b: a * x + b, [1.0, 0.0]),
    "LeakyRelu": (lambda x, a: np.where(x < 0, a * x, x), [0.01]),
    "ThresholdedRelu": (lambda x, a: np.where(x > a, x, 0), [1.0]),
    "ScaledTanh": (lambda x, a, b: a * np.tanh(b * x), [1.0, 1.0]),
    "HardSigmoid": (lambda x, a, b: np.clip(a * x + b, 0, 1), [0.2, 0.5]),
    "Elu": (lambda x, a: np.where(x < 0, a * np.expm1(x), x), [1.0]),
}

DIRECTIONS = ("forward", "reverse", "bidirectional")


def table() -> list[Rnn]:
    cases = []
    for op in GATES:
        full = "B sequence_lens initial_h" + (" initial_c P" if op == "LSTM" else "")
        for d in DIRECTIONS:
            cases += [
                Rnn("plain", op, d, ""),
                Rnn("bias", op, d),
                Rnn("all inputs", op, d, full),
                Rnn("full lengths", op, d, "B sequence_lens", (9,)),
                # A sequence of no steps ends where it starts; onnxruntime says zeros.
                Rnn("length zero", op, d, full, (0, 5, 1), by_onnxruntime=False),
                Rnn("all lengths zero", op, d, full, (0,), by_onnxruntime=False),
                Rnn("layout 1", op, d, full, layout=1),
                Rnn("layout 1 plain", op, d, "", layout=1),
                Rnn("weights as inputs", op, d, full, constant=False),
                # onnxruntime clips every gate, but not the cell on its way into the last activation.
                Rnn("clip", op, d, full, attributes={"clip": 0.4}, by_onnxruntime=op != "LSTM"),
                Rnn("only Y", op, d, full, outputs="Y"),
                Rnn("only Y_h", op, d, full, outputs="Y_h"),
                Rnn("opset 14", op, d, full, opset=14),
                Rnn("opset 9", op, d, full, opset=9),
            ]
        n = len(DEFAULTS[op])
        for name, (_, defaults) in FUNCTIONS.items():
            values = [("activation_alpha", 0.7), ("activation_beta", 0.3)][: len(defaults)]
            some = {"activations": [name] * n, **{k: [v] * n for k, v in values}}
            twice = {k: v * 2 for k, v in some.items()}
            plain = {"activations": [name] * n}
            cases += [
                Rnn(name, op, "forward", attributes=some),
                # onnxruntime's Softplus overflows where the result does not.
                Rnn(
                    name,
                    op,
                    "bidirectional",
                    full,
                    attributes=twice,
                    by_onnxruntime=name != "Softplus",
                ),
            ]
            # The standard has no defaults for two of them, and onnxruntime a 0 for another.
            if name not in ("Affine", "ScaledTanh"):
                known = name != "ThresholdedRelu"
                cases.append(
                    Rnn(f"{name} default", op, "reverse", attributes=plain, by_onnxruntime=known)
                )
    mixed = ["HardSigmoid", "LeakyRelu", "ScaledTanh", "Sigmoid", "Elu", "Tanh"]
    alpha = {"activation_alpha": [0.3, 0.1, 0.9, 0.6], "activation_beta": [0.4, 1.2]}
    cases += [
        Rnn("mixed activations", "LSTM", d, attributes={"activations": mixed, **alpha})
        for d in DIRECTIONS[2:]
    ]
    for d in DIRECTIONS:
        cases += [
            Rnn("linear before reset", "GRU", d, "B", attributes={"linear_before_reset": 1}),
            Rnn(
                "linear before reset, all inputs",
                "GRU",
                d,
                "B sequence_lens initial_h",
                attributes={"linear_before_reset": 1, "clip": 0.5},
            ),
            Rnn(
                "linear before reset, no bias", "GRU", d, "", attributes={"linear_before_reset": 1}
            ),
            Rnn("peepholes", "LSTM", d, "B P"),
            Rnn("input_forget", "LSTM", d, "B initial_h initial_c", attributes={"input_forget": 1}),
            Rnn(
                "input_forget, peepholes, clip",
                "LSTM",
                d,
                "B P sequence_lens",
                attributes={"input_forget": 1, "clip": 0.6},
            ),
            Rnn("initial_c without initial_h", "LSTM", d, "initial_c"),
            Rnn("only Y_c", "LSTM", d, "B initial_c", outputs="Y_c"),
        ]
    return cases


SIZES = ((5, 3), (2, 1), (7, 2), (1, 4))


@pytest.mark.parametrize("case", table(), ids=str)
def test_case(case: Rnn) -> None:
    """Several batches and lengths of time on one Model; layout 1 is the oracle's layout 0, transposed."""
    oracles = [case.numpy]
    if case.by_onnxruntime:
        oracles.append(onnxruntime_oracle(case.model(0)))  # type: ignore[arg-type]
    subject = load(case.model(case.layout))
    for n_time, n_batch in (*SIZES, SIZES[0]):
        got = subject.run(case.feeds(n_time, n_batch, case.layout))
        for oracle in oracles:
            for name, want in oracle(case.feeds(n_time, n_batch, 0)).items():
                if case.layout:
                    want = want.transpose(2, 0, 1, 3) if name == "Y" else want.swapaxes(0, 1)
                assert_same(got[name], want, **TOLERANCE, what=f"{n_time} x {n_batch}: {name}")


def test_no_time_at_all() -> None:
    """Zero steps: Y is empty and the states are the initial ones."""
    for op in GATES:
        case = Rnn("", op, "bidirectional", "B initial_h" + (" initial_c" if op == "LSTM" else ""))
        feeds = case.feeds(0, 2, 0)
        out = load(case.model(0)).run(feeds)
        assert out["Y"].shape == (0, 2, 2, N_HIDDEN)
        np.testing.assert_array_equal(out["Y_h"], feeds["initial_h"])
        if op == "LSTM":
            np.testing.assert_array_equal(out["Y_c"], feeds["initial_c"])


def test_stacked_in_a_loop() -> None:
    """A GRU inside a Loop, its state carried: what a streaming model does chunk by chunk."""
    rng = np.random.default_rng(1)
    shapes = {"W": (1, 12, 4), "R": (1, 12, 4), "B": (1, 24)}
    weights = [
        onnx.numpy_helper.from_array(rng.uniform(-0.5, 0.5, s).astype(np.float32), k)
        for k, s in shapes.items()
    ]
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["": 21]>
           g (float[t, 2, 4] x, float[1, 2, 4] h, int64 m) => (float[1, 2, 4] y, float[p, 1, 2, 4] ys) {
             y, ys = Loop(m, "", h) <body = b (int64 i, bool k, float[1, 2, 4] a) =>
                                              (bool k, float[1, 2, 4] d, float[1, 2, 4] d) {
               f, d = GRU<hidden_size = 4>(x, W, R, B, "", a) }>
           }"""
    )
    model.graph.initializer.extend(weights)
    x = rng.normal(size=(6, 2, 4)).astype(np.float32)
    h = rng.normal(size=(1, 2, 4)).astype(np.float32)
    runs = [{"x": x[:t], "h": h, "m": m} for t, m in ((6, 3), (1, 1), (2, 10))]
    check(model, *runs, **TOLERANCE)
