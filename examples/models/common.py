"""Shared by the training scripts: fixed seeds, a small ONNX graph writer, checking and timing."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
OPSET = 21
IR_VERSION = 10
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
START_TIME = time.perf_counter()

Dims = Sequence[int | str]


def make_deterministic(seed: int) -> None:
    """Seed every generator in use; one thread, so that sums are added in one order."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def value(name: str, dtype: int, dims: Dims) -> onnx.ValueInfoProto:
    """A typed graph input or output; a string dimension is symbolic, `[]` is a scalar."""
    return helper.make_tensor_value_info(name, dtype, list(dims))


@dataclass(slots=True)
class GraphWriter:
    """Collects the nodes and initializers of one graph (the model, a branch or a loop body)."""

    name: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, data: Any, dtype: type | None = None) -> str:
        """Add an initializer. `dtype` is for plain numbers; tensors keep theirs."""
        if isinstance(data, torch.Tensor):
            data = data.detach().numpy()
        array = np.ascontiguousarray(data, dtype).reshape(np.shape(data))
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def linear(self, name: str, source: str, layer: torch.nn.Linear, output: str) -> str:
        """Gemm with the weights of a trained torch layer, kept in torch's [out, in] order."""
        weight = self.constant(f"{name}.weight", layer.weight)
        bias = self.constant(f"{name}.bias", layer.bias)
        return self.node("Gemm", [source, weight, bias], output, name, transB=1)

    def node(
        self, op: str, inputs: Sequence[str], outputs: str, name: str, **attributes: Any
    ) -> str:
        """Add a node; `outputs` are names separated by spaces. Returns the first of them."""
        names = outputs.split()
        self.nodes.append(helper.make_node(op, inputs, names, name, **attributes))
        return names[0]

    def graph(
        self,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
    ) -> onnx.GraphProto:
        return helper.make_graph(self.nodes, self.name, inputs, outputs, self.initializers)


def save_model(graph: onnx.GraphProto, doc: str) -> Path:
    """Check the model in full and write `<graph name>.onnx` next to the scripts."""
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="whit-examples",
        doc_string=doc,
    )
    onnx.checker.check_model(model, full_check=True)
    path = HERE / f"{graph.name}.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    elapsed = time.perf_counter() - START_TIME
    print(f"{path.name}: {path.stat().st_size} bytes, {elapsed:.0f} s")
    return path


def open_session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def percent(part: float, whole: float = 1.0) -> str:
    return f"{100.0 * part / whole:.2f} %"


@dataclass(slots=True)
class Digits:
    """Images as 8x8 bytes 0..16 and labels 0..9."""

    images: np.ndarray[Any, np.dtype[np.uint8]]
    labels: np.ndarray[Any, np.dtype[np.int64]]

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Images [n, 1, 8, 8] scaled to 0..1, and labels."""
        images = torch.from_numpy(self.images.astype(np.float32) / 16)
        return images.unsqueeze(1), torch.from_numpy(self.labels)


def load_digits_split(n_test: int = 450) -> tuple[Digits, Digits]:
    """Training and held-out scans of handwritten digits; the same split for every script."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    parts = train_test_split(
        data.images.astype(np.uint8),
        data.target.astype(np.int64),
        test_size=n_test,
        stratify=data.target,
        random_state=0,
    )
    return Digits(parts[0], parts[2]), Digits(parts[1], parts[3])


def jitter(images: torch.Tensor) -> torch.Tensor:
    """Move, turn and stretch each image a little, so that 1347 scans teach more."""
    n = images.shape[0]
    angle = (torch.rand(n) - 0.5) * 0.4
    scale = 1 + (torch.rand(2, n) - 0.5) * 0.25
    shift = (torch.rand(2, n) - 0.5) * 0.35
    row_x = torch.stack([scale[0] * angle.cos(), -scale[0] * angle.sin(), shift[0]], dim=1)
    row_y = torch.stack([scale[1] * angle.sin(), scale[1] * angle.cos(), shift[1]], dim=1)
    where = torch.nn.functional.affine_grid(
        torch.stack([row_x, row_y], dim=1), list(images.shape), align_corners=False
    )
    return torch.nn.functional.grid_sample(images, where, align_corners=False)
