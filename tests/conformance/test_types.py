"""Every operator in every element type that the standard allows and Whit has, judged by onnx's reference implementation.

The first case of the suite for an operator is taken with its data in another type: one of its type parameters at a time. Where
onnx's implementation has no answer for a type, the model must convert and run all the same.
"""

from __future__ import annotations

import collections
import warnings
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pages
import pytest
import suite
from onnx import helper
from onnx.backend.test.loader import load_model_tests
from onnx.reference import ReferenceEvaluator

import whit
from whit_exporter.dtypes import DType

Array = np.ndarray[Any, Any]
NAMES = {
    f"tensor({n.lower()})": DType(v)
    for n, v in onnx.TensorProto.DataType.items()
    if v in set(DType)
}
TAKEN_FROM = {
    DType.F32,
    DType.F64,
    DType.F16,
    DType.I8,
    DType.U8,
    DType.I32,
    DType.U32,
    DType.I64,
    DType.U64,
}
APART = {
    ("BitCast", "T1"): "the size of an element must stay",
    ("SequenceInsert", "T"): "the sequence has the type too",
    ("Loop", "V"): "the body has the type in it",
}
"""(operator, type parameter) that cannot be changed by themselves."""
NOT_COMPARED = {
    "Bernoulli": "it draws",
    "GridSample": "how interpolated whole numbers are rounded is nowhere said",
}
ZERO_POINTS = {
    "QuantizeLinear": [(2, 2)],
    "DequantizeLinear": [(0, 2)],
    "QLinearMatMul": [(0, 2), (3, 5), (7, 7)],
}
"""(data, their zero point) by number of input: a float has no other than 0."""
CLOSE = {DType.F32: 1e-4, DType.F64: 1e-4, DType.F16: 2e-2, DType.BF16: 0.1}


def in_type(a: Array, dtype: DType) -> Array:
    if dtype == DType.BOOL:
        return np.asarray(a > 0)
    if dtype.name.startswith("U") or dtype == DType.F8E8M0:
        a = np.abs(a)
    if dtype.is_float:  # what is too large would become NaN
        largest = float(ml_dtypes.finfo(dtype.numpy).max)
        a = np.clip(a, -largest, largest)
    return np.asarray(a).astype(dtype.numpy)


def parameters(names: Any, formals: Any) -> dict[str, str]:
    """{name of an argument: its type parameter}."""
    return {
        name: formals[min(i, len(formals) - 1)].type_str for i, name in enumerate(names) if name
    }


def retyped(case: Any) -> Iterator[tuple[str, DType, onnx.ModelProto, dict[str, Array]]]:
    """(type parameter, type, model, feeds) of one case in its other types."""
    graph = case.model.graph
    node = graph.node[0]
    version = next(o.version for o in case.model.opset_import if o.domain == node.domain)
    schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    ins, outs = parameters(node.input, schema.inputs), parameters(node.output, schema.outputs)
    feeds = {i.name: a for i, a in zip(graph.input, case.data_sets[0][0], strict=False)}
    for constraint in schema.type_constraints:
        name = constraint.type_param_str
        mine = [n for n, t in ins.items() if t == name and n in feeds]
        if not mine or not all(isinstance(feeds[n], np.ndarray) for n in mine):
            continue
        now = helper.np_dtype_to_tensor_dtype(feeds[mine[0]].dtype)
        if now not in TAKEN_FROM:
            continue
        for dtype in (
            NAMES[t] for t in constraint.allowed_type_strs if t in NAMES and NAMES[t] != now
        ):
            model = onnx.ModelProto()
            model.CopyFrom(case.model)
            for port in (*model.graph.input, *model.graph.output):
                if (ins.get(port.name) or outs.get(port.name)) == name:
                    port.type.tensor_type.elem_type = dtype
            data = feeds | {n: in_type(feeds[n], dtype) for n in mine}
            for k, zero in ZERO_POINTS.get(node.op_type, ()):
                if (
                    dtype.is_float
                    and name == schema.inputs[zero].type_str == schema.inputs[k].type_str
                ):
                    data[node.input[zero]] = np.zeros_like(data[node.input[zero]])
            yield name, dtype, model, data


def judge(model: onnx.ModelProto, feeds: dict[str, Array], dtype: DType, compare: bool) -> str:
    """What is wrong, or ""."""
    try:
        got = whit.load(whit.convert(model)).run(feeds)
    except whit.WhitError as e:
        return str(e)
    try:
        want = ReferenceEvaluator(model).run(None, feeds)
    except Exception:  # it has no such type
        return ""
    for port, w in zip(model.graph.output, want, strict=True):
        if not isinstance(w, np.ndarray):
            continue
        y, w = np.asarray(got[port.name]), np.asarray(w)
        close = CLOSE.get(dtype, 0.0 if y.dtype.kind in "iub" else 0.26 if dtype.is_float else 1e-4)
        declared = port.type.tensor_type.elem_type
        types = (w.dtype, helper.tensor_dtype_to_np_dtype(declared) if declared else w.dtype)
        if y.shape != w.shape or y.dtype not in types:
            return f"{y.dtype}{list(y.shape)}, not {w.dtype}{list(w.shape)}"
        if compare and not np.allclose(
            y.astype(np.float64), w.astype(np.float64), close, close, equal_nan=True
        ):
            return f"{y.ravel()[:8]}, not {w.ravel()[:8]}"
    return ""


@pytest.mark.slow
def test_every_operator_in_every_type() -> None:
    cases: dict[str, Any] = {}
    seen: collections.Counter[str] = collections.Counter()
    wrong = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for case in load_model_tests(kind="node"):
            root = suite.root_of(case.model.graph)
            if (
                root
                and root not in cases
                and (root.rpartition(".")[0], root.rpartition(".")[2]) not in pages.REASONS
            ):
                cases[root] = case
        for root, case in cases.items():
            for name, dtype, model, feeds in retyped(case):
                if (root, name) in APART:
                    continue
                seen[root] += 1
                found = judge(model, feeds, dtype, root not in NOT_COMPARED)
                if found:
                    wrong.append(f"{root} ({case.name}): {name} = {dtype.short}: {found}")
    assert not wrong, "\n".join(wrong)
    assert len(seen) > 150 and seen.total() > 1200
