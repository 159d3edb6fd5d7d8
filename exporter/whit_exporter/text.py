"""Graph <-> text. What `dump` prints `parse` reads back: dump(parse(dump(g))) == dump(g).

    entry "main" {
      param %2 "x" f32["N", 3]
      %3 "y" f32["N", 4] = matmul(%2, %0, _) {n=4, panels=1} @"/fc/MatMul"
      results %3
    }

A value is `%number "name" type`; `?` is what is not known, `[*]` an unknown rank, `_` a missing input. Constants of
up to 64 elements are written out, larger ones (and NaNs, for their bits) as the hexadecimal bytes of their memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import numpy as np

from .dtypes import DType
from .errors import ConvertError
from .ir import Dim, Entry, Graph, Node, Region, Value
from .micro import Instruction, TileProgram

HEADER = "whit text 1"
INLINE = 64
_TYPES = {t.short: t for t in DType}
_WORDS: dict[str, Any] = {
    "true": True,
    "false": False,
    "none": None,
    "inf": float("inf"),
    "nan": float("nan"),
}


def dump(graph: Graph) -> str:
    """The graph as text."""
    return _Printer(graph).text()


def parse(text: str) -> Graph:
    """The graph that a text describes. Raises ConvertError with the line that is wrong."""
    return _Parser(text).graph()


# ---- printing ---------------------------------------------------------------------------------------


class _Printer:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.lines: list[str] = []
        self.numbers: dict[Value, int] = {}

    def text(self) -> str:
        g = self.graph
        self.lines = [HEADER]
        if g.source:
            self.lines.append(f"source {json.dumps(g.source)}")
        for v in self._constants():
            assert v.const is not None
            self.lines.append(f"const {self._define(v)} = {_array(v.const)}")
        for name, v in g.states.items():
            assert v.const is not None
            self.lines.append(f"state {json.dumps(name)} {self._define(v)} = {_array(v.const)}")
        for entry in g.entries:
            self.lines.append(f"entry {json.dumps(entry.name)} {{")
            self._region(entry.region, "  ")
            for name, v in entry.updates:
                self.lines.append(f"  update {json.dumps(name)} {self._ref(v)}")
            if entry.output_names:
                self.lines.append(f"  names {_attr(entry.output_names)}")
            self.lines.append("}")
        for name, v in g.aliases.items():
            if v in self.numbers:
                self.lines.append(f"alias {json.dumps(name)} {self._ref(v)}")
        return "\n".join(self.lines) + "\n"

    def _constants(self) -> Iterable[Value]:
        """Constants in the order in which they are met."""
        found: dict[Value, None] = {}
        for _, node in self.graph.walk():
            found.update(dict.fromkeys(v for v in node.inputs if v is not None))
        for region in self.graph.regions():
            found.update(dict.fromkeys(v for v in region.results if v is not None))
        for entry in self.graph.entries:
            found.update(dict.fromkeys(v for _, v in entry.updates))
        return [v for v in found if v.const is not None and v.state is None]

    def _define(self, v: Value) -> str:
        self.numbers[v] = len(self.numbers)
        parts = [f"%{self.numbers[v]}"]
        if v.name:
            parts.append(json.dumps(v.name))
        if v.optional:
            parts.append("opt")
        if v.kind == "sequence":
            parts.append("seq")
        parts.append(_type(v))
        if v.perm is not None:
            parts.append(_perm(v.perm))
        if v.source:
            parts.append(f"of {json.dumps(v.source)}")
        return " ".join(parts)

    def _ref(self, v: Value | None) -> str:
        if v is None:
            return "_"
        if v not in self.numbers:
            raise ConvertError(f"value {v.name!r} is read before it is made")
        return f"%{self.numbers[v]}"

    def _region(self, region: Region, indent: str) -> None:
        for v in region.params:
            self.lines.append(f"{indent}param {self._define(v)}")
        for node in region.nodes:
            self._node(node, indent)
        results = " ".join(self._ref(v) for v in region.results)
        self.lines.append(f"{indent}results {results}".rstrip())

    def _node(self, node: Node, indent: str) -> None:
        inputs = ", ".join(self._ref(v) for v in node.inputs)
        outputs = ", ".join(self._define(v) for v in node.outputs)
        line = (
            f"{indent}{outputs} = {node.op}({inputs})"
            if outputs
            else f"{indent}{node.op}({inputs})"
        )
        if node.attrs:
            line += " {" + ", ".join(f"{k}={_attr(v)}" for k, v in sorted(node.attrs.items())) + "}"
        if node.name:
            line += f" @{json.dumps(node.name)}"
        if node.tile is not None:
            line += f" tile {node.tile.domain} [{', '.join(_instructions(node.tile))}]"
        for region in node.regions:
            self.lines.append(line + " region {")
            self._region(region, indent + "  ")
            line = indent + "}"
        self.lines.append(line)


def _type(v: Value) -> str:
    dtype = "?" if v.dtype is None else v.dtype.short
    if v.shape is None:
        return f"{dtype}[*]"
    return f"{dtype}[{', '.join(_dim(d) for d in v.shape)}]"


def _dim(d: Dim) -> str:
    if d is None:
        return "?"
    return json.dumps(d) if isinstance(d, str) else str(d)


def _perm(perm: tuple[int, ...]) -> str:
    return f"perm({', '.join(map(str, perm))})"


def _attr(x: Any) -> str:
    """An attribute's value: a number, a text, a type, or a list of them."""
    if isinstance(x, DType):
        return x.short
    if isinstance(x, bool) or x is None:
        return {True: "true", False: "false", None: "none"}[x]
    if isinstance(x, np.generic):
        return _attr(x.item())
    if isinstance(x, (int, float)):
        return repr(x)
    if isinstance(x, str):
        return json.dumps(x)
    if isinstance(x, (list, tuple, np.ndarray)):
        return f"[{', '.join(_attr(i) for i in x)}]"
    raise ConvertError(f"an attribute holds {x!r}, which has no text form")


def _array(array: np.ndarray[Any, Any]) -> str:
    flat = array.reshape(-1)
    integer = array.dtype.kind in "iub" or "int" in array.dtype.name
    with np.errstate(invalid="ignore"):
        is_nan = not integer and bool(np.isnan(flat.astype(np.float64)).any())
    if flat.size <= INLINE and not is_nan:
        numbers = [int(x) for x in flat] if integer else [float(x) for x in flat]
        return f"[{', '.join(map(repr, numbers))}]"
    return f'hex "{np.ascontiguousarray(flat).view(np.uint8).tobytes().hex()}"'


def _instructions(program: TileProgram) -> Iterable[str]:
    for k, i in enumerate(program.code):
        parts = [i.op, *map(str, i.args)]
        if i.op == "load":
            parts.append(str(i.port))
        elif i.op == "imm":
            parts.append(repr(i.value))
        elif i.op == "store":
            assert i.dtype is not None
            parts += [str(i.port), i.dtype.short]
        if k in program.names:
            parts.append(json.dumps(program.names[k]))
        perm = program.perms.get(k)
        if perm is not None:
            parts.append(_perm(perm))
        if k in program.sources:
            parts.append(f"of {json.dumps(program.sources[k])}")
        yield " ".join(parts)


# ---- parsing ----------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r'\s*(?:(?P<text>"(?:\\.|[^"\\])*")|(?P<ref>%\d+)|(?P<float>-inf\b|-?\d+(?:\.\d+(?:[eE][-+]?\d+)?|[eE][-+]?\d+))'
    r"|(?P<int>-?\d+)|(?P<word>[A-Za-z_]\w*)|(?P<sign>[\[\]{}(),=@*?]))"
)


class _Parser:
    def __init__(self, text: str) -> None:
        first, _, rest = text.partition("\n")
        if first.strip() != HEADER:
            raise ConvertError(f"a text form starts with the line {HEADER!r}")
        self.source = rest.rstrip()
        self.at = 0
        self.kind, self.token = "", ""
        self.values: dict[str, Value] = {}
        self._next()

    def graph(self) -> Graph:
        graph = Graph()
        while self.kind:
            word = self._take("word")
            if word == "source":
                graph.source = self._text()
            elif word == "const":
                self._constant()
            elif word == "state":
                name = self._text()
                graph.states[name] = self._constant()
                graph.states[name].state = name
            elif word == "entry":
                graph.entries.append(self._entry())
            elif word == "alias":
                name = self._text()
                graph.aliases[name] = self._value()
            else:
                self._fail(f"{word!r} is not expected here")
        return graph

    # ---- tokens ----

    def _next(self) -> None:
        if self.at >= len(self.source):
            self.kind, self.token = "", ""
            return
        m = _TOKEN.match(self.source, self.at)
        if m is None:
            self._fail("an unknown character")
        self.kind, self.token = str(m.lastgroup), str(m[m.lastgroup or 0])
        self.at = m.end()

    def _take(self, kind: str, token: str | None = None) -> str:
        if self.kind != kind or (token is not None and self.token != token):
            self._fail(f"expected {token or kind}, got {self.token or 'the end'!r}")
        taken = self.token
        self._next()
        return taken

    def _try(self, token: str) -> bool:
        """Takes a sign or word if it is next."""
        if self.kind in ("sign", "word") and self.token == token:
            self._next()
            return True
        return False

    def _fail(self, message: str) -> NoReturn:
        line = self.source.count("\n", 0, self.at) + 2
        raise ConvertError(f"text form, line {line}: {message}")

    def _text(self) -> str:
        return str(json.loads(self._take("text")))

    def _many(self, close: str, item: Callable[[], Any]) -> list[Any]:
        """Items with commas between them, up to a closing sign."""
        items: list[Any] = []
        while not self._try(close):
            if items:
                self._take("sign", ",")
            items.append(item())
        return items

    # ---- values ----

    def _define(self) -> Value:
        ref = self._take("ref")
        if ref in self.values:
            self._fail(f"{ref} is made twice")
        v = Value(name=self._text() if self.kind == "text" else "")
        v.optional = self._try("opt")
        v.kind = "sequence" if self._try("seq") else "tensor"
        v.dtype = None if self._try("?") else self._type()
        self._take("sign", "[")
        if self._try("*"):
            self._take("sign", "]")
        else:
            v.shape = tuple(self._many("]", self._dim))
        v.perm = self._perm()
        if self._try("of"):
            v.source = self._text()
        self.values[ref] = v
        return v

    def _type(self) -> DType:
        word = self._take("word")
        return _TYPES[word] if word in _TYPES else self._fail(f"{word!r} is no element type")

    def _dim(self) -> Dim:
        if self._try("?"):
            return None
        return self._text() if self.kind == "text" else int(self._take("int"))

    def _perm(self) -> tuple[int, ...] | None:
        if not self._try("perm"):
            return None
        self._take("sign", "(")
        return tuple(self._many(")", lambda: int(self._take("int"))))

    def _value(self) -> Value:
        ref = self._take("ref")
        return (
            self.values[ref]
            if ref in self.values
            else self._fail(f"{ref} is read before it is made")
        )

    def _optional(self) -> Value | None:
        return None if self._try("_") else self._value()

    def _constant(self) -> Value:
        v = self._define()
        self._take("sign", "=")
        shape = tuple(d for d in v.shape or () if isinstance(d, int))
        if v.dtype is None or v.shape is None or len(shape) != len(v.shape):
            self._fail("a constant needs a type and a shape of numbers")
        kind = v.dtype.numpy
        try:
            if self._try("hex"):
                array = np.frombuffer(bytes.fromhex(self._text()), np.uint8).copy().view(kind)
            else:
                self._take("sign", "[")
                # Of integers by way of their own type: float64 does not hold all of 64 bits.
                plain = kind if kind.kind in "iub" else None
                array = np.array(self._many("]", self._attr), plain).astype(kind)
            v.const = array.reshape(shape)
        except (ValueError, TypeError, OverflowError) as e:
            self._fail(f"the constant's data does not fit its type and shape ({e})")
        return v

    def _attr(self) -> Any:
        if self.kind == "text":
            return self._text()
        if self.kind == "int":
            return int(self._take("int"))
        if self.kind == "float":
            return float(self._take("float"))
        if self._try("["):
            return self._many("]", self._attr)
        word = self._take("word")
        if word in _WORDS:
            return _WORDS[word]
        return (
            _TYPES[word] if word in _TYPES else self._fail(f"{word!r} is no value of an attribute")
        )

    # ---- program ----

    def _entry(self) -> Entry:
        entry = Entry(self._text(), Region())
        self._take("sign", "{")
        self._region(entry.region)
        while self._try("update"):
            name = self._text()
            entry.updates.append((name, self._value()))
        if self._try("names"):
            entry.output_names = self._attr()
        self._take("sign", "}")
        return entry

    def _region(self, region: Region) -> None:
        """A region up to and with its results."""
        while not self._try("results"):
            if self._try("param"):
                region.params.append(self._define())
            else:
                region.nodes.append(self._node())
        while self.kind == "ref" or (self.kind == "word" and self.token == "_"):
            region.results.append(self._optional())

    def _node(self) -> Node:
        outputs: list[Value] = []
        if self.kind == "ref":
            outputs = self._many("=", self._define)
        node = Node(self._take("word"), [], outputs)
        for v in outputs:
            v.producer = node
        self._take("sign", "(")
        node.inputs = self._many(")", self._optional)
        if self._try("{"):
            node.attrs = dict(self._many("}", self._pair))
        if self._try("@"):
            node.name = self._text()
        if self._try("tile"):
            node.tile = self._tile()
        while self._try("region"):
            node.regions.append(Region())
            self._take("sign", "{")
            self._region(node.regions[-1])
            self._take("sign", "}")
        return node

    def _pair(self) -> tuple[str, Any]:
        name = self._take("word")
        self._take("sign", "=")
        return name, self._attr()

    def _tile(self) -> TileProgram:
        program = TileProgram(self._take("word"))
        self._take("sign", "[")
        self._many("]", lambda: self._instruction(program))
        return program

    def _instruction(self, program: TileProgram) -> None:
        i = Instruction(self._take("word"))
        if i.op == "imm":
            i.value = self._attr()
        numbers: list[int] = []
        while self.kind == "int":
            numbers.append(int(self._take("int")))
        if i.op == "load":
            i.port = numbers[0]
        elif i.op == "store":
            i.args, i.port, i.dtype = (numbers[0],), numbers[1], self._type()
        else:
            i.args = tuple(numbers)
        k = len(program.code)
        program.code.append(i)
        if self.kind == "text":
            program.names[k] = self._text()
        perm = self._perm()
        if perm is not None:
            program.perms[k] = perm
        if self._try("of"):
            program.sources[k] = self._text()
