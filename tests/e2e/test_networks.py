"""Whole networks: the ones that come in the onnx wheel, and the trained ones of examples/models.

The expected answers are those stored in the wheel, compared as onnx compares them, and onnxruntime's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from helpers import assert_same, load, onnxruntime_oracle
from onnx.backend.test.runner import Runner

import whit

WHEEL = Path(onnx.__file__).parent / "backend" / "test" / "data"
MODELS = Path(__file__).parents[2] / "examples" / "models"
LIGHT = sorted((WHEEL / "light").glob("*.onnx"))
# Strings are no tensors of ours; Gradient asks for training inside the runtime.
SIMPLE = [
    p
    for p in sorted((WHEEL / "simple").iterdir())
    if p.is_dir() and not p.name.startswith(("test_strnorm", "test_gradient"))
]
RTOL, ATOL = 1e-3, 1e-7  # those of onnx's own runner


def test_wheel_has_what_we_look_for() -> None:
    assert (len(LIGHT), len(SIMPLE)) == (9, 15)


@pytest.mark.slow
@pytest.mark.parametrize("path", LIGHT, ids=lambda p: p.stem)
def test_light(path: Path) -> None:
    model = onnx.load(path)
    constants = {t.name for t in model.graph.initializer}
    feeds = {
        i.name: Runner.generate_dummy_data(i) for i in model.graph.input if i.name not in constants
    }
    stored = path.with_name(f"{path.stem}_output_0.pb")
    want = onnx.numpy_helper.to_array(onnx.load_tensor(stored))
    subject = load(model)
    for _ in range(2):
        (got,) = subject.run(feeds).values()
        assert_same(got, want, RTOL, ATOL)


@pytest.mark.slow
@pytest.mark.parametrize("path", LIGHT, ids=lambda p: p.stem)
def test_light_with_random_weights(path: Path) -> None:
    """The weights in the wheel are constants, in which a wrong layout does not show."""
    model = onnx.load(path)
    rng = np.random.default_rng(5)
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    makers = [n for n in model.graph.node if n.op_type == "ConstantOfShape"]
    assert makers
    positive = {n.input[4] for n in model.graph.node if n.op_type == "BatchNormalization"}
    for node in makers:
        shape = constants[node.input[0]]
        name = node.output[0]
        deviation = np.sqrt(2 / max(np.prod(shape[1:]), 1))
        array = rng.standard_normal(shape, np.float32) * np.float32(deviation)
        if name in positive:
            array = np.abs(array) + np.float32(0.5)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        model.graph.node.remove(node)
    feeds = {
        i.name: rng.normal(size=[d.dim_value for d in i.type.tensor_type.shape.dim]).astype(
            np.float32
        )
        for i in model.graph.input
        if i.name not in constants
    }
    want = onnxruntime_oracle(model)(feeds)
    for name, got in load(model).run(feeds).items():
        assert np.ptp(want[name]) > 0
        assert_same(got, want[name], RTOL, 1e-5 * float(np.abs(want[name]).max()), name)


def stored_values(folder: Path, kind: str, infos: Any) -> Iterator[tuple[str, Any]]:
    """The values of input_*.pb or output_*.pb by name."""
    for k, path in enumerate(sorted(folder.glob(f"{kind}_*.pb"))):
        info = infos[k]
        if info.type.HasField("sequence_type"):
            sequence = onnx.SequenceProto.FromString(path.read_bytes())
            yield info.name, onnx.numpy_helper.to_list(sequence)
        else:
            yield info.name, onnx.numpy_helper.to_array(onnx.load_tensor(path))


@pytest.mark.parametrize("path", SIMPLE, ids=lambda p: p.name.removeprefix("test_"))
def test_simple(path: Path) -> None:
    model = onnx.load(path / "model.onnx")
    subject = load(model)
    folders = sorted(path.glob("test_data_set_*"))
    assert folders
    for folder in folders:
        got = subject.run(dict(stored_values(folder, "input", model.graph.input)))
        for name, want in stored_values(folder, "output", model.graph.output):
            assert_same(got[name], want, RTOL, ATOL, name)


# ---- the demos ------------------------------------------------------------------------------------------


@cache
def demo(name: str) -> tuple[whit.Model, Any]:
    model = onnx.load(MODELS / f"{name}.onnx")
    return load(model), onnxruntime_oracle(model)


def run_both(name: str, feeds: dict[str, Any], rtol: float, atol: float) -> dict[str, Any]:
    subject, oracle = demo(name)
    got = subject.run(feeds)
    for key, want in oracle(feeds).items():
        assert_same(got[key], want, rtol, atol, f"{name}: {key}")
    return got


@cache
def scans() -> tuple[np.ndarray, np.ndarray]:
    data = np.load(MODELS / "digits_test.npz")
    return data["images"].astype(np.float32) / 16, data["labels"]


def test_triple() -> None:
    for n in (1, 3, 0):
        x = np.arange(n, dtype=np.float32)[:, None] * 14
        np.testing.assert_allclose(run_both("triple", {"x": x}, 1e-6, 0)["y"], 3 * x, 1e-6, 1e-6)


def test_training() -> None:
    x = np.linspace(-1, 1, 8, dtype=np.float32)
    given = {"x": x, "y": 3 * x, "learning_rate": np.array(0.5, np.float32)}
    for tolerance, max_steps in (
        (1e-10, 1000),
        (1e-3, 1000),
        (1e-10, 5),
        (100.0, 1000),
        (1e-10, 0),
    ):
        limits = {"tolerance": np.array(tolerance, np.float32), "max_steps": np.array(max_steps)}
        # The loss is a difference of nearly equal numbers squared: its error is absolute.
        out = run_both("train_triple", given | limits, 1e-3, 1e-8)
        assert len(out["losses"]) == out["steps"] <= max_steps
    out = run_both(
        "train_triple",
        given | {"tolerance": np.array(1e-10, np.float32), "max_steps": np.array(1000)},
        1e-3,
        1e-8,
    )
    assert abs(out["weight"] - 3) < 1e-4


def test_training_costs_its_steps() -> None:
    subject, _ = demo("train_triple")
    x = np.linspace(-1, 1, 8, dtype=np.float32)

    def nodes(max_steps: int) -> int:
        out = subject.run(
            {
                "x": x,
                "y": 3 * x,
                "learning_rate": np.float32(0.001),
                "tolerance": np.float32(0),
                "max_steps": np.int64(max_steps),
            }
        )
        assert out["steps"] == max_steps
        return subject.last_steps

    assert nodes(30) - nodes(20) == nodes(20) - nodes(10) > 0


def test_digits() -> None:
    images, labels = scans()
    subject, _ = demo("digits")
    right, nodes = 0, {0: set[int](), 1: set[int]()}
    for image, label in zip(images, labels, strict=True):
        out = run_both("digits", {"image": image[None, None]}, 1e-4, 1e-5)
        right += int(out["logits"].argmax() == label)
        nodes[int(out["exit"])].add(subject.last_steps)
    assert right == 447  # 99.33 % of 450
    assert [len(n) for n in nodes.values()] == [1, 1]  # each way out has one price
    assert nodes[0].pop() < nodes[1].pop()


def test_digits_early_exit_runs_no_late_layer() -> None:
    images, _ = scans()
    subject, _ = demo("digits")
    seen = {0: False, 1: False}
    for image in images:
        out = subject.run({"image": image[None, None]}, tap="*/late/*")
        late = out.keys() - {p.name for p in subject.outputs}
        assert bool(late) == bool(out["exit"])
        assert any(name.endswith("late_answer") for name in late) == bool(out["exit"])
        seen[int(out["exit"])] = True
    assert all(seen.values())


def test_dates() -> None:
    subject, _ = demo("dates")
    per_step: dict[int, set[int]] = {}
    pairs = json.loads((MODELS / "dates_test.json").read_text())
    for pair in pairs:
        text = np.frombuffer(pair["input"].encode(), np.uint8).astype(np.int64)
        out = run_both("dates", {"text": text}, 0, 0)
        assert bytes(out["output"].astype(np.uint8)).decode() == pair["expected"], pair["input"]
        assert out["steps"] == len(out["output"]) + 1 <= 16
        if len(text) == 10:
            per_step.setdefault(int(out["steps"]), set()).add(subject.last_steps)
    assert len(pairs) == 300
    assert all(len(n) == 1 for n in per_step.values())
    prices = [per_step[k].pop() for k in sorted(per_step)]
    assert len(prices) > 1
    assert prices == sorted(set(prices))


def test_experts() -> None:
    images, labels = scans()
    subject, _ = demo("experts")
    right, chosen = 0, [0] * 4
    for image, label in zip(images, labels, strict=True):
        x = image.reshape(1, 64)
        out = run_both("experts", {"x": x}, 1e-4, 1e-5)
        right += int(out["logits"].argmax() == label)
        chosen[int(out["expert"])] += 1
        inside = {n.rpartition("/")[2] for n in subject.run({"x": x}, tap="*_hidden")}
        assert inside - {"logits", "expert"} == {f"expert{out['expert']}_hidden"}
    assert right == 436  # 96.89 % of 450
    assert min(chosen) > 0
