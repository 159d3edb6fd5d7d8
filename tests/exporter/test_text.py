"""The text form: what is printed parses back to the same graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whit_exporter import read, text, write
from whit_exporter.build import Builder
from whit_exporter.dtypes import DType
from whit_exporter.errors import ConvertError
from whit_exporter.ir import Entry, Graph, Node, Region, Value
from whit_exporter.micro import TileProgram


def everything() -> Graph:
    """A graph with something of each kind: regions in regions, states, aliases, tiles, sequences, odd names."""
    b = Builder(fold=False)
    g = b.graph
    g.source = 'a "quoted" model\n'
    g.entries.append(Entry("main", b.region))
    x = b.param('x "1"', DType.F32, ("batch size", 3, None))
    b.param("unknown", DType.I64, None)
    b.param("list", DType.F32, (None,), kind="sequence", optional=True)
    g.states["cache"] = Value("c", DType.F32, (2,), np.zeros(2, np.float32), state="cache")
    b.name = "block/ünïcode"
    y = b.op("mul", x, b.const(np.float32(0.1)))
    y.name, y.perm = "y", (0, 2, 1)
    with b.sub() as body:
        i = b.param("i", DType.I64, ())
        c = b.param("c", DType.F32, y.shape)
        with b.sub() as yes:
            yes.results = [b.op("exp", c)]
        with b.sub() as no:
            no.results = [c]
        r = b.control("if", [b.op("lt", i, b.const(2))], [yes, no], 1)[0]
        body.results = [None, r, i]
    last, steps = b.control("loop", [b.const(3), None, y], [body], 2)
    program = TileProgram("f64")
    program.store(program.op("add", program.load(0), program.imm(-1.5)), 0, DType.BF16)
    program.names[2], program.perms[2] = "hidden sum", (1, 0)
    z = Value("z", DType.BF16, last.shape)
    tile = Node("tile", [last], [z], name="t", tile=program)
    z.producer = tile
    b.region.nodes.append(tile)
    attrs = {
        "f": 0.1,
        "inf": float("inf"),
        "l": [1, -2],
        "e": [],
        "s": 'a"b',
        "t": True,
        "d": DType.F16,
    }
    odd = Value("odd", DType.U8, ())
    odd.producer = Node("frobnicate", [None, x], [odd], attrs)
    b.region.nodes.append(odd.producer)
    b.region.results = [z, steps, odd]
    g.entries[0].output_names = ["z", "steps", "odd"]
    g.entries[0].updates = [("cache", b.op("neg", g.states["cache"]))]
    g.entries.append(Entry("second", Region([v := Value("v", DType.I32, ())], [], [v])))
    g.aliases['old "y"'] = y
    return g


def test_dump_parses_back() -> None:
    printed = text.dump(everything())
    assert text.dump(text.parse(printed)) == printed


def test_parse_keeps_structure() -> None:
    g = text.parse(text.dump(everything()))
    assert g.source == 'a "quoted" model\n'
    x, unknown, sequence = g.entries[0].region.params
    assert (x.name, x.shape, x.dtype) == ('x "1"', ("batch size", 3, None), DType.F32)
    assert unknown.shape is None and sequence.kind == "sequence" and sequence.optional
    loop = next(n for n in g.entries[0].region.nodes if n.op == "loop")
    assert [n.op for n in loop.regions[0].nodes] == ["lt", "if"]
    assert loop.regions[0].results[0] is None
    branch = loop.regions[0].nodes[1].regions[1]
    assert branch.results == [loop.regions[0].params[1]]
    tile = next(n for n in g.entries[0].region.nodes if n.op == "tile")
    assert tile.tile.names == {2: "hidden sum"} and tile.tile.perms == {2: (1, 0)}
    odd = next(n for n in g.entries[0].region.nodes if n.op == "frobnicate")
    assert odd.attrs["d"] is DType.F16 and odd.attrs["t"] is True and odd.attrs["f"] == 0.1
    assert odd.inputs == [None, x] and odd.outputs[0].producer is odd
    assert g.aliases['old "y"'].perm == (0, 2, 1)
    assert g.states["cache"].state == "cache" and g.entries[0].updates[0][0] == "cache"


@pytest.mark.parametrize("dtype", list(DType))
@pytest.mark.parametrize("n", [0, 1, 3, 64, 65])
def test_constants_keep_their_bits(dtype: DType, n: int) -> None:
    raw = np.random.default_rng(n).integers(0, 256, n * dtype.size, np.uint8)
    masks = {DType.BOOL: 1, DType.U4: 15, DType.I4: 15, DType.F4E2M1: 15, DType.U2: 3, DType.I2: 3}
    array = (raw & masks.get(dtype, 255)).view(dtype.numpy)
    g = Graph([Entry("main", Region(results=[Value("c", dtype, (n,), array)]))])
    back = text.parse(text.dump(g)).entries[0].region.results[0]
    assert back is not None and back.const is not None
    assert back.const.dtype == array.dtype and back.const.shape == array.shape
    assert write.raw_bytes(back.const, dtype).tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 1e-45, 3.4e38, float("inf"), -float("inf"), float("nan")]
)
def test_special_floats(value: float) -> None:
    array = np.array([value, 1.0], np.float32)
    g = Graph([Entry("main", Region(results=[Value("c", DType.F32, (2,), array)]))])
    back = text.parse(text.dump(g)).entries[0].region.results[0]
    assert back is not None and back.const is not None and back.const.tobytes() == array.tobytes()


def test_integers_of_64_bits() -> None:
    array = np.array([2**64 - 1, 2**63 + 1, 0], np.uint64)
    g = Graph([Entry("main", Region(results=[Value("c", DType.U64, (3,), array)]))])
    back = text.parse(text.dump(g)).entries[0].region.results[0]
    assert back is not None and back.const is not None and back.const.tolist() == array.tolist()


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        ("nonsense", "starts with the line"),
        ("whit text 1\nentry main {", "line 2: expected text"),
        (
            'whit text 1\nentry "m" {\n  %0 f32[] = neg(%1)\n  results %0\n}',
            "line 3: %1 is read before",
        ),
        ('whit text 1\nentry "m" {\n  param %0 f99[]\n', "'f99' is no element type"),
        (
            'whit text 1\nentry "m" {\n  param %0 f32[]\n  param %0 f32[]\n',
            "line 4: %0 is made twice",
        ),
        ('whit text 1\nentry "m" {\n  results !\n', "unknown character"),
        ("whit text 1\nbanana", "'banana' is not expected"),
        ("whit text 1\nconst %0 f32[?] = [1.0]", "a shape of numbers"),
        ("whit text 1\nconst %0 f32[2] = [1.0]", "does not fit"),
        ('whit text 1\nconst %0 f32[1] = hex "00"', "does not fit"),
    ],
)
def test_errors_name_the_line(printed: str, message: str) -> None:
    with pytest.raises(ConvertError, match=message):
        text.parse(printed)


@pytest.mark.parametrize("name", ["triple", "digits", "dates", "experts"])
def test_trained_models(name: str) -> None:
    from whit_exporter.convert import convert

    model = Path(__file__).parents[2] / "examples" / "models" / f"{name}.onnx"
    graph = read.read(convert(model))
    printed = text.dump(graph)
    back = text.parse(printed)
    assert hash(text.dump(back)) == hash(
        printed
    )  # not the texts: a failure would be told for minutes
    assert hash(write.write(back)) == hash(write.write(graph))
