"""Graph -> bytes -> Graph, and what the format asks for beyond the IR."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whit import _native
from whit.errors import LoadError
from whit_exporter import ops, read, text, verify, write
from whit_exporter.build import Builder
from whit_exporter.convert import convert
from whit_exporter.dtypes import DType
from whit_exporter.errors import ConvertError
from whit_exporter.ir import Entry, Graph, Node, Region, Value
from whit_exporter.micro import TileProgram

MODELS = Path(__file__).parents[2] / "examples" / "models"
F32 = DType.F32


def builder(**inputs: tuple[DType, Any]) -> tuple[Builder, list[Value]]:
    b = Builder(fold=False)
    b.graph.entries.append(Entry("main", b.region))
    return b, [b.param(name, dtype, shape) for name, (dtype, shape) in inputs.items()]


def through(graph: Graph) -> Graph:
    """Writes and reads; a second time must give the same bytes."""
    verify.verify(graph)
    data = write.write(graph)
    back = read.read(data)
    verify.verify(back)
    assert write.write(back) == data
    assert write.write(graph) == data
    return back


def run(graph: Graph, *inputs: Any) -> list[np.ndarray[Any, Any]]:
    return _native.run_bytes(write.write(graph), [np.asarray(x) for x in inputs])


def loop(
    b: Builder, trips: Value | None, cond: Value | None, x: Value
) -> tuple[Region, Value, Value]:
    """x doubled at each step; every result of the body and its carried value come from odd places."""
    with b.sub() as body:
        i = b.param("i", DType.I64, ())
        c = b.param("c", x.dtype, x.shape)
        body.results = [None, b.op("add", c, c), i]
    last, steps = b.control("loop", [trips, cond, x], [body], 2)
    return body, last, steps


def test_what_is_written_comes_back() -> None:
    b, (x, _) = builder(x=(F32, ("N", 4, None)), y=(DType.I64, None))
    b.name = "first"
    z = b.op("reshape", x, dims=[-1, 4])
    z.name = "z"
    w = b.op("concat", z, b.const(np.ones((2, 4), np.float32)), axis=0)
    b.region.results = [w]
    b.graph.entries[0].output_names = ["w"]
    g = through(b.graph)
    entry = g.entries[0]
    assert [(v.name, v.dtype, v.shape) for v in entry.region.params] == [
        ("x", F32, ("N", 4, None)),
        ("y", DType.I64, None),
    ]
    assert [(n.op, n.name, n.attrs) for n in entry.region.nodes] == [
        ("reshape", "first", {"allowzero": 0, "dims": [-1, 4]}),
        ("concat", "first", {"axis": 0}),
    ]
    assert entry.output_names == ["w"] and entry.region.nodes[0].outputs[0].name == "z"


def test_ports_carry_kinds() -> None:
    b, _ = builder()
    s = b.param("s", F32, ("A", 2), kind="sequence", optional=True)
    b.region.results = [b.op("seq_length", s)]
    back = through(b.graph).entries[0].region.params[0]
    assert (back.kind, back.optional, back.shape) == ("sequence", True, ("A", 2))


def test_constants_with_the_same_content_are_stored_once() -> None:
    b, (x,) = builder(x=(F32, (4,)))
    same = [b.const(np.arange(4, dtype=np.float32), name=n) for n in ("a", "b", "")]
    other = b.const(np.arange(4, dtype=np.float32).reshape(1, 4))
    bits = b.const(np.arange(4, dtype=np.float32).view(np.int32))
    y = x
    for c in same:
        y = b.op("add", y, c)
    b.region.results = [b.op("add", y, other), b.op("add", bits, bits)]
    g = through(b.graph)
    constants = {v for _, n in g.walk() for v in n.inputs if v is not None and v.const is not None}
    assert len(constants) == 3
    assert g.aliases["b"].name == "a"


@pytest.mark.parametrize("dtype", list(DType))
def test_constants_of_every_type(dtype: DType) -> None:
    masks = {DType.BOOL: 1, DType.U4: 15, DType.I4: 15, DType.F4E2M1: 15, DType.U2: 3, DType.I2: 3}
    raw = np.random.default_rng(0).integers(0, 256, 10 * dtype.size, np.uint8)
    array = (raw & masks.get(dtype, 255)).view(dtype.numpy).reshape(2, 5)
    b, _ = builder()
    b.region.results = [Value("c", dtype, (2, 5), array)]
    back = through(b.graph).entries[0].region.nodes[0].inputs[0]
    assert back is not None and back.const is not None
    assert (back.dtype, back.const.shape) == (dtype, (2, 5))
    assert write.raw_bytes(back.const, dtype).tobytes() == write.raw_bytes(array, dtype).tobytes()


def test_constants_of_odd_layouts() -> None:
    b, _ = builder()
    base = np.arange(24, dtype=np.int64).reshape(4, 6)
    arrays = [base.T, base[::2, ::-1], np.array(5), np.zeros((0, 3), np.int64)]
    b.region.results = [Value("", DType.I64, a.shape, a) for a in arrays]
    for got, expected in zip(run(b.graph), arrays, strict=True):
        np.testing.assert_array_equal(got, expected)
        assert got.shape == expected.shape


def test_data_is_aligned() -> None:
    b, (x,) = builder(x=(F32, (3,)))
    for k in range(5):
        x = b.op("add", x, b.const(np.full(3, k, np.float32)))
    b.region.results = [x]
    data = write.write(b.graph)
    tables = read._Tables(np.frombuffer(data, np.uint8))
    assert all(int(c["offset"]) % 64 == 0 for c in tables.constants)
    at = len(data) - tables.data.size
    assert at % 64 == 0 and tables.data[:12].tobytes() == np.zeros(3, np.float32).tobytes()


def test_files() -> None:
    b, (x,) = builder(x=(F32, (3,)))
    b.region.results = [b.op("add", x, b.const(np.ones(3, np.float32)))]
    expected = write.write(b.graph)
    stream = io.BytesIO()
    assert write.write(b.graph, stream) == b"" and stream.getvalue() == expected


def test_paths(tmp_path: Path) -> None:
    b, (x,) = builder(x=(F32, (3,)))
    weight = np.arange(3, dtype=np.float32)
    b.region.results = [b.op("add", x, b.const(weight))]
    path = tmp_path / "m.whit"
    write.write(b.graph, path)
    assert path.read_bytes() == write.write(b.graph)
    graph = read.read(path)
    write.write(graph, path)  # while its constants are mapped from it
    assert path.read_bytes() == write.write(b.graph) and list(tmp_path.iterdir()) == [path]
    bad, (y,) = builder(y=(None, ()))  # type: ignore[arg-type]
    bad.region.results = [y]
    with pytest.raises(ConvertError):
        write.write(bad.graph, path)
    assert path.read_bytes() == write.write(b.graph) and list(tmp_path.iterdir()) == [path]


def test_strip_leaves_the_interface() -> None:
    data = write.write(read.read(convert(MODELS / "digits.onnx")), strip=True)
    g = read.read(data)
    assert all(not n.name for _, n in g.walk()) and not g.aliases
    assert all(v.name for v in g.entries[0].region.params) and g.entries[0].output_names
    assert write.write(g, strip=True) == data


@pytest.mark.parametrize("name", ["triple", "digits", "dates", "experts", "train_triple"])
def test_trained_models(name: str) -> None:
    data = convert(MODELS / f"{name}.onnx")
    g = read.read(data)
    verify.verify(g)
    assert write.write(g) == data


# ---- results of regions -------------------------------------------------------------------------------


def test_results_of_an_entry_get_identities_where_they_must() -> None:
    b, (x,) = builder(x=(F32, (2,)))
    y = b.op("neg", x)
    _, last, steps = loop(b, b.const(3), None, y)
    b.region.results = [x, y, y, b.const(np.ones(2, np.float32)), last, steps]
    b.graph.entries[0].output_names = list("abcdef")
    g = through(b.graph)
    results = g.entries[0].region.results
    made = [v.producer.op if v is not None and v.producer is not None else "" for v in results]
    assert made == ["identity", "tile", "identity", "identity", "loop", "loop"]
    assert len(set(results)) == 6
    assert len(b.region.nodes) == 2  # the graph itself is left alone
    got = run(b.graph, np.array([1, 2], np.float32))
    assert [list(v) for v in got] == [[1, 2], [-1, -2], [-1, -2], [1, 1], [-8, -16], [0, 1, 2]]


def test_results_of_branches() -> None:
    b, (x, p) = builder(x=(F32, (2,)), p=(DType.BOOL, ()))
    with b.sub() as inner_yes:
        inner_yes.results = [x]
    with b.sub() as inner_no:
        inner_no.results = [b.op("neg", x)]
    with b.sub() as yes:
        yes.results = [b.control("if", [p], [inner_yes, inner_no], 1)[0], b.const(True)]
    with b.sub() as no:
        v = b.op("abs", x)
        no.results = [v, p]
    b.region.results = list(b.control("if", [p], [yes, no], 2))
    g = through(b.graph)
    node = g.entries[0].region.nodes[0]
    assert [n.op for n in node.regions[0].nodes] == ["if", "identity"]
    assert [n.op for n in node.regions[1].nodes] == ["tile", "identity"]
    x_data = np.array([1, -2], np.float32)
    assert [v.tolist() for v in run(b.graph, x_data, True)] == [[1, -2], True]
    assert [v.tolist() for v in run(b.graph, x_data, False)] == [[1, 2], False]


@pytest.mark.parametrize("cond", [None, True, False])
def test_condition_of_a_loop(cond: bool | None) -> None:
    """What is always true is left out; what is not stands there, as a value of the body."""
    b, (x,) = builder(x=(F32, (2,)))
    value = None if cond is None else b.const(cond)
    body, last, _ = loop(b, b.const(3), value, x)
    body.results[0] = value
    b.region.results = [last]
    node = through(b.graph).entries[0].region.nodes[0]
    assert (node.inputs[1] is None) == (cond is not False)
    result = node.regions[0].results[0]
    assert (result is None) == (cond is not False)
    if result is not None:
        assert result.producer is not None and result.producer in node.regions[0].nodes
    assert run(b.graph, np.ones(2, np.float32))[0].tolist() == [1 if cond is False else 8] * 2


def test_carried_values_that_change_places() -> None:
    b, (x, y) = builder(x=(F32, (1,)), y=(F32, (1,)))
    with b.sub() as body:
        b.param("i", DType.I64, ())
        p, q = b.param("p", F32, (1,)), b.param("q", F32, (1,))
        body.results = [None, q, p]
    b.region.results = list(b.control("loop", [b.const(3), None, x, y], [body], 2))
    through(b.graph)
    got = run(b.graph, np.array([1], np.float32), np.array([2], np.float32))
    assert [v.tolist() for v in got] == [[2], [1]]


def test_a_missing_result() -> None:
    b, (x,) = builder(x=(F32, (2,)))
    with b.sub() as yes:
        yes.results = [x]
    with b.sub() as no:
        no.results = [x]
    y = b.control("if", [b.const(True)], [yes, no], 1)
    no.results = [None]
    b.region.results = list(y)
    with pytest.raises(ConvertError, match="missing"):
        write.write(b.graph)


# ---- states, entries, names ----------------------------------------------------------------------------


def test_states_and_entries() -> None:
    b, (x,) = builder(x=(F32, (2,)))
    state = Value("sum", F32, (2,), np.ones(2, np.float32), state="sum")
    unused = Value("unused", DType.I64, (), np.array(3), state="unused")
    b.graph.states = {"sum": state, "unused": unused}
    total = b.op("add", state, x)
    b.region.results = [total]
    b.graph.entries[0].updates = [("sum", total)]
    second = Region([Value("only", DType.I64, ())])
    second.results = [second.params[0]]
    b.graph.entries.append(Entry("second", second))
    g = through(b.graph)
    assert [e.name for e in g.entries] == ["main", "second"]
    assert list(g.states) == ["sum", "unused"]
    assert g.states["sum"].const is not None and g.states["sum"].const.tolist() == [1, 1]
    (name, new), result = g.entries[0].updates[0], g.entries[0].region.results[0]
    assert name == "sum" and new is not result and len(g.entries[0].region.nodes) == 2


def test_names_lead_to_values() -> None:
    b, (x,) = builder(x=(F32, (2, 3)))
    c = b.const(np.ones((3, 4), np.float32), name="weight")
    y = b.op("matmul", x, c)
    y.name, y.perm = "y", (1, 0)
    program = TileProgram("f32")
    program.store(program.op("exp", program.op("neg", program.load(0))), 0, F32)
    program.names, program.perms = {1: "hidden"}, {1: (1, 0)}
    z = Value("z", F32, (2, 4))
    z.producer = Node("tile", [y], [z], name="t", tile=program)
    b.region.nodes.append(z.producer)
    b.region.results = [z]
    b.graph.aliases = {"also y": y, "gone": Value("gone")}
    g = through(b.graph)
    matmul, tile = g.entries[0].region.nodes
    weight = matmul.inputs[1]
    assert weight is not None and weight.name == "weight"
    assert matmul.outputs[0].perm == (1, 0)
    assert g.aliases == {"also y": matmul.outputs[0]}
    assert tile.tile.names == {1: "hidden"} and tile.tile.perms == {1: (1, 0)}


@pytest.mark.parametrize("perm", [(0,), (1, 0), (0, 1), (0, 2, 3, 1), (7, 6, 5, 4, 3, 2, 1, 0)])
def test_perm_word(perm: tuple[int, ...]) -> None:
    assert read.decode_perm(write._perm_word(perm)) == perm


def test_optional_outputs_that_nobody_wants_are_left_out() -> None:
    b, (x,) = builder(x=(F32, (5,)))
    _, indices = b.multi("topk", 2, x, b.const(np.array([2])), axis=0, largest=1, sorted=1)
    b.region.results = [indices]
    words = read._Tables(np.frombuffer(write.write(b.graph), np.uint8))
    node = words.nodes[0]
    outputs = words.words[int(node["args"]) + 2 :][:2]
    assert int(outputs[0]) == (write.NONE if ops.ops()["topk"].outputs[0].optional else 3)
    through(b.graph)
    assert run(b.graph, np.array([1, 5, 2, 4, 3], np.float32))[0].tolist() == [1, 3]


# ---- attributes ---------------------------------------------------------------------------------------

ROW = ops.Op(
    "made_up", 1, 0, (), (),
    (
        ops.Attr("a", "i32"), ops.Attr("b", "f32"), ops.Attr("c", "i64"), ops.Attr("d", "f64"),
        ops.Attr("e", "i32[]"), ops.Attr("f", "f32[]"),
    ),
    frozenset(), frozenset(), "",
)  # fmt: skip


def test_attributes() -> None:
    attrs = {"a": -1, "b": 0.5, "c": -(2**40), "d": 0.1, "e": [1, -2], "f": [0.25]}
    words = write.attribute_words(Node("made_up", [], [], attrs), ROW)
    assert len(words) == 1 + 1 + 2 + 2 + 3 + 2 and words[0] == 0xFFFFFFFF and words[6] == 2
    assert read.decode_attributes(words, ROW) == attrs


def test_missing_attributes_are_zero() -> None:
    words = write.attribute_words(Node("made_up", [], []), ROW)
    assert words == [0] * 8
    zeros = {"a": 0, "b": 0.0, "c": 0, "d": 0.0, "e": [], "f": []}
    assert read.decode_attributes(words, ROW) == zeros


@pytest.mark.parametrize("attrs", [{"a": 2**31}, {"a": 0.5}, {"e": 3}, {"e": ["x"]}, {"g": 1}])
def test_attributes_that_do_not_fit(attrs: dict[str, Any]) -> None:
    with pytest.raises(ConvertError, match="attribute"):
        write.attribute_words(Node("made_up", [], [], attrs), ROW)


# ---- errors -------------------------------------------------------------------------------------------


def test_a_value_that_nothing_makes() -> None:
    b, (x,) = builder(x=(F32, (2,)))
    y = Value("lost", F32, (2,))
    b.region.results = [b.op("add", x, y)]
    with pytest.raises(ConvertError, match="'lost' is read before it is made"):
        write.write(b.graph)


def test_an_unknown_operator() -> None:
    node = Node("frobnicate", [], [Value()], name="n")
    with pytest.raises(ConvertError, match="no such operator") as e:
        write.write(Graph([Entry("main", Region(nodes=[node]))]))
    assert e.value.node == "n" and e.value.operator == "frobnicate"


def test_no_entry_point() -> None:
    with pytest.raises(ConvertError, match="no entry point"):
        write.write(Graph())


def test_damaged_files() -> None:
    """Whatever happens to the bytes: a graph or a LoadError."""
    data = bytearray(convert(MODELS / "triple.onnx"))
    for n in range(0, len(data), 7):
        with pytest.raises(LoadError):
            read.read(bytes(data[:n]))
    refused = 0
    for k in range(len(data)):
        for flip in (0x01, 0xFF):
            damaged = bytearray(data)
            damaged[k] ^= flip
            try:
                text.dump(read.read(bytes(damaged)))
            except (LoadError, ConvertError):
                refused += 1
    assert refused > len(data) // 4


def test_a_newer_format() -> None:
    b, (x,) = builder(x=(F32, (2,)))
    b.region.results = [b.op("neg", x)]
    data = bytearray(write.write(b.graph))
    tables = read._Tables(np.frombuffer(bytes(data), np.uint8))
    tables._open(tables._u32(0))
    data[tables._field(0)] = 99
    with pytest.raises(LoadError, match="newer"):
        read.read(bytes(data))
