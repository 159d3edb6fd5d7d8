"""Makes the golden files of this release: small models with inputs and the outputs that they must give for ever.

    python tests/golden/make.py FOLDER      for example tests/golden/v1

A released folder is never made again: its files prove that old files load. Outputs come from onnxruntime, not from Whit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

import whit

Arrays = dict[str, np.ndarray]
MODELS = Path(__file__).resolve().parents[2] / "examples" / "models"


def info(name: str, kind: int, shape: list[int | str] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: Arrays | None = None,
) -> onnx.ModelProto:
    weights = [onnx.numpy_helper.from_array(a, n) for n, a in (constants or {}).items()]
    graph = helper.make_graph(nodes, "golden", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def demo(name: str) -> onnx.ModelProto:
    return onnx.load(MODELS / f"{name}.onnx")


def growing() -> onnx.ModelProto:
    """A loop whose carried value grows, with a stacked output of unknown length and a condition."""
    f, i, b = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
    body = helper.make_graph(
        [
            helper.make_node("Concat", ["cache", "x"], ["longer"], axis=0),
            helper.make_node("ReduceSum", ["longer"], ["sum"], keepdims=0),
            helper.make_node("Less", ["sum", "limit"], ["go"]),
            helper.make_node("Identity", ["sum"], ["seen"]),
        ],
        "body",
        [info("k", i, []), info("go_in", b, []), info("cache", f, ["n", 3])],
        [info("go", b, []), info("longer", f, ["m", 3]), info("seen", f, [])],
    )
    return model(
        [helper.make_node("Loop", ["", "", "start"], ["cache_out", "sums"], body=body)],
        [info("x", f, [1, 3]), info("start", f, ["s", 3]), info("limit", f, [])],
        [info("cache_out", f, ["r", 3]), info("sums", f, ["t"])],
    )


def values() -> onnx.ModelProto:
    """Shapes that depend on data, integers, a cast, views."""
    f, i = TensorProto.FLOAT, TensorProto.INT64
    return model(
        [
            helper.make_node("NonZero", ["x"], ["where"]),
            helper.make_node("Transpose", ["where"], ["pairs"], perm=[1, 0]),
            helper.make_node("GatherND", ["x", "pairs"], ["kept"]),
            helper.make_node("Cast", ["kept"], ["whole"], to=TensorProto.INT32),
            helper.make_node("TopK", ["kept", "two"], ["top", "at"]),
            helper.make_node("Slice", ["x", "from", "to", "axes", "steps"], ["flipped"]),
            helper.make_node("Softmax", ["flipped"], ["p"], axis=-1),
        ],
        [info("x", f, ["a", "b"])],
        [
            info("pairs", i, ["n", 2]),
            info("whole", TensorProto.INT32, ["n"]),
            info("top", f, [2]),
            info("at", i, [2]),
            info("p", f, ["a", "b"]),
        ],
        {
            "two": np.array([2], np.int64),
            "from": np.array([-1], np.int64),
            "to": np.array([-100], np.int64),
            "axes": np.array([1], np.int64),
            "steps": np.array([-1], np.int64),
        },
    )


def convolutions() -> onnx.ModelProto:
    f = TensorProto.FLOAT
    rng = np.random.default_rng(7)
    weights = {
        "w1": rng.standard_normal((6, 3, 3, 3)).astype(np.float32),
        "w2": rng.standard_normal((6, 1, 3, 3)).astype(np.float32),
        "w3": rng.standard_normal((4, 3, 1, 1)).astype(np.float32),
        "b1": rng.standard_normal(6).astype(np.float32),
    }
    return model(
        [
            helper.make_node("Conv", ["x", "w1", "b1"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
            helper.make_node("Relu", ["a"], ["r"]),
            helper.make_node("Conv", ["r", "w2"], ["d"], group=6, pads=[1, 1, 1, 1]),
            helper.make_node("Conv", ["d", "w3"], ["g"], group=2),
            helper.make_node("MaxPool", ["g"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("GlobalAveragePool", ["m"], ["y"]),
        ],
        [info("x", f, ["n", 3, 9, 11])],
        [info("y", f, ["n", 4, 1, 1]), info("m", f, ["n", 4, 2, 3])],
        weights,
    )


def branches() -> onnx.ModelProto:
    """An If whose branches give different shapes, in a loop of known length with a stacked output."""
    f, i, b = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
    then = helper.make_graph(
        [helper.make_node("Concat", ["x", "x"], ["double"], axis=0)],
        "then",
        [],
        [info("double", f, None)],
    )
    other = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["minus"])], "else", [], [info("minus", f, None)]
    )
    body = helper.make_graph(
        [
            helper.make_node("Mod", ["k", "two"], ["odd"]),
            helper.make_node("Cast", ["odd"], ["is_odd"], to=b),
            helper.make_node("If", ["is_odd"], ["part"], then_branch=then, else_branch=other),
            helper.make_node("ReduceSum", ["part"], ["s"], keepdims=0),
            helper.make_node("Add", ["total", "s"], ["next"]),
            helper.make_node("Identity", ["go_in"], ["go"]),
            helper.make_node("Identity", ["next"], ["slice"]),
        ],
        "body",
        [info("k", i, []), info("go_in", b, []), info("total", f, [])],
        [info("go", b, []), info("next", f, []), info("slice", f, [])],
    )
    return model(
        [helper.make_node("Loop", ["five", "", "zero"], ["total_out", "totals"], body=body)],
        [info("x", f, ["n"])],
        [info("total_out", f, []), info("totals", f, ["t"])],
        {
            "five": np.array(5, np.int64),
            "two": np.array(2, np.int64),
            "zero": np.array(0, np.float32),
        },
    )


def feeds(name: str) -> Arrays:
    rng = np.random.default_rng(3)
    scan = np.load(MODELS / "digits_test.npz")["images"][0].astype(np.float32) / 16
    return {
        "triple": {"x": np.array([[14.0], [-1.5]], np.float32)},
        "train_triple": {
            "x": np.linspace(-1, 1, 8, dtype=np.float32),
            "y": 3 * np.linspace(-1, 1, 8, dtype=np.float32),
            "learning_rate": np.array(0.5, np.float32),
            "tolerance": np.array(1e-6, np.float32),
            "max_steps": np.array(100, np.int64),
        },
        "digits": {"image": scan[None, None]},
        "experts": {"x": scan.reshape(1, 64)},
        "growing": {
            "x": np.array([[1, 2, 3]], np.float32),
            "start": np.zeros((0, 3), np.float32),
            "limit": np.array(20, np.float32),
        },
        "values": {"x": np.array([[0, 2.5, 0, -1.5], [3.25, 0, 7, 0]], np.float32)},
        "convolutions": {"x": rng.standard_normal((2, 3, 9, 11)).astype(np.float32)},
        "branches": {"x": np.array([1, 2, 4], np.float32)},
    }[name]


SOURCES: dict[str, Callable[[], onnx.ModelProto]] = {
    **{
        name: (lambda name=name: demo(name))
        for name in ("triple", "train_triple", "digits", "experts")
    },
    "growing": growing,
    "values": values,
    "convolutions": convolutions,
    "branches": branches,
}


def main() -> int:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in SOURCES.items():
        path = folder / f"{name}.whit"
        if path.exists():
            raise SystemExit(f"{path} is there already; a golden file is never made again")
        proto = source()
        given = feeds(name)
        session = onnxruntime.InferenceSession(proto.SerializeToString())
        expected = dict(
            zip([o.name for o in proto.graph.output], session.run(None, given), strict=True)
        )
        whit.convert(proto, path)
        arrays = {f"in:{k}": v for k, v in given.items()} | {
            f"out:{k}": v for k, v in expected.items()
        }
        np.savez(folder / f"{name}.npz", **arrays)
        print(f"{path}: {path.stat().st_size:,} B")
    return 0


if __name__ == "__main__":
    sys.exit(main())
