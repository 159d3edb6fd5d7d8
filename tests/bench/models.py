"""The models that `make bench` measures, built from descriptions of their architectures with fixed random weights.

Batch-norm statistics are sane because they are measured: a model that has batch norms is built twice. The first time every
batch norm takes the statistics of what it sees, and one run on a small random batch tells them; the second time they are
constants. So activations keep their scale through any depth, as in a trained model.

    python tests/bench/models.py [REGEX]        writes build/bench/models/NAME.onnx and NAME.npz (the inputs)

A model has a small form too, for what would take minutes under an emulator: the same layers on smaller pictures and shorter
sequences (and two layers of a decoder).
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from peers import CACHE

FOLDER = CACHE / "models"
OPSET = 17

Array = np.ndarray[Any, Any]
Description = Callable[["Net"], None]
MODELS: dict[str, Description] = {}


def model(describe: Description) -> Description:
    MODELS[describe.__name__] = describe
    return describe


class Net:
    """A graph that grows node by node; values are names."""

    def __init__(
        self, name: str, learned: dict[str, Array] | None = None, small: bool = False
    ) -> None:
        self.name, self.small = name, small
        self.learned = learned
        """What the first building measured; None while it goes on."""
        self.to_learn: list[str] = []
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.feeds: dict[str, Array] = {}
        self.n = self.n_norms = 0

    # ---- the graph ----

    def fresh(self, hint: str) -> str:
        self.n += 1
        return f"{hint.lower()}_{self.n}"

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        return self.add_many(op, 1, *inputs, **attributes)[0]

    def add_many(self, op: str, n_outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        outputs = [self.fresh(op) for _ in range(n_outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), outputs, outputs[0], **attributes))
        return outputs

    def const(self, array: Any, hint: str = "c") -> str:
        name = self.fresh(hint)
        a = np.asarray(array)
        a = a.astype(np.float32) if a.dtype == np.float64 else a
        self.constants.append(numpy_helper.from_array(np.array(a, order="C"), name))
        return name

    def size(self, full: int, small: int) -> int:
        return small if self.small else full

    def picture(self, channels: int, full: int, small: int) -> tuple[str, int]:
        """The input of a model that takes a square picture, and its side."""
        side = self.size(full, small)
        return self.input("x", (1, channels, side, side)), side

    def input(self, name: str, shape: Sequence[int], array: Array | None = None) -> str:
        """A graph input; its benchmark value is `array`, or normal noise, of which the first building takes more."""
        if array is None:
            times = 1 if self.learned is not None else 64 if len(shape) == 2 else 4
            noise = np.random.default_rng(
                len(self.inputs)
            )  # its own: the weights must not depend on times
            array = noise.standard_normal((shape[0] * times, *shape[1:]), np.float32)
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        self.inputs.append(helper.make_tensor_value_info(name, kind, array.shape))
        self.feeds[name] = array
        return name

    def output(self, value: str, name: str, kind: int = TensorProto.FLOAT) -> None:
        self.nodes.append(helper.make_node("Identity", [value], [name], name))
        self.outputs.append(helper.make_tensor_value_info(name, kind, None))

    def proto(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.constants)
        opset = [helper.make_opsetid("", OPSET)]
        made = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="bench")
        return onnx.shape_inference.infer_shapes(made) if self.learned is not None else made

    # ---- layers ----

    def weight(self, shape: Sequence[int], fan_in: int, gain: float = 1.0) -> Array:
        return self.rng.standard_normal(shape, np.float32) * np.float32(gain / np.sqrt(fan_in))

    def conv(
        self, x: str, c_in: int, c_out: int, k: int | tuple[int, ...] = 1, stride: Any = 1, *,
        groups: int = 1, dilation: int = 1, bias: bool = True, pads: Sequence[int] | None = None,
    ) -> str:  # fmt: skip
        """A convolution over as many axes as k has (a number: two), padded to keep the size unless `pads` is given."""
        kernel = (k, k) if isinstance(k, int) else k
        strides = [stride] * len(kernel) if isinstance(stride, int) else list(stride)
        half = [dilation * (s - 1) // 2 for s in kernel]
        fan_in = c_in // groups * int(np.prod(kernel))
        w = self.const(self.weight((c_out, c_in // groups, *kernel), fan_in, 2**0.5), "w")
        b = [self.const(self.weight((c_out,), 100), "b")] if bias else []
        return self.add(
            "Conv", x, w, *b, kernel_shape=kernel, strides=strides, group=groups,
            dilations=[dilation] * len(kernel), pads=list(pads) if pads is not None else half + half,
        )  # fmt: skip

    def batch_norm(self, x: str, channels: int, axes: int = 2) -> str:
        gamma = self.rng.uniform(0.8, 1.2, channels).astype(np.float32)
        beta = self.weight((channels,), 100)
        self.n_norms += 1
        name = f"norm_{self.n_norms}"
        if self.learned is not None:
            seen = (self.learned[f"{name}_{k}"].reshape(-1) for k in ("mean", "var"))
            values = (gamma, beta, *seen)
            return self.add("BatchNormalization", x, *(self.const(v, "bn") for v in values))
        over = [0, *range(2, 2 + axes)]
        mean = self.add("ReduceMean", x, axes=over)
        off = self.add("Sub", x, mean)
        var = self.add("ReduceMean", self.add("Mul", off, off), axes=over)
        self.learn(f"{name}_mean", mean)
        self.learn(f"{name}_var", var)
        deviation = self.add("Sqrt", self.add("Add", var, self.const(1e-3)))
        shape = (1, channels, *[1] * axes)
        y = self.add("Mul", self.add("Div", off, deviation), self.const(gamma.reshape(shape)))
        return self.add("Add", y, self.const(beta.reshape(shape)))

    def learn(self, name: str, value: str) -> None:
        """Asks the first building for this value, under a name that does not depend on it."""
        self.to_learn.append(name)
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_empty_tensor_value_info(name))

    def act(self, x: str, kind: str) -> str:
        match kind:
            case "":
                return x
            case "relu6":
                return self.add("Clip", x, self.const(0.0), self.const(6.0))
            case "silu":
                return self.add("Mul", x, self.add("Sigmoid", x))
            case "hswish":
                return self.add("HardSwish", x)
            case "hsigmoid":
                return self.add("HardSigmoid", x, alpha=1 / 6, beta=0.5)
            case "gelu":  # as torch.onnx writes it
                inner = self.add("Erf", self.add("Div", x, self.const(2**0.5)))
                whole = self.add("Mul", x, self.add("Add", inner, self.const(1.0)))
                return self.add("Mul", whole, self.const(0.5))
        return self.add(kind, x)

    def unit(
        self, x: str, c_in: int, c_out: int, k: Any = 1, stride: Any = 1, act: str = "Relu",
        groups: int = 1, **options: Any,
    ) -> str:  # fmt: skip
        """Convolution, batch norm, activation."""
        y = self.conv(x, c_in, c_out, k, stride, groups=groups, bias=False, **options)
        return self.act(self.batch_norm(y, c_out), act)

    def gemm(self, x: str, n_in: int, n_out: int) -> str:
        """A fully connected layer on [batch, n_in], as torch.onnx writes it."""
        w = self.const(self.weight((n_out, n_in), n_in), "w")
        return self.add("Gemm", x, w, self.const(self.weight((n_out,), 100), "b"), transB=1)

    def linear(self, x: str, n_in: int, n_out: int, bias: bool = True) -> str:
        """The same on more axes: MatMul and Add."""
        y = self.add("MatMul", x, self.const(self.weight((n_in, n_out), n_in), "w"))
        return self.add("Add", y, self.const(self.weight((n_out,), 100), "b")) if bias else y

    def classify(self, x: str, channels: int, classes: int = 1000) -> None:
        y = self.add("Flatten", self.add("GlobalAveragePool", x), axis=1)
        self.output(self.gemm(y, channels, classes), "y")

    def max_pool(self, x: str, k: int, stride: int, pad: int = 0, ceil: int = 0) -> str:
        return self.add(
            "MaxPool", x, kernel_shape=[k, k], strides=[stride] * 2, pads=[pad] * 4, ceil_mode=ceil
        )

    def concat(self, *values: str, axis: int = 1) -> str:
        return self.add("Concat", *values, axis=axis)

    def reshape(self, x: str, *shape: int) -> str:
        return self.add("Reshape", x, self.const(np.array(shape, np.int64), "shape"))

    def transpose(self, x: str, *perm: int) -> str:
        return self.add("Transpose", x, perm=perm)


# ---- classification -----------------------------------------------------------------------------------


@model
def mobilenet_v1(n: Net) -> None:
    x, c = n.unit(n.picture(3, 224, 96)[0], 3, 32, 3, 2), 32
    widths = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    for k, wide in enumerate(widths):
        x = n.unit(x, c, c, 3, 2 if k in (1, 3, 5, 11) else 1, groups=c)
        x, c = n.unit(x, c, wide), wide
    n.classify(x, c)


def inverted(
    n: Net, x: str, c: int, wide: int, out: int, k: int, stride: int, act: str, squeeze: int = 0
) -> str:
    """The block of MobileNetV2 and after: expand, depthwise, squeeze and excite, project, add."""
    y = n.unit(x, c, wide, act=act) if wide != c else x
    y = n.unit(y, wide, wide, k, stride, act, groups=wide)
    if squeeze:
        s = n.act(n.conv(n.add("GlobalAveragePool", y), wide, squeeze), "Relu")
        y = n.add("Mul", y, n.act(n.conv(s, squeeze, wide), "hsigmoid"))
    y = n.unit(y, wide, out, act="")
    return n.add("Add", x, y) if stride == 1 and c == out else y


@model
def mobilenet_v2(n: Net) -> None:
    x, c = n.unit(n.picture(3, 224, 96)[0], 3, 32, 3, 2, "relu6"), 32
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))  # fmt: skip
    for t, out, times, stride in rows:
        for k in range(times):
            x, c = inverted(n, x, c, t * c, out, 3, stride if k == 0 else 1, "relu6"), out
    n.classify(n.unit(x, c, 1280, act="relu6"), 1280)


@model
def mobilenet_v3_small(n: Net) -> None:
    x, c = n.unit(n.picture(3, 224, 96)[0], 3, 16, 3, 2, "hswish"), 16
    rows = (
        (3, 16, 16, 8, "Relu", 2), (3, 72, 24, 0, "Relu", 2), (3, 88, 24, 0, "Relu", 1),
        (5, 96, 40, 24, "hswish", 2), (5, 240, 40, 64, "hswish", 1), (5, 240, 40, 64, "hswish", 1),
        (5, 120, 48, 32, "hswish", 1), (5, 144, 48, 40, "hswish", 1), (5, 288, 96, 72, "hswish", 2),
        (5, 576, 96, 144, "hswish", 1), (5, 576, 96, 144, "hswish", 1),
    )  # fmt: skip
    for k, wide, out, squeeze, act, stride in rows:
        x, c = inverted(n, x, c, wide, out, k, stride, act, squeeze), out
    x = n.add("Flatten", n.add("GlobalAveragePool", n.unit(x, c, 576, act="hswish")), axis=1)
    n.output(n.gemm(n.act(n.gemm(x, 576, 1024), "hswish"), 1024, 1000), "y")


@model
def efficientnet_lite0(n: Net) -> None:
    x, c = n.unit(n.picture(3, 224, 96)[0], 3, 32, 3, 2, "relu6"), 32
    rows = ((1, 16, 3, 1, 1), (6, 24, 3, 2, 2), (6, 40, 5, 2, 2), (6, 80, 3, 2, 3), (6, 112, 5, 1, 3), (6, 192, 5, 2, 4), (6, 320, 3, 1, 1))  # fmt: skip
    for t, out, size, stride, times in rows:
        for k in range(times):
            x, c = inverted(n, x, c, t * c, out, size, stride if k == 0 else 1, "relu6"), out
    n.classify(n.unit(x, c, 1280, act="relu6"), 1280)


def residual(n: Net, x: str, c: int, out: int, stride: int, middle: int = 0) -> str:
    """Two 3x3 convolutions, or with `middle` a bottleneck of 1x1, 3x3, 1x1."""
    if middle:
        y = n.unit(n.unit(x, c, middle), middle, middle, 3, stride)
        y = n.unit(y, middle, out, act="")
    else:
        y = n.unit(n.unit(x, c, out, 3, stride), out, out, 3, act="")
    skip = x if stride == 1 and c == out else n.unit(x, c, out, 1, stride, act="", pads=[0] * 4)
    return n.act(n.add("Add", y, skip), "Relu")


def resnet(n: Net, depths: Sequence[int], factor: int) -> None:
    x = n.unit(n.picture(3, 224, 96)[0], 3, 64, 7, 2)
    x, c = n.max_pool(x, 3, 2, 1), 64
    for stage, depth in enumerate(depths):
        wide = 64 << stage
        for k in range(depth):
            stride = 2 if stage and k == 0 else 1
            x = residual(n, x, c, wide * factor, stride, wide if factor > 1 else 0)
            c = wide * factor
    n.classify(x, c)


@model
def resnet18(n: Net) -> None:
    resnet(n, (2, 2, 2, 2), 1)


@model
def resnet50(n: Net) -> None:
    resnet(n, (3, 4, 6, 3), 4)


@model
def squeezenet_1_1(n: Net) -> None:
    x = n.act(n.conv(n.picture(3, 224, 96)[0], 3, 64, 3, 2, pads=[0] * 4), "Relu")
    x, c = n.max_pool(x, 3, 2, ceil=1), 64
    for k, (squeeze, wide) in enumerate(
        ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
    ):
        if k in (2, 4):
            x = n.max_pool(x, 3, 2, ceil=1)
        s = n.act(n.conv(x, c, squeeze), "Relu")
        both = (n.act(n.conv(s, squeeze, wide, size), "Relu") for size in (1, 3))
        x, c = n.concat(*both), 2 * wide
    x = n.add("GlobalAveragePool", n.act(n.conv(x, c, 1000), "Relu"))
    n.output(n.add("Flatten", x, axis=1), "y")


# ---- pictures in, pictures or boxes out ---------------------------------------------------------------


def split_block(n: Net, x: str, c: int, out: int, depth: int, add: bool) -> str:
    """C2f: half of the channels goes through small residual blocks, and every stage is kept."""
    half = out // 2
    y = n.unit(x, c, out, act="silu")
    sizes = n.const(np.array([half, half]))
    kept = n.add_many("Split", 2, y, sizes, axis=1)
    for _ in range(depth):
        z = n.unit(n.unit(kept[-1], half, half, 3, act="silu"), half, half, 3, act="silu")
        kept.append(n.add("Add", kept[-1], z) if add else z)
    return n.unit(n.concat(*kept), half * len(kept), out, act="silu")


def upsample(n: Net, x: str) -> str:
    scales = n.const(np.array([1, 1, 2, 2], np.float32))
    return n.add(
        "Resize", x, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )  # fmt: skip


def detect_head(n: Net, features: Sequence[tuple[str, int, int]], side: int, classes: int) -> None:
    """Boxes as distances from anchor points, each the mean of a softmax over 16 bins; and class scores."""
    boxes, scores, points, strides = [], [], [], []
    for x, c, size in features:
        b = n.unit(n.unit(x, c, 64, 3, act="silu"), 64, 64, 3, act="silu")
        s = n.unit(n.unit(x, c, 80, 3, act="silu"), 80, 80, 3, act="silu")
        boxes.append(n.reshape(n.conv(b, 64, 64), 0, 64, -1))
        scores.append(n.reshape(n.conv(s, 80, classes), 0, classes, -1))
        grid = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)).reshape(2, -1)
        points.append(grid)
        strides.append(np.full((1, size * size), side / size))
    box = n.reshape(n.concat(*boxes, axis=2), 0, 4, 16, -1)
    box = n.add("Softmax", n.transpose(box, 0, 2, 1, 3), axis=1)
    bins = n.const(np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1))
    box = n.reshape(n.add("Conv", box, bins, kernel_shape=[1, 1]), 0, 4, -1)
    low, high = n.add_many("Split", 2, box, n.const(np.array([2, 2])), axis=1)
    at = n.const(np.concatenate(points, 1)[None])
    first, last = n.add("Sub", at, low), n.add("Add", at, high)
    centre = n.add("Div", n.add("Add", first, last), n.const(2.0))
    box = n.concat(centre, n.add("Sub", last, first))
    box = n.add("Mul", box, n.const(np.concatenate(strides, 1)))
    n.output(n.concat(box, n.add("Sigmoid", n.concat(*scores, axis=2))), "y")


@model
def yolo_nano_320(n: Net) -> None:
    def down(x: str, c: int, out: int) -> str:
        return n.unit(x, c, out, 3, 2, "silu")

    x, side = n.picture(3, 320, 96)
    x = down(down(x, 3, 16), 16, 32)
    x = split_block(n, x, 32, 32, 1, True)
    p3 = split_block(n, down(x, 32, 64), 64, 64, 2, True)
    p4 = split_block(n, down(p3, 64, 128), 128, 128, 2, True)
    x = split_block(n, down(p4, 128, 256), 256, 256, 1, True)
    pooled = [n.unit(x, 256, 128, act="silu")]
    for _ in range(3):
        pooled.append(n.max_pool(pooled[-1], 5, 1, 2))
    p5 = n.unit(n.concat(*pooled), 512, 256, act="silu")
    n4 = split_block(n, n.concat(upsample(n, p5), p4), 384, 128, 1, False)
    n3 = split_block(n, n.concat(upsample(n, n4), p3), 192, 64, 1, False)
    n4 = split_block(n, n.concat(down(n3, 64, 64), n4), 192, 128, 1, False)
    n5 = split_block(n, n.concat(down(n4, 128, 128), p5), 384, 256, 1, False)
    detect_head(n, ((n3, 64, side // 8), (n4, 128, side // 16), (n5, 256, side // 32)), side, 80)


@model
def unet_256(n: Net) -> None:
    def double(x: str, c: int, out: int) -> str:
        return n.unit(n.unit(x, c, out, 3), out, out, 3)

    x, c = n.picture(3, 256, 64)[0], 3
    skips = []
    for out in (16, 32, 64, 128):
        x, c = double(x, c, out), out
        skips.append(x)
        x = n.max_pool(x, 2, 2)
    x, c = double(x, c, 256), 256
    for skip in reversed(skips):
        w = n.const(n.weight((c, c // 2, 2, 2), c), "w")
        b = n.const(n.weight((c // 2,), 100), "b")
        up = n.add("ConvTranspose", x, w, b, kernel_shape=[2, 2], strides=[2, 2])
        x, c = double(n.concat(skip, up), c, c // 2), c // 2
    n.output(n.add("Sigmoid", n.conv(x, c, 1)), "y")


@model
def super_resolution_224(n: Net) -> None:
    x = n.act(n.conv(n.picture(1, 224, 48)[0], 1, 64, 5), "Relu")
    x = n.act(n.conv(x, 64, 64, 3), "Relu")
    x = n.act(n.conv(x, 64, 32, 3), "Relu")
    x = n.conv(x, 32, 9, 3)
    n.output(n.add("DepthToSpace", x, blocksize=3, mode="CRD"), "y")


# ---- transformers ---------------------------------------------------------------------------------------


def layer_norm(n: Net, x: str, wide: int) -> str:
    gamma = n.const(n.rng.uniform(0.8, 1.2, wide))
    return n.add("LayerNormalization", x, gamma, n.const(n.weight((wide,), 100)), axis=-1)


def attention(n: Net, x: str, wide: int, heads: int, length: int, mask: str = "") -> str:
    each = wide // heads

    def head(*perm: int) -> str:
        return n.transpose(n.reshape(n.linear(x, wide, wide), 1, length, heads, each), *perm)

    scores = n.add("MatMul", head(0, 2, 1, 3), head(0, 2, 3, 1))
    scores = n.add("Div", scores, n.const(each**0.5))
    if mask:
        scores = n.add("Add", scores, mask)
    y = n.add("MatMul", n.add("Softmax", scores, axis=-1), head(0, 2, 1, 3))
    return n.linear(n.reshape(n.transpose(y, 0, 2, 1, 3), 1, length, wide), wide, wide)


def feed_forward(n: Net, x: str, wide: int) -> str:
    return n.linear(n.act(n.linear(x, wide, 4 * wide), "gelu"), 4 * wide, wide)


def encoder(n: Net, layers: int, wide: int, heads: int) -> None:
    """BERT: word and position embeddings, layers with the norm after the sum."""
    length = n.size(128, 24)
    ids = n.input("ids", (1, length), n.rng.integers(0, 30522, (1, length)))
    valid = np.ones((1, length), np.float32)  # not whole numbers: ncnn has no cast
    valid[:, length * 7 // 8 :] = 0
    given = n.input("mask", (1, length), valid)
    missing = n.add("Sub", n.const(1.0), n.reshape(given, 1, 1, 1, length))
    mask = n.add("Mul", missing, n.const(-1e4))
    words = n.const(n.weight((30522, wide), 1), "words")
    x = n.add("Add", n.add("Gather", words, ids), n.const(n.weight((1, length, wide), 4)))
    x = layer_norm(n, x, wide)
    for _ in range(layers):
        x = layer_norm(n, n.add("Add", x, attention(n, x, wide, heads, length, mask)), wide)
        x = layer_norm(n, n.add("Add", x, feed_forward(n, x, wide)), wide)
    n.output(x, "y")


@model
def bert_tiny(n: Net) -> None:
    encoder(n, 2, 128, 2)


@model
def minilm_l6(n: Net) -> None:
    encoder(n, 6, 384, 12)


@model
def vit_tiny(n: Net) -> None:
    x, side = n.picture(3, 224, 96)
    wide, length = 192, (side // 16) ** 2 + 1
    x = n.conv(x, 3, wide, 16, 16, pads=[0] * 4)
    x = n.transpose(n.reshape(x, 1, wide, -1), 0, 2, 1)
    x = n.concat(n.const(n.weight((1, 1, wide), 4)), x)
    x = n.add("Add", x, n.const(n.weight((1, length, wide), 4)))
    for _ in range(12):
        x = n.add("Add", x, attention(n, layer_norm(n, x, wide), wide, 3, length))
        x = n.add("Add", x, feed_forward(n, layer_norm(n, x, wide), wide))
    x = n.add("Gather", layer_norm(n, x, wide), n.const(np.array(0)), axis=1)
    n.output(n.gemm(x, wide, 1000), "y")


def decoder_step(n: Net, layers: int, wide: int, heads: int, hidden: int, vocabulary: int) -> None:
    """One token through a Llama-style decoder with 64 tokens in its cache; the embedding is tied to the output."""
    past, each = 64, wide // heads
    embedding = n.const(n.weight((vocabulary, wide), 1), "embedding")
    token = n.input("token", (1, 1), np.array([[17]]))
    position = n.input("position", (1,), np.array([past]))
    angles = np.arange(256)[:, None] * 1e4 ** (-np.arange(each // 2) * 2 / each)
    cos, sin = (
        n.add("Gather", n.const(f(angles).astype(np.float32)), position) for f in (np.cos, np.sin)
    )

    def norm(x: str) -> str:
        square = n.add("ReduceMean", n.add("Pow", x, n.const(2.0)), axes=[-1])
        root = n.add("Sqrt", n.add("Add", square, n.const(1e-5)))
        return n.add("Mul", n.add("Div", x, root), n.const(n.rng.uniform(0.8, 1.2, wide)))

    def head(x: str) -> str:
        return n.transpose(
            n.reshape(n.linear(x, wide, wide, bias=False), 1, 1, heads, each), 0, 2, 1, 3
        )

    def turned(x: str) -> str:
        a, b = n.add_many("Split", 2, x, n.const(np.array([each // 2] * 2)), axis=-1)
        first = n.add("Sub", n.add("Mul", a, cos), n.add("Mul", b, sin))
        second = n.add("Add", n.add("Mul", a, sin), n.add("Mul", b, cos))
        return n.concat(first, second, axis=-1)

    x = n.add("Gather", embedding, token)
    presents = []
    for k in range(layers):
        y = norm(x)
        shape = (1, heads, past, each)
        cached = [n.input(f"past_{c}{k}", shape, n.weight(shape, 1)) for c in "kv"]
        keys = n.concat(cached[0], turned(head(y)), axis=2)
        values = n.concat(cached[1], head(y), axis=2)
        presents += [(keys, f"k{k}"), (values, f"v{k}")]
        scores = n.add("MatMul", turned(head(y)), n.transpose(keys, 0, 1, 3, 2))
        scores = n.add("Softmax", n.add("Mul", scores, n.const(each**-0.5)), axis=-1)
        y = n.reshape(n.transpose(n.add("MatMul", scores, values), 0, 2, 1, 3), 1, 1, wide)
        x = n.add("Add", x, n.linear(y, wide, wide, bias=False))
        y = norm(x)
        gate = n.act(n.linear(y, wide, hidden, bias=False), "silu")
        y = n.add("Mul", gate, n.linear(y, wide, hidden, bias=False))
        x = n.add("Add", x, n.linear(y, hidden, wide, bias=False))
    n.output(n.add("Gemm", n.reshape(norm(x), 1, wide), embedding, transB=1), "logits")
    for value, name in presents:
        n.output(value, name)


@model
def decoder_15m(n: Net) -> None:
    decoder_step(n, n.size(6, 2), 288, 6, 768, 32000)


@model
def decoder_113m(n: Net) -> None:
    decoder_step(n, n.size(12, 2), 768, 12, 2048, 36864)


# ---- sound, sensors, sequences --------------------------------------------------------------------------


@model
def keyword_ds_cnn(n: Net) -> None:
    x = n.unit(n.input("x", (1, 1, 49, 10)), 1, 64, (10, 4), 2, pads=(4, 1, 5, 1))
    for _ in range(4):
        x = n.unit(n.unit(x, 64, 64, 3, groups=64), 64, 64)
    x = n.add("Flatten", n.add("GlobalAveragePool", x), axis=1)
    n.output(n.add("Softmax", n.gemm(x, 64, 12), axis=-1), "y")


@model
def tiny_resnet8(n: Net) -> None:
    x, c = n.unit(n.input("x", (1, 3, 32, 32)), 3, 16, 3), 16
    for out, stride in ((16, 1), (32, 2), (64, 2)):
        x, c = residual(n, x, c, out, stride), out
    x = n.add("Flatten", n.add("GlobalAveragePool", x), axis=1)
    n.output(n.add("Softmax", n.gemm(x, 64, 10), axis=-1), "y")


@model
def tiny_autoencoder(n: Net) -> None:
    x, c = n.input("x", (1, 640)), 640
    for out in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x, c = n.act(n.batch_norm(n.gemm(x, c, out), out, 0), "Relu"), out
    n.output(n.gemm(x, c, 640), "y")


@model
def conv_tasnet(n: Net) -> None:
    """Two speakers apart, one second at 16 kHz: learned filters, eight dilated blocks, a mask per speaker."""
    filters, narrow, wide, samples = 128, 64, 128, n.size(16000, 2000)
    frames = (samples - 16) // 8 + 1

    def group_norm(x: str, c: int) -> str:
        """torch.onnx's GroupNorm(1, c)."""
        flat = n.reshape(x, 0, 1, -1)
        one, zero = n.const(np.ones(1, np.float32)), n.const(np.zeros(1, np.float32))
        y = n.reshape(n.add("InstanceNormalization", flat, one, zero, epsilon=1e-5), 1, c, frames)
        y = n.add("Mul", y, n.const(n.rng.uniform(0.8, 1.2, (c, 1))))
        return n.add("Add", y, n.const(n.weight((c, 1), 100)))

    def prelu(x: str) -> str:
        return n.add("PRelu", x, n.const(np.full((1, 1), 0.25, np.float32)))

    mixture = n.input("x", (1, 1, samples), n.weight((1, 1, samples), 1))
    seen = n.act(n.conv(mixture, 1, filters, (16,), 8, pads=(0, 0), bias=False), "Relu")
    x = n.conv(group_norm(seen, filters), filters, narrow, (1,))
    for k in range(8):
        y = group_norm(prelu(n.conv(x, narrow, wide, (1,))), wide)
        y = group_norm(prelu(n.conv(y, wide, wide, (3,), groups=wide, dilation=1 << k)), wide)
        x = n.add("Add", x, n.conv(y, wide, narrow, (1,)))
    mask = n.add("Sigmoid", n.conv(prelu(x), narrow, 2 * filters, (1,)))
    parts = n.add("Mul", n.reshape(mask, 1, 2, filters, frames), n.reshape(seen, 1, 1, filters, -1))
    parts = n.reshape(parts, 2, filters, frames)
    w = n.const(n.weight((filters, 1, 16), filters), "w")
    n.output(n.add("ConvTranspose", parts, w, kernel_shape=[16], strides=[8]), "y")


@model
def gru_seq2seq_loop(n: Net) -> None:
    """64 tokens through a GRU, then a Loop that writes tokens until the end token comes, at the 36th or later."""
    wide, vocabulary, length = 256, 1000, 64
    ids = n.input("ids", (length, 1), n.rng.integers(0, vocabulary, (length, 1)))
    words = n.const(n.weight((vocabulary, wide), 1), "words")

    def parameters() -> list[str]:
        shapes = ((1, 3 * wide, wide), (1, 3 * wide, wide), (1, 6 * wide))
        return [n.const(n.weight(s, 100 if len(s) == 2 else wide), "gru") for s in shapes]

    every, last = n.add_many("GRU", 2, n.add("Gather", words, ids), *parameters(), hidden_size=wide)
    every = n.reshape(every, length, 1, wide)
    w, r, b = parameters()
    out_w, out_b = (
        n.const(n.weight((wide, vocabulary), wide, 4)),
        n.const(n.weight((vocabulary,), 9)),
    )
    end = n.const(np.array([[-1 if n.learned is None else end_token(n.learned["tokens"])]]))
    body = Net(f"{n.name}_body", {})
    body.n = 100_000
    heard = body.add("Gather", every, "trip", axis=0)
    x = body.add("Add", body.add("Gather", words, "token"), body.reshape(heard, 1, 1, wide))
    _, state = body.add_many("GRU", 2, x, w, r, b, "", "state", hidden_size=wide)
    logits = body.add("Gemm", body.reshape(state, 1, wide), out_w, out_b)
    token = body.add("ArgMax", logits, axis=-1, keepdims=1)
    going = body.reshape(body.add("Not", body.add("Equal", token, end)))
    ports = (("trip", TensorProto.INT64, ()), ("go", TensorProto.BOOL, ()),
             ("token", TensorProto.INT64, (1, 1)), ("state", TensorProto.FLOAT, (1, 1, wide)))  # fmt: skip
    results = ((going, TensorProto.BOOL, ()), (token, TensorProto.INT64, (1, 1)), (state, TensorProto.FLOAT, (1, 1, wide)),
               (body.reshape(token, 1), TensorProto.INT64, (1,)), (logits, TensorProto.FLOAT, (1, vocabulary)))  # fmt: skip
    graph = helper.make_graph(
        body.nodes, body.name, [helper.make_tensor_value_info(*p) for p in ports],
        [helper.make_tensor_value_info(*p) for p in results], body.constants,
    )  # fmt: skip
    carried = (n.const(np.array(length - 1)), n.const(np.array(True)), n.const(np.array([[1]])))
    _, state, tokens, _ = n.add_many("Loop", 4, *carried, last, body=graph)
    if n.learned is None:
        n.learn("tokens", tokens)
    n.output(tokens, "tokens_out", TensorProto.INT64)
    n.output(state, "state_out")


def end_token(tokens: Array) -> int:
    """A token that comes first at the 36th step or soon after."""
    said = tokens.reshape(-1).tolist()
    for k, token in enumerate(said):
        if k >= 35 and token not in said[:k]:
            return int(token)
    raise RuntimeError(f"no token comes first at step 36 or later: {said}")


# ---- writing --------------------------------------------------------------------------------------------


def build(name: str, small: bool = False) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A model and its inputs."""
    describe = MODELS[name]
    draft = Net(name, None, small)
    describe(draft)
    learned: dict[str, Array] = {}
    if draft.to_learn:
        import onnxruntime as ort

        session = ort.InferenceSession(
            draft.proto().SerializeToString(), providers=["CPUExecutionProvider"]
        )
        found = session.run(draft.to_learn, draft.feeds)
        learned = dict(zip(draft.to_learn, found, strict=True))
    net = Net(name, learned, small)
    describe(net)
    return net.proto(), net.feeds


def path(name: str, small: bool = False) -> Path:
    return FOLDER / "small" / f"{name}.onnx" if small else FOLDER / f"{name}.onnx"


def ensure(name: str, small: bool = False) -> Path:
    """The model's file, written if it is not there or older than this one."""
    target = path(name, small)
    if not target.exists() or target.stat().st_mtime < Path(__file__).stat().st_mtime:
        print(f"building {name}", file=sys.stderr)
        target.parent.mkdir(parents=True, exist_ok=True)
        proto, feeds = build(name, small)
        np.savez(target.with_suffix(".npz"), **feeds)  # type: ignore[arg-type]
        new = target.with_name(f"{name}.{os.getpid()}")
        new.write_bytes(proto.SerializeToString())
        new.replace(target)
    return target


def digest(name: str) -> str:
    """Of a model's file: tells whether what was made of it is of this very model."""
    return hashlib.blake2b(path(name).read_bytes(), digest_size=8).hexdigest()


def feeds(name: str, small: bool = False) -> dict[str, Array]:
    with np.load(path(name, small).with_suffix(".npz")) as f:
        return {key: f[key] for key in f.files}


def select(pattern: str) -> list[str]:
    return [name for name in MODELS if re.search(pattern, name)]


if __name__ == "__main__":
    for chosen in select(sys.argv[1] if len(sys.argv) > 1 else ""):
        ensure(chosen)
