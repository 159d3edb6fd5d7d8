"""experts.onnx: a mixture of experts. A router picks one of four tiny networks; only it runs.

Input:   x [1, 64] float32, an 8x8 scan of a digit, 0 (paper) .. 1 (ink), row by row.
Outputs: logits [1, 10] float32; expert [] int64, 0..3, the one that answered.

An expert is 64 -> 6 -> 10: too narrow to tell ten digits apart alone. The router (one linear
layer) and the experts are trained together on the likelihood of the mixture: the gradient
sends each scan to whichever expert explains it best. Routing is top-1 when used: two nested
`If` nodes choose the expert, and the other three cost nothing.

Compared with one expert trained alone in the same way (five seeds), and with one network as
wide as all four experts, which costs four times as much per call. Uses digits_test.npz.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
import torch
from common import (
    FLOAT,
    INT64,
    GraphWriter,
    jitter,
    load_digits_split,
    make_deterministic,
    open_session,
    percent,
    save_model,
    value,
)
from torch import Tensor, nn

N_EXPERTS = 4
HIDDEN = 6
N_EPOCHS = 250
BATCH = 64
PEAK_RATE = 1e-2
BALANCE = 0.5  # weight of the term that keeps every expert in use
SHARPEN = 0.1  # weight of the term that makes the router decide, growing from 0


class Expert(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.hidden(x).relu())
        return logits


class Mixture(nn.Module):
    def __init__(self, n_experts: int, width: int) -> None:
        super().__init__()
        self.router = nn.Linear(64, n_experts)
        self.experts = nn.ModuleList([Expert(width) for _ in range(n_experts)])

    def expert(self, index: int) -> Expert:
        expert = self.experts[index]
        if not isinstance(expert, Expert):
            raise TypeError(f"experts[{index}] is a {type(expert).__name__}")
        return expert

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Router log-probabilities [batch, experts]; expert logits [batch, experts, 10]."""
        logits = torch.stack([expert(x) for expert in self.experts], dim=1)
        return self.router(x).log_softmax(dim=1), logits


def mixture_loss(gate: Tensor, logits: Tensor, labels: Tensor, progress: float) -> Tensor:
    """-log sum_k p(expert k) p(label | expert k), plus balance and sharpening terms."""
    by_label = logits.log_softmax(dim=2)
    wanted = labels[:, None, None].expand(-1, by_label.shape[1], 1)
    likelihood = (gate + by_label.gather(2, wanted).squeeze(2)).logsumexp(dim=1)
    usage = gate.exp().mean(dim=0)
    imbalance = (usage * usage.clamp_min(1e-9).log()).sum() + math.log(len(usage))
    indecision = -(gate.exp() * gate).sum(dim=1).mean()
    loss: Tensor = BALANCE * imbalance + SHARPEN * progress * indecision - likelihood.mean()
    return loss


def train(n_experts: int, width: int, images: Tensor, labels: Tensor) -> Mixture:
    model = Mixture(n_experts, width)
    n_batches = len(images) // BATCH
    n_steps = N_EPOCHS * n_batches
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=n_steps)
    for epoch in range(N_EPOCHS):
        order = torch.randperm(len(images))
        for batch in order[: n_batches * BATCH].view(n_batches, BATCH):
            gate, logits = model(jitter(images[batch]).flatten(1))
            loss = mixture_loss(gate, logits, labels[batch], epoch / N_EPOCHS)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return model


def accuracy(model: Mixture, images: Tensor, labels: Tensor) -> float:
    """With top-1 routing."""
    with torch.no_grad():
        gate, logits = model(images.flatten(1))
    chosen = logits[torch.arange(len(images)), gate.argmax(dim=1)]
    n_right = int(chosen.argmax(dim=1).eq(labels).sum())
    return n_right / len(labels)


def build_expert(index: int, expert: Expert) -> onnx.GraphProto:
    name = f"expert{index}"
    g = GraphWriter(name)
    x = g.linear(f"{name}/hidden", "x", expert.hidden, f"{name}_hidden")
    x = g.node("Relu", [x], f"{name}_relu", f"{name}/relu")
    g.linear(f"{name}/head", x, expert.head, f"{name}_logits")
    return g.graph([], [value(f"{name}_logits", FLOAT, [1, 10])])


def build_pair(model: Mixture, first: int) -> onnx.GraphProto:
    """The branch for experts `first` and `first + 1`."""
    name = f"experts{first}{first + 1}"
    g = GraphWriter(name)
    index = g.constant(f"expert{first}_index", first, np.int64)
    is_first = g.node("Equal", ["expert", index], f"is_expert{first}", f"router/is_expert{first}")
    branches = [build_expert(i, model.expert(i)) for i in (first, first + 1)]
    g.node(
        "If",
        [is_first],
        f"{name}_logits",
        f"router/if_expert{first}",
        then_branch=branches[0],
        else_branch=branches[1],
    )
    return g.graph([], [value(f"{name}_logits", FLOAT, [1, 10])])


def build(model: Mixture) -> onnx.GraphProto:
    g = GraphWriter("experts")
    scores = g.linear("router", "x", model.router, "router_scores")
    best = g.node("ArgMax", [scores], "best", "router/argmax", axis=1, keepdims=0)
    expert = g.node("Squeeze", [best], "expert", "router/scalar")
    two = g.constant("second_pair", 2, np.int64)
    is_low = g.node("Less", [expert, two], "is_first_pair", "router/is_first_pair")
    g.node(
        "If",
        [is_low],
        "logits",
        "router/if_first_pair",
        then_branch=build_pair(model, 0),
        else_branch=build_pair(model, 2),
    )
    outputs = [value("logits", FLOAT, [1, 10]), value("expert", INT64, [])]
    return g.graph([value("x", FLOAT, [1, 64])], outputs)


def main() -> None:
    training, test = load_digits_split()
    images, labels = training.tensors()
    test_images, test_labels = test.tensors()
    singles = []
    for seed in range(5):
        make_deterministic(seed)
        single = train(1, HIDDEN, images, labels)
        singles.append(accuracy(single, test_images, test_labels))
    print(
        f"torch: one expert alone {percent(float(np.mean(singles)))}, best {percent(max(singles))}"
    )
    wide = train(1, N_EXPERTS * HIDDEN, images, labels)
    print(
        f"torch: one network four times as wide {percent(accuracy(wide, test_images, test_labels))}"
    )
    make_deterministic(seed=0)
    model = train(N_EXPERTS, HIDDEN, images, labels)
    print(f"torch: mixture, top-1 {percent(accuracy(model, test_images, test_labels))}")

    session = open_session(save_model(build(model), "digits by a mixture of four experts"))
    right = 0
    digits_of_expert = np.zeros((N_EXPERTS, 10), int)
    for image, label in zip(test_images.numpy(), test.labels, strict=True):
        logits, expert = session.run(["logits", "expert"], {"x": image.reshape(1, 64)})
        right += int(logits.argmax() == label)
        digits_of_expert[expert, label] += 1
    n = len(test.labels)
    print(f"onnxruntime: {percent(right, n)} of {n} held-out scans right")
    for i, counts in enumerate(digits_of_expert):
        share = percent(counts.sum(), n)
        print(f"  expert {i}: {share} of the scans; per digit 0..9: {counts.tolist()}")


if __name__ == "__main__":
    main()
