"""digits.onnx: handwritten digits with an early exit. Easy scans skip most of the network.

Input:   image [1, 1, 8, 8] float32, 0 (paper) .. 1 (ink).
Outputs: logits [1, 10] float32; exit [] int64, 0 early or 1 late;
         confidence [] float32, the early head's highest probability, which the `If` compares
         with the initializer `threshold`: early when confidence >= threshold.

The stem (one convolution) feeds a small head. When that is sure, its logits are the answer;
otherwise the else-branch takes the stem's features from the outer scope through two more
convolutions: 222 thousand multiplications after the 6 thousand of stem and early head. Both
heads are trained together. The threshold is chosen on 300 scans kept out of the training,
never on the held-out ones.

digits_test.npz: images uint8 [450, 8, 8] (0..16, divide by 16 for the model), labels int64 [450].
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from common import (
    FLOAT,
    HERE,
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

STEM, MIDDLE, LATE = 8, 24, 32
N_EPOCHS = 150
BATCH = 64
PEAK_RATE = 5e-3
N_VALIDATION = 300
EARLY_ACCURACY = 0.995  # the threshold lets this share of the early answers be right


class EarlyExitNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, STEM, 3, padding=1)
        self.early_head = nn.Linear(STEM * 4 * 4, 10)
        self.conv1 = nn.Conv2d(STEM, MIDDLE, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(MIDDLE)
        self.conv2 = nn.Conv2d(MIDDLE, LATE, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(LATE)
        self.late_head = nn.Linear(LATE * 2 * 2, 10)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Early and late logits."""
        features = self.stem(image).relu()
        early = self.early_head(nn.functional.max_pool2d(features, 2).flatten(1))
        x = self.norm1(self.conv1(features)).relu()
        x = nn.functional.max_pool2d(x, 2)
        x = self.norm2(self.conv2(x)).relu()
        x = nn.functional.max_pool2d(x, 2)
        return early, self.late_head(x.flatten(1))


def train(images: Tensor, labels: Tensor) -> EarlyExitNet:
    model = EarlyExitNet()
    n_batches = len(images) // BATCH
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=N_EPOCHS * n_batches
    )
    for _ in range(N_EPOCHS):
        order = torch.randperm(len(images))
        for batch in order[: n_batches * BATCH].view(n_batches, BATCH):
            early, late = model(jitter(images[batch]))
            loss = nn.functional.cross_entropy(early, labels[batch])
            loss = loss + nn.functional.cross_entropy(late, labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    model.eval()
    return model


def choose_threshold(model: EarlyExitNet, images: Tensor, labels: Tensor) -> float:
    """The lowest threshold, in steps of 0.01, whose early answers are right often enough."""
    with torch.no_grad():
        early, _ = model(images)
    confidence, answer = early.softmax(dim=1).max(dim=1)
    for hundredths in range(50, 100):
        leaves = confidence >= hundredths / 100
        right = (answer == labels)[leaves].float().mean().item()
        if right >= EARLY_ACCURACY:
            return hundredths / 100
    return 0.99


def build_early_branch() -> onnx.GraphProto:
    g = GraphWriter("early")
    g.node("Identity", ["early_logits"], "early_answer", "early/answer")
    g.node("Constant", [], "early_exit", "early/exit", value_int=0)
    return g.graph([], [value("early_answer", FLOAT, [1, 10]), value("early_exit", INT64, [])])


def build_late_branch(model: EarlyExitNet) -> onnx.GraphProto:
    g = GraphWriter("late")
    x = "features"
    for i, (conv, norm) in enumerate([(model.conv1, model.norm1), (model.conv2, model.norm2)], 1):
        weight = g.constant(f"conv{i}.weight", conv.weight)
        x = g.node("Conv", [x, weight], f"conv{i}", f"late/conv{i}", pads=[1, 1, 1, 1])
        statistics = [
            g.constant(f"norm{i}.scale", norm.weight),
            g.constant(f"norm{i}.bias", norm.bias),
            g.constant(f"norm{i}.mean", norm.running_mean),
            g.constant(f"norm{i}.variance", norm.running_var),
        ]
        x = g.node(
            "BatchNormalization", [x, *statistics], f"norm{i}", f"late/norm{i}", epsilon=norm.eps
        )
        x = g.node("Relu", [x], f"relu{i}", f"late/relu{i}")
        x = g.node("MaxPool", [x], f"pool{i}", f"late/pool{i}", kernel_shape=[2, 2], strides=[2, 2])
    x = g.node("Flatten", [x], "late_flat", "late/flatten")
    g.linear("late/head", x, model.late_head, "late_answer")
    g.node("Constant", [], "late_exit", "late/exit", value_int=1)
    return g.graph([], [value("late_answer", FLOAT, [1, 10]), value("late_exit", INT64, [])])


def build(model: EarlyExitNet, threshold: float) -> onnx.GraphProto:
    g = GraphWriter("digits")
    weight = g.constant("stem.weight", model.stem.weight)
    bias = g.constant("stem.bias", model.stem.bias)
    x = g.node("Conv", ["image", weight, bias], "stem", "stem/conv", pads=[1, 1, 1, 1])
    x = g.node("Relu", [x], "features", "stem/relu")
    x = g.node("MaxPool", [x], "pooled", "exit/pool", kernel_shape=[2, 2], strides=[2, 2])
    x = g.node("Flatten", [x], "flat", "exit/flatten")
    x = g.linear("exit/head", x, model.early_head, "early_logits")
    x = g.node("Softmax", [x], "early_probabilities", "exit/softmax", axis=1)
    x = g.node("ReduceMax", [x], "confidence", "exit/confidence", keepdims=0)
    limit = g.constant("threshold", threshold, np.float32)
    sure = g.node("GreaterOrEqual", [x, limit], "is_sure", "exit/is_sure")
    g.node(
        "If",
        [sure],
        "logits exit",
        "exit/if",
        then_branch=build_early_branch(),
        else_branch=build_late_branch(model),
    )
    outputs = [
        value("logits", FLOAT, [1, 10]),
        value("exit", INT64, []),
        value("confidence", FLOAT, []),
    ]
    return g.graph([value("image", FLOAT, [1, 1, 8, 8])], outputs)


def main() -> None:
    make_deterministic(seed=0)
    training, test = load_digits_split()
    images, labels = training.tensors()
    model = train(images[N_VALIDATION:], labels[N_VALIDATION:])
    threshold = choose_threshold(model, images[:N_VALIDATION], labels[:N_VALIDATION])
    test_images, test_labels = test.tensors()
    with torch.no_grad():
        heads = [
            logits.argmax(dim=1).eq(test_labels).float().mean() for logits in model(test_images)
        ]
    print(f"torch: early head {percent(heads[0].item())}, late head {percent(heads[1].item())}")
    print(f"threshold {threshold}, chosen on {N_VALIDATION} training scans")

    session = open_session(save_model(build(model, threshold), "digits with an early exit"))
    right, n_early, right_early = 0, 0, 0
    for image, label in zip(test_images.numpy(), test.labels, strict=True):
        logits, exit_taken, _ = session.run(
            ["logits", "exit", "confidence"], {"image": image[np.newaxis]}
        )
        is_right = int(logits.argmax() == label)
        right += is_right
        if exit_taken == 0:
            n_early += 1
            right_early += is_right
    n = len(test.labels)
    print(
        f"onnxruntime: {percent(right, n)} of {n} held-out scans right; "
        f"{percent(n_early, n)} leave early, {percent(right_early, n_early)} of those right"
    )
    np.savez_compressed(HERE / "digits_test.npz", images=test.images, labels=test.labels)


if __name__ == "__main__":
    main()
