"""What the tests of whole families of operators share: drawn shapes, types and attributes, judged by onnxruntime or NumPy.

Every example also draws how the model is made: dimensions as numbers or as symbols, later inputs as constants or not, and
a view in front of the first input, so that the runtime meets strides.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

import whit

Array = np.ndarray[Any, Any]
Draw = Callable[[Any], Any]
EXAMPLES = int(os.environ.get("WHIT_EXAMPLES", "40"))
"""Of each test. A number in the environment also draws anew each time: WHIT_EXAMPLES=2000 goes looking for what the usual ones miss."""
few = settings(
    max_examples=EXAMPLES,
    derandomize="WHIT_EXAMPLES" not in os.environ,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    database=None,
    suppress_health_check=list(HealthCheck),
)

FLOATS = (np.float32, np.float64)
SIGNED = (np.int32, np.int64)
INTS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)


@dataclass
class Example:
    """A node. want: its outputs (None: what onnxruntime says)."""

    op: str
    inputs: Sequence[Array | None]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1
    opset: int = 21
    want: Sequence[Array] | None = None
    rtol: float = 1e-5
    atol: float = 1e-5

    def nodes(self) -> tuple[list[onnx.NodeProto], dict[str, Array], list[str]]:
        names = [f"x{k}" if a is not None else "" for k, a in enumerate(self.inputs)]
        arrays = {n: a for n, a in zip(names, self.inputs, strict=True) if a is not None}
        outs = [f"y{k}" for k in range(self.outputs)]
        return [helper.make_node(self.op, names, outs, **self.attrs)], arrays, outs


def make_model(
    nodes: Sequence[onnx.NodeProto],
    arrays: Mapping[str, Array],
    outs: Sequence[str],
    opset: int,
    constants: Sequence[str] = (),
    symbolic: bool = False,
) -> onnx.ModelProto:
    infos = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(a.dtype),
            [f"{name}_{k}" for k in range(a.ndim)] if symbolic else a.shape,
        )
        for name, a in arrays.items()
        if name not in constants
    ]
    results = [helper.make_empty_tensor_value_info(o) for o in outs]
    fixed = [numpy_helper.from_array(arrays[name], name) for name in constants]
    graph = helper.make_graph(list(nodes), "drawn", infos, results, fixed)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def ask_onnxruntime(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    inferred = onnx.shape_inference.infer_shapes(model)
    for o in inferred.graph.output:
        if not o.type.tensor_type.elem_type:
            o.ClearField("type")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        inferred.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, dict(feeds)))


def behind_view(draw: Draw, x: Array) -> tuple[Array, list[onnx.NodeProto], dict[str, Array]]:
    """An array, and nodes with constants of theirs that make x of it by a view."""
    kind = draw(st.sampled_from(("none", "none", "transpose", "flip", "step")))
    if kind == "none" or x.ndim == 0:
        return x, [], {}
    if kind == "transpose":
        perm = draw(st.permutations(range(x.ndim)))
        back = [int(i) for i in np.argsort(perm)]
        made = helper.make_node("Transpose", ["x0_"], ["x0"], perm=back)
        return np.ascontiguousarray(x.transpose(perm)), [made], {}
    axis = draw(st.integers(0, x.ndim - 1))
    names = ["v_start", "v_end", "v_axis", "v_step"]
    made = helper.make_node("Slice", ["x0_", *names], ["x0"])
    if kind == "flip":
        numbers, source = (-1, -(2**31), axis, -1), np.flip(x, axis)
    else:
        numbers, source = (0, 2**31 - 1, axis, 2), np.repeat(x, 2, axis)
    slots = {n: np.array([v], np.int64) for n, v in zip(names, numbers, strict=True)}
    return np.ascontiguousarray(source), [made], slots


def check(draw: Draw, e: Example) -> None:
    note(repr(e))
    nodes, arrays, outs = e.nodes()
    want = e.want
    if want is None:
        want = ask_onnxruntime(make_model(nodes, arrays, outs, e.opset), arrays)
    constants = [n for n in arrays if n != "x0" and draw(st.booleans())]
    feeds = dict(arrays)
    if "x0" in feeds and feeds["x0"].dtype in (*FLOATS, *SIGNED):
        first, views, slots = behind_view(draw, feeds["x0"])
        if views:
            del feeds["x0"]
            feeds = {"x0_": first, **feeds, **slots}
            nodes, constants = [*views, *nodes], [*constants, *slots]
    model = make_model(nodes, feeds, outs, e.opset, constants, draw(st.booleans()))
    got = whit.load(whit.convert(model)).run({k: a for k, a in feeds.items() if k not in constants})
    for name, w in zip(outs, want, strict=True):
        y = np.asarray(got[name])
        assert (y.shape, y.dtype) == (w.shape, w.dtype), (name, y.shape, y.dtype, w.shape, w.dtype)
        np.testing.assert_allclose(y, w, e.rtol, e.atol, err_msg=name)


# what is drawn


def shapes(min_rank: int = 0, max_rank: int = 4, low: int = 0, high: int = 5) -> Any:
    return st.lists(st.integers(low, high), min_size=min_rank, max_size=max_rank).map(tuple)


def filled(draw: Draw, shape: Sequence[int], dtype: Any = np.float32, low: int = -9) -> Array:
    """Multiples of 1/4 in the types that have them, so that equal elements occur."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.asarray(rng.integers(0, 2, shape)).astype(dtype)
    low = 0 if kind == "u" else low
    whole = np.asarray(rng.integers(low, 10, shape))
    return np.asarray(whole + rng.integers(0, 4, shape) / 4 if kind == "f" else whole).astype(dtype)


def part_of(draw: Draw, shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that broadcasts to this one."""
    kept = shape[draw(st.integers(0, len(shape))) :]
    return tuple(1 if draw(st.booleans()) else d for d in kept)


def ints(values: Sequence[int]) -> Array:
    return np.array(values, np.int64)


def window(draw: Draw, spatial: int, dilated: bool = True) -> dict[str, Any]:
    kernel = [draw(st.integers(1, 3)) for _ in range(spatial)]
    attrs: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": [draw(st.integers(1, 3)) for _ in kernel],
    }
    auto = draw(st.sampled_from(("NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")))
    if auto.startswith(
        "SAME"
    ):  # for a step longer than the window onnxruntime finds a negative padding
        attrs["strides"] = [min(k, s) for k, s in zip(kernel, attrs["strides"], strict=True)]
    if auto != "NOTSET":
        return {**attrs, "auto_pad": auto}
    attrs["pads"] = [draw(st.integers(0, k - 1)) for k in kernel * 2]
    if dilated:
        attrs["dilations"] = [draw(st.integers(1, 2)) for _ in kernel]
    return attrs
