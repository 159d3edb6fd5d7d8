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
    if -1 in new:
        new[new.index(-1)] = _inferred(new, x.shape)
    node.attrs["dims"] = new
    return int(new != words)


def _inferred(words: list[int], shape: tuple[Dim, ...]) -> int:
    """What the word -1 among these stands for: a number, or a run of the input's axes; -1 if it is neither."""
    copied = {a for w in words if w < -1 for a in range((-2 - w) >> 4, (-2 - w) & 15)}
    others = math.prod(w for w in words if w >= 0)
    left = {a: d for a, d in enumerate(shape) if a not in copied}
    known = math.prod(d for d in left.values() if isinstance(d, int))
    unknown = [a for a, d in left.items() if not isinstance(d, int)]
    if not unknown:
        return known // others if others and known % others == 0 else -1
    for first in range(unknown[0], -1, -1):
        for end in range(unknown[-1] + 1, len(shape) + 1):
            run = {a: left.get(a) for a in range(first, end)}
            inside = math.prod(d for d in run.values() if isinstance(d, int))
            if others and copied.isdisjoint(run) and known == others * inside:
                return -2 - (first << 4 | end)
    return -1


def write_sizes(g: Graph) -> int:
    """Before: a reshape says which of its input's axes an axis copies or multiplies, or that one is inferred. After: how long it
    is, where that is known, and what is inferred is copied where it is a run of the input's axes. Most libraries then hold no more
    than numbers, or these and copies."""
    return sum(_write_sizes(node) for _, node in g.walk() if node.op == "reshape")
