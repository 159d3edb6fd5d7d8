"""triple.onnx: y = 3x, learned by one Linear(1, 1). The smallest model there is.

Input x [batch, 1] float32; output y [batch, 1] float32.
"""

from __future__ import annotations

import numpy as np
import torch
from common import FLOAT, GraphWriter, make_deterministic, open_session, save_model, value

N_STEPS = 2000
LEARNING_RATE = 0.3
BATCH = 16


def train() -> torch.nn.Linear:
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    for _ in range(N_STEPS):
        x = torch.rand(BATCH, 1) * 2 - 1
        loss = torch.nn.functional.mse_loss(model(x), 3 * x)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model


def main() -> None:
    make_deterministic(seed=3)
    model = train()
    print(f"weight {model.weight.item():.8f}, bias {model.bias.item():.2e}")

    g = GraphWriter("triple")
    g.linear("linear", "x", model, "y")
    graph = g.graph([value("x", FLOAT, ["batch", 1])], [value("y", FLOAT, ["batch", 1])])
    path = save_model(graph, "y = 3x, learned by gradient descent")

    x = np.linspace(-10, 10, 1001, dtype=np.float32).reshape(-1, 1)
    (y,) = open_session(path).run(["y"], {"x": x})
    print(f"onnxruntime: largest |y - 3x| for |x| <= 10 is {np.abs(y - 3 * x).max():.2e}")


if __name__ == "__main__":
    main()
