"""ONNX graphs written node by node, and what the passes make of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

import whit
from whit_exporter.convert import run_passes, to_graph
from whit_exporter.ir import Node

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(11)


def numbers(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


class Net:
    """Nodes as calls: `net.op("MatMul", a, b)`. Arrays among the inputs become initialisers."""

    def __init__(self, **feeds: Array) -> None:
        self.feeds = feeds
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def op(self, op: str, *inputs: Any, **attributes: Any) -> str:
        names = []
        for x in inputs:
            if not isinstance(x, str):
                array = np.asarray(x, np.float32) if isinstance(x, float) else np.asarray(x)
                self.constants.append(numpy_helper.from_array(array, f"c{len(self.constants)}"))
                x = self.constants[-1].name
            names.append(x)
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, [out], f"n_{out}", **attributes))
        return out

    def model(self, *outputs: str, opset: int = 17, free: str = "") -> onnx.ModelProto:
        """free: the inputs whose first dimension has a symbol."""
        infos = [
            helper.make_tensor_value_info(
                k,
                helper.np_dtype_to_tensor_dtype(a.dtype),
                (["n", *a.shape[1:]] if k in free else a.shape),
            )
            for k, a in self.feeds.items()
        ]
        results = [onnx.ValueInfoProto(name=o) for o in outputs]
        graph = helper.make_graph(self.nodes, "g", infos, results, self.constants)
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10
        )

    def check(self, *outputs: str, atol: float = 2e-5, **options: Any) -> Counter[str]:
        """Compares with onnxruntime; returns how often each operator is in the graph."""
        model = self.model(*outputs, **options)
        session = onnxruntime.InferenceSession(
            _typed(model).SerializeToString(), _quiet(), providers=["CPUExecutionProvider"]
        )
        got = whit.load(whit.convert(model, check=True)).run(self.feeds)
        for name, want in zip(outputs, session.run(None, self.feeds), strict=True):
            np.testing.assert_allclose(got[name], want, rtol=1e-4, atol=atol, err_msg=name)
        return Counter(n.op for n in nodes(model))


def nodes(model: onnx.ModelProto) -> list[Node]:
    graph = run_passes(to_graph(model), check=True)
    return [n for _, n in graph.walk()]


def _typed(model: onnx.ModelProto) -> onnx.ModelProto:
    inferred = onnx.shape_inference.infer_shapes(model)
    for o in inferred.graph.output:
        if not o.type.tensor_type.elem_type:
            o.ClearField("type")
    return inferred


def _quiet() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options
