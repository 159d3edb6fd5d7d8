"""Executes a Mach-O library: lief reads it, unicorn runs its functions."""

from __future__ import annotations

import struct
from pathlib import Path

import lief
import records
import unicorn
from unicorn import arm64_const, x86_const

HEAP, STACK, STOP = 0x6000_0000_0000, 0x7000_0000_0000, 0x5000_0000_0000
BASE, PAGE, STACK_BYTES, HEAP_BYTES = 0x1_0000_0000, 4096, 0x100000, 0x1000000
NEON, NO_MEMORY = 4, 0x30
ARM_WORDS = [arm64_const.UC_ARM64_REG_X0 + k for k in range(6)]
X86_WORDS = [
    getattr(x86_const, f"UC_X86_REG_{r}") for r in ("RDI", "RSI", "RDX", "RCX", "R8", "R9")
]


def imports(path: Path) -> list[str]:
    """What the slices take from elsewhere: symbols and libraries."""
    found: list[str] = []
    fat = lief.MachO.parse(str(path))  # held: its slices do not keep it alive
    for image in fat:  # type: ignore[union-attr]
        found += [str(s.name) for s in image.imported_symbols]
        found += [str(x.name) for x in image.libraries if "whit" not in str(x.name)]
    return found


def exports(path: Path) -> set[str]:
    fat = lief.MachO.parse(str(path))
    return {str(s.name).removeprefix("_") for image in fat for s in image.exported_symbols}  # type: ignore[union-attr]


def answers(path: Path, model: bytes, inputs: bytes) -> dict[str, bytes]:
    """The outputs' records that each slice gives, by its processor."""
    fat = lief.MachO.parse(str(path))
    return {
        image.header.cpu_type.name.lower(): _answer(Machine(image), model, inputs)
        for image in fat  # type: ignore[union-attr]
    }


def _answer(m: Machine, model: bytes, inputs: bytes) -> bytes:
    """What tests/runtime_c/runner.c does, call by call."""
    host = struct.pack("<QQIIQQ", 0, 0, 0, m.cpu, 0, 0)
    opened, count = m.put(bytes(4096)), m.put(bytes(8))
    m.good("whit_open", opened, m.put(model), len(model))
    n_bytes = m.call("whit_instance_bytes", opened)
    instance = m.call("whit_instance_init", m.put(bytes(n_bytes)), n_bytes, opened, 0, m.put(host))
    at = 0
    for k in range(m.call("whit_port_count", opened, 0, 0) & 0xFFFFFFFF):
        dtype, rank, dims, data, at = records.take(inputs, at)
        m.good("whit_input_set", instance, k, dtype, rank, m.put(dims), m.put(data))
    m.good("whit_plan", instance, count)
    n_bytes, arena = int.from_bytes(m.uc.mem_read(count, 8), "little"), m.put(b"")
    status = NO_MEMORY  # what it takes is known when it has run so far; the rest of the memory is the arena's
    while status == NO_MEMORY:
        m.good("whit_arena_set", instance, arena, (n_bytes + 63) // 64 * 64)
        status = m.call("whit_run", instance) & 0xFFFFFFFF
        n_bytes = m.call("whit_arena_needed", instance)
    if status:
        raise RuntimeError(f"whit_run: status {status:#x}")
    found = b""
    for k in range(m.call("whit_port_count", opened, 0, 1) & 0xFFFFFFFF):
        data, dtype, rank, dims = struct.unpack(
            "<QBBxx32s", m.uc.mem_read(m.call("whit_output", instance, k), 44)
        )
        head, n_bytes = records.head(dtype, rank, dims)
        found += head + m.uc.mem_read(data, n_bytes)
    return found


class Machine:
    """A processor with one slice in its memory."""

    def __init__(self, image: lief.MachO.Binary) -> None:
        self.arm = image.header.cpu_type == lief.MachO.Header.CPU_TYPE.ARM64
        self.cpu = NEON if self.arm else 0  # this emulator has no AVX2
        if self.arm:
            uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
            uc.ctl_set_cpu_model(arm64_const.UC_CPU_ARM64_A53)
            uc.reg_write(arm64_const.UC_ARM64_REG_CPACR_EL1, 3 << 20)
        else:
            uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        uc.mem_map(STACK - STACK_BYTES, STACK_BYTES)
        uc.mem_map(HEAP, HEAP_BYTES)
        uc.mem_map(STOP, PAGE)
        base = BASE if image.imagebase == 0 else 0
        for segment in image.segments:
            if segment.name in ("__PAGEZERO", "__LINKEDIT") or not segment.virtual_size:
                continue
            low = (segment.virtual_address + base) // PAGE * PAGE
            high = segment.virtual_address + base + segment.virtual_size
            uc.mem_map(low, (high - low + PAGE - 1) // PAGE * PAGE)
            uc.mem_write(segment.virtual_address + base, bytes(segment.content))
        for (
            fixup
        ) in image.relocations:  # pointers in tables: what dyld would add the load address to
            where = fixup.address + base
            if isinstance(fixup, lief.MachO.RelocationFixup):
                target = fixup.target
            else:  # the older form holds the pointer itself
                target = int.from_bytes(uc.mem_read(where, 8), "little")
            uc.mem_write(where, (target + base).to_bytes(8, "little"))
        self.uc, self.top = uc, HEAP
        self.entries = {str(s.name): s.value + base for s in image.exported_symbols}

    def put(self, data: bytes) -> int:
        """The address of a copy in the machine's memory."""
        at = self.top
        self.top += (len(data) + 63) // 64 * 64
        self.uc.mem_write(at, data)
        return at

    def call(self, name: str, *words: int) -> int:
        registers = ARM_WORDS if self.arm else X86_WORDS
        for register, word in zip(registers, words, strict=False):
            self.uc.reg_write(register, word)
        if self.arm:
            self.uc.reg_write(arm64_const.UC_ARM64_REG_SP, STACK - 256)
            self.uc.reg_write(arm64_const.UC_ARM64_REG_X30, STOP)
        else:
            stack = STACK - 256 - 8  # 16-byte aligned before the call
            self.uc.mem_write(stack, STOP.to_bytes(8, "little"))
            self.uc.reg_write(x86_const.UC_X86_REG_RSP, stack)
        self.uc.emu_start(self.entries[f"_{name}"], STOP)
        return int(self.uc.reg_read(registers[0] if self.arm else x86_const.UC_X86_REG_RAX))

    def good(self, name: str, *words: int) -> None:
        status = self.call(name, *words) & 0xFFFFFFFF
        if status:
            raise RuntimeError(f"{name}: status {status:#x}")
