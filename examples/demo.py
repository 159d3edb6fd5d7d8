"""make demo: converts the trained models of examples/models and runs them, and says what happened.

python examples/demo.py [folder for the .whit files]
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import whit

MODELS = Path(__file__).resolve().parent / "models"


def convert(name: str, folder: Path) -> whit.Model:
    path = folder / f"{name}.whit"
    whit.convert(MODELS / f"{name}.onnx", path)
    source = (MODELS / f"{name}.onnx").stat().st_size
    print(f"  {name}.onnx {source:,} B  ->  {path.name} {path.stat().st_size:,} B")
    return whit.load(path)


def microseconds(run: Callable[[], Any], rounds: int = 200) -> float:
    """Median of repeated runs."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        run()
        times.append(time.perf_counter_ns() - began)
    return statistics.median(times) / 1000


def triple(folder: Path) -> None:
    print("\n1. y = 3x: a Linear(1, 1) that was trained to multiply by three")
    model = convert("triple", folder)
    y = model(np.array([[14.0]], np.float32))
    stripped = whit.convert(MODELS / "triple.onnx", strip=True)
    print(f"  3 x 14 = {y.item():.4f}    (without debug names the file has {len(stripped):,} B)")


def training(folder: Path) -> None:
    print(
        "\n2. The training itself as a model: a Loop of gradient descent that ends when the loss is small"
    )
    model = convert("train_triple", folder)
    x = np.linspace(-1, 1, 8, dtype=np.float32)
    out = model.run(
        {
            "x": x,
            "y": 3 * x,
            "learning_rate": np.float32(0.5),
            "tolerance": np.float32(1e-10),
            "max_steps": np.int64(1000),
        }
    )
    first, last = out["losses"][0], out["losses"][-1]
    print(
        f"  {out['steps']} steps of at most 1000: weight {out['weight']:.6f}, loss {first:.3g} -> {last:.3g}"
    )


def digits(folder: Path) -> None:
    print(
        "\n3. Handwritten digits with early exit: confident scans leave at the first exit, through an If"
    )
    model = convert("digits", folder)
    data = np.load(MODELS / "digits_test.npz")
    images = (data["images"].astype(np.float32) / 16)[:, None, None]
    right, late, example = 0, 0, {}
    for image, label in zip(images, data["labels"], strict=True):
        out = model.run({"image": image})
        right += int(out["logits"].argmax() == label)
        late += int(out["exit"])
        example.setdefault(int(out["exit"]), image)
    print(f"  {right / len(images):.2%} of {len(images)} held-out scans are right")
    print(f"  {1 - late / len(images):.1%} left early")
    for exit_taken, what in ((0, "early"), (1, "late")):
        image = example[exit_taken]
        model.run({"image": image})
        nodes = model.last_steps
        spent = microseconds(lambda image=image: model.run({"image": image}))
        tapped = model.run({"image": image}, tap="*/late/*")
        ran = len(tapped) - len(model.outputs)
        print(
            f"  {what:>5} exit: {nodes:>3} nodes executed, {spent:7.1f} us; values of late layers computed: {ran}"
        )


def dates(folder: Path) -> None:
    print(
        "\n4. Dates: a GRU encoder and an attention decoder in a Loop that stops at the end of the answer"
    )
    model = convert("dates", folder)
    texts = [
        "Nov 22nd, 2026",
        "22/11/26",
        "sunday 22 november 2026",
        "the 1st of may 1999",
        "Nov 2026",
        "hello",
    ]
    for text in texts:
        out = model.run({"text": np.frombuffer(text.encode(), np.uint8).astype(np.int64)})
        answer = bytes(out["output"].astype(np.uint8)).decode()
        print(f"  {text!r:<28} -> {answer!r:<14} {int(out['steps']):>2} of at most 16 steps")
    pairs = json.loads((MODELS / "dates_test.json").read_text())
    right = 0
    for pair in pairs:
        codes = np.frombuffer(pair["input"].encode(), np.uint8).astype(np.int64)
        right += (
            bytes(model.run({"text": codes})["output"].astype(np.uint8)).decode()
            == pair["expected"]
        )
    print(f"  {right / len(pairs):.2%} of {len(pairs)} held-out texts are right")


def experts(folder: Path) -> None:
    print(
        "\n5. Mixture of experts: a router picks one of four with nested If; the others do not run"
    )
    model = convert("experts", folder)
    data = np.load(MODELS / "digits_test.npz")
    scans = data["images"].reshape(-1, 1, 64).astype(np.float32) / 16
    right, chosen = 0, [0] * 4
    for scan, label in zip(scans, data["labels"], strict=True):
        out = model.run({"x": scan})
        right += int(out["logits"].argmax() == label)
        chosen[int(out["expert"])] += 1
    share = ", ".join(f"expert {k} {n / len(scans):.0%}" for k, n in enumerate(chosen))
    print(f"  {right / len(scans):.2%} of {len(scans)} held-out scans are right; {share}")
    for scan in scans[:3]:
        out = model.run({"x": scan})
        print(
            f"  a scan read as {int(out['logits'].argmax())}: expert {int(out['expert'])} ran, {model.last_steps} nodes"
        )


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/demo")
    folder.mkdir(parents=True, exist_ok=True)
    print(f"Whit demo: trained ONNX models -> .whit files in {folder}/ -> answers")
    for part in (triple, training, digits, dates, experts):
        part(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
