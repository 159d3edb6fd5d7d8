"""train_triple.onnx: the training of `triple` as a model. Gradient descent is an ONNX Loop.

Inputs:  x [n], y [n], learning_rate [], tolerance [] float32; max_steps [] int64.
Outputs: weight [], bias [] float32; steps [] int64; loss [] float32 (mean squared error of
         that weight and bias); losses [steps] float32 (the loss after each step).

The line starts at weight = bias = 0 and a step is taken while loss > tolerance, so data that
already fit take no step and `losses` is empty. A learning rate that diverges ends the loop
too: the loss becomes NaN, and NaN > tolerance is false.
"""

from __future__ import annotations

import numpy as np
import onnx
from common import BOOL, FLOAT, INT64, GraphWriter, open_session, save_model, value


def mean_square(g: GraphWriter, error: str, output: str, scope: str) -> str:
    square = g.node("Mul", [error, error], f"{output}_terms", f"{scope}/square")
    return g.node("ReduceMean", [square], output, f"{scope}/mean", keepdims=0)


def build_step() -> onnx.GraphProto:
    """One step: gradient from the error carried in, then the new line, its error and loss."""
    g = GraphWriter("gradient_step")
    one = g.constant("one", 1, np.int64)
    two = g.constant("two", 2, np.float32)

    slope = g.node("Mul", ["error", "x"], "slope_terms", "step/gradient/times_x")
    slope = g.node("ReduceMean", [slope], "half_slope", "step/gradient/mean_slope", keepdims=0)
    offset = g.node("ReduceMean", ["error"], "half_offset", "step/gradient/mean", keepdims=0)
    rate = g.node("Mul", ["learning_rate", two], "doubled_rate", "step/update/rate")
    slope = g.node("Mul", [rate, slope], "weight_change", "step/update/weight_change")
    offset = g.node("Mul", [rate, offset], "bias_change", "step/update/bias_change")
    weight = g.node("Sub", ["weight_in", slope], "weight_out", "step/update/weight")
    bias = g.node("Sub", ["bias_in", offset], "bias_out", "step/update/bias")

    scaled = g.node("Mul", [weight, "x"], "scaled", "step/line/times_weight")
    line = g.node("Add", [scaled, bias], "prediction", "step/line/plus_bias")
    error = g.node("Sub", [line, "y"], "error_out", "step/error")
    loss = mean_square(g, error, "loss_out", "step/loss")
    g.node("Add", ["iteration", one], "steps_out", "step/count")
    g.node("Greater", [loss, "tolerance"], "go_on", "step/go_on")
    g.node("Identity", [loss], "step_loss", "step/record_loss")

    inputs = [
        value("iteration", INT64, []),
        value("go_on_in", BOOL, []),
        value("weight_in", FLOAT, []),
        value("bias_in", FLOAT, []),
        value("steps_in", INT64, []),
        value("loss_in", FLOAT, []),
        value("error", FLOAT, ["n"]),
    ]
    outputs = [
        value("go_on", BOOL, []),
        value("weight_out", FLOAT, []),
        value("bias_out", FLOAT, []),
        value("steps_out", INT64, []),
        value("loss_out", FLOAT, []),
        value("error_out", FLOAT, ["n"]),
        value("step_loss", FLOAT, []),
    ]
    return g.graph(inputs, outputs)


def build() -> onnx.GraphProto:
    g = GraphWriter("train_triple")
    weight = g.constant("initial_weight", 0, np.float32)
    bias = g.constant("initial_bias", 0, np.float32)
    steps = g.constant("initial_steps", 0, np.int64)
    error = g.node("Neg", ["y"], "initial_error", "start/error")
    loss = mean_square(g, error, "initial_loss", "start/loss")
    go_on = g.node("Greater", [loss, "tolerance"], "first_step", "start/first_step")
    g.node(
        "Loop",
        ["max_steps", go_on, weight, bias, steps, loss, error],
        "weight bias steps loss final_error losses",
        "gradient_descent",
        body=build_step(),
    )
    inputs = [
        value("x", FLOAT, ["n"]),
        value("y", FLOAT, ["n"]),
        value("learning_rate", FLOAT, []),
        value("tolerance", FLOAT, []),
        value("max_steps", INT64, []),
    ]
    outputs = [
        value("weight", FLOAT, []),
        value("bias", FLOAT, []),
        value("steps", INT64, []),
        value("loss", FLOAT, []),
        value("losses", FLOAT, ["steps"]),
    ]
    return g.graph(inputs, outputs)


def main() -> None:
    path = save_model(build(), "fits y = weight * x + bias by gradient descent in a Loop")
    session = open_session(path)
    x = np.linspace(-1, 1, 9, dtype=np.float32)
    for slope, tolerance, max_steps in [
        (3, 1e-10, 1000),
        (3, 1e-10, 5),
        (3, 1e-3, 1000),
        (0, 0, 9),
    ]:
        weight, bias, steps, loss, losses = session.run(
            ["weight", "bias", "steps", "loss", "losses"],
            {
                "x": x,
                "y": slope * x,
                "learning_rate": np.array(0.5, np.float32),
                "tolerance": np.array(tolerance, np.float32),
                "max_steps": np.array(max_steps, np.int64),
            },
        )
        print(
            f"onnxruntime: y = {slope}x, tolerance {tolerance}, at most {max_steps} steps: "
            f"weight {weight:.6f}, bias {bias:.1e}, loss {loss:.1e} after {steps} steps"
        )
        if losses.shape != (steps,):
            raise SystemExit(f"losses has shape {losses.shape}, expected ({steps},)")


if __name__ == "__main__":
    main()
