"""whit diff: every value that the two models share, compared with onnxruntime on the same inputs."""

from __future__ import annotations

import argparse
import math
import os
from typing import Any

import numpy as np

from . import _feeds
from ._native import Array
from ._table import Report, json_number
from .errors import RunError, WhitError
from .model import load, shape_text

LISTED = 100


def run(args: argparse.Namespace) -> Report:
    model = load(args.model)
    entry = model.entry(args.entry)
    feeds = _feeds.gather(entry, args.inputs, _feeds.parse_shapes(args.shape), args.seed)
    reference, makers = _reference(args.onnx, feeds)
    known = {n.name for n in model.file.names}
    outputs = {p.name for p in entry.outputs}
    taps = [name for name in reference if name in known and name not in outputs]
    ours = model.run(feeds, tap=taps or None, entry=args.entry)
    rows = [_compare(name, makers.get(name, ""), ours[name], value, args.rtol, args.atol)
            for name, value in reference.items() if name in ours]  # fmt: skip
    if not rows:
        raise RunError(f"{args.onnx} and {args.model} have no value name in common")
    departed = [r for r in rows if not r["ok"]]
    data = {
        "values": rows,
        "compared": len(rows),
        "departed": len(departed),
        "first": departed[0] if departed else None,
    }
    report = Report(data, exit_code=1 if departed else 0)
    shown = rows if args.all or len(rows) <= LISTED else departed[:LISTED]
    if shown:
        report.table(
            ("value", "node", "shape", "max abs error", "max rel error", ""),
            [(r["name"], r["node"], r["shape_text"], f"{r['max_abs']:.3g}", f"{r['max_rel']:.3g}",
              "" if r["ok"] else f"<- {r['note']}") for r in shown],
        )  # fmt: skip
    for r in rows:
        del r["shape_text"]
        for key in ("max_abs", "max_rel"):
            r[key] = json_number(r[key])
    n_all = len(reference)
    report.line(f"{len(rows)} of {n_all} values compared, rtol {args.rtol:g}, atol {args.atol:g}")
    if departed:
        first = departed[0]
        where = (
            f"node {first['node']!r}, value {first['name']!r}"
            if first["node"]
            else f"value {first['name']!r}"
        )
        report.line(f"the first to depart: {where}: {first['note']}")
    else:
        report.line("all agree")
    return report


def _reference(path: str, feeds: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Every value of the main graph as onnxruntime computes it, in order, and the node that makes each."""
    try:
        import onnx
        import onnxruntime as ort
    except ImportError as e:
        raise WhitError(f"whit diff needs {e.name}: pip install onnx onnxruntime") from None
    if not os.path.isfile(path):
        raise RunError(f"{path}: no such file")
    try:
        source = onnx.load(path)
    except Exception as e:
        raise RunError(f"{path}: not an ONNX model ({type(e).__name__})") from None
    makers = {o: n.name or f"{n.op_type} -> {o}" for n in source.graph.node for o in n.output if o}
    have = {o.name for o in source.graph.output}
    exposed = onnx.ModelProto()
    exposed.CopyFrom(source)
    exposed.graph.output.extend(onnx.ValueInfoProto(name=o) for o in makers if o not in have)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    error: Exception | None = None
    for candidate in (exposed, source):
        try:
            session = ort.InferenceSession(
                candidate.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            wanted = {i.name for i in session.get_inputs()}
            given = {k: v for k, v in feeds.items() if k in wanted and v is not None}
            names = [o.name for o in session.get_outputs()]
            values = dict(zip(names, session.run(names, given), strict=True))
        except Exception as e:  # onnxruntime raises its own types, which have no common base
            error = error or e
            continue
        order = {o: k for k, o in enumerate(makers)}
        return dict(sorted(values.items(), key=lambda item: order.get(item[0], -1))), makers
    raise RunError(f"onnxruntime cannot run {path}: {' '.join(str(error).split())}")


def _compare(
    name: str, node: str, ours: Any, reference: Any, rtol: float, atol: float
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": name,
        "node": node,
        "ok": False,
        "max_abs": 0.0,
        "max_rel": 0.0,
        "note": "",
    }
    if isinstance(reference, list) or isinstance(ours, list) or ours is None or reference is None:
        return row | _compare_lists(name, node, ours, reference, rtol, atol)
    a, b = np.asarray(ours), np.asarray(reference)
    if _joins_to(a.shape, b.shape):
        a = a.reshape(b.shape)
    row["shape"] = list(a.shape)
    row["shape_text"] = shape_text(a.shape)
    if a.shape != b.shape:
        row["note"] = f"shape {shape_text(a.shape)}, onnxruntime has {shape_text(b.shape)}"
        row["max_abs"] = row["max_rel"] = float("inf")
        return row
    return row | _errors(a.astype(np.float64), b.astype(np.float64), rtol, atol)


def _joins_to(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Are b's axes a's, some of them joined? The exporter may keep axes apart that the source joins."""
    cuts, at = {1}, 1
    for n in a:
        at *= n
        cuts.add(at)
    products = [math.prod(b[: k + 1]) for k in range(len(b))]
    return 0 not in a and math.prod(a) == math.prod(b) and cuts.issuperset(products)


def _errors(a: Array, b: Array, rtol: float, atol: float) -> dict[str, Any]:
    """Largest errors; what is NaN or infinite in one must be so in the other."""
    if not a.size:
        return {"ok": True}
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.where(same, 0.0, np.abs(a - b))
        difference = np.where(np.isnan(difference), np.inf, difference)
        relative = np.where(same, 0.0, difference / np.maximum(np.abs(b), 1e-30))
        wrong = ~same & ~(difference <= atol + rtol * np.abs(b))
    result: dict[str, Any] = {
        "ok": not wrong.any(),
        "max_abs": float(difference.max()),
        "max_rel": float(relative.max()),
    }
    if wrong.any():
        worst = np.unravel_index(int(np.argmax(np.where(wrong, difference, -1))), a.shape)
        at = f" at {[int(i) for i in worst]}" if a.ndim else ""
        result["note"] = (
            f"{a[worst]:.6g} instead of {b[worst]:.6g}{at}, {int(wrong.sum())} of {a.size} elements"
        )
    return result


def _compare_lists(
    name: str, node: str, ours: Any, reference: Any, rtol: float, atol: float
) -> dict[str, Any]:
    both = isinstance(ours, list) and isinstance(reference, list)
    row: dict[str, Any] = {
        "shape": None,
        "shape_text": f"{len(ours)} arrays" if isinstance(ours, list) else "absent",
    }
    if ours is None and reference is None:
        return row | {"ok": True}
    if not both or len(ours) != len(reference):
        return row | {
            "note": "another number of arrays",
            "max_abs": float("inf"),
            "max_rel": float("inf"),
        }
    items = [_compare(name, node, x, y, rtol, atol) for x, y in zip(ours, reference, strict=True)]
    wrong = next((i for i in items if not i["ok"]), None)
    return row | {
        "ok": wrong is None,
        "max_abs": max([0.0, *(i["max_abs"] for i in items)]),
        "max_rel": max([0.0, *(i["max_rel"] for i in items)]),
        "note": wrong["note"] if wrong else "",
    }
