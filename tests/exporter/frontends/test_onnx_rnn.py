"""RNN, GRU, LSTM against onnxruntime: directions, lengths, peepholes, activations, all optional inputs and outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from test_onnx_oracle import check, expected

F = np.float32
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
KINDS = ["RNN", "GRU", "LSTM"]
T, B, I, H = 5, 3, 4, 2  # noqa: E741
LENS = [5, 2, 4]


def build(
    kind: str,
    *,
    direction: str = "forward",
    bias: bool = True,
    lens: bool = False,
    h0: bool = False,
    c0: bool = False,
    peepholes: bool = False,
    outputs: tuple[int, ...] = (0, 1, 2),
    symbolic: bool = False,
    constant_weights: bool = True,
    steps: int = T,
    opset: int = 14,
    **attributes: Any,
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """A model of one node and feeds for it."""
    rng = np.random.default_rng(7)
    d = 2 if direction == "bidirectional" else 1
    g = GATES[kind]
    arrays = {"X": rng.normal(size=(steps, B, I)), "W": rng.normal(size=(d, g * H, I))}
    arrays["R"] = rng.normal(size=(d, g * H, H))
    arrays["B"] = rng.normal(size=(d, 2 * g * H))
    arrays["h0"] = rng.normal(size=(d, B, H))
    arrays["c0"] = rng.normal(size=(d, B, H))
    arrays["P"] = rng.normal(size=(d, 3 * H))
    feeds = {k: (0.7 * v).astype(F) for k, v in arrays.items()}
    feeds["lens"] = np.minimum(np.array(LENS, np.int32), steps)
    inputs = ["X", "W", "R", "B" if bias else "", "lens" if lens else "", "h0" if h0 else ""]
    if kind == "LSTM":
        inputs += ["c0" if c0 else "", "P" if peepholes else ""]
    used = [i for i in inputs if i]
    n_outputs = 3 if kind == "LSTM" else 2
    names = [f"y{k}" if k in outputs else "" for k in range(n_outputs)]
    node = helper.make_node(kind, inputs, names, hidden_size=H, direction=direction, **attributes)
    fixed = [i for i in used if constant_weights and i in "WRBP"]
    shapes: dict[str, list[Any]] = {k: list(v.shape) for k, v in feeds.items()}
    if symbolic:
        shapes |= {"X": ["time", "batch", I], "lens": ["batch"]}
        shapes |= {"h0": [d, "batch", H], "c0": [d, "batch", H]}
    infos = [
        helper.make_tensor_value_info(i, 6 if i == "lens" else 1, shapes[i])
        for i in used
        if i not in fixed
    ]
    outs = [helper.make_tensor_value_info(y, 1, None) for y in names if y]
    tensors = [onnx.numpy_helper.from_array(feeds[i], i) for i in fixed]
    graph = helper.make_graph([node], "g", infos, outs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return model, {i.name: feeds[i.name] for i in infos}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("lens", [False, True])
@pytest.mark.parametrize("symbolic", [False, True])
def test_directions(kind: str, direction: str, lens: bool, symbolic: bool) -> None:
    model, feeds = build(
        kind, direction=direction, lens=lens, h0=True, c0=kind == "LSTM", symbolic=symbolic
    )
    check(model, feeds, feeds)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lens", [[0, 0, 0], [0, 5, 1], [5, 5, 5]])
def test_lengths(kind: str, lens: list[int]) -> None:
    """An empty sequence keeps the state it starts with; onnxruntime gives zeros there, which is not compared."""
    model, feeds = build(kind, direction="bidirectional", lens=True, h0=True, c0=kind == "LSTM")
    feeds["lens"] = np.array(lens, np.int32)
    want = dict(expected(model, feeds))
    for name, state in (("y1", "h0"), ("y2", "c0")):
        if name in want:
            for row, n in enumerate(lens):
                if n == 0:
                    want[name][:, row] = feeds[state][:, row]
    check(model, feeds, want=want)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opset", [7, 14, 22])
def test_versions_and_bare_inputs(kind: str, opset: int) -> None:
    model, feeds = build(kind, bias=False, opset=opset, constant_weights=False)
    check(model, feeds)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("outputs", [(0,), (1,), (0, 1)])
def test_outputs_left_out(kind: str, outputs: tuple[int, ...]) -> None:
    model, feeds = build(kind, direction="bidirectional", outputs=outputs)
    check(model, feeds)


@pytest.mark.parametrize("kind", KINDS)
def test_one_step(kind: str) -> None:
    for lens in (False, True):
        model, feeds = build(kind, direction="bidirectional", steps=1, lens=lens)
        check(model, feeds)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("lens", [False, True])
def test_lstm_peepholes(direction: str, lens: bool) -> None:
    model, feeds = build("LSTM", direction=direction, peepholes=True, lens=lens, h0=True, c0=True)
    check(model, feeds)


def test_lstm_input_forget() -> None:
    for peepholes in (False, True):
        model, feeds = build("LSTM", input_forget=1, peepholes=peepholes, c0=True)
        check(model, feeds)


@pytest.mark.parametrize("linear", [0, 1])
@pytest.mark.parametrize("bias", [False, True])
def test_gru_linear_before_reset(linear: int, bias: bool) -> None:
    model, feeds = build(
        "GRU", linear_before_reset=linear, bias=bias, h0=True, direction="bidirectional"
    )
    check(model, feeds)


@pytest.mark.parametrize("kind", KINDS)
def test_clip(kind: str) -> None:
    model, feeds = build(kind, clip=0.3, h0=True)
    check(model, feeds)


ACTIVATIONS: list[tuple[str, float | None, float | None]] = [
    ("Relu", None, None),
    ("Tanh", None, None),
    ("Sigmoid", None, None),
    ("Softsign", None, None),
    ("Softplus", None, None),
    ("Affine", 0.6, 0.1),
    ("LeakyRelu", 0.2, None),
    ("LeakyRelu", None, None),
    ("ThresholdedRelu", 0.3, None),
    ("ScaledTanh", 0.8, 0.5),
    ("HardSigmoid", 0.3, 0.4),
    ("HardSigmoid", None, None),
    ("Elu", 0.7, None),
    ("Elu", None, None),
]


@pytest.mark.parametrize(("name", "alpha", "beta"), ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_activations(kind: str, name: str, alpha: float | None, beta: float | None) -> None:
    count = {"RNN": 1, "GRU": 2, "LSTM": 3}[kind]
    attributes: dict[str, Any] = {"activations": [name] * count}
    if alpha is not None:
        attributes["activation_alpha"] = [alpha + 0.05 * k for k in range(count)]
    if beta is not None:
        attributes["activation_beta"] = [beta + 0.05 * k for k in range(count)]
    model, feeds = build(kind, **attributes)
    check(model, feeds, tolerance=1e-4)


def test_alphas_go_to_those_that_take_them() -> None:
    """Unlike onnxruntime, whose betas go by position for some; only alphas here."""
    names = ["Sigmoid", "LeakyRelu", "Elu", "Tanh", "Elu", "LeakyRelu"]
    model, feeds = build(
        "LSTM", direction="bidirectional", activations=names, activation_alpha=[0.1, 0.5, 0.8, 0.3]
    )
    check(model, feeds)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lens", [False, True])
def test_layout_1(kind: str, lens: bool) -> None:
    """onnxruntime refuses layout 1: the same with axes moved."""
    options: dict[str, Any] = {"direction": "bidirectional", "lens": lens, "h0": True}
    options["c0"] = kind == "LSTM"
    model, feeds = build(kind, **options)
    want = expected(model, feeds)
    want["y0"] = want["y0"].transpose(2, 0, 1, 3)
    for name in ("y1", "y2"):
        if name in want:
            want[name] = want[name].transpose(1, 0, 2)
    moved, _ = build(kind, layout=1, **options)
    for info in moved.graph.input:
        if info.name != "lens":
            dims = info.type.tensor_type.shape.dim
            dims[0].dim_value, dims[1].dim_value = dims[1].dim_value, dims[0].dim_value
            feeds[info.name] = feeds[info.name].swapaxes(0, 1)
    check(moved, feeds, want=want)
