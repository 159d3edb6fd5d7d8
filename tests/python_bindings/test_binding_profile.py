"""whit bench --profile and --trace: numbers that fit each other and the model, and a trace that other programs can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from binding_models import BRANCH, COUNTER, parse

import whit
from whit import _profile
from whit.cli import main

Slices = list[dict[str, Any]]
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "v1"


CONV = """
images (float[1, 8, 20, 20] x, float[8, 1, 3, 3] d, float[16, 8, 1, 1] p) => (float[1, 16, 18, 18] y) {
  [deep] h = Conv <group = 8> (x, d)
  [point] y = Conv(h, p)
}"""

NESTED = """
nested (int64 outer, int64 inner, float[2] start) => (float[2] total) <bool yes = {1}> {
  [rows] total = Loop(outer, yes, start) <body = body (int64 i, bool go, float[2] sum) =>
    (bool again, float[2] next) {
      again = Identity(go)
      [columns] more = Loop(inner, yes, sum) <body = deep (int64 j, bool on, float[2] part) =>
        (bool still, float[2] grown) {
          still = Identity(on)
          [step] e = Exp(part)
          [scale] grown = Softmax(e)
      }>
      [after] next = CumSum(more, i0)
  }>
}""".replace("<bool yes = {1}>", "<bool yes = {1}, int64 i0 = {0}>")


def converted(graph: str, path: Path) -> Path:
    whit.convert(parse(graph), path)
    return path


def bench(capsys: pytest.CaptureFixture[str], *arguments: Any) -> dict[str, Any]:
    assert main(["bench", *map(str, arguments), "--runs", "3", "--seconds", "0.01", "--json"]) == 0
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    return data


def traced(graph: str, folder: Path, capsys: pytest.CaptureFixture[str], *more: Any) -> Slices:
    target = folder / "trace.json"
    bench(capsys, converted(graph, folder / "m.whit"), *more, "--trace", target)
    document = json.loads(target.read_text())
    assert document["displayTimeUnit"] == "ns"
    return [e for e in document["traceEvents"] if e["ph"] == "X"]


def inside(inner: dict[str, Any], outer: dict[str, Any]) -> bool:
    end, outer_end = inner["ts"] + inner["dur"], outer["ts"] + outer["dur"]
    return bool(inner["ts"] >= outer["ts"] - 1e-3 and end <= outer_end + 1e-3)


# ---- profile ------------------------------------------------------------------------------------------


def test_multiply_adds_and_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bench(capsys, converted(CONV, tmp_path / "m.whit"), "--profile")
    by_name = {n["name"]: n for n in data["nodes"] if n["operator"] == "conv"}
    assert by_name["deep"]["flops"] == 2 * 8 * 18 * 18 * 9
    assert by_name["point"]["flops"] == 2 * 16 * 18 * 18 * 8
    assert data["flops"] == by_name["deep"]["flops"] + by_name["point"]["flops"]
    # weights are inputs here; all that a convolution must read and write
    assert by_name["point"]["other_bytes"] == 4 * (8 * 18 * 18 + 16 * 8 + 16 * 18 * 18)
    assert by_name["deep"]["kind"] == "3x3 depthwise" and by_name["point"]["kind"] == "1x1"


def test_multiply_adds_of_convolutions_together(capsys: pytest.CaptureFixture[str]) -> None:
    data = bench(capsys, GOLDEN / "bottlenecks.whit", "--profile")
    by_name = {n["name"]: n for n in data["nodes"] if n["operator"] == "bottleneck"}
    expanded, plain = by_name["Conv_5"], by_name["Conv_9"]
    assert expanded["flops"] == 2 * 2 * 8 * 11 * (12 * 34 + 9 * 34 + 34 * 12)
    assert plain["flops"] == 2 * 2 * 4 * 12 * (25 * 12 + 12 * 18)
    assert (expanded["kind"], plain["kind"]) == ("3x3 expanded", "5x5")
    # x is what is added too
    assert expanded["other_bytes"] == 4 * 3 * 2 * 8 * 11 * 12


def test_matmul_of_constants_and_of_values(tmp_path: Path) -> None:
    w = np.random.default_rng(0).standard_normal((64, 48), np.float32)
    x = onnx.helper.make_tensor_value_info("x", 1, ["m", 64])
    y = onnx.helper.make_tensor_value_info("y", 1, None)
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "w"], ["h"], "first"),
        onnx.helper.make_node("Transpose", ["h"], ["t"], "flip", perm=[1, 0]),
        onnx.helper.make_node("MatMul", ["h", "t"], ["y"], "second"),
    ]
    constants = [onnx.numpy_helper.from_array(w, "w")]
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], constants)
    opset = [onnx.helper.make_opsetid("", 21)]
    model = whit.load(whit.convert(onnx.helper.make_model(graph, opset_imports=opset)))
    instance, arrays = model.instance({"x": np.ones((10, 64), np.float32)})
    cost = dict(zip(model.file.node_names, _profile.costs(model, instance, arrays), strict=True))
    assert cost["first"].flops == 2 * 10 * 64 * 48 and cost["first"].weights == 4 * 64 * 48
    assert cost["first"].kind == "by a constant"
    assert cost["second"].flops == 2 * 10 * 48 * 10 and cost["second"].weights == 0


def test_profile_fits_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = converted(COUNTER, tmp_path / "m.whit")
    data = bench(capsys, path, "trips=7", "--profile", "--threads", 2)
    assert sum(n["runs"] for n in data["nodes"]) == data["steps"]
    assert sum(o["nodes"] for o in data["operators"]) == len(data["nodes"])
    for field in ("ns", "runs", "flops", "weight_bytes", "other_bytes", "bound_ns"):
        total = sum(n[field] for n in data["nodes"])
        assert sum(o[field] for o in data["operators"]) == pytest.approx(total)
    body = [n for n in data["nodes"] if n["runs"] == 7]
    assert body and all(n["other_bytes"] % 7 == 0 for n in body)
    assert data["peaks"]["threads"] == 2 and data["peaks"]["gflops"] > 0
    sizes = [r["bytes"] for r in data["peaks"]["read"]]
    assert sizes == sorted(sizes) and all(r["gb_per_s"] > 0 for r in data["peaks"]["read"])
    assert 0 < data["of_roofline"] == data["bound_ns"] / sum(n["ns"] for n in data["nodes"])


def test_profile_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = converted(CONV, tmp_path / "m.whit")
    assert main(["bench", str(path), "--runs", "3", "--seconds", "0.01", "--profile"]) == 0
    text = capsys.readouterr().out
    for said in ("roofline of 1 thread, measured now", "GFLOP/s", "% of roofline", "conv 1x1"):
        assert said in text


# ---- trace --------------------------------------------------------------------------------------------


def test_slices_are_the_nodes_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slices = traced(COUNTER, tmp_path, capsys, "trips=5")
    model = whit.load(tmp_path / "m.whit")
    names = {n for n in model.file.node_names if n}
    nodes = [s for s in slices if "operator" in s["args"]]
    assert {s["name"] for s in nodes if "#" not in s["name"]} <= names
    model.run({"trips": 5, "start": np.zeros(2, np.float32)})
    assert len(nodes) == model.last_steps
    (run,) = (s for s in slices if s["name"] == "run")
    assert run["args"]["nodes"] == len(nodes) and all(inside(s, run) for s in slices)
    for s in slices:
        assert s["pid"] == 1 and s["tid"] >= 1 and s["dur"] >= 0 and s["ts"] >= 0
    starts = [s["ts"] for s in slices]
    assert starts == sorted(starts)


def test_slices_nest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two slices of a thread are apart, or one holds the other."""
    slices = traced(NESTED, tmp_path, capsys, "outer=3", "inner=4")
    open_slices: Slices = []
    for s in slices:
        while open_slices and s["ts"] >= open_slices[-1]["ts"] + open_slices[-1]["dur"] - 1e-6:
            open_slices.pop()
        assert not open_slices or inside(s, open_slices[-1])
        open_slices.append(s)


def test_iterations_are_visible(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slices = traced(NESTED, tmp_path, capsys, "outer=3", "inner=4")
    rows, columns = (
        [s for s in slices if s["name"].endswith(name)] for name in ("rows", "columns")
    )
    assert len(rows) == 1 and len(columns) == 3
    iterations = [s for s in slices if s["cat"] == "iteration"]
    assert len(iterations) == 3 + 3 * 4
    for inner in columns:
        own = [s for s in iterations if inside(s, inner)]
        assert [s["name"] for s in own] == [f"iteration {k}" for k in range(4)]


def test_only_the_branch_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slices = traced(BRANCH, tmp_path, capsys, "which=true")
    (choose,) = (s for s in slices if s["name"] == "choose")
    taken = [s for s in slices if "operator" in s["args"] and s is not choose]
    assert taken and all(inside(s, choose) for s in taken)
    assert not any(s["name"] in ("down", "less") for s in slices)
    assert not any(s["cat"] == "iteration" for s in slices)


def test_pieces_of_threads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = "big (float[512, 512] a, float[512, 512] b) => (float[512, 512] y) { [mul] y = MatMul(a, b) }"
    slices = traced(graph, tmp_path, capsys, "--threads", 2)
    (node,) = (s for s in slices if s["name"] == "mul")
    parts = [s for s in slices if s["cat"] == "part"]
    assert len(parts) > 1 and all(inside(s, node) for s in parts)
    assert {s["name"] for s in parts} == {f"mul [{k}]" for k in range(len(parts))}
