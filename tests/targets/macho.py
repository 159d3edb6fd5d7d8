"""Executes a Mach-O library: lief reads it, unicorn runs the harness in it."""

from __future__ import annotations

from pathlib import Path

import lief
import unicorn
from unicorn import arm64_const, x86_const

HEAP, STACK, STOP = 0x6000_0000_0000, 0x7000_0000_0000, 0x5000_0000_0000
BASE, PAGE, STACK_BYTES, HEAP_BYTES = 0x1_0000_0000, 4096, 0x100000, 0x1000000
NEON = 4


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
        image.header.cpu_type.name.lower(): _answer(image, model, inputs)
        for image in fat  # type: ignore[union-attr]
    }


def _answer(image: lief.MachO.Binary, model: bytes, inputs: bytes) -> bytes:
    arm = image.header.cpu_type == lief.MachO.Header.CPU_TYPE.ARM64
    if arm:
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
    for fixup in image.relocations:  # pointers in tables: what dyld would add the load address to
        where = fixup.address + base
        if isinstance(fixup, lief.MachO.RelocationFixup):
            target = fixup.target
        else:  # the older form holds the pointer itself
            target = int.from_bytes(uc.mem_read(where, 8), "little")
        uc.mem_write(where, (target + base).to_bytes(8, "little"))
    entry = next(s.value for s in image.exported_symbols if s.name == "_whit_harness") + base
    top = HEAP
    places = []
    for data in (model, inputs, bytes(65536)):
        uc.mem_write(top, data)
        places.append(top)
        top = (top + len(data) + 63) // 64 * 64
    words = [
        places[0],
        len(model),
        places[1],
        places[2],
        top,
        HEAP + HEAP_BYTES - top,
        NEON if arm else 0,
    ]
    n = (_call_arm64 if arm else _call_x86)(uc, entry, words)
    if n <= 0:
        raise RuntimeError(f"status {-n}")
    return bytes(uc.mem_read(places[2], n))


def _call_arm64(uc: unicorn.Uc, entry: int, words: list[int]) -> int:
    for k, word in enumerate(words):
        uc.reg_write(arm64_const.UC_ARM64_REG_X0 + k, word)
    uc.reg_write(arm64_const.UC_ARM64_REG_SP, STACK - 256)
    uc.reg_write(arm64_const.UC_ARM64_REG_X30, STOP)
    uc.emu_start(entry, STOP)
    return int.from_bytes(
        uc.reg_read(arm64_const.UC_ARM64_REG_X0).to_bytes(8, "little")[:4], "little", signed=True
    )


def _call_x86(uc: unicorn.Uc, entry: int, words: list[int]) -> int:
    c = x86_const
    for register, word in zip(
        (c.UC_X86_REG_RDI, c.UC_X86_REG_RSI, c.UC_X86_REG_RDX, c.UC_X86_REG_RCX, c.UC_X86_REG_R8, c.UC_X86_REG_R9),
        words, strict=False,
    ):  # fmt: skip
        uc.reg_write(register, word)
    stack = STACK - 256 - 8  # 16-byte aligned before the call
    uc.mem_write(stack, STOP.to_bytes(8, "little") + words[6].to_bytes(8, "little"))
    uc.reg_write(c.UC_X86_REG_RSP, stack)
    uc.emu_start(entry, STOP)
    return int.from_bytes(
        (uc.reg_read(c.UC_X86_REG_RAX) & 0xFFFFFFFF).to_bytes(4, "little"), "little", signed=True
    )
