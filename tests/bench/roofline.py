"""Where Whit's time goes, by kind of operator, with the rate that each reaches: what to look at when a table disappoints.

Multiply-adds come from the ONNX model's shapes. Each node's time is the smallest of several profiles, so that a busy machine
shows less.

    roofline.py REGEX [--repeats N] [--gflops PEAK]      reads what bench.py converted
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from typing import Any

import models
import numpy as np
import onnx
from peers import Whit, read_feeds

import whit

Cost = tuple[str, int]
"""Kind of a node, and its multiply-adds."""


def costs(name: str) -> dict[str, Cost]:
    """What the ONNX nodes that multiply matrices cost, by node name."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(models.path(name))).graph
    values = [*graph.value_info, *graph.input, *graph.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    constants = {t.name: list(t.dims) for t in graph.initializer}
    shapes |= constants
    found = {}
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            w = shapes[node.input[1]]
            groups = next((a.i for a in node.attribute if a.name == "group"), 1)
            spread = node.output[0] if node.op_type == "Conv" else node.input[0]
            kind = f"{w[2]}x{w[3]}" if len(w) == 4 else str(w[2])
            kind = f"{kind} {'depthwise' if groups > 1 else 'few channels' if w[1] <= 3 else ''}"
            found[node.name] = (kind.strip(), int(np.prod(shapes[spread]) * np.prod(w[1:])))
        elif node.op_type in ("MatMul", "Gemm") and node.input[0] in shapes:
            a, y = shapes[node.input[0]], shapes[node.output[0]]
            kind = "by a constant" if node.input[1] in constants else "of two values"
            kind += ", one row" if np.prod(a[:-1]) == 1 else ""
            found[node.name] = (kind, int(np.prod(y)) * a[-1])
    return found


def profile(model: whit.Model, feeds: dict[str, Any], repeats: int) -> np.ndarray[Any, Any] | None:
    """Nanoseconds a run of each node; the smallest of `repeats` measurements."""
    instance, arrays = model.instance(feeds)
    best = None
    for _ in range(repeats + 1):
        measured = instance.profile(arrays, 1)
        if measured is None:
            return None
        ns = measured[0].astype(np.float64)
        best = ns if best is None else np.minimum(best, ns)
    return best


def show(name: str, repeats: int, peak: float) -> None:
    subject = Whit(name, 1)
    if not subject.file.exists():
        print(f"{name}: not converted yet (make bench ONLY={name} PEERS=whit)")
        return
    model = whit.load(subject.file)
    ns = profile(model, read_feeds(subject.source), repeats)
    if ns is None:
        print("no profile: libwhit_platform is not there")
        return
    known, sums = costs(name), defaultdict[str, list[float]](lambda: [0.0, 0.0, 0.0])
    operators = [
        whit._native.text(whit._native.lib().whit_node_operator(model.at, k))
        for k in range(len(ns))
    ]
    for operator, source, t in zip(operators, model.file.node_names, ns, strict=False):
        kind, macs = known.get(re.sub(r".*/", "", source or ""), ("", 0))
        heavy = operator not in ("tile", "transpose", "reduce", "reshape", "identity")
        row = sums[f"{operator} {kind if heavy else ''}".strip()]
        row[0] += t > 0
        row[1] += t
        row[2] += macs if heavy else 0
    total = float(ns.sum())
    n_macs = sum(m for _, m in known.values())
    print(f"\n## {name}: {total / 1e6:.3f} ms, {n_macs / 1e6:.1f} million multiply-adds\n")
    print("| operator | nodes | us | % | GFLOP/s | of the peak |\n|---|---:|---:|---:|---:|---:|")
    for kind, (n, t, n_all) in sorted(sums.items(), key=lambda item: -item[1][1]):
        if t < 0.005 * total:
            continue
        rate = 2 * n_all / t if t else 0.0
        share = f"{100 * rate / peak:.0f} %" if peak and n_all else ""
        print(
            f"| {kind} | {n:.0f} | {t / 1e3:.1f} | {100 * t / total:.1f} | {rate:.1f} | {share} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", help="regular expression")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--gflops", type=float, default=0.0, help="peak of one core")
    args = parser.parse_args()
    for name in models.select(args.models):
        show(name, args.repeats, args.gflops)


if __name__ == "__main__":
    main()
