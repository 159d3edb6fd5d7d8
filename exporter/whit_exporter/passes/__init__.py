"""The passes, in order. Each is a function `Graph -> number of changes`, in a file of its own."""

from __future__ import annotations

from collections.abc import Callable

from ..ir import Graph
from .attention import merge_heads, recognise_attention
from .bottleneck import fuse_bottlenecks
from .cse import eliminate_common
from .dead_code import remove_dead
from .epilogue import attach_epilogues
from .fold import fold_constants
from .fold_affine import fold_affine
from .fuse import fuse_tiles
from .layout import sink_transposes
from .norm import absorb_affine, recognise_norm
from .panels import pack_panels
from .peephole import simplify_programs
from .pixels import convolve_pixels
from .results import store_again
from .rows import count_rows
from .sizes import write_sizes
from .softmax import recognise_softmax
from .tie import tie_tables
from .winograd import choose_winograd

Pass = Callable[[Graph], int]

PIPELINE: list[tuple[str, Pass]] = [
    ("dead", remove_dead),
    ("cse", eliminate_common),
    ("softmax", recognise_softmax),
    ("norm", recognise_norm),
    ("attention", recognise_attention),
    ("heads", merge_heads),
    ("layout", sink_transposes),
    ("sweep", remove_dead),
    ("fold", fold_constants),
    ("affine", fold_affine),
    ("gains", absorb_affine),
    ("pixels", convolve_pixels),
    ("winograd", choose_winograd),
    ("panels", pack_panels),
    ("tie", tie_tables),
    ("fuse", fuse_tiles),
    ("epilogue", attach_epilogues),
    ("peephole", simplify_programs),
    ("results", store_again),
    ("bottleneck", fuse_bottlenecks),
    ("rows", count_rows),
    ("sizes", write_sizes),
    ("clean", remove_dead),
]
