"""What of the runtime some models use: operators, micro-operations, element types, kinds of convolution.

Read from the files and, where a shape decides, from a plan made with the library that is here. When in doubt, it is kept; and a
library that lacks something refuses the model, so that nothing is ever run wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import _bench_build, _native, _operators, dtypes
from ._file import File
from ._instance import Instance
from ._native import NONE, TENSOR, lib
from ._threads import host
from .dtypes import BOOL, F32, I64
from .errors import WhitError
from .model import Entry, Model

DTYPES = {
    "F32": 1, "U8": 2, "I8": 3, "U16": 4, "I16": 5, "I32": 6, "I64": 7, "BOOL": 9, "F16": 10, "F64": 11, "U32": 12, "U64": 13,
    "BF16": 16, "F8E4M3FN": 17, "F8E4M3FNUZ": 18, "F8E5M2": 19, "F8E5M2FNUZ": 20, "U4": 21, "I4": 22, "F4E2M1": 23,
    "F8E8M0": 24, "U2": 25, "I2": 26,
}  # fmt: skip
"""As in whit.h."""
NARROW = frozenset((10, 16, 17, 18, 19, 20, 23, 24))
"""Floats below f32."""
FLOATS = NARROW | {1, 11}
LOAD, IMM, STORE = 0, 1, 2
ADDED = 7
"""Number of bottleneck's last input."""
LIMITS, GATE = 2, 5
"""Numbers of a finish, see runtime_c/ops/epilogue.c."""
DIRECT, STRIPS, WINOGRAD, DEPTHWISE, WIDE = range(5)
PROD, ANY, ROWS = 1, 5, 6
"""Of runtime_c/ops/reduce.c."""
CONTROL = frozenset(("if", "loop"))
SEQUENCES = frozenset(r["name"] for r in _operators.table()["ops"] if "sequence" in r["flags"])


@dataclass
class Value:
    """What a plan knows of a value. shape: None if it depends on what the caller gives. channels: the last axis, of an image.
    dense: it lies without gaps."""

    dtype: int | None = None
    shape: tuple[int, ...] | None = None
    channels: int | None = None
    rank: int | None = None
    dense: bool = False


@dataclass
class Selection:
    """What tools/amalgamate.py takes, as sets."""

    ops: set[str] = field(default_factory=set)
    dtypes: set[int] = field(default_factory=lambda: {F32})
    micros: dict[str, set[int]] = field(
        default_factory=lambda: {"f32": set(), "f64": set(), "i64": set()}
    )
    convs: set[int] = field(default_factory=set)
    reduces: set[int] = field(default_factory=set)
    epilogues: bool = False
    programs: bool = False
    gates: bool = False
    packs: bool = False
    batches: bool = False
    wide: bool = False
    pools: bool = False
    casts: bool = False
    ties: bool = False
    logs: bool = False
    auto_pads: bool = False
    infers: int = 0
    """Of sizes: 1: those that are inferred; 2: those that are copied; 3: both."""
    sizes: bool = False
    slices: int = 0
    """1: of one axis; 2: of several, or by steps."""
    ints: bool = False
    known: bool = False
    states: bool = False
    views: bool = False
    """Outputs that lie in their inputs' memory in another order or with gaps; else such operators copy."""
    dynamic: bool = False
    """Shapes that depend on data."""
    heap: bool = False
    """Those that nothing limits before a run."""
    sequences: bool = False
    """Sequences and optionals."""

    def json(self, avx512: bool = False) -> dict[str, Any]:
        """The numbers of runtime_c/src/selection.h."""

        def bits(numbers: set[int], first: int = 0) -> int:
            return sum(1 << n - first for n in numbers if first <= n < first + 64)

        flags = {k: int(v) for k, v in vars(self).items() if isinstance(v, bool)}
        return {
            "ops": sorted(self.ops), "dtypes": bits(self.dtypes), "micros_f32": bits(self.micros["f32"]),
            "micros_f64": bits(self.micros["f64"]), "micros_i64": bits(self.micros["i64"]),
            "micros_64": bits(self.micros["i64"], 64), "convs": bits(self.convs), "reduces": bits(self.reduces),
            **flags, "dynamic": int(self.dynamic or self.sequences), "heap": int(self.heap or self.sequences),
            "views": self._views(), "infers": self.infers, "slices": self.slices,
            "avx512": int(avx512),
        }  # fmt: skip

    def _views(self) -> int:
        if self.views or self.dynamic or self.sequences:
            return 2
        return int(
            any("view" in r["flags"] for r in _operators.table()["ops"] if r["name"] in self.ops)
        )

    def names(self) -> dict[str, list[str]]:
        """What it holds, for people."""
        micro = {m["number"]: m["name"] for m in _operators.table()["micro"]}
        code = {v: k.lower() for k, v in DTYPES.items()}
        kinds = ("direct", "strips", "winograd", "depthwise", "wide")
        found = {
            "operators": sorted(self.ops),
            "types": [code[d] for d in sorted(self.dtypes)],
            "convolutions": [kinds[k] for k in sorted(self.convs)],
        }
        for domain, numbers in self.micros.items():
            found[f"micro-operations {domain}"] = [micro[n] for n in sorted(numbers) if n > STORE]
        return {name: items for name, items in found.items() if items}


CORE = Selection(ops={"if", "loop"}, dtypes={F32, I64, BOOL})
"""No operator but those that the executor is made of, with shapes that the plan knows."""


def runtime() -> Path:
    """The runtime's sources: in an installed package beside this file, else in the tree."""
    place = _bench_build.sources()
    if (place / "tools/amalgamate.py").is_file():
        return place
    raise WhitError("the runtime's sources are not there: install whit from its wheel")


def select(models: Sequence[Model]) -> Selection:
    """What the models use together."""
    chosen = Selection()
    for model in models:
        _Reader(model, chosen).read()
    if chosen.ops & CONTROL:
        chosen.dtypes |= {I64, BOOL}
    for name in chosen.ops:
        chosen.dtypes |= _made_by(name)
    return chosen


def _made_by(op: str) -> set[int]:
    """Element types that an operator's own source gives to its outputs."""
    text = (runtime() / "ops" / f"{op}.c").read_text()
    calls = re.findall(
        r"whit_out(?:_axis)?\(([^;]*);|whit_tensor_set\(([^;]*);|dtype = ([^;]*);", text
    )
    words = re.findall(r"\bWHIT_(\w+)\b", " ".join("".join(c) for c in calls))
    return {DTYPES[w] for w in words if w in DTYPES}


def _reads_ints(op: str) -> bool:
    """Does an operator take sizes, axes or positions from inputs?"""
    text = (runtime() / "ops" / f"{op}.c").read_text()
    return re.search(r"whit_(ints|int|sizes)\(|items\.h", text) is not None


def _casts(op: str) -> bool:
    """Does an operator's own source convert from type to type? Some are looked at node by node."""
    text = (runtime() / "ops" / f"{op}.c").read_text()
    known = ("tile", "matmul", "conv", "reduce", "max_pool", "avg_pool")
    return op not in known and re.search(r"whit_([gs]et_f64|load|store)_?", text) is not None


class _Reader:
    """Adds what one model uses to a selection."""

    def __init__(self, model: Model, chosen: Selection) -> None:
        self.model, self.file, self.chosen = model, model.file, chosen
        self.values, worst = _planned(model)
        chosen.dynamic |= worst != KNOWN
        chosen.heap |= worst == ON_HEAP
        self.known = set(range(len(self.file.constants)))

    def read(self) -> None:
        file, chosen = self.file, self.chosen
        chosen.states |= bool(len(file.states))
        chosen.dtypes |= {int(c["dtype"]) for c in file.constants}
        for entry in self.model.entries.values():
            ports = (*entry.inputs, *entry.outputs)
            chosen.dtypes |= {dtypes.from_numpy(p.dtype) for p in ports}
            chosen.sequences |= any(p.optional or p.kind == "sequence" for p in ports)
        for node in range(len(file.nodes)):
            self._node(node)

    def _program(self, program: list[int], inputs: list[int | None]) -> None:
        """Adds its micro-operations. inputs: their types, None where one is not known."""
        domain = ("f32", "f64", "i64")[program[0] & 0xFF]
        for word in instructions(program):
            self.chosen.micros[domain].add(word & 0xFF)
            if word & 0xFF == STORE:
                self.chosen.dtypes.add(word >> 26)
            if word & 0xFF in (LOAD, STORE):
                dtype = word >> 26 if word & 0xFF == STORE else inputs[word >> 14 & 63]
                self.chosen.casts |= dtype is None or (dtype in FLOATS) == (domain == "i64")

    def _node(self, node: int) -> None:
        op_id = int(self.file.ops[int(self.file.nodes[node]["op"])])
        row = _operators.by_id()[op_id]
        name = row["name"]
        given = _operators.attributes(op_id, self.file.node_attributes(node))
        self.chosen.ops.add(name)
        self.chosen.sequences |= name in SEQUENCES
        if name == "shape" or {*self.file.node_inputs(node)} <= {*self.known, NONE}:
            self.known |= {*self.file.node_outputs(node)}
            self.chosen.known = True
        given_inputs = [v for v in self.file.node_inputs(node) if v != NONE]
        self.chosen.casts |= _casts(name)
        self.chosen.ints |= _reads_ints(name) and len(given_inputs) >= min(2, len(row["inputs"]))
        self.chosen.auto_pads |= bool(given.get("auto_pad") or given.get("ceil_mode"))
        for key in ("dtype", "to"):
            if key in given:
                self.chosen.dtypes.add(int(given[key]))
        if name == "tile":
            inputs = range(len(self.file.node_inputs(node)))
            self._program(list(given["program"]), [self._value(node, k).dtype for k in inputs])
        if "view" in row["flags"]:  # a transpose for those who need it dense is a copy
            copied = name == "transpose" and self._value(node, 0, output=True).dense
            self.chosen.views |= not copied
        x = self._value(node, 0)
        kind: int | None = None
        if name == "conv":
            kind = self._conv(node, given, x)
            self.chosen.convs |= {kind} if kind is not None else set(range(5))
            panels = given["panels"] and (
                given["group"] == 1 or given["channels"] != given["group"]
            )
            self.chosen.packs |= kind is None or (kind in (DIRECT, STRIPS) and not panels)
        elif name == "reduce":
            self.chosen.reduces.add(given["kind"])
            if given["kind"] == PROD or x.dtype != F32 or not x.shape or not all(x.shape):
                self.chosen.reduces.add(ANY)
                self.chosen.casts = True
            if not x.shape or len(given_inputs) > 1 or _of_rows(x.shape, given["axes"]):
                self.chosen.reduces.add(ROWS)
        elif name in ("max_pool", "avg_pool"):
            found = [v for v in self.file.node_outputs(node) if v != NONE]
            self.chosen.pools |= x.dtype != F32 or len(found) > 1
            self.chosen.casts |= x.dtype != F32
        elif name == "gather":
            self.chosen.ties |= any(given["panels"])
        elif name == "softmax":
            self.chosen.logs |= bool(given["log"])
        elif name == "reshape":
            sizes = len(given_inputs) > 1
            self.chosen.sizes |= sizes
            self.chosen.infers |= sizes or -1 in given["dims"]
            self.chosen.infers |= 2 * (sizes or min(given["dims"], default=0) < -1)
        elif name == "slice":
            one = self._value(node, 1).shape == (1,) and len(given_inputs) < 5
            self.chosen.slices = max(self.chosen.slices, 1 if one else 2)
        elif name == "bottleneck":
            finishes = (given[f"{part}_finish"] for part in ("expand", "depth", "project"))
            numbers = max(map(len, finishes))
            self.chosen.gates |= numbers > LIMITS
            added = any(v != NONE for v in self.file.node_inputs(node)[ADDED:])
            self.chosen.epilogues |= numbers > 0 or added
        elif name == "matmul":
            w = self._value(node, 1)
            dtype = x.dtype or w.dtype
            self.chosen.wide |= dtype is None or (dtype != F32 and dtype not in NARROW)
            self.chosen.packs |= not given["panels"]
            self.chosen.batches |= bool(given["trans_a"]) or not (given["panels"] or w.rank == 2)
        if given.get("epilogue"):
            self.chosen.epilogues = True
            numbers = len(given["finish"])
            self.chosen.gates |= numbers > LIMITS
            if not self._finished(node, name, kind, x, numbers):
                self.chosen.programs = True
                more = range(3, len(self.file.node_inputs(node)))
                types = [x.dtype, *(self._value(node, k).dtype for k in more)]
                self._program(list(given["epilogue"]), types)

    def _value(self, node: int, k: int, output: bool = False) -> Value:
        numbers = self.file.node_outputs(node) if output else self.file.node_inputs(node)
        if k >= len(numbers) or numbers[k] == NONE:
            return Value()
        if not output and numbers[k] < len(self.file.constants):
            c = self.file.constants[numbers[k]]
            at, rank = int(c["dims"]), int(c["rank"])
            shape = tuple(int(d) for d in self.file.words[at : at + rank])
            return Value(int(c["dtype"]), shape, rank=rank)
        return self.values.get(numbers[k], Value())

    def _conv(self, node: int, given: dict[str, Any], x: Value) -> int | None:
        """Which kind of convolution ops/conv.c makes of a node; None: not known here."""
        w = self._value(node, 1)
        dtype = x.dtype or w.dtype
        if given["panels"] in (2, 3):
            return WINOGRAD
        if dtype is None or w.shape is None or x.channels is None:
            return None
        if dtype != F32 and dtype not in NARROW:
            return WIDE
        if dtype != F32:
            return STRIPS
        channels = given["channels"] if given["panels"] else w.shape[-1]
        if x.channels == given["group"] and channels == given["group"]:
            return DEPTHWISE
        kernel = given["kernel"] if given["panels"] else w.shape[:-2]
        plain = all(k == 1 for k in kernel) and all(s == 1 for s in given["strides"])
        return DIRECT if plain and not any(given["pads"]) else STRIPS

    def _finished(self, node: int, name: str, kind: int | None, x: Value, numbers: int) -> bool:
        """Do the kernels know what an epilogue's finish says, in so many numbers? See ops/epilogue.c."""
        y = self._value(node, 0, output=True)
        if x.dtype != F32 or not 0 < numbers <= GATE or (name == "conv" and kind in (None, WIDE)):
            return False
        if numbers == GATE:
            return name != "conv" or kind in (DIRECT, STRIPS, DEPTHWISE)
        added = self._value(node, 3)
        if len(self.file.node_inputs(node)) <= 3:
            return True
        alike = added.dtype == F32 and added.shape == y.shape is not None
        return alike and (name != "conv" or kind in (DIRECT, STRIPS, WINOGRAD))


def _of_rows(shape: tuple[int, ...], axes: list[int]) -> bool:
    """Is the last axis of more than one element among the reduced ones?"""
    last = max((a for a, n in enumerate(shape) if n != 1), default=0)
    return not axes or last in {a % len(shape) for a in axes}


def instructions(program: list[int]) -> Iterator[int]:
    """The words of a tile program, literals apart."""
    at = 1
    for _ in range(program[0] >> 16):
        word = program[at]
        yield word
        at += 1
        if word & 0xFF == IMM:
            at += 2 if program[0] & 0xFF else 1


# ---- what a plan knows ------------------------------------------------------------------------------


SIZES = (1, 2, 8, 32)
"""Of axes whose size the caller chooses, tried in a plan."""
KNOWN, LIMITED, ON_HEAP = range(3)
"""What a plan says of a value: its shape; the bytes that it takes at most; nothing."""
Types = dict[int, tuple[int, int, tuple[int, ...], bool]]
"""What a plan says of values: that, their dtype, their shape, and whether they are dense."""


def _planned(model: Model) -> tuple[dict[int, Value], int]:
    """Types and shapes of the values of all entry points, as far as they can be planned without their inputs; and what is said at
    least of each of them, whatever the inputs."""
    found: dict[int, Value] = {}
    worst = KNOWN
    names = {_operators.by_id()[int(i)]["name"] for i in model.file.ops}
    loops = "loop" in names  # what they carry may grow
    for number, entry in enumerate(model.entries.values()):
        if any(p.optional or p.kind == "sequence" for p in entry.inputs):
            worst = ON_HEAP
        fixed = all(isinstance(d, int) for p in entry.inputs for d in p.shape or ())
        nodes = model.file.entry_nodes(number)
        # of other sizes, branches or trips may differ
        tried = list(_types_by_size(model, number, entry, fixed, bool(names & CONTROL)))
        if not tried:
            worst = ON_HEAP
            continue
        for value, (known, dtype, shape, dense) in tried[0].items():
            if known == KNOWN:
                channels, alone = shape[-1] if shape else None, fixed and not loops
                found[value] = Value(
                    dtype, shape if alone else None, channels, len(shape), alone and dense
                )
        carried = [_carried(model.file, nodes, types) for types in tried]
        worst = max(worst, *map(_worst, tried))
        if None in carried or any(c != carried[0] for c in carried):
            worst = ON_HEAP
        elif not fixed and (names & CONTROL or _worst(tried[0]) != KNOWN):
            worst = max(worst, LIMITED if len(tried) > 1 else ON_HEAP)
    return found, worst


def _worst(types: Types) -> int:
    """What is said at least of each value."""
    return max((t[0] for t in types.values()), default=KNOWN)


def _types_by_size(
    model: Model, number: int, entry: Entry, fixed: bool, control: bool
) -> Iterator[Types]:
    """Of an entry's values, for the first size of unknown axes that fits; for all of those that do, if that may make a difference."""
    for size in SIZES:
        feeds = _feeds(entry, size)
        if feeds is None:
            return
        try:
            instance = Instance(model, number, feeds, len(entry.outputs), host(1, 0))
        except WhitError:
            continue
        types = _read_types(model.file, instance, model.file.entry_nodes(number))
        yield types
        if fixed or (not control and _worst(types) == KNOWN):
            return


def _carried(file: File, nodes: range, types: Types) -> list[Any] | None:
    """Types and shapes of what loops carry; None if one is not known, or a trip changes it: it may grow."""
    regions = {int(r["begin"]): r for r in file.regions}
    found: list[Any] = []
    for node in nodes:
        if _operators.by_id()[int(file.ops[int(file.nodes[node]["op"])])]["name"] != "loop":
            continue
        at = int(regions[node + 1]["results"]) + 1
        for k, value in enumerate(file.node_inputs(node)[2:]):
            init, result = types.get(value), types.get(int(file.words[at + k]))
            if not init or not result or init[0] != KNOWN or init[:3] != result[:3]:
                return None
            found.append(init[:3])
    return found


def _feeds(entry: Entry, size: int) -> list[Any] | None:
    """Inputs of some shape; None if a rank is not known."""
    feeds: list[Any] = []
    for port in entry.inputs:
        if port.optional:
            feeds.append(None)
            continue
        if port.shape is None or port.kind == "sequence":
            return None
        feeds.append(np.zeros([d if isinstance(d, int) else size for d in port.shape], port.dtype))
    return feeds


def _is_dense(t: Any) -> bool:
    dense = 1
    for n, step in zip(reversed(t.shape[: t.rank]), reversed(t.stride[: t.rank]), strict=True):
        if n != 1 and step != dense:
            return False
        dense *= n
    return True


def _read_types(file: File, instance: Instance, nodes: range) -> Types:
    found: Types = {}
    for node in nodes:
        for output, numbers in ((0, file.node_inputs(node)), (1, file.node_outputs(node))):
            for k, value in enumerate(numbers):
                at = value != NONE and lib().whit_node_value(instance.handle, node, output, k)
                if not at:
                    continue
                t = at.contents
                tensor = t.kind == TENSOR and t.dtype
                if tensor and t.rank != _native.UNKNOWN_RANK:
                    found[value] = KNOWN, int(t.dtype), tuple(t.shape[: t.rank]), _is_dense(t)
                else:
                    found[value] = LIMITED if tensor else ON_HEAP, int(t.dtype), (), False
    return found
