"""From a trained model to the bytes of a .whit file: frontend, passes, writer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from . import text, verify
from .errors import ConvertError
from .ir import Graph
from .passes import PIPELINE, Pass
from .passes.fuse import single_tiles
from .passes.winograd import choose_winograd
from .write import write

if TYPE_CHECKING:
    import onnx


Source: TypeAlias = "str | os.PathLike[str] | bytes | onnx.ModelProto"


States: TypeAlias = "Mapping[str, str] | Mapping[str, Mapping[str, str]]"


def to_graph(model: Source | Mapping[str, Source], *, state: States | None = None) -> Graph:
    """The source model as IR, before any pass; several models become entry points of one graph."""
    from .frontends.onnx import import_model

    if not isinstance(model, Mapping):
        return import_model(model, state=_pairs(state))
    whole = Graph()
    for name, part in model.items():
        graph = import_model(part, state=_pairs(state, name))
        for entry in graph.entries:
            entry.name = name
        _share_states(whole, graph)
        whole.entries += graph.entries
        whole.states |= graph.states
        whole.aliases |= graph.aliases
    return whole


def _pairs(state: States | None, entry: str = "") -> dict[str, str]:
    """The {input: output} pairs of an entry point: all pairs, or the entry's own if they are given by entry point."""
    if not state:
        return {}
    if any(isinstance(v, Mapping) for v in state.values()):
        own = state.get(entry, {})
        return {str(k): str(v) for k, v in own.items()} if isinstance(own, Mapping) else {}
    return {str(k): str(v) for k, v in state.items()}


def _share_states(whole: Graph, part: Graph) -> None:
    """Entry points that name the same state read the same variable."""
    shared = {v: whole.states[name] for name, v in part.states.items() if name in whole.states}
    for v, first in shared.items():
        if v.dtype != first.dtype or v.shape != first.shape:
            raise ConvertError(
                f"state {v.state!r} has another type or shape in another entry point"
            )
    part.replace(shared)
    for v, first in shared.items():
        part.states[str(v.state)] = first


def run_passes(
    graph: Graph,
    *,
    layout: bool = True,
    fuse: bool = True,
    optimize: str = "balanced",
    check: bool = False,
    dump_after: str | None = None,
) -> Graph:
    """Runs the pipeline in place. check: verify the graph between passes. dump_after: print it after that pass."""
    if optimize not in ("memory", "balanced", "speed"):
        raise ConvertError(f"optimize must be 'memory', 'balanced' or 'speed', not {optimize!r}")
    names = ["import", *(name for name, _ in PIPELINE)]
    if dump_after is not None and dump_after not in names:
        raise ConvertError(f"no pass {dump_after!r} to dump after; there are: {', '.join(names)}")
    skipped = set() if layout else {"layout"}
    skipped |= set() if fuse else {"epilogue"}
    skipped |= set() if fuse and optimize == "speed" else {"bottleneck"}
    other: dict[str, Pass] = {} if fuse else {"fuse": single_tiles}
    other["winograd"] = partial(choose_winograd, optimize=optimize)
    if check:
        verify.verify(graph)
    if dump_after == "import":
        print(text.dump(graph))
    for name, run in PIPELINE:
        if name not in skipped:
            other.get(name, run)(graph)
            if check:
                verify.verify(graph)
        if dump_after == name:
            print(text.dump(graph))
    return graph


def convert(
    model: Source | Mapping[str, Source],
    output: str | os.PathLike[str] | None = None,
    *,
    state: States | None = None,
    strip: bool = False,
    optimize: str = "balanced",
    check: bool = False,
    dump_after: str | None = None,
    layout: bool = True,
    fuse: bool = True,
) -> Any:
    """Converts an ONNX model to a .whit file.

    model: a path, the bytes of a file, or an onnx.ModelProto (external data is found beside a path); or a dict of
        them, {entry point: model}, which become one file that stores equal weights once.
    output: where to write; None returns the bytes instead.
    state: {input name: output name}: pairs that become state inside the file, kept from run to run; with several
        entry points {entry point: {input name: output name}}. Equal names are one variable.
    strip: leave out debug names.
    optimize: how 3x3 convolutions are done by Winograd's method, up to three times as fast: "memory" with filters that are
        transformed each time, where that pays and the arena grows by a twentieth at most; "balanced" with some of them stored transformed,
        at four times the bytes, up to a tenth of the file; "speed" with all that get faster so. Results of these layers
        err by up to 1e-5 of the layer's largest result.
        "speed" also makes one node of a depthwise convolution and the 1x1 convolutions around it, if what lies between
        is more than the caches hold: the same bits, a smaller arena, but no values between to tap.
    Returns output as given, or bytes. Raises ConvertError, naming node, operator and what to do.
    """
    graph = to_graph(model, state=state)
    run_passes(
        graph, layout=layout, fuse=fuse, optimize=optimize, check=check, dump_after=dump_after
    )
    if output is None:
        return write(graph, strip=strip)
    write(graph, Path(output), strip=strip)
    return output
