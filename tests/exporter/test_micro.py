"""Tile programs: encoding, register allocation, and each micro-operation against NumPy."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from whit import _native
from whit_exporter import micro, ops, write
from whit_exporter.build import Builder
from whit_exporter.dtypes import DType, from_numpy
from whit_exporter.errors import ConvertError
from whit_exporter.ir import Entry, Graph, Node, Region, Value
from whit_exporter.micro import TileProgram

Array = np.ndarray[Any, Any]


def run(program: TileProgram, inputs: list[Array], dtypes: list[DType]) -> list[Array]:
    """Runs a program on inputs as a model of one node."""
    values = [Value(f"x{k}", from_numpy(a.dtype), a.shape) for k, a in enumerate(inputs)]
    shape = np.broadcast_shapes(*(a.shape for a in inputs))
    outputs = [Value(f"y{k}", t, shape) for k, t in enumerate(dtypes)]
    node = Node("tile", list(values), outputs, tile=program)
    graph = Graph([Entry("main", Region(values, [node], list(outputs)))])
    return _native.run_bytes(write.write(graph), inputs)


def node(op: str, inputs: list[DType], out: DType, **attrs: Any) -> Node:
    return Node(op, [Value(dtype=t) for t in inputs], [Value(dtype=out)], attrs)


def test_encoding_is_what_micro_h_says() -> None:
    p = TileProgram("f32")
    a = p.load(0)
    b = p.imm(2.0)
    p.store(p.op("mul", a, b), 0, DType.F16)
    number = {name: m.number for name, m in ops.micro_ops().items()}
    assert p.encode() == [
        0 | 3 << 8 | 4 << 16,
        number["load"] | 0 << 8 | 0 << 14,
        number["imm"] | 1 << 8,
        int(np.float32(2.0).view(np.int32)),
        number["mul"] | 2 << 8 | 0 << 14 | 1 << 20,
        number["store"] | 2 << 14 | 0 << 20 | int(DType.F16) << 26,
    ]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("domain", ["f32", "f64", "i64"])
def test_random_programs_come_back_and_compute(domain: str, seed: int) -> None:
    """decode(encode(p)) is p but for dead results' places, and the runtime computes what NumPy does."""
    rng = random.Random(f"{domain} {seed}")
    dtype = {"f32": np.float32, "f64": np.float64, "i64": np.int64}[domain]
    binary: dict[str, Callable[[Any, Any], Any]] = {
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "min": np.minimum, "max": np.maximum,
    }  # fmt: skip
    p = TileProgram(domain)
    inputs = [np.array([rng.randint(-9, 9) for _ in range(5)], dtype) for _ in range(3)]
    made: list[Any] = []
    for k, x in enumerate(inputs):
        p.load(k)
        made.append(x)
    for _ in range(rng.randint(1, 30)):
        if rng.random() < 0.2:
            value = rng.randint(-3, 3)
            p.imm(value)
            made.append(np.full(5, value, dtype))
            continue
        name = rng.choice(list(binary))
        a, b = (rng.randrange(len(made)) for _ in range(2))
        p.op(name, a, b)
        with np.errstate(all="ignore"):
            made.append(binary[name](made[a], made[b]))
    wanted = [rng.randrange(3, len(made)) for _ in range(3)]
    out = from_numpy(np.dtype(dtype))
    for k, w in enumerate(wanted):
        p.store(w, k, out)
    again = micro.decode(p.encode())
    assert again.domain == p.domain and again.code == p.code
    assert again.encode() == p.encode()
    for got, w in zip(run(p, inputs, [out] * 3), wanted, strict=True):
        np.testing.assert_array_equal(got, made[w])


def test_registers_are_shared() -> None:
    p = TileProgram("f32")
    x = p.load(0)
    for _ in range(200):
        x = p.op("neg", x)
    p.store(x, 0, DType.F32)
    assert p.n_registers == 2
    np.testing.assert_array_equal(run(p, [np.ones(3, np.float32)], [DType.F32])[0], np.ones(3))


def test_loads_and_numbers_have_registers_of_their_own_while_there_are_enough() -> None:
    p = TileProgram("f32")
    total = p.load(0)
    for k in range(40):
        total = p.op("add", total, p.imm(k))
    assert p.n_registers == 42
    for k in range(40, 100):
        total = p.op("add", total, p.imm(k))
    p.store(total, 0, DType.F32)
    assert p.n_registers == 2
    np.testing.assert_array_equal(run(p, [np.zeros(3, np.float32)], [DType.F32])[0], [4950] * 3)


def test_too_many_registers() -> None:
    p = TileProgram("f32")
    x = p.load(0)
    values = [p.op("neg", x) for _ in range(60)]
    total = values[0]
    for v in values[1:]:
        total = p.op("add", total, v)
    p.store(total, 0, DType.F32)
    assert p.n_registers > micro.MAX_REGISTERS
    with pytest.raises(ConvertError, match="registers"):
        p.encode()


@pytest.mark.parametrize(
    "words",
    [[], [0xFF], [1 << 16], [1 << 16, 0xFE], [2 << 16, 0], [0, 99], [1 << 16, 12 | 1 << 14]],
)
def test_malformed(words: list[int]) -> None:
    with pytest.raises(ConvertError, match="malformed"):
        micro.decode(words)


FLOATS = np.array([-2.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 3.25])
INTS = np.array([-7, -2, -1, 0, 1, 2, 5, 100])
UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": np.negative, "abs": np.abs, "sign": np.sign, "not": lambda a: a == 0, "exp": np.exp,
    "sin": np.sin, "cos": np.cos, "atan": np.arctan, "tanh": np.tanh, "floor": np.floor,
    "ceil": np.ceil, "round": np.round, "trunc": np.trunc, "is_nan": np.isnan, "is_inf": np.isinf,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
}  # fmt: skip
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "min": np.minimum, "max": np.maximum,
    "eq": np.equal, "lt": np.less, "le": np.less_equal, "div": np.divide,
}  # fmt: skip


@pytest.mark.parametrize("dtype", [DType.F32, DType.F64, DType.F16, DType.BF16])
@pytest.mark.parametrize("op", [*UNARY, *BINARY])
def test_floats(op: str, dtype: DType) -> None:
    b = Builder()
    x = FLOATS.astype(dtype.numpy)
    y = (FLOATS[::-1] + 0.25).astype(dtype.numpy)
    args = [x] if op in UNARY else [x, y]
    wide = [a.astype(np.float64) for a in args]
    expected = UNARY[op](*wide) if op in UNARY else BINARY[op](*wide)
    got = b.op(op, *(b.const(a) for a in args))
    assert got.const is not None
    tolerance = {DType.F64: 1e-14, DType.F32: 1e-6, DType.F16: 1e-3, DType.BF16: 8e-3}[dtype]
    np.testing.assert_allclose(
        got.const.astype(np.float64),
        np.asarray(expected, np.float64),
        rtol=tolerance,
        atol=tolerance,
    )


INTEGERS = [t for t in DType if t.numpy.kind in "iu"]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("op", ["add", "sub", "mul", "min", "max", "eq", "lt", "le", "neg", "abs"])
def test_integers_wrap(op: str, dtype: DType) -> None:
    b = Builder()
    x = INTS.astype(dtype.numpy)
    y = INTS[::-1].astype(dtype.numpy)
    args = [x] if op in ("neg", "abs") else [x, y]
    expected = UNARY[op](*args) if op in UNARY else BINARY[op](*args)
    got = b.op(op, *(b.const(a) for a in args))
    assert got.const is not None
    np.testing.assert_array_equal(got.const, expected)


BIG = np.array([1, 2**63, 2**64 - 1, 5, 0], np.uint64)
SMALL = np.array([2, 3, 2**63, 0, 7], np.uint64)


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("div", [0, 2**63 // 3, 1, 0, 0]),
        ("mod", [1, 2**63 % 3, 2**63 - 1, 0, 0]),
        ("fmod", [1, 2**63 % 3, 2**63 - 1, 0, 0]),
        ("lt", [1, 0, 0, 0, 1]),
        ("le", [1, 0, 0, 0, 1]),
        ("min", [1, 3, 2**63, 0, 0]),
        ("max", [2, 2**63, 2**64 - 1, 5, 7]),
        ("shr", [0, 2**60, 0, 5, 0]),
    ],
)
def test_unsigned_64(op: str, expected: list[int]) -> None:
    b = Builder()
    got = b.op(op, b.const(BIG), b.const(SMALL)).const
    assert got is not None and [int(v) for v in got] == expected


def test_unsigned_64_sign_and_abs() -> None:
    b = Builder()
    assert b.op("sign", b.const(BIG)).const.tolist() == [1, 1, 1, 1, 0]  # type: ignore[union-attr]
    assert b.op("abs", b.const(BIG)).const.tolist() == BIG.tolist()  # type: ignore[union-attr]


def test_where() -> None:
    b = Builder()
    cond = b.const(np.array([True, False, True]))
    for dtype in (DType.F32, DType.F64, DType.I64, DType.U8, DType.BOOL, DType.F16):
        x, y = (b.const(np.array(v).astype(dtype.numpy)) for v in ([1, 1, 0], [0, 0, 1]))
        got = b.op("where", cond, x, y)
        assert got.const is not None and got.const.astype(int).tolist() == [1, 0, 0]


CASTS: list[tuple[Any, DType, DType, list[Any], str]] = [
    ([1.9, -1.9, 300.0, np.nan], DType.F32, DType.U8, [1, 0, 255, 0], "f32"),
    ([1.9, -1.9, 1e30, np.nan], DType.F64, DType.I32, [1, -1, 2**31 - 1, 0], "f64"),
    ([300, -1, 127, 128], DType.I64, DType.I8, [44, -1, 127, -128], "i64"),
    ([0.0, 0.25, -3.0, np.nan], DType.F32, DType.BOOL, [False, True, True, True], "f32"),
    ([0, 256, -1], DType.I32, DType.BOOL, [False, True, True], "i64"),
    ([True, False], DType.BOOL, DType.F32, [1.0, 0.0], "f32"),
    ([True, False], DType.BOOL, DType.I8, [1, 0], "i64"),
    ([2**53 + 1], DType.I64, DType.F64, [float(2**53)], "f64"),
    ([2**64 - 1], DType.U64, DType.F32, [float(2**64)], "f32"),
    ([2**25 + 1], DType.I64, DType.F32, [float(2**25)], "f32"),
    ([2051, 10**9], DType.I32, DType.F16, [2052.0, np.inf], "f64"),
    ([0.1], DType.F64, DType.F32, [float(np.float32(0.1))], "f64"),
    ([0.1], DType.F32, DType.F64, [float(np.float32(0.1))], "f64"),
]


@pytest.mark.parametrize(("values", "source", "to", "expected", "domain"), CASTS)
def test_cast(values: Any, source: DType, to: DType, expected: list[Any], domain: str) -> None:
    b = Builder()
    x = b.const(np.array(values).astype(source.numpy))
    assert micro.single(node("cast", [source], to, to=to)).domain == domain
    got = b.op("cast", x, to=to)
    assert got.const is not None and got.const.dtype == to.numpy
    assert got.const.tolist() == expected


@pytest.mark.parametrize("source", list(DType))
@pytest.mark.parametrize("to", list(DType))
def test_every_cast_keeps_small_numbers(source: DType, to: DType) -> None:
    b = Builder()
    narrow = {DType.BOOL, DType.I2} & {source, to}
    x = np.array([1.0, 1.0 if narrow else 2.0]).astype(source.numpy)
    got = b.op("cast", b.const(x), to=to)
    assert got.const is not None and got.dtype == to
    np.testing.assert_array_equal(got.const.astype(np.float64), x.astype(np.float64))


def test_what_has_no_meaning() -> None:
    with pytest.raises(ConvertError, match="does not exist for the element type i64"):
        micro.domains(node("exp", [DType.I64], DType.I64))
    with pytest.raises(ConvertError, match="does not exist for the element type f32"):
        micro.domains(node("xor", [DType.F32, DType.F32], DType.F32))
    with pytest.raises(ConvertError, match="does not saturate"):
        micro.single(node("cast", [DType.F32], DType.F8E5M2, to=DType.F8E5M2, saturate=0))


def test_truth_values_fit_every_domain() -> None:
    assert micro.domains(node("not", [DType.BOOL], DType.BOOL)) == ("i64", "f32", "f64")
    assert micro.domains(node("and", [DType.BOOL] * 2, DType.BOOL)) == ("i64",)
    assert micro.domains(node("cast", [DType.BOOL], DType.F32, to=DType.F32)) == ("f32",)


def chain(nodes: list[Node], domain: str) -> TileProgram:
    """Unary nodes one after the other in one program."""
    program = TileProgram(domain)
    register = program.load(0)
    for k, n in enumerate(nodes):
        register = micro.append(program, n, [register])
        if k + 1 < len(nodes):
            register = micro.settle(program, register, n)
    out = nodes[-1].outputs[0].dtype
    assert out is not None
    program.store(register, 0, out)
    return program


@pytest.mark.parametrize("dtype", [DType.I8, DType.U8, DType.I16, DType.U16, DType.I32, DType.U32])
def test_settled_integers_wrap(dtype: DType) -> None:
    """-x, read as a wider number, is what it would be if it had been stored in between."""
    p = chain([node("neg", [dtype], dtype), node("cast", [dtype], DType.I64, to=DType.I64)], "i64")
    x = np.array([0, 1, np.iinfo(dtype.numpy).min, np.iinfo(dtype.numpy).max], dtype.numpy)
    np.testing.assert_array_equal(run(p, [x], [DType.I64])[0], np.negative(x).astype(np.int64))


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16])
def test_settled_floats_round(dtype: DType) -> None:
    p = chain([node("exp", [dtype], dtype), node("cast", [dtype], DType.F32, to=DType.F32)], "f32")
    x = np.linspace(-2, 2, 9).astype(dtype.numpy)
    direct = Builder()
    expected = direct.op("exp", direct.const(x)).const
    assert expected is not None
    np.testing.assert_array_equal(run(p, [x], [DType.F32])[0], expected.astype(np.float32))


def test_settled_casts() -> None:
    to_bool = [
        node("cast", [DType.F32], DType.BOOL, to=DType.BOOL),
        node("cast", [DType.BOOL], DType.F32, to=DType.F32),
    ]
    x = np.array([0.0, 0.5, -2.0], np.float32)
    assert run(chain(to_bool, "f32"), [x], [DType.F32])[0].tolist() == [0.0, 1.0, 1.0]
    narrow = [
        node("cast", [DType.F32], DType.F16, to=DType.F16),
        node("cast", [DType.F16], DType.F32, to=DType.F32),
    ]
    x = np.array([0.1, 2049.0], np.float32)
    got = run(chain(narrow, "f32"), [x], [DType.F32])[0]
    np.testing.assert_array_equal(got, x.astype(np.float16).astype(np.float32))


def test_what_cannot_stay_in_a_register() -> None:
    assert not micro.can_continue(node("cast", [DType.F32], DType.I32, to=DType.I32), "f32")
    assert not micro.can_continue(node("cast", [DType.F64], DType.F32, to=DType.F32), "f64")
    assert not micro.can_continue(node("neg", [DType.I4], DType.I4), "i64")
    assert micro.can_continue(node("lt", [DType.F32] * 2, DType.BOOL), "f32")
    n = node("cast", [DType.F32], DType.I32, to=DType.I32)
    p = TileProgram("f32")
    with pytest.raises(ConvertError, match="cannot stay"):
        micro.settle(p, p.load(0), n)
