"""Makes the golden files of this release: small models with inputs and the outputs that they must give for ever.

    python tests/golden/make.py FOLDER [NAME...]      for example tests/golden/v1

A released folder is never made again: its files prove that old files load. Outputs come from onnxruntime, not from Whit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import TensorProto, helper

import whit
from whit_exporter.passes import bottleneck, winograd

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


def lists() -> onnx.ModelProto:
    """A sequence that grows in a loop, is cut, joined and taken apart."""
    return onnx.parser.parse_model("""<ir_version: 10, opset_import: ["": 21]>
        g (float[a, b] x, int64 n) => (float[r, b] joined, float[a, b] first, int64 length)
        <int64 zero = {0}, int64 one = {1}> {
          empty = SequenceEmpty()
          all = Loop(n, "", empty) <body = b (int64 i, bool go, seq(float[a, b]) s) => (bool k, seq(float[a, b]) t) {
            k = Identity(go)
            f = Cast<to = 1>(i)
            v = Add(x, f)
            t = SequenceInsert(s, v)
          }>
          more = SequenceInsert(all, x, zero)
          less = SequenceErase(more, one)
          joined = ConcatFromSequence<axis = 0>(less)
          first = SequenceAt(less, zero)
          length = SequenceLength(less)
        }""")


def recurrent() -> onnx.ModelProto:
    """A bidirectional GRU with sequence lengths."""
    rng = np.random.default_rng(5)
    f, i32 = TensorProto.FLOAT, TensorProto.INT32
    return model(
        [
            helper.make_node(
                "GRU",
                ["x", "w", "r", "b", "lens"],
                ["y", "last"],
                hidden_size=3,
                direction="bidirectional",
            )
        ],
        [info("x", f, ["t", 2, 4]), info("lens", i32, [2])],
        [info("y", f, ["t", 2, 2, 3]), info("last", f, [2, 2, 3])],
        {
            "w": rng.standard_normal((2, 9, 4)).astype(np.float32),
            "r": rng.standard_normal((2, 9, 3)).astype(np.float32),
            "b": rng.standard_normal((2, 18)).astype(np.float32),
        },
    )


def many() -> onnx.ModelProto:
    """One of each of the operators that the other files lack."""
    return onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["": 21]>
        g (float[1, 2, 5, 6] x) => (float[1, 3, d, e] t, float[1, 2, f, h] a, float[u] q, int64[u] w,
                                    float[1, 2, 5, 6] s, float[1, 2, 5, 6] c, int64[1, 2, 5] m, float[1, 2, 9, 6] p,
                                    int64[k, 3] boxes, float[2, 2] n)
        <float[2, 3, 2, 2] wt = {1, -1, 0.5, 2, 0, 1, 1, -2, 0.25, 1, 1, 1, -1, 0.5, 0.5, 2, 1, 0, 0, 1, 3, -1, 1, 0.5},
         int64[1] minus = {-1}, int64 axis = {3}, int64[8] pads = {0, 0, 2, 0, 0, 0, 2, 0},
         int64[1, 2, 1, 6] at = {0, 1, 2, 3, 4, 0, 4, 3, 2, 1, 0, 4}, float[1, 2, 1, 6] up = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0, -1, -2},
         float[1, 4, 4] b = {0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, 10, 1, 11, 0, 10.1, 1, 11.1}, float[1, 1, 4] score = {0.9, 0.75, 0.6, 0.95},
         int64[1] most = {3}, float[1] overlap = {0.5}> {
          t = ConvTranspose<strides = [2, 2]>(x, wt)
          a = AveragePool<kernel_shape = [2, 3], pads = [1, 1, 0, 1], count_include_pad = 1>(x)
          whole = Floor(x)
          flat = Reshape(whole, minus)
          q, fi, inv, w = Unique(flat)
          s = ScatterElements<axis = 2>(x, at, up)
          c = CumSum<reverse = 1>(x, axis)
          m = ArgMax<axis = 3, keepdims = 0>(x)
          p = Pad<mode = "reflect">(x, pads)
          boxes = NonMaxSuppression(b, score, most, overlap)
          mean = ReduceMean<keepdims = 0>(x, axis_list)
          n = Einsum<equation = "bcs,bds->cd">(mean, mean)
        }""".replace("int64[1] most", "int64[1] axis_list = {2}, int64[1] most")
    )


def transformer() -> onnx.ModelProto:
    """Attention with packed keys and by their rows, softmax, layer, RMS and group normalisation, with sizes that fit no vector."""
    f, rng = TensorProto.FLOAT, np.random.default_rng(30)
    weights: Arrays = {n: 0.2 * rng.standard_normal((24, 24)) for n in ("wq", "wk", "wv", "wc")}
    weights |= {n: rng.standard_normal(24) for n in ("gain", "shift")} | {
        "w": rng.standard_normal((8, 6, 1, 1))
    }
    weights |= {n: rng.standard_normal(8) for n in ("s", "b")}
    weights = {k: v.astype(np.float32) for k, v in weights.items()}
    sizes = {"split": [0, 0, 2, 12], "join": [0, 0, 24], "zero": [0], "two": [2]}
    nodes = [helper.make_node("LayerNormalization", ["x", "gain", "shift"], ["h"], axis=-1)]
    for n in "qkv":
        nodes += [
            helper.make_node("MatMul", ["h", f"w{n}"], [f"{n}_flat"]),
            helper.make_node("Reshape", [f"{n}_flat", "split"], [f"{n}_heads"]),
            helper.make_node("Transpose", [f"{n}_heads"], [n], perm=[0, 2, 1, 3]),
        ]

    def attend(y: str, q: str, k: str, v: str, mask: str) -> None:
        nodes.extend([
            helper.make_node("Transpose", [k], [f"{y}_t"], perm=[0, 1, 3, 2]),
            helper.make_node("MatMul", [q, f"{y}_t"], [f"{y}_scores"]),
            helper.make_node("Add", [f"{y}_scores", mask], [f"{y}_masked"]) if mask
            else helper.make_node("Identity", [f"{y}_scores"], [f"{y}_masked"]),
            helper.make_node("Softmax", [f"{y}_masked"], [f"{y}_weights"], axis=-1),
            helper.make_node("MatMul", [f"{y}_weights", v], [f"{y}_heads"]),
            helper.make_node("Transpose", [f"{y}_heads"], [f"{y}_turned"], perm=[0, 2, 1, 3]),
            helper.make_node("Reshape", [f"{y}_turned", "join"], [y]),
        ])  # fmt: skip

    attend("all", "q", "k", "v", "mask")
    nodes.append(helper.make_node("Slice", ["q", "zero", "two", "two"], ["few"]))
    attend("step", "few", "past", "past", "")
    nodes += [
        helper.make_node("MatMul", ["all", "wc"], ["mixed"]),
        helper.make_node("RMSNormalization", ["mixed", "gain"], ["rms"], axis=-1),
        helper.make_node("LogSoftmax", ["rms"], ["y"], axis=-1),
        helper.make_node("Conv", ["image", "w"], ["conv"]),
        helper.make_node("GroupNormalization", ["conv", "s", "b"], ["group"], num_groups=4),
        helper.make_node("InstanceNormalization", ["group", "s", "b"], ["instance"]),
        helper.make_node("Softmax", ["instance"], ["p"], axis=1),
    ]
    made = model(
        nodes,
        [info("x", f, [2, 19, 24]), info("mask", f, [2, 1, 19, 19]), info("past", f, [2, 2, 37, 12]),
         info("image", f, [1, 6, 5, 7])],
        [info("y", f, [2, 19, 24]), info("step", f, [2, 2, 24]), info("p", f, [1, 8, 5, 7])],
        weights | {k: np.array(v, np.int64) for k, v in sizes.items()},
    )  # fmt: skip
    made.opset_import[0].version = 23
    return made


def finished() -> onnx.ModelProto:
    """Epilogues of every kind, a table that is read by rows and multiplied by."""
    f, i = TensorProto.FLOAT, TensorProto.INT64
    rng = np.random.default_rng(7)

    def weights(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.3, shape).astype(np.float32)

    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w3", "b3"], ["c3"], pads=[1] * 4),
        node("Clip", ["c3", "low", "high"], ["limited"]),
        node("Conv", ["limited", "wd"], ["cd"], pads=[1] * 4, group=16),
        node("HardSwish", ["cd"], ["gated"]),
        node("Conv", ["gated", "w1", "b1"], ["c1"]),
        node("Gelu", ["c1"], ["soft"]),
        node("Conv", ["x", "ws"], ["short"], strides=[2, 2]),
        node("Conv", ["gated", "w2"], ["c2"], strides=[2, 2]),
        node("Add", ["c2", "short"], ["sum"]),
        node("Relu", ["sum"], ["y"]),
        node("GlobalMaxPool", ["soft"], ["top"]),
        node("Flatten", ["top"], ["row"]),
        node("Gather", ["table", "ids"], ["rows"]),
        node("Mul", ["rows", "row"], ["scaled"]),
        node("Gemm", ["scaled", "table"], ["logits"], transB=1),
    ]
    constants = {
        "w3": weights(16, 16, 3, 3), "b3": weights(16), "wd": weights(16, 1, 3, 3), "w1": weights(9, 16, 1, 1),
        "b1": weights(9), "ws": weights(5, 16, 1, 1), "w2": weights(5, 16, 1, 1), "table": weights(21, 9),
        "low": np.float32(0), "high": np.float32(6),
    }  # fmt: skip
    return model(
        nodes,
        [info("x", f, [1, 16, 8, 8]), info("ids", i, [2])],
        [info("y", f, None), info("soft", f, None), info("logits", f, None)],
        constants,
    )


def filters() -> onnx.ModelProto:
    """Filters of 3x3 convolutions that the runtime transforms: more channels than a vector has, fewer, a sum behind one."""
    rng = np.random.default_rng(5)
    return model(
        [
            helper.make_node("Conv", ["x", "w1", "b1"], ["a"], pads=[1] * 4),
            helper.make_node("Relu", ["a"], ["p"]),
            helper.make_node("Conv", ["p", "w2"], ["b"], pads=[0, 1, 2, 1]),
            helper.make_node("Add", ["b", "p"], ["s"]),
            helper.make_node("Conv", ["s", "w3"], ["y"], pads=[1] * 4),
        ],
        [info("x", TensorProto.FLOAT, ["n", 16, 9, 7])],
        [info("y", TensorProto.FLOAT, ["n", 3, 9, 7])],
        {
            "w1": rng.standard_normal((18, 16, 3, 3)).astype(np.float32) / 12,
            "b1": rng.standard_normal(18).astype(np.float32),
            "w2": rng.standard_normal((18, 18, 3, 3)).astype(np.float32) / 12,
            "w3": rng.standard_normal((3, 18, 3, 3)).astype(np.float32) / 12,
        },
    )


def bottlenecks() -> onnx.ModelProto:
    """Depthwise convolutions with those around them: expanded, with a gate and a sum; and alone, with steps and a leak."""
    rng = np.random.default_rng(9)
    constants: Arrays = {"low": np.float32(0), "high": np.float32(6)}
    node = helper.make_node

    def conv(x: str, y: str, n: int, m: int, k: int = 1, **attrs: object) -> onnx.NodeProto:
        constants[f"w_{y}"] = rng.normal(0, 0.4, (m, n, k, k)).astype(np.float32)
        constants[f"b_{y}"] = rng.normal(0, 0.3, m).astype(np.float32)
        return node("Conv", [x, f"w_{y}", f"b_{y}"], [y], **attrs)

    nodes = [
        conv("x", "stem", 3, 12, 3, pads=[1] * 4),
        conv("stem", "wide", 12, 34),
        node("Clip", ["wide", "low", "high"], ["limited"]),
        conv("limited", "deep", 1, 34, 3, group=34, pads=[1] * 4),
        node("HardSwish", ["deep"], ["gated"]),
        conv("gated", "narrow", 34, 12),
        node("Add", ["narrow", "stem"], ["sum"]),
        conv("sum", "steps", 1, 12, 5, group=12, pads=[2, 3, 1, 2], strides=[2, 1]),
        node("LeakyRelu", ["steps"], ["leaky"], alpha=0.25),
        conv("leaky", "y", 12, 18),
    ]
    f = TensorProto.FLOAT
    return model(
        nodes, [info("x", f, [2, 3, 8, 11])], [info("sum", f, None), info("y", f, None)], constants
    )


def limited() -> onnx.ModelProto:
    """Shapes that depend on data within limits: slices of a loop that a condition ends, parts of them, branches of two lengths. And a
    loop that counts rows, from the last one on."""
    return onnx.parser.parse_model("""<ir_version: 10, opset_import: ["": 21]>
      g (float[4] x, float limit, bool c, int64[1] to, float[t, 4] rows) =>
        (float[4] y, float[k, 4] part, float[n, 4] z, float[4] last, float[t, 4] sums)
        <int64 m = {6}, int64[1] zero = {0}, int64[1] one = {1}> {
        y, ys = Loop(m, "", x) <body = b (int64 i, bool k, float[4] a) => (bool go, float[4] d, float[4] s) {
          d = Add(a, a)
          most = ReduceMax<keepdims = 0>(d)
          go = Less(most, limit)
          s = Sub(d, x) }>
        part = Slice(ys, one, to, zero)
        z = If(c) <then_branch = t1 () => (float[p, 4] a1) { a1 = Concat<axis = 0>(rows, rows) },
                   else_branch = e1 () => (float[q, 4] b1) { b1 = Slice(ys, zero, to, zero) }>
        last, sums = Scan<num_scan_inputs = 1, scan_input_directions = [1],
          body = w (float[4] h, float[4] row) => (float[4] h1, float[4] h2) {
            h1 = Add(h, row)
            h2 = Identity(h1) }>(x, rows) }""")


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
        "lists": {"x": np.array([[1, 2], [3, 4]], np.float32), "n": np.array(4, np.int64)},
        "recurrent": {
            "x": rng.standard_normal((5, 2, 4)).astype(np.float32),
            "lens": np.array([5, 2], np.int32),
        },
        "transformer": {
            "x": rng.standard_normal((2, 19, 24)).astype(np.float32),
            "mask": np.where(rng.random((2, 1, 19, 19)) < 0.8, 0, -1e9).astype(np.float32),
            "past": rng.standard_normal((2, 2, 37, 12)).astype(np.float32),
            "image": rng.standard_normal((1, 6, 5, 7)).astype(np.float32),
        },
        "finished": {
            "x": rng.standard_normal((1, 16, 8, 8)).astype(np.float32),
            "ids": np.array([20, -3], np.int64),
        },
        "bottlenecks": {"x": rng.standard_normal((2, 3, 8, 11)).astype(np.float32)},
        "many": {"x": 3 * rng.standard_normal((1, 2, 5, 6)).astype(np.float32)},
        "filters": {"x": rng.standard_normal((2, 16, 9, 7)).astype(np.float32)},
        "limited": {
            "x": np.array([1, -2, 0.5, 3], np.float32),
            "limit": np.array(20, np.float32),
            "c": np.array(False),
            "to": np.array([2], np.int64),
            "rows": rng.standard_normal((3, 4)).astype(np.float32),
        },
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
    "lists": lists,
    "recurrent": recurrent,
    "many": many,
    "transformer": transformer,
    "finished": finished,
    "bottlenecks": bottlenecks,
    "filters": filters,
    "limited": limited,
}


def main() -> int:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or SOURCES:
        source = SOURCES[name]
        path = folder / f"{name}.whit"
        if path.exists():
            raise SystemExit(f"{path} is there already; a golden file is never made again")
        proto = source()
        given = feeds(name)
        session = onnxruntime.InferenceSession(proto.SerializeToString())
        expected = dict(
            zip([o.name for o in proto.graph.output], session.run(None, given), strict=True)
        )
        with pytest.MonkeyPatch.context() as patch:
            if name in ("bottlenecks", "filters"):  # So small they pay nowhere.
                patch.setattr(bottleneck, "BETWEEN", 0)
                patch.setattr(winograd, "saving", lambda *_, stored: float(not stored))
                whit.convert(proto, path, optimize="speed")
            else:
                whit.convert(proto, path)
        arrays = {f"in:{k}": v for k, v in given.items()} | {
            f"out:{k}": v for k, v in expected.items()
        }
        np.savez(folder / f"{name}.npz", **arrays)
        print(f"{path}: {path.stat().st_size:,} B")
    return 0


if __name__ == "__main__":
    sys.exit(main())
