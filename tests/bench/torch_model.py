"""An ONNX model of models.py as a torch module, for the engines that convert from PyTorch.

Batch norms are folded into what stands before them, the long form of GELU becomes torch's, and shapes are those of the
example: what a PyTorch developer would have written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch.nn import functional as F

Array = np.ndarray[Any, Any]
Values = dict[str, Any]
Operator = Callable[[Values, Sequence[Any]], Any]


def conv(a: Values, v: Sequence[Any]) -> Any:
    x, w = v[0], v[1]
    n = w.dim() - 2
    pads = list(a.get("pads", [0] * 2 * n))
    if pads[:n] != pads[n:]:
        x = F.pad(x, [p for k in reversed(range(n)) for p in (pads[k], pads[n + k])])
        pads = [0] * 2 * n
    f = (F.conv1d, F.conv2d)[n - 1]
    bias = v[2] if len(v) > 2 else None
    ones = [1] * n
    return f(
        x,
        w,
        bias,
        list(a.get("strides", ones)),
        pads[:n],
        list(a.get("dilations", ones)),
        a.get("group", 1),
    )


def conv_transpose(a: Values, v: Sequence[Any]) -> Any:
    f = (F.conv_transpose1d, F.conv_transpose2d)[v[1].dim() - 3]
    return f(v[0], v[1], v[2] if len(v) > 2 else None, list(a["strides"]))


def gemm(a: Values, v: Sequence[Any]) -> Any:
    w = v[1] if a.get("transB") else v[1].t()
    return F.linear(v[0], w, v[2] if len(v) > 2 else None)


def gather(a: Values, v: Sequence[Any]) -> Any:
    x, at, axis = v[0], v[1], a.get("axis", 0)
    if at.dim() == 0:
        return x.select(axis, int(at))
    if axis == 0 and x.dim() == 2:
        return F.embedding(at, x)
    return torch.index_select(x, axis, at)


def layer_norm(a: Values, v: Sequence[Any]) -> Any:
    return F.layer_norm(v[0], [v[0].shape[-1]], v[1], v[2], a.get("epsilon", 1e-5))


def prelu(a: Values, v: Sequence[Any]) -> Any:
    return F.prelu(v[0], v[1].reshape(-1))


OPERATORS: dict[str, Operator] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "Gather": gather,
    "LayerNormalization": layer_norm,
    "PRelu": prelu,
    "Gelu": lambda a, v: F.gelu(v[0]),
    "MatMul": lambda a, v: torch.matmul(v[0], v[1]),
    "Linear": lambda a, v: F.linear(*v),
    "Relu": lambda a, v: F.relu(v[0]),
    "Clip": lambda a, v: F.hardtanh(v[0], float(v[1]), float(v[2])),
    "HardSwish": lambda a, v: F.hardswish(v[0]),
    "HardSigmoid": lambda a, v: F.hardsigmoid(v[0]),
    "Sigmoid": lambda a, v: torch.sigmoid(v[0]),
    "Softmax": lambda a, v: torch.softmax(v[0], a["axis"]),
    "Add": lambda a, v: v[0] + v[1],
    "Sub": lambda a, v: v[0] - v[1],
    "Mul": lambda a, v: v[0] * v[1],
    "Div": lambda a, v: v[0] / v[1],
    "Pow": lambda a, v: v[0] ** float(v[1]),
    "Sqrt": lambda a, v: torch.sqrt(v[0]),
    "Identity": lambda a, v: v[0],
    "Cast": lambda a, v: v[0].to(torch.float32),
    "ReduceMean": lambda a, v: v[0].mean(list(a["axes"]), keepdim=True),
    "GlobalAveragePool": lambda a, v: F.adaptive_avg_pool2d(v[0], 1),
    "MaxPool": lambda a, v: F.max_pool2d(
        v[0], list(a["kernel_shape"]), list(a["strides"]), list(a["pads"])[:2], ceil_mode=bool(a["ceil_mode"])
    ),
    "InstanceNormalization": lambda a, v: F.instance_norm(v[0], eps=a["epsilon"]),
    "Flatten": lambda a, v: torch.flatten(v[0], 1),
    "Reshape": lambda a, v: v[0].reshape(
        [int(n) or v[0].shape[k] for k, n in enumerate(v[1].tolist())]
    ),
    "Transpose": lambda a, v: v[0].permute(list(a["perm"])),
    "Concat": lambda a, v: torch.cat(list(v), a["axis"]),
    "Split": lambda a, v: torch.split(v[0], v[1].tolist(), a["axis"]),
    "Resize": lambda a, v: F.interpolate(v[0], scale_factor=2.0, mode="nearest"),
    "DepthToSpace": lambda a, v: F.pixel_shuffle(v[0], a["blocksize"]),
}  # fmt: skip


class Step:
    """A node with its attributes and names as plain values."""

    def __init__(self, node: onnx.NodeProto) -> None:
        self.op, self.inputs, self.outputs = node.op_type, list(node.input), list(node.output)
        self.attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def folded(steps: list[Step], constants: dict[str, Array]) -> list[Step]:
    """Batch norms go into the convolution or Gemm that writes their input."""
    by_output = {s.outputs[0]: s for s in steps}
    kept = []
    for s in steps:
        if s.op != "BatchNormalization":
            kept.append(s)
            continue
        gamma, beta, mean, var = (constants[k] for k in s.inputs[1:5])
        scale = gamma / np.sqrt(var + s.attributes.get("epsilon", 1e-5))
        before = by_output[s.inputs[0]]
        w = constants[before.inputs[1]]
        b = constants[before.inputs[2]] if len(before.inputs) > 2 else np.zeros_like(mean)
        name = before.outputs[0]
        constants[f"{name}_w"] = w * scale.reshape(-1, *[1] * (w.ndim - 1))
        constants[f"{name}_b"] = (b - mean) * scale + beta
        before.inputs = [before.inputs[0], f"{name}_w", f"{name}_b"]
        before.outputs = s.outputs
        by_output[s.outputs[0]] = before
    return kept


def with_gelu(steps: list[Step]) -> list[Step]:
    """x / sqrt 2, erf, + 1, times x, / 2: one GELU."""
    kept, skip = list(steps), set[int]()
    for k, s in enumerate(steps):
        if s.op == "Erf":
            x = steps[k - 1].inputs[0]
            steps[k + 3].op, steps[k + 3].inputs = "Gelu", [x]
            skip |= {k - 1, k, k + 1, k + 2}
    return [s for k, s in enumerate(kept) if k not in skip]


def with_linear(steps: list[Step], constants: dict[str, Array]) -> list[Step]:
    """MatMul by a constant, and the bias after it: one linear layer."""
    kept: list[Step] = []
    for s in steps:
        last = kept[-1] if kept else None
        if s.op == "MatMul" and s.inputs[1] in constants:
            name = f"{s.inputs[1]}_t"
            constants[name] = np.ascontiguousarray(constants[s.inputs[1]].T)
            s.op, s.inputs = "Linear", [s.inputs[0], name]
        elif (
            s.op == "Add" and last is not None and last.op == "Linear" and len(last.inputs) == 2
            and s.inputs[0] == last.outputs[0] and constants.get(s.inputs[1], np.zeros((1, 1))).ndim == 1
        ):  # fmt: skip
            last.inputs.append(s.inputs[1])
            last.outputs = s.outputs
            continue
        kept.append(s)
    return kept


class Module(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    def __init__(self, graph: onnx.GraphProto) -> None:
        super().__init__()
        constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        unknown = {n.op_type for n in graph.node} - set(OPERATORS) - {"BatchNormalization", "Erf"}
        if unknown:
            raise RuntimeError(f"no torch module for {', '.join(sorted(unknown))}")
        steps = with_linear(with_gelu(folded([Step(n) for n in graph.node], constants)), constants)
        self.steps = steps
        self.input_names = [i.name for i in graph.input]
        self.output_names = [o.name for o in graph.output]
        self.plain: dict[str, torch.Tensor] = {}
        """Shapes and other whole numbers: known while tracing, not parameters."""
        used = {name for s in steps for name in s.inputs}
        for name in used & set(constants):
            tensor = torch.from_numpy(np.array(constants[name]))
            if tensor.dtype == torch.float32 and tensor.dim():
                self.register_buffer(name, tensor)
            else:
                self.plain[name] = tensor

    def forward(self, *arguments: torch.Tensor) -> Any:
        values: Values = dict(zip(self.input_names, arguments, strict=True))
        for s in self.steps:
            inputs = [self.value(values, name) for name in s.inputs if name]
            found = OPERATORS[s.op](s.attributes, inputs)
            results = found if isinstance(found, (tuple, list)) else (found,)
            values.update(zip(s.outputs, results, strict=True))
        found = tuple(values[name] for name in self.output_names)
        return found if len(found) > 1 else found[0]

    def value(self, values: Values, name: str) -> Any:
        if name in values:
            return values[name]
        plain = self.plain.get(name)
        if plain is None:
            return getattr(self, name)
        return float(plain) if plain.dtype == torch.float32 else plain


def load(source: Path, feeds: dict[str, Array]) -> tuple[Module, tuple[torch.Tensor, ...]]:
    """The module in eval mode, and example arguments."""
    module = Module(onnx.load(source).graph).eval()
    return module, tuple(torch.from_numpy(a) for a in feeds.values())
