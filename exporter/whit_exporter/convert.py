"""From a trained model to the bytes of a .whit file: frontend, passes, writer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import text, verify
from .errors import ConvertError
from .ir import Graph
from .passes import PIPELINE
from .passes.fuse import single_tiles
from .write import write

if TYPE_CHECKING:
    import onnx


def to_graph(model: str | os.PathLike[str] | bytes | onnx.ModelProto, *, state: dict[str, str] | None = None) -> Graph:
    """The source model as IR, before any pass."""
    from .frontends.onnx import import_model

    return import_model(model, state=state)


def run_passes(
    graph: Graph,
    *,
    layout: bool = True,
    fuse: bool = True,
    check: bool = False,
    dump_after: str | None = None,
) -> Graph:
    """Runs the pipeline in place. check: verify the graph between passes. dump_after: print it after that pass."""
    names = ["import", *(name for name, _ in PIPELINE)]
    if dump_after is not None and dump_after not in names:
        raise ConvertError(f"no pass {dump_after!r} to dump after; there are: {', '.join(names)}")
    skipped = set() if layout else {"layout"}
    if check:
        verify.verify(graph)
    if dump_after == "import":
        print(text.dump(graph))
    for name, run in PIPELINE:
        if name not in skipped:
            (single_tiles if name == "fuse" and not fuse else run)(graph)
            if check:
                verify.verify(graph)
        if dump_after == name:
            print(text.dump(graph))
    return graph


def convert(
    model: str | os.PathLike[str] | bytes | onnx.ModelProto,
    output: str | os.PathLike[str] | None = None,
    *,
    state: dict[str, str] | None = None,
    strip: bool = False,
    optimize: str = "balanced",
    check: bool = False,
    dump_after: str | None = None,
    layout: bool = True,
    fuse: bool = True,
) -> Any:
    """Converts an ONNX model to a .whit file.

    model: a path, the bytes of a file, or an onnx.ModelProto (external data is found beside a path).
    output: where to write; None returns the bytes instead.
    state: {input name: output name}: pairs that become state inside the file, kept from run to run.
    strip: leave out debug names. optimize: "memory", "balanced" or "speed" (the same until Winograd filters exist).
    Returns output as given, or bytes. Raises ConvertError, naming node, operator and what to do.
    """
    if optimize not in ("memory", "balanced", "speed"):
        raise ConvertError(f"optimize must be 'memory', 'balanced' or 'speed', not {optimize!r}")
    graph = to_graph(model, state=state)
    run_passes(graph, layout=layout, fuse=fuse, check=check, dump_after=dump_after)
    if output is None:
        return write(graph, strip=strip)
    write(graph, Path(output), strip=strip)
    return output

