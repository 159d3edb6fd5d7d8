"""Einsum by diagonals, sums, transposes and batched matrix products, two operands at a time."""

from __future__ import annotations

from .expr import Expr


def _parse(equation: str, ranks: list[int]) -> tuple[list[list[str]], list[str]]:
    """Labels of every operand and of the result; the axes of an ellipsis get the labels "0", "1", ..."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ValueError(f"equation {equation!r} has {len(terms)} operands, the node {len(ranks)}")
    named = [t.replace("...", "") for t in terms]
    spans = [r - len(t) if "..." in s else 0 for s, t, r in zip(terms, named, ranks, strict=True)]
    width = max(spans)

    def labels(term: str, n: int) -> list[str]:
        before, dots, after = term.partition("...")
        return [*before, *([str(i) for i in range(width - n, width)] if dots else []), *after]

    operands = [labels(t, n) for t, n in zip(terms, spans, strict=True)]
    if any(len(o) != r for o, r in zip(operands, ranks, strict=True)):
        raise ValueError(f"equation {equation!r} does not fit operands of {ranks} axes")
    if arrow:
        return operands, labels(right, width)
    letters = "".join(named)
    once = sorted(c for c in set(letters) if letters.count(c) == 1)
    return operands, [str(i) for i in range(width)] + once


def _diagonal(x: Expr, labels: list[str]) -> tuple[Expr, list[str]]:
    """Keeps one axis of a label that stands twice."""
    while len(set(labels)) < len(labels):
        label = next(c for c in labels if labels.count(c) > 1)
        first = labels.index(label)
        second = labels.index(label, first + 1)
        x = x.op("diagonal", axis1=first, axis2=second)
        labels = [c for i, c in enumerate(labels) if i not in (first, second)] + [label]
    return x, labels


def _sum_out(x: Expr, labels: list[str], keep: set[str]) -> tuple[Expr, list[str]]:
    """Sums over the labels that nobody needs."""
    gone = [i for i, c in enumerate(labels) if c not in keep]
    return x.sum(gone, keepdims=False), [c for c in labels if c in keep]


def _order(x: Expr, labels: list[str], wanted: list[str]) -> Expr:
    return x.transpose([labels.index(c) for c in wanted])


def _align(x: Expr, labels: list[str], wanted: list[str]) -> Expr:
    """Transposes, and puts axes of 1 where a wanted label is missing."""
    x = _order(x, labels, [c for c in wanted if c in labels])
    missing = [i for i, c in enumerate(wanted) if c not in labels]
    return x.unsqueeze(*missing) if missing else x


def _flat(x: Expr, groups: list[list[str]]) -> Expr:
    """One axis for each group of neighbouring axes; an empty group is an axis of 1."""
    dims: list[object] = []
    at = 0
    for g in groups:
        dims.append(1 if not g else ("prod", at, at + len(g)))
        at += len(g)
    return x if all(len(g) == 1 for g in groups) else x.reshape(dims)


def _pair(a: Expr, la: list[str], b: Expr, lb: list[str], keep: set[str]) -> tuple[Expr, list[str]]:
    """Product of two operands, summed over the labels that are in both and not needed later.

    Shared labels that stay are batch axes (left as axes, so that sizes of 1 still broadcast).
    """
    a, la = _sum_out(a, la, keep | set(lb))
    b, lb = _sum_out(b, lb, keep | set(la))
    summed = [c for c in la if c in lb and c not in keep]
    batch = [c for c in la if c in lb and c in keep]
    if not summed:
        labels = batch + [c for c in la if c not in batch] + [c for c in lb if c not in batch]
        return _align(a, la, labels) * _align(b, lb, labels), labels
    rows, columns = ([c for c in x if c not in batch + summed] for x in (la, lb))
    single = [[c] for c in batch]
    left = _flat(_order(a, la, batch + rows + summed), [*single, rows, summed])
    right = _flat(_order(b, lb, batch + summed + columns), [*single, summed, columns])
    y = left.matmul(right)
    if len(rows) != 1 or len(columns) != 1:
        y = _unflat(y, a, la, rows, b, lb, columns, len(batch))
    return y, batch + rows + columns


def _unflat(
    y: Expr,
    a: Expr,
    la: list[str],
    rows: list[str],
    b: Expr,
    lb: list[str],
    columns: list[str],
    n: int,
) -> Expr:
    """Splits the last two axes of a product into the axes they were made of."""
    sizes = [a.dim(la.index(c)).unsqueeze(0) for c in rows]
    sizes += [b.dim(lb.index(c)).unsqueeze(0) for c in columns]
    kept = [y.dim(i).unsqueeze(0) for i in range(n)]
    parts = [e.v for e in kept + sizes]
    if not parts:
        return y.reshape([])
    shape = y.b.concat(parts, 0) if len(parts) > 1 else parts[0]
    return y.op("reshape", shape, dims=[], allowzero=1)


def einsum(equation: str, operands: list[Expr], ranks: list[int]) -> Expr:
    """The value of an Einsum node. ValueError if the equation does not fit the operands."""
    labels, result = _parse(equation, ranks)
    keep = set(result)
    x, lx = _diagonal(operands[0], labels[0])
    for i in range(1, len(operands)):
        later = {c for term in labels[i + 1 :] for c in term}
        b, lb = _diagonal(operands[i], labels[i])
        x, lx = _pair(x, lx, b, lb, keep | later)
    x, lx = _sum_out(x, lx, keep)
    if sorted(lx) != sorted(result):
        raise ValueError(f"equation {equation!r} names a result label that no operand has")
    return _order(x, lx, result)
