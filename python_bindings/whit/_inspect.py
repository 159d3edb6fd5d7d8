"""whit inspect: what a file contains."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from . import _native
from ._file import File
from ._native import NONE, lib
from ._table import Report
from .model import Model, Port, load, shape_text

MANY = 60
"""More nodes than this are listed only when asked for."""


def run(args: argparse.Namespace) -> Report:
    model = load(args.model)
    file = model.file
    nodes = _nodes(model, file)
    constants = [
        {"value": v, "dtype": c.dtype.name, "shape": list(c.shape), "bytes": c.nbytes}
        for v, c in ((v, file.constant(v)) for v in range(len(file.constants)))
    ]
    report = Report(
        {
            "file": args.model,
            "bytes": int(file.data.nbytes),
            "version": file.version,
            "entries": [
                {
                    "name": e.name,
                    "inputs": [_port(p) for p in e.inputs],
                    "outputs": [_port(p) for p in e.outputs],
                }
                for e in model.entries.values()
            ],
            "states": [
                {"name": n, "dtype": a.dtype.name, "shape": list(a.shape)}
                for n, _, a in file.state_layout()
            ],
            "nodes": nodes,
            "regions": len(file.regions),
            "constants": constants,
            "sizes": file.sizes(),
            "instance_bytes": int(lib().whit_instance_bytes(model.at)),
            "state_bytes": int(lib().whit_state_bytes(model.at)),
        }
    )
    report.line(f"{args.model}: {file.data.nbytes:,} bytes, format {file.version}")
    for e in model.entries.values():
        report.line(f"\nentry {e.name!r}")
        report.table(
            ("", "name", "type", "shape"),
            [
                (side, p.name, _kind(p), shape_text(p.shape))
                for side, ports in (("in", e.inputs), ("out", e.outputs))
                for p in ports
            ],
        )
    if report.data["states"]:
        report.line("\nstates")
        report.table(
            ("name", "type", "shape"),
            [(n, a.dtype.name, shape_text(a.shape)) for n, _, a in file.state_layout()],
        )
    report.line(f"\n{len(nodes)} nodes in {len(file.regions)} regions, {len(constants)} constants")
    if len(nodes) <= MANY or args.nodes:
        rows = [
            (n["index"], "  " * n["depth"] + n["operator"], n["name"], n["reads"], n["makes"])
            for n in nodes
        ]
        report.table(("#", "operator", "source node", "reads", "makes"), rows)
    else:
        counts = Counter(n["operator"] for n in nodes)
        report.table(("operator", "nodes"), counts.most_common())
        report.line("  (--nodes lists them)")
    report.line("\nbytes")
    report.table(("part", "bytes"), list(report.data["sizes"].items()))
    return report


def _kind(p: Port) -> str:
    kind = "sequence of " if p.kind == "sequence" else ""
    return f"{'optional ' if p.optional else ''}{kind}{p.dtype.name}"


def _port(p: Port) -> dict[str, Any]:
    shape = None if p.shape is None else list(p.shape)
    return {
        "name": p.name,
        "dtype": p.dtype.name,
        "shape": shape,
        "kind": p.kind,
        "optional": p.optional,
    }


def _nodes(model: Model, file: File) -> list[dict[str, Any]]:
    """Every node with its operator, source name, depth of regions and values read and made."""
    c = lib()
    labels = {n.value: n.name for n in file.names if n.step == 0}
    for v in range(len(file.constants)):
        labels.setdefault(v, f"const{v}")
    owners = file.owners()
    depths: list[int] = []
    found = []
    for k, owner in enumerate(owners):
        depths.append(0 if owner < 0 else depths[owner] + 1)
        reads = [labels.get(v, f"%{v}") for v in file.node_inputs(k) if v != NONE]
        makes = [labels.get(v, f"%{v}") for v in file.node_outputs(k) if v != NONE]
        found.append(
            {
                "index": k,
                "operator": _native.text(c.whit_node_operator(model.at, k)),
                "name": file.node_names[k],
                "depth": depths[k],
                "reads": ", ".join(reads),
                "makes": ", ".join(makes),
            }
        )
    return found
