"""Values of the source model, read while the model runs: what `Model.run(tap=...)` does.

A tap is the name of a value or node of the source model, or a glob over such names, with `@` and a choice of
iteration behind it for values in loops: `"decoder/*@3"` is iteration 3 (from 0) of the innermost loop,
`"decoder/*@2.3"` that of iteration 2 of the loop around it, `"decoder/*@*"` all of them as a list.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _native, _operators, dtypes
from ._file import File, Name, one_node
from ._native import NONE, Array, lib
from .errors import RunError

if TYPE_CHECKING:
    from ._instance import Instance
    from .model import Entry

Choice = tuple[int | None, ...]
"""An iteration per loop, the innermost last; None: every one."""

_CHOICE = re.compile(r"(.+)@((?:\d+|\*)(?:\.(?:\d+|\*))*)", re.S)
_TRUTHS = frozenset(("eq", "lt", "le", "ltu", "leu", "is_nan", "is_inf"))
_DOMAINS = (dtypes.F32, dtypes.F64, dtypes.I64)


@dataclass(slots=True)
class Probe:
    """One value to be read, at one moment of one node."""

    name: Name
    choice: Choice | None
    node: int = -1
    after: int = 1
    index: int = 0
    """Number of the value among the node's outputs (after) or inputs (before)."""
    found: list[Any] = field(default_factory=list)

    def wanted(self, path: list[int]) -> bool:
        if self.choice is None:
            return True
        if len(path) < len(self.choice):
            return False
        return all(
            c is None or c == i for c, i in zip(reversed(self.choice), reversed(path), strict=False)
        )

    def keep(self, value: Any) -> None:
        if self.choice is None or None not in self.choice:
            self.found.clear()
        self.found.append(value)


class Tap:
    """The probes of one run, and the observer that reads them."""

    def __init__(
        self, file: File, patterns: str | Iterable[str], entry: Entry, handle: int
    ) -> None:
        self.file, self.handle = file, handle
        self.error: BaseException | None = None
        self.at_node: dict[tuple[int, int], list[Probe]] = {}
        self.probes: list[Probe] = []
        self.ready: dict[str, Any] = {}
        self.inputs: list[tuple[Name, int]] = []
        params, results = file.entry_values(entry.index)
        self.params = params
        nodes = file.entry_nodes(entry.index)
        ends = zip(file.node_names, file.nodes["end"].tolist(), strict=True)
        scopes = {f"{name}/" for k, (name, end) in enumerate(ends) if name and end > k + 1}
        self.scopes = sorted(scopes, key=len, reverse=True)
        self.values: dict[str, Name] = {}
        for n in file.names:
            if n.node == NONE or n.node in nodes:
                self.values.setdefault(n.name, n)
        for ports, values in ((entry.inputs, params), (entry.outputs, results)):
            for port, v in zip(ports, values, strict=False):
                self.values.setdefault(port.name, Name(port.name, v, NONE, 0, None))
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            self._add(pattern, nodes)

    def _add(self, pattern: str, nodes: range) -> None:
        if not self.file.has_names:
            raise RunError("tap: the model has no debug names (it was converted with strip)")
        choice: Choice | None = None
        text = pattern
        parts = _CHOICE.fullmatch(pattern)
        names = self._match(pattern, nodes)
        if parts and not names:
            text = parts[1]
            choice = tuple(None if c == "*" else int(c) for c in parts[2].split("."))
            names = self._match(text, nodes)
        if not names:
            known = {*self.values, *(n.source for n in self.values.values())}
            known |= {self.file.node_names[k] for k in nodes}
            known |= {self._short(n) for n in known}
            close = difflib.get_close_matches(text, sorted(known), 3)
            hint = f"; close: {', '.join(close)}" if close else ""
            raise RunError(
                f"tap: no value or node is called {text!r} (or fusion left nothing of it){hint}"
            )
        for n in names:
            self._place(Probe(n, choice))

    def _match(self, text: str, nodes: range) -> list[Name]:
        """Values called so, or made by source nodes called so. In a region, names start with that of the control node;
        they are found without it too, and a single value is then called as it was asked for."""
        if text in self.values:
            return [self.values[text]]
        short = [n for n in self.values.values() if self._short(n.name) == text]
        if len(short) == 1:
            return [replace(short[0], name=text)]
        node_names = self.file.node_names
        sources = {*node_names, *(n.source for n in self.values.values())}
        wanted = {n for n in sources if text in (n, self._short(n))}
        found = short
        if not wanted and not found and any(c in text for c in "*?["):
            pattern = re.compile(fnmatch.translate(text))

            def fits(name: str) -> bool:
                return bool(pattern.match(name) or pattern.match(self._short(name)))

            wanted = {n for n in sources if fits(n)}
            found = [n for n in self.values.values() if fits(n.name)]
        made: dict[str, list[Name]] = {n: [] for n in sources}
        last = {node_names[k]: k for k in nodes}
        for n in self.values.values():
            if n.node in nodes:
                made[n.source or node_names[n.node]].append(n)
        for name in made:
            if name and name in wanted:
                found += made[name] or (self._unnamed(last[name]) if name in last else [])
        return list({n.name: n for n in found}.values())

    def _short(self, name: str) -> str:
        """The name without those of the control nodes around it: what it is called in the source model's subgraph."""
        for prefix in self.scopes:
            if name.startswith(prefix):
                return name[len(prefix) :]
        return name

    def _unnamed(self, node: int) -> list[Name]:
        """Names for the outputs of a node that the source model did not name."""
        base = self.file.node_names[node]
        outputs = [(k, v) for k, v in enumerate(self.file.node_outputs(node)) if v != NONE]
        if len(outputs) == 1:
            return [Name(base, outputs[0][1], node, 0, None)]
        return [Name(f"{base}:{k}", v, node, 0, None) for k, v in outputs]

    def _place(self, probe: Probe) -> None:
        name, file = probe.name, self.file
        if name.value < len(file.constants):
            self.ready[name.name] = _undo(file.constant(name.value).copy(), name.perm)
            return
        if name.value in self.params:
            self.inputs.append((name, self.params.index(name.value)))
            return
        if name.step:
            probe.node, probe.after = name.node, 0
        else:
            place = file.place_of(name.value, name.node)
            if place is None:
                return
            probe.node, probe.after, probe.index = place
        self.probes.append(probe)
        self.at_node.setdefault((probe.node, probe.after), []).append(probe)

    # ---- while running ----

    def run(self, instance: Instance, feeds: Sequence[Any]) -> list[Any]:
        """Runs the instance under observation; returns its outputs."""
        for name, k in self.inputs:
            self.ready[name.name] = _undo(_copy(feeds[k]), name.perm)
        try:
            return instance.run_observed(feeds, self.observe)
        except RunError:
            if self.error is not None:
                raise self.error from None
            raise

    def observe(self, context: int | None, handle: int, node: int, after: int) -> int:
        """The whit_observer."""
        try:
            for probe in self.at_node.get((node, after), ()):
                if probe.choice is None or probe.wanted(self._path()):
                    probe.keep(self._value(probe))
        except BaseException as e:  # must not pass through C
            self.error = e
            return 1
        return 0

    def _path(self) -> list[int]:
        c = lib()
        return [
            c.whit_loop_iteration(self.handle, d) for d in range(c.whit_loop_depth(self.handle))
        ]

    def _value(self, probe: Probe) -> Any:
        c = lib()
        if probe.name.step:
            n = int(self.file.nodes[probe.node]["n_in"])
            inputs = [c.whit_node_value(self.handle, probe.node, 0, k) for k in range(n)]
            return [_native.read_tensor(t.contents) if t else None for t in inputs]
        t = c.whit_node_value(self.handle, probe.node, probe.after, probe.index).contents
        return _native.read_value(self.handle, t)

    # ---- afterwards ----

    def results(self) -> dict[str, Any]:
        """Values by source name; one chosen by @ also under name@choice. What was not computed is not there."""
        found = dict(self.ready)
        for probe in self.probes:
            if probe.choice is not None and None in probe.choice:
                value: Any = [self._final(probe, v) for v in probe.found]
            elif probe.found:
                value = self._final(probe, probe.found[0])
            else:
                continue
            found[probe.name.name] = value
            if probe.choice is not None:
                words = ("*" if c is None else str(c) for c in probe.choice)
                found[f"{probe.name.name}@{'.'.join(words)}"] = value
        return found

    def _final(self, probe: Probe, value: Any) -> Any:
        if probe.name.step:
            value = run_tile(self.file, probe.node, probe.name.step, value)
        return _undo(value, probe.name.perm)


def _copy(feed: Any) -> Any:
    if isinstance(feed, list):
        return [a.copy() for a in feed]
    return feed if feed is None else feed.copy()


def _undo(value: Any, perm: tuple[int, ...] | None) -> Any:
    if perm is None or not isinstance(value, np.ndarray):
        return value
    return np.array(value.transpose(np.argsort(perm[: value.ndim])), order="C")


# ---- values inside a tile program ------------------------------------------------------------------------


@cache
def micro_numbers() -> dict[str, int]:
    """Numbers of the micro-operations."""
    return {m["name"]: m["number"] for m in _operators.table()["micro"]}


def _before_program(op_id: int, words: list[int]) -> int:
    """Where the program begins in a node's attributes: its count stands before it."""
    at = 0
    for a in _operators.by_id()[op_id]["attrs"]:
        if a["name"] in _operators.PROGRAMS:
            break
        if a["type"].endswith("[]"):
            at += 1 + words[at] * (2 if "64" in a["type"] else 1)
        else:
            at += 2 if "64" in a["type"] else 1
    return at + 1


def _result_dtype(name: str, domain: int, inputs: list[Array]) -> int:
    """The type that a register's value has in the source model, as far as the program tells."""
    if name in _TRUTHS or (name == "not" and domain != 2):
        return dtypes.BOOL
    prefix, _, suffix = name.partition("_")
    if prefix in ("wrap", "round") and suffix:
        return int(getattr(dtypes, suffix.upper()))
    kinds = {a.dtype for a in inputs if domain == 2 or a.dtype.kind not in "iub"}
    if (
        len(kinds) == 1
        and (kind := kinds.pop()).kind not in "?"
        and (domain == 2) == (kind.kind in "iu")
    ):
        return dtypes.from_numpy(kind)
    return _DOMAINS[domain]


def run_tile(file: File, node: int, step: int, inputs: list[Array | None]) -> Array:
    """The register that instruction step - 1 of a node's program writes: the node is run with the program up to there, and no
    finish."""
    micro = micro_numbers()
    numbers = {number: name for name, number in micro.items()}
    op_id = int(file.ops[int(file.nodes[node]["op"])])
    words = [int(w) for w in file.node_attributes(node)]
    first = _before_program(op_id, words)
    program = words[first : first + words[first - 1]]
    domain = program[0] & 255
    kept: list[int] = []
    at, register, name = 1, 0, ""
    n_kept = 0
    for _ in range(step):
        word = program[at]
        size = (1 if domain == 0 else 2) + 1 if word & 255 == micro["imm"] else 1
        if word & 255 != micro["store"]:
            kept += program[at : at + size]
            n_kept += 1
            register, name = word >> 8 & 63, numbers[word & 255]
        at += size
    given = [a for a in inputs if a is not None]
    out = _result_dtype(name, domain, given)
    kept.append(micro["store"] | register << 14 | out << 26)
    header = (program[0] & 0xFFFF) | (n_kept + 1) << 16
    words = [*words[: first - 1], len(kept) + 1, header, *kept]
    types = [None if a is None else dtypes.from_numpy(a.dtype) for a in inputs]
    return _native.run_bytes(one_node(op_id, words, types, [out]), given)[0]
