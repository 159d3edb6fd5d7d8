"""Sizes of reshapes as numbers."""

from __future__ import annotations

import math

from ..ir import Dim, Graph, Node


def _number(word: int, shape: tuple[Dim, ...]) -> int:
    """The product of the axes of the input that a word names, if they are known; else the word."""
    axes = shape[(-2 - word) >> 4 : (-2 - word) & 15] if word < -1 else ()
    known = [d for d in axes if isinstance(d, int)]
    return math.prod(known) if word < -1 and len(known) == len(axes) else word


def _write_sizes(node: Node) -> int:
    x, words = node.inputs[0], node.attrs["dims"]
    if x is None or x.shape is None or any(v is not None for v in node.inputs[1:]):
        return 0
    new = [_number(w, x.shape) for w in words]
    rest = [k for k, w in enumerate(new) if w < 0]
    others = math.prod(w for w in new if w >= 0)
    whole = [d for d in x.shape if isinstance(d, int)]
    if len(rest) == 1 and others:
        fits = len(whole) == len(x.shape) and math.prod(whole) % others == 0
        new[rest[0]] = math.prod(whole) // others if fits else -1
    node.attrs["dims"] = new
    return int(new != words)


def write_sizes(g: Graph) -> int:
    """Before: a reshape says which of its input's axes an axis copies or multiplies. After: how long it is, where that is known, and one
    that is not is inferred from the others, unless one of these is empty. Most libraries then hold no more than numbers."""
    return sum(_write_sizes(node) for _, node in g.walk() if node.op == "reshape")
