"""One ONNX node through Whit and through onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import whit

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    """A node and its inputs. const: the inputs that are initialisers; want: the outputs (None: ask onnxruntime)."""

    op: str
    inputs: Sequence[Array | np.generic | None]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 21
    domain: str = ""
    const: Sequence[int] = ()
    outputs: int = 1
    want: Sequence[Array] | None = None
    rtol: float = 1e-5
    atol: float = 1e-6

    def __str__(self) -> str:
        attrs = "_".join(f"{k}={v}" for k, v in self.attrs.items())
        return f"{self.op}-{self.opset}-{attrs}"[:80].replace(" ", "")

    def model(self, fixed: bool) -> onnx.ModelProto:
        """fixed: with the inputs' shapes, otherwise with the number of axes only."""
        inputs = [None if a is None else np.asarray(a) for a in self.inputs]
        names = [f"i{k}" if a is not None else "" for k, a in enumerate(inputs)]
        given = [
            (k, n, a) for k, (n, a) in enumerate(zip(names, inputs, strict=True)) if a is not None
        ]
        node = helper.make_node(
            self.op, names, [f"o{k}" for k in range(self.outputs)], domain=self.domain, **self.attrs
        )
        infos = [
            helper.make_tensor_value_info(
                name,
                helper.np_dtype_to_tensor_dtype(a.dtype),
                a.shape if fixed else [f"d{k}_{j}" for j in range(a.ndim)],
            )
            for k, name, a in given
            if k not in self.const
        ]
        results = [helper.make_empty_tensor_value_info(o) for o in node.output]
        constants = [numpy_helper.from_array(a, name) for k, name, a in given if k in self.const]
        graph = helper.make_graph([node], "one", infos, results, constants)
        opsets = [helper.make_opsetid("", self.opset if not self.domain else 21)]
        if self.domain:
            opsets.append(helper.make_opsetid(self.domain, self.opset))
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def feeds(self) -> dict[str, Array]:
        return {
            f"i{k}": np.asarray(a)
            for k, a in enumerate(self.inputs)
            if a is not None and k not in self.const
        }

    def check(self, fixed: bool = True) -> None:
        model, feeds = self.model(fixed), self.feeds()
        want = self.want
        if want is None:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            session = onnxruntime.InferenceSession(
                _typed(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            want = session.run(None, feeds)
        got = whit.load(whit.convert(model)).run(feeds)
        for k, w in enumerate(want):
            y = np.asarray(got[f"o{k}"])
            assert y.shape == w.shape, f"output {k}: shape {y.shape}, not {w.shape}"
            assert y.dtype == w.dtype, f"output {k}: {y.dtype}, not {w.dtype}"
            np.testing.assert_allclose(y, w, self.rtol, self.atol, err_msg=f"output {k}")


def _typed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the types of its outputs, which onnxruntime wants to know and Whit finds itself."""
    inferred = onnx.shape_inference.infer_shapes(model)
    for o in inferred.graph.output:
        if o.type.tensor_type.elem_type == TensorProto.UNDEFINED:
            o.ClearField("type")
    return inferred


def real(
    *shape: int, low: float = -3.0, high: float = 3.0, seed: int = 0, dtype: Any = np.float32
) -> Array:
    """Random reals."""
    generator = np.random.default_rng(seed + sum(shape))
    return generator.uniform(low, high, shape).astype(dtype)


def whole(
    *shape: int, low: int = -9, high: int = 10, seed: int = 0, dtype: Any = np.int64
) -> Array:
    """Random integers."""
    return np.random.default_rng(seed + sum(shape)).integers(low, high, shape).astype(dtype)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def f32(*values: float) -> Array:
    return np.array(values, np.float32)
