"""Winograd F(4x4, 3x3): filters of some 3x3 convolutions are stored transformed, for a quarter of the multiplications.

An output tile of 4x4 pixels is what a product of polynomials is at six points in each direction; the filters' values there
(36 numbers for 9, so four times the bytes) are known beforehand and computed here in f64, rounded once. The values of pixels
and the way back are the runtime's part, runtime_c/kernels/winograd_f32.inc, with the same points.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from ..dtypes import DType
from ..ir import Graph, Node, Value
from .panels import WIDTH, replace_weights, to_panels

POINTS = (0.0, 11 / 16, -11 / 16, 1.5, -1.5)
"""And infinity. 0, +-1, +-2 are what one finds in books; these have half the error, and all that the runtime makes of them
(their squares, products, cubes) is exact in f32."""
TILE, N_POINTS = 4, 36

GROWTH = 0.10
"""Of "balanced": by how much of its constants' bytes a file may grow."""
CHEAP = 200.0
"""Of "balanced": bytes that save so many multiply-adds each do not count as growth. That is filters for pictures of some 70
pixels square and more, which need far more memory than the filters: 1 MB saves at least 4 ms of a fast core."""
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


def saving(node: Node, w: np.ndarray, stream: float) -> float:
    """Multiply-adds' worth of time that Winograd saves in a run; 0 where it does not pay. stream: of a byte of filters."""
    pixels, tiles = _sizes(node)
    c, m = (int(n) for n in w.shape[-2:])
    m, n_bytes = -(-m // WIDTH) * WIDTH, _panel_bytes(w)
    direct = pixels * 9.0 * c * m + stream * n_bytes
    winograd = tiles * N_POINTS * (c * m + TRANSFORM * (c + m)) + stream * 4 * n_bytes
    return direct - winograd if winograd < WORTH * direct else 0.0


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
    saving: float = 0.0
    """Of all of them; 0 if one would lose."""

    def weigh(self, stream: float) -> None:
        savings = [saving(n, self.filters, stream) for n in self.nodes]
        self.saving = sum(savings) if all(savings) else 0.0

    def readers(self, uses: dict[Value, int]) -> int:
        """How often anything reads the filters."""
        return sum(uses[w] for w in {n.inputs[1] for n in self.nodes} if w is not None)

    @property
    def growth(self) -> int:
        return 3 * _panel_bytes(self.filters)


def _choices(g: Graph) -> list[_Choice]:
    """What pays, best first. Filters that something else reads too would have to be stored twice, and are left."""
    found: dict[tuple[tuple[int, ...], bytes], _Choice] = {}
    for _, node in g.walk():
        w = _filters(node)
        if w is not None and w.const is not None:
            key = (w.const.shape, hashlib.blake2b(np.ascontiguousarray(w.const)).digest())
            found.setdefault(key, _Choice(w.const)).nodes.append(node)
    uses = g.uses()
    most = _constant_bytes(g) + sum(c.growth for c in found.values())
    for choice in found.values():
        choice.weigh(CACHED if most <= CACHE else STREAM)
    paying = [c for c in found.values() if c.saving > 0 and c.readers(uses) == len(c.nodes)]
    return sorted(paying, key=lambda c: -c.saving / c.growth)


def _constant_bytes(g: Graph) -> int:
    constants = {
        v for _, node in g.walk() for v in node.inputs if v is not None and v.const is not None
    }
    return sum(v.const.nbytes for v in constants if v.const is not None)


def store_winograd(g: Graph, growth: float = GROWTH, cheap: float = CHEAP) -> int:
    """Before: conv with constant f32 filters, 3x3, stride and dilation 1, one group. After: some have them transformed
    instead, `panels=2`, at four times the bytes.

    Never where the model of costs says that it is not faster: on small maps (the time goes into reading filters: 512 -> 512
    channels on 7x7 pixels), with few channels (it goes into the transforms). Of the rest those that save `cheap` multiply-adds
    a byte; then those that save most time a byte, as long as all constants together grow by no more than the share `growth`.

    Results differ in the last bits: by up to 1e-5 of the largest result of the layer, 2e-6 as a rule.
    """
    room = growth * _constant_bytes(g)
    changes = 0
    for choice in _choices(g):
        if choice.saving < cheap * choice.growth:
            if choice.growth > room:
                continue
            room -= choice.growth
        packed = transform_filters(choice.filters)
        for node in choice.nodes:
            replace_weights(node, packed)
            node.attrs.update(panels=2, channels=int(choice.filters.shape[-1]), kernel=[3, 3])
            changes += 1
    return changes
