"""Tile programs: short lists of micro-operations that a `tile` node runs on registers of a few hundred elements.

A program is kept in SSA form (instruction k makes virtual register k); `encode` assigns the runtime's registers.
All arithmetic happens in one of three domains, and loads and stores convert. So a value that stays in a register
must be brought to what a store and a load would have made of it (`settle`): 200 + 100 in uint8 is 44, not 300.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import ops
from .dtypes import DType
from .errors import ConvertError
from .ir import Node, Value

DOMAINS = ("f32", "f64", "i64")
MAX_REGISTERS = 48
MAX_PORTS = 64

_WIDE = (DType.I64, DType.U64, DType.I32, DType.U32)
_UNSIGNED = {
    "div": "divu", "mod": "modu", "fmod": "modu", "lt": "ltu", "le": "leu",
    "min": "minu", "max": "maxu", "shr": "shru",
}  # fmt: skip
_WRAP = {
    DType.I8: "wrap_i8", DType.U8: "wrap_u8", DType.I16: "wrap_i16",
    DType.U16: "wrap_u16", DType.I32: "wrap_i32", DType.U32: "wrap_u32",
}  # fmt: skip
_ROUND = {DType.F16: "round_f16", DType.BF16: "round_bf16"}
_WHOLE = frozenset((DType.F32, DType.F64, DType.I64, DType.U64, DType.BOOL))
"""Types that a register holds as they are."""
_CLOSED = frozenset((
    "load", "min", "max", "minu", "maxu", "where", "sign", "not", "eq", "lt", "le", "ltu", "leu", "is_nan",
    "is_inf", "and", "or", "xor", "shr", "shru", "modu", *_WRAP.values(), *_ROUND.values(),
))  # fmt: skip
"""Operations whose result is of the inputs' type whenever the inputs are."""
_CLOSED_FLOAT = frozenset(("neg", "abs", "floor", "ceil", "round", "trunc"))


@dataclass(slots=True)
class Instruction:
    """load: port is the input. imm: value. store: args[0] goes to output `port` as dtype. Else a micro-operation."""

    op: str
    args: tuple[int, ...] = ()
    port: int = 0
    dtype: DType | None = None
    value: int | float = 0


@dataclass(slots=True)
class TileProgram:
    """Instructions in SSA form: arguments are numbers of earlier instructions.

    names: instruction -> name of the source model's value that it makes; so fused values can still be watched.
    perms: instruction -> its Value.perm. sources: instruction -> the source model's node it stands for.
    """

    domain: str
    code: list[Instruction] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    perms: dict[int, tuple[int, ...] | None] = field(default_factory=dict)
    sources: dict[int, str] = field(default_factory=dict)

    def load(self, port: int) -> int:
        """Input number `port`."""
        return self._add(Instruction("load", port=port))

    def imm(self, value: float) -> int:
        """A number."""
        value = int(value) if self.domain == "i64" else float(value)
        return self._add(Instruction("imm", value=value))

    def op(self, name: str, *args: int) -> int:
        """A micro-operation."""
        return self._add(Instruction(name, args))

    def store(self, arg: int, port: int, dtype: DType) -> int:
        """Writes output number `port`."""
        return self._add(Instruction("store", (arg,), port, dtype))

    def _add(self, instruction: Instruction) -> int:
        self.code.append(instruction)
        return len(self.code) - 1

    def registers(self) -> list[int]:
        """The runtime's register that each instruction writes (-1: none).

        Loads and numbers get registers of their own if there are enough: the runtime fills one that nothing else
        writes only once if its content is the same for every block, and lets it point into a dense input, so that it
        costs no room in the cache.
        """
        registers = self._assign(("load", "imm"))
        return registers if max(registers, default=-1) < MAX_REGISTERS else self._assign(())

    def _assign(self, own: tuple[str, ...]) -> list[int]:
        """As few registers as the order allows, where results of the operations `own` share with nothing.

        A result may take the place of an argument that is read for the last time: micro-operations work in place.
        """
        last: dict[int, int] = {}
        for k, i in enumerate(self.code):
            for a in i.args:
                last[a] = k
        free: list[int] = []
        used = 0
        result: list[int] = []
        for k, i in enumerate(self.code):
            free += {result[a] for a in i.args if last[a] == k and self.code[a].op not in own}
            if i.op == "store":
                result.append(-1)
                continue
            if i.op in own or not free:
                result.append(used)
                used += 1
            else:
                result.append(min(free))
                free.remove(result[k])
            if k not in last and i.op not in own:
                free.append(result[k])
        return result

    @property
    def n_registers(self) -> int:
        """Registers that the runtime needs; at most MAX_REGISTERS can be encoded."""
        return max(self.registers(), default=-1) + 1

    def encode(self) -> list[int]:
        """The words of attribute `program`, as signed 32-bit numbers."""
        registers = self.registers()
        n = max(registers, default=-1) + 1
        if n > MAX_REGISTERS:
            raise ConvertError(
                f"a tile program needs {n} registers, there are {MAX_REGISTERS}", operator="tile"
            )
        if len(self.code) > 0xFFFF:
            raise ConvertError(f"a tile program has {len(self.code)} instructions", operator="tile")
        table = ops.micro_ops()
        words = [DOMAINS.index(self.domain) | n << 8 | len(self.code) << 16]
        for i, register in zip(self.code, registers, strict=True):
            micro = table[i.op]
            if self.domain not in micro.domains:
                raise ConvertError(
                    f"micro-operation {i.op!r} does not exist in {self.domain}", operator="tile"
                )
            if not 0 <= i.port < MAX_PORTS:
                raise ConvertError(
                    f"a tile program with more than {MAX_PORTS} inputs or outputs", operator="tile"
                )
            if i.op == "load":
                fields = [register, i.port]
            elif i.op == "imm":
                fields = [register]
            elif i.op == "store":
                fields = [0, registers[i.args[0]], i.port, int(i.dtype or 0)]
            else:
                fields = [register, *(registers[a] for a in i.args)]
            word = micro.number
            for k, f in enumerate(fields):
                word |= f << 8 + 6 * k
            words.append(word)
            if i.op == "imm":
                words += _literal(self.domain, i.value)
        return [w - (1 << 32) if w >= 1 << 31 else w for w in words]


def decode(words: Sequence[int]) -> TileProgram:
    """The program of attribute `program`. ConvertError if it is malformed."""
    try:
        return _decode([w & 0xFFFFFFFF for w in words])
    except (IndexError, KeyError, ValueError, struct.error) as e:
        raise ConvertError(f"a malformed tile program ({e!r})", operator="tile") from e


def _decode(words: list[int]) -> TileProgram:
    table = {m.number: m for m in ops.micro_ops().values()}
    program = TileProgram(DOMAINS[words[0] & 0xFF])
    holds: dict[int, int] = {}
    at = 1
    for _ in range(words[0] >> 16):
        word = words[at]
        at += 1
        micro = table[word & 0xFF]
        dst, *sources = (word >> s & 63 for s in (8, 14, 20, 26))
        if micro.name == "store":
            program.store(holds[sources[0]], sources[1], DType(sources[2]))
            continue
        if micro.name == "load":
            k = program.load(sources[0])
        elif micro.name == "imm":
            size = 1 if program.domain == "f32" else 2
            k = program.imm(_number(program.domain, words[at : at + size]))
            at += size
        else:
            k = program.op(micro.name, *(holds[s] for s in sources[: micro.n_args]))
        holds[dst] = k
    if at != len(words):
        raise ValueError(f"{len(words) - at} words too many")
    return program


def _literal(domain: str, value: float) -> list[int]:
    if domain == "f32":
        return list(struct.unpack("<I", struct.pack("<f", value)))
    if domain == "f64":
        return list(struct.unpack("<2I", struct.pack("<d", value)))
    return list(struct.unpack("<2I", struct.pack("<Q", int(value) & 0xFFFFFFFFFFFFFFFF)))


def _number(domain: str, words: list[int]) -> float:
    if domain == "f32":
        return float(struct.unpack("<f", struct.pack("<I", *words))[0])
    if domain == "f64":
        return float(struct.unpack("<d", struct.pack("<2I", *words))[0])
    return int(struct.unpack("<q", struct.pack("<2I", *words))[0])


# ---- IR nodes -> instructions ------------------------------------------------------------------------


def _dtype(v: Value | None, node: Node) -> DType:
    if v is None or v.dtype is None:
        raise ConvertError(
            "the element type of an input is not known", node=node.name, operator=node.op
        )
    return v.dtype


def domains(node: Node) -> tuple[str, ...]:
    """The domains in which an element-wise node computes what it should, the usual one first. ConvertError if none.

    f64 if any f64 is involved; else f32 if any float is; else i64. What is only about truth values fits anywhere.
    """
    inputs = [_dtype(v, node) for v in node.inputs]
    if node.op == "cast":
        return _cast_domains(inputs[0], DType(node.attrs["to"]))
    types = [*inputs, *(v.dtype for v in node.outputs)]
    wanted: tuple[str, ...] = ("i64",)
    if DType.F64 in types:
        wanted = ("f64",)
    elif any(t is not None and t.is_float for t in types):
        wanted = ("f32",)
    elif all(t == DType.BOOL for t in types):
        wanted = ("i64", "f32", "f64")
    found = tuple(d for d in wanted if d in ops.micro_ops()[node.op].domains)
    if not found:
        names = ", ".join(t.short for t in inputs)
        raise ConvertError(
            f"does not exist for the element type {names}", node=node.name, operator=node.op
        )
    return found


def _cast_domains(source: DType, to: DType) -> tuple[str, ...]:
    if DType.F64 in (source, to):
        return ("f64",)
    if source == to == DType.BOOL:
        return ("i64", "f32", "f64")
    if to == DType.F16 and source in _WIDE:
        return ("f64",)  # by way of f32 it would be rounded twice
    if to in (DType.BF16, DType.F8E8M0) and source in _WIDE:
        return ("f64",) if source == DType.U64 else ("i64",)
    if source.is_float or to.is_float:
        return ("f32",)
    return ("i64",)


def append(program: TileProgram, node: Node, args: Sequence[int]) -> int:
    """Adds the instructions of one element-wise node; args are the registers of its inputs. Returns its result's,
    which still has to be settled if more instructions than a store are to read it.

    A cast to another domain is only right if its input is a load or its output a store; see `can_continue`.
    """
    if node.op == "cast":
        if not node.attrs.get("saturate", 1):
            message = "a cast that does not saturate does not exist in tile programs"
            raise ConvertError(message, node=node.name, operator=node.op)
        return args[0]
    unsigned = program.domain == "i64" and _dtype(node.inputs[-1], node) == DType.U64
    if not unsigned:
        return program.op(node.op, *args)
    if node.op == "abs":
        return args[0]
    if node.op == "sign":
        return program.op("minu", args[0], program.imm(1))
    return program.op(_UNSIGNED.get(node.op, node.op), *args)


def can_continue(node: Node, domain: str) -> bool:
    """Can the node's result be read by further instructions of a program in this domain, once settled? Not if its
    type cannot be had in a register of the domain: an integer in f32, or a float below a byte anywhere."""
    out = node.outputs[0].dtype
    if out is None or domain not in domains(node):
        return False
    if out == DType.BOOL:
        return True
    if out.is_float:
        return domain == ("f64" if out == DType.F64 else "f32") and (out in _WHOLE or out in _ROUND)
    return domain == "i64" and (out in _WHOLE or out in _WRAP)


def settle(program: TileProgram, register: int, node: Node) -> int:
    """Brings the register with the node's result to what its type can hold. Returns the register to read."""
    out = node.outputs[0].dtype
    made_by = program.code[register].op
    if out is None or not can_continue(node, program.domain):
        raise ConvertError("its result cannot stay in a register", node=node.name, operator=node.op)
    if out == DType.BOOL and node.op == "cast":
        if node.inputs[0] is not None and node.inputs[0].dtype == DType.BOOL:
            return register
        return program.op("not", program.op("not", register))
    if out in _WHOLE or (node.op != "cast" and made_by in _CLOSED):
        return register
    if out.is_float:
        closed = node.op != "cast" and made_by in _CLOSED_FLOAT
        return register if closed else program.op(_ROUND[out], register)
    return program.op(_WRAP[out], register)


def single(node: Node) -> TileProgram:
    """The tile program of one element-wise node. An input that stands twice is loaded twice."""
    program = TileProgram(domains(node)[0])
    args = [program.load(k) for k in range(len(node.inputs))]
    out = node.outputs[0]
    if out.dtype is None:
        raise ConvertError(
            "the element type of its result is not known", node=node.name, operator=node.op
        )
    program.store(append(program, node, args), 0, out.dtype)
    return program


def tile_of(node: Node) -> Node:
    """The `tile` node that does what an element-wise node does, with the same values. The node is not changed."""
    return Node("tile", list(node.inputs), list(node.outputs), {}, node.name, tile=single(node))
