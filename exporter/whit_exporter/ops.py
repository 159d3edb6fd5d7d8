"""What the runtime can do, read from the table that tools/gen.py makes from the C sources.

Nothing is listed here by hand: an operator is its WHIT_OP row, a micro-operation its line in micro.h.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("_ops.json")
ANY = 255
"""As a largest count: any number."""


@dataclass(slots=True, frozen=True)
class Arg:
    """An input or output of an operator. `many`: this and all that follow."""

    name: str
    optional: bool
    many: bool


@dataclass(slots=True, frozen=True)
class Attr:
    """An attribute; its type is i32, f32, i64, f64, i32[] or f32[]."""

    name: str
    type: str

    @property
    def is_list(self) -> bool:
        return self.type.endswith("[]")

    @property
    def is_float(self) -> bool:
        return self.type.startswith("f")


@dataclass(slots=True, frozen=True)
class Op:
    """A primitive of the runtime: one WHIT_OP row."""

    name: str
    version: int
    id: int
    inputs: tuple[Arg, ...]
    outputs: tuple[Arg, ...]
    attrs: tuple[Attr, ...]
    strided: frozenset[str]
    flags: frozenset[str]
    doc: str

    @property
    def n_inputs(self) -> tuple[int, int]:
        """Least and largest number of inputs; the largest is ANY for a variadic operator."""
        return _count(self.inputs)

    @property
    def n_outputs(self) -> tuple[int, int]:
        """Least and largest number of outputs."""
        return _count(self.outputs)

    @property
    def pure(self) -> bool:
        """The same result at each run from the same tensors, so it may be computed beforehand."""
        return not self.flags & {"sequence", "impure", "control"}


@dataclass(slots=True, frozen=True)
class Micro:
    """A micro-operation of tile programs; domains are of f32, f64, i64."""

    name: str
    number: int
    n_args: int
    domains: frozenset[str]


def _count(args: tuple[Arg, ...]) -> tuple[int, int]:
    least = sum(not a.optional for a in args)
    return least, ANY if args and args[-1].many else len(args)


@cache
def _table() -> tuple[dict[str, Op], dict[str, Micro]]:
    try:
        table: dict[str, Any] = json.loads(TABLE.read_text())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{TABLE} is missing: it is generated from the C sources; run `make` in the source tree"
        ) from None
    rows = {
        r["name"]: Op(
            r["name"],
            r["version"],
            r["id"],
            tuple(Arg(**a) for a in r["inputs"]),
            tuple(Arg(**a) for a in r["outputs"]),
            tuple(Attr(**a) for a in r["attrs"]),
            frozenset(r["strided"]),
            frozenset(r["flags"]),
            r["doc"],
        )
        for r in table["ops"]
    }
    micro = {
        m["name"]: Micro(m["name"], m["number"], m["n_args"], frozenset(m["domains"]))
        for m in table["micro"]
    }
    return rows, micro


def ops() -> dict[str, Op]:
    """Every primitive by name."""
    return _table()[0]


def micro_ops() -> dict[str, Micro]:
    """Every micro-operation by name (with load, store and imm, if micro.h lists them)."""
    return _table()[1]


@cache
def by_id() -> dict[int, Op]:
    """Every primitive by the id that a file stores."""
    return {op.id: op for op in ops().values()}


def is_elementwise(name: str) -> bool:
    """Is this an operator of the IR that the fusion pass turns into a tile program?"""
    return name == "cast" or (name in micro_ops() and name not in ("load", "store", "imm"))


def has_epilogue(op: Op) -> bool:
    """May a node of this operator carry a tile program for its result?"""
    return any(a.name == "epilogue" for a in op.attrs)
