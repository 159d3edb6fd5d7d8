"""Winograd F(4x4, 3x3): some 3x3 convolutions are done with a quarter of the multiplications.

An output tile of 4x4 pixels is what a product of polynomials is at six points in each direction. The filters' values there are 36
numbers for 9: they are stored, computed here in f64 and rounded once, or the runtime makes them in scratch each time, which costs
as much as some twenty tiles. The values of pixels and the way back are the runtime's part, runtime_c/kernels/winograd_f32.inc, with
the same points.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate

import numpy as np

from ..dtypes import DType
from ..ir import Graph, Node, Value
from ..ops import is_elementwise
from .panels import WIDTH, pack_conv, replace_weights, to_panels

POINTS = (0.0, 11 / 16, -11 / 16, 1.5, -1.5)
"""And infinity. 0, +-1, +-2 are what one finds in books; these have half the error, and all that the runtime makes of them
(their squares, products, cubes) is exact in f32."""
TILE, N_POINTS = 4, 36
BLOCK, PART = 24, 128 * 1024
"""Tiles of a block, and numbers that a part of its output channels takes, about."""

LIMITS = {"memory": (0.0, 0.05), "balanced": (0.10, 0.05), "speed": (math.inf, math.inf)}
"""By which share the constants' bytes may grow, and by which the memory for values, as one optimizes for."""
UNKNOWN = 56
"""Pixels taken for an axis whose size is not known before the model runs: images, rather than what is left of them."""


@cache
def filter_transform() -> np.ndarray:
    """G, [6, 3]: a filter's three numbers, as a polynomial, at the points; with the factors of Lagrange's interpolation."""
    rows = [[p**k / math.prod(p - q for q in POINTS if q != p) for k in range(3)] for p in POINTS]
    return np.array([*rows, [0, 0, 1]], np.float64)


def transform_filters(w: np.ndarray) -> np.ndarray:
    """[3, 3, C, M] -> [36, ceil(M/16), C, 16]."""
    g = filter_transform()
    u = np.einsum("ik,klcm,jl->ijcm", g, w.astype(np.float64), g, optimize=True).astype(np.float32)
    return np.stack([to_panels(m) for m in u.reshape(N_POINTS, *w.shape[2:])])


# ---- what it costs ----------------------------------------------------------------------------------

# In multiply-adds of a product at full speed. Measured on one Zen 5 core, 22 shapes from 16 to 512 channels and 7x7 to 256x256
# pixels, with AVX2 and AVX-512; the model is within 30 % of each.
TRANSFORM = 20.0
"""A number of V or M (36 for each tile and channel): transformed, written and read again."""
FILTER = 16.0
"""A number of the filters, transformed, written and read again: 2 to 8 a part, 3 to 20 all of them first."""
STREAM, CACHED = 3.0, 1.0
"""A byte of filters, which the caches seldom hold from one run to the next; and of a model that they hold."""
CACHE = 1 << 20
"""Bytes of constants, all filters transformed, of such a model. MLPerf Tiny's ResNet-8: 219 us on a Zen 4 core by STREAM, 149 so."""
WORTH = 0.9
"""A layer must get this much faster by the model, which is no better than that."""


def _sizes(node: Node) -> tuple[int, int]:
    """Output pixels and tiles of a run; an open batch counts as one."""
    batch, *spatial = (node.outputs[0].shape or (None,) * 4)[:3]
    n = batch if isinstance(batch, int) else 1
    known = [d if isinstance(d, int) else UNKNOWN for d in spatial]
    return n * math.prod(known), n * math.prod(-(-d // TILE) for d in known)


def _panel_bytes(w: np.ndarray) -> int:
    """Of the filters in panels, plain."""
    *k, m = (int(n) for n in w.shape)
    return 4 * math.prod(k) * -(-m // WIDTH) * WIDTH


def saving(node: Node, w: np.ndarray, stream: float, *, stored: bool) -> float:
    """Multiply-adds' worth of time that Winograd saves in a run; 0 where it does not pay. stream: of a byte of filters."""
    pixels, tiles = _sizes(node)
    c, m = (int(n) for n in w.shape[-2:])
    m, n_bytes = -(-m // WIDTH) * WIDTH, _panel_bytes(w)
    direct = pixels * 9.0 * c * m + stream * n_bytes
    filters = stream * 4 * n_bytes if stored else stream * n_bytes + N_POINTS * c * m * FILTER
    winograd = tiles * N_POINTS * (c * m + TRANSFORM * (c + m)) + filters
    return direct - winograd if winograd < WORTH * direct else 0.0


def _bytes(value: Value | None) -> int:
    """Of a value in memory, about: an open batch counts as one, another open axis as one of an image."""
    if value is None or value.const is not None or value.shape is None:
        return 0
    dims = [d if isinstance(d, int) else UNKNOWN if a else 1 for a, d in enumerate(value.shape)]
    return 4 * math.prod(dims)


def _living(g: Graph) -> dict[Node, int]:
    """Bytes of a region's values that are in memory while each of its nodes runs. What only a concat reads is written into its
    output, which is there from the first of these on."""
    living: dict[Node, int] = {}
    uses = g.uses()
    for region in g.regions():
        nodes = region.nodes
        birth = {v: k for k, node in enumerate(nodes) for v in node.outputs}
        last = {v: k for k, node in enumerate(nodes) for v in (*node.outputs, *node.inputs)}
        last |= dict.fromkeys(region.results, len(nodes))
        parts: set[Value] = set()
        for node in nodes:
            mine = {v for v in node.inputs if node.op == "concat" and v in birth and uses[v] == 1}
            birth |= {v: min(birth[p] for p in (*mine, v)) for v in node.outputs}
            parts |= mine
        change = [0] * (len(nodes) + 2)
        for v in birth.keys() - parts:
            change[birth[v]] += _bytes(v)
            change[last[v] + 1] -= _bytes(v)
        living |= zip(nodes, accumulate(change), strict=False)
    return living


def _scratch(node: Node, w: np.ndarray) -> int:
    """Bytes, about, on one thread: as winograd_make of runtime_c/kernels/winograd.c counts them."""
    c, m, tiles = int(w.shape[2]), int(w.shape[3]), _sizes(node)[1]
    together = tiles < BLOCK or tiles <= m // 2
    tiles = tiles if together else -(-tiles // -(-tiles // BLOCK))
    panels = -(-m // WIDTH)
    rows = max(tiles, c) if together else tiles
    parts = min(panels, max(1, N_POINTS * rows * panels * WIDTH // PART))
    columns = -(-panels // parts) * WIDTH
    filters = columns if together else panels * WIDTH
    return 4 * N_POINTS * (c * (filters + tiles) + tiles * columns)


# ---- the choice -------------------------------------------------------------------------------------


def _filters(node: Node) -> Value | None:
    """The constant filters of a convolution that the runtime can do this way."""
    w = node.inputs[1] if node.op == "conv" else None
    if w is None or w.const is None or w.state is not None or w.dtype != DType.F32:
        return None
    fits = w.const.ndim == 4 and w.const.shape[:2] == (3, 3) and w.const.shape[2] >= WIDTH
    ones = [node.attrs.get("group", 1), *node.attrs.get("strides", ()), *node.attrs.get("dilations", ())]  # fmt: skip
    return (
        w if fits and w.const.size and not node.attrs.get("panels") and set(ones) == {1} else None
    )


@dataclass(slots=True)
class _Choice:
    """The convolutions that share filters, which are stored once if they are equal."""

    filters: np.ndarray
    nodes: list[Node] = field(default_factory=list)
    plain: float = 0.0
    stored: float = 0.0
    """What is saved with filters as they are, or stored transformed; 0 if that cannot be, or if one of the nodes would lose."""

    def saving(self, stream: float, *, stored: bool) -> float:
        each = [saving(n, self.filters, stream, stored=stored) for n in self.nodes]
        return sum(each) if all(each) else 0.0

    def readers(self, uses: dict[Value, int]) -> int:
        """How often anything reads the filters."""
        return sum(uses[w] for w in {n.inputs[1] for n in self.nodes} if w is not None)

    @property
    def growth(self) -> int:
        return 3 * _panel_bytes(self.filters)


def _choices(g: Graph, scratch: float) -> list[_Choice]:
    """What may pay, that first which gains most by being stored."""
    found: dict[tuple[tuple[int, ...], bytes], _Choice] = {}
    for _, node in g.walk():
        w = _filters(node)
        if w is not None and w.const is not None:
            key = (w.const.shape, hashlib.blake2b(np.ascontiguousarray(w.const)).digest())
            found.setdefault(key, _Choice(w.const)).nodes.append(node)
    uses, living = g.uses(), _living(g)
    # Element-wise nodes become part of others, or are written over what they read.
    values = max((n for node, n in living.items() if not is_elementwise(node.op)), default=0)
    bytes_then = _constant_bytes(g) + sum(c.growth for c in found.values())
    stream = CACHED if bytes_then <= CACHE else STREAM
    for choice in found.values():
        most = max(living[n] + _scratch(n, choice.filters) for n in choice.nodes)
        if most <= (1 + scratch) * values:
            choice.plain = choice.saving(stream, stored=False)
        if choice.readers(uses) == len(choice.nodes):  # Else they would be there twice.
            choice.stored = choice.saving(stream, stored=True)
    return sorted(found.values(), key=lambda c: (c.plain - c.stored) / c.growth)


def _constant_bytes(g: Graph) -> int:
    constants = {
        v for _, node in g.walk() for v in node.inputs if v is not None and v.const is not None
    }
    return sum(v.const.nbytes for v in constants if v.const is not None)


def choose_winograd(g: Graph, optimize: str = "balanced") -> int:
    """Before: conv with constant f32 filters, 3x3, stride and dilation 1, one group. After: some are done by Winograd's method,
    their filters in panels (`panels=3`), or transformed (`panels=2`), at four times the bytes.

    Never where the model of costs says that it is not faster: on small maps (the time goes into reading filters: 512 -> 512
    channels on 7x7 pixels), with few channels (it goes into the transforms). Those filters are stored transformed that save most
    time a byte by it, as long as all constants together grow by no more than LIMITS say. Others are not used so where their
    scratch would make the memory for values grow by more than that.

    Results differ in the last bits: by up to 1e-5 of the largest result of the layer, 2e-6 as a rule.
    """
    growth, scratch = LIMITS[optimize]
    room = growth * _constant_bytes(g)
    changes = 0
    for choice in _choices(g, scratch):
        if choice.stored > choice.plain and choice.growth <= room:
            room -= choice.growth
            packed = transform_filters(choice.filters)
            for node in choice.nodes:
                replace_weights(node, packed)
                node.attrs.update(panels=2, channels=int(choice.filters.shape[-1]), kernel=[3, 3])
                changes += 1
        elif choice.plain > 0:
            for node in choice.nodes:
                pack_conv(node)
                node.attrs.update(panels=3)
                changes += 1
    return changes
