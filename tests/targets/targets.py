"""make targets: the library for every target, its form checked, and executed here on three models beside the host's bits."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import records
import runners

import whit
from whit import _build
from whit import _targets as targets

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build/targets"
SOURCE = ROOT / "build/gen/whit_all.c"
INCLUDES = [ROOT / "runtime_c/include", ROOT / "build/gen"]
WARN = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wvla", "-Werror"]
HEADER = (ROOT / "runtime_c/include/whit.h").read_text()
PUBLIC = set(re.findall(r"WHIT_API [^;(]*?\b(whit_\w+)\(", HEADER))
MODELS = ("triple", "digits", "dates")
DATE = json.loads((ROOT / "examples/models/dates_test.json").read_text())[0]["input"]

ARM = ["-march=armv7-a", "-mfpu=neon", "-std=c11"]
PROGRAMS: dict[str, tuple[list[str], list[list[str]], str]] = {
    # A program of this machine's libc for the same calling convention loads the library itself. Commands: one a CPU.
    "android-arm64-v8a": (["aarch64-linux-gnu-gcc"], [["qemu-aarch64", "-cpu", "cortex-a53", "-L", "/usr/aarch64-linux-gnu"]], "neon"),
    "linux-aarch64": (["aarch64-linux-gnu-gcc"], [["qemu-aarch64", "-cpu", "cortex-a53", "-L", "/usr/aarch64-linux-gnu"]], "neon"),
    "android-armeabi-v7a": (["arm-linux-gnueabi-gcc", *ARM, "-mfloat-abi=softfp"], [["qemu-arm", "-cpu", "cortex-a7", "-L", "/usr/arm-linux-gnueabi"]], "neon"),
    "linux-armv7": (["arm-linux-gnueabihf-gcc", *ARM], [["qemu-arm", "-cpu", "cortex-a7", "-L", "/usr/arm-linux-gnueabihf"]], "neon"),
    "android-x86_64": (["gcc"], [[]], "host"),
    "linux-x86_64": (["gcc"], [[]], "host"),
    "android-x86": (["i686-linux-gnu-gcc"], [["qemu-i386", "-cpu", "core2duo", "-L", "/usr/i686-linux-gnu"]], "scalar"),
}  # fmt: skip
BOARDS = {
    # machine, code, data, size of data: all in the memory that the board has
    "cortex-m4": ("mps2-an386", "0", "0x20000000", "0x400000"),
    "cortex-m7": ("mps2-an500", "0", "0x20000000", "0x400000"),
    "cortex-m55": ("mps3-an547", "0", "0x01000000", "0x200000"),
}
Given = tuple[Path, Path, bytes]
TOLERANCE = {"wasm32": 1e-5}
"""Where products and sums are not fused; relative to the largest output."""
FLUSHED = {("android-armeabi-v7a", "neon"), ("linux-armv7", "neon")}
"""Where vector units take subnormal numbers for zeros."""
EVERYTHING = "everything"
HOLDS = (EVERYTHING, "models, balanced", "models, size")
"""What is in a library: all of the runtime, or what `whit build --profile` makes for the models."""


class Failed(Exception):
    """A target that does not do what it should."""


@dataclass
class Row:
    target: str
    compiler: str
    text: int
    rodata: int
    size: int
    executed: str
    results: dict[str, str]


# ---- the models --------------------------------------------------------------------------------------


def vectors(folder: Path, names: Iterable[str] = MODELS) -> dict[str, Given]:
    """Each model, its inputs, and the outputs' records that the host gives with its plain kernels."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    digits = np.load(ROOT / "examples/models/digits_test.npz")
    image = next(digits[k] for k in digits.files if digits[k].ndim > 1)
    feeds = {
        "triple": np.array([[14.0], [0.1]], np.float32),
        "digits": image[:1].astype(np.float32).reshape(1, 1, 8, 8),
        "dates": np.array([ord(c) for c in DATE], np.int64),
    }
    for name in names:
        path, inputs = folder / f"{name}.whit", folder / f"{name}.inputs"
        whit.convert(ROOT / f"examples/models/{name}.onnx", path)
        model = whit.load(path)
        runners.write_inputs(model, {model.inputs[0].name: feeds[name]}, inputs)
        found[name] = (path, inputs, runners.answer(runners.native(), path, inputs, "scalar"))
    return found


def golden(folder: Path) -> dict[str, Given]:
    """The same of the files that must load for ever, which meet more kernels."""
    found = {}
    for path in sorted((ROOT / "tests/golden").glob("v*/*.whit")):
        stored = np.load(path.with_suffix(".npz"))
        feeds = {k.removeprefix("in:"): stored[k] for k in stored.files if k.startswith("in:")}
        inputs = folder / f"{path.parent.name}-{path.stem}.inputs"
        runners.write_inputs(whit.load(path), feeds, inputs)
        found[f"golden {path.stem}"] = (
            path,
            inputs,
            runners.answer(runners.native(), path, inputs, "scalar"),
        )
    return found


def flushed(record: bytes) -> list[bytes]:
    """The bits of each output with 0 for subnormal numbers and for zeros of either sign, since it is operands that are flushed."""
    found = []
    for a in records.arrays(record):
        if a.dtype == np.float32:
            a = np.where(np.abs(a) < np.finfo(np.float32).tiny, np.float32(0), a)
        found.append(a.tobytes() + repr((a.dtype, a.shape)).encode())
    return found


def judge(target: str, level: str, got: bytes, want: bytes) -> str:
    if got == want:
        return "same bits"
    if (target, level) in FLUSHED and flushed(got) == flushed(want):
        return "subnormals are 0, else same bits"
    if target not in TOLERANCE:
        raise Failed(
            f"other bits than the host's: {records.arrays(got)} in place of {records.arrays(want)}"
        )
    worst = 0.0
    for a, b in zip(records.arrays(got), records.arrays(want), strict=True):
        if a.dtype != b.dtype or a.shape != b.shape or (a.dtype.kind != "f" and (a != b).any()):
            raise Failed(f"{a} in place of {b}")
        if a.dtype.kind == "f":
            worst = max(worst, float(np.abs(a - b).max() / np.abs(b).max()))
    if not worst <= TOLERANCE[target]:
        raise Failed(f"differs by {worst:.1e} of the largest output, more than {TOLERANCE[target]}")
    return f"within {worst:.0e}"


# ---- the form ----------------------------------------------------------------------------------------


def need(condition: object, what: str) -> None:
    if not condition:
        raise Failed(what)


def gate(t: targets.Target, path: Path) -> tuple[int, int]:
    """Checks the library's form; bytes of code and of constants."""
    clang = targets.compiler(targets.TARGETS["linux-x86_64"], "clang")
    nm, readelf = clang.tool("llvm-nm"), clang.tool("llvm-readelf")
    if t.output == "wasm":
        return 0, 0  # module.mjs refuses imports
    if t.output == "macho":
        import macho

        need(not macho.imports(path), f"imports {macho.imports(path)}")
        need(macho.exports(path) == PUBLIC, "exports other symbols than whit.h declares")
        return 0, 0
    sections = targets.run([readelf, "-SW", path])
    size = {
        m[1]: int(m[2], 16) for m in re.finditer(r"\] (\.[\w.]+)\s+\w+\s+\w+ \w+ (\w+)", sections)
    }
    writable = [n for n in (".data", ".bss", ".tdata", ".tbss", ".init_array") if size.get(n)]
    need(not writable, f"has {writable}")
    text = sum(n for s, n in size.items() if s.startswith(".text"))
    rodata = sum(n for s, n in size.items() if s.startswith((".rodata", ".data.rel.ro")))
    if t.output == "archive":
        need(not re.search(r" U ", targets.run([nm, "-u", path])), "has undefined symbols")
        return text, rodata
    need(not targets.run([nm, "-D", "-u", path]).strip(), "has undefined symbols")
    exported = {x.split()[-1] for x in targets.run([nm, "-D", "--defined-only", path]).splitlines()}
    need(exported == PUBLIC, f"exports {sorted(exported ^ PUBLIC)} differ from whit.h")
    dynamic, heads = targets.run([readelf, "-d", path]), targets.run([readelf, "-lW", path])
    notes = targets.run([readelf, "-n", path])
    need("NEEDED" not in dynamic, "needs another library")
    need("TEXTREL" not in dynamic, "has text relocations")
    need(f"[{t.library}]" in dynamic, "has no or another SONAME")
    loads = re.findall(r"^ *LOAD .* (\S+)$", heads, re.M)
    need(loads and set(loads) == {"0x4000"}, f"LOAD alignment is {loads}")
    need("Build ID" in notes, "has no build-id")
    if "aarch64" in t.triples[0]:
        need("BTI" in notes and "PAC" in notes, "carries no BTI and PAC notes")
    return text, rodata


# ---- execution ---------------------------------------------------------------------------------------


def on_linux(t: targets.Target, library: Path, model: Path, inputs: Path) -> dict[str, bytes]:
    cc, commands, isa = PROGRAMS[t.name]
    program = library.with_name("runner")
    if not program.exists() or program.stat().st_mtime < library.stat().st_mtime:
        parts = [ROOT / "tests/runtime_c/runner.c", *(ROOT / "runtime_c/platform").glob("*.c")]
        include = [f"-I{ROOT}/runtime_c/{x}" for x in ("include", "platform")]
        where = f"-Wl,-rpath,{library.parent}"
        targets.run([*cc, "-O1", *include, *parts, library, where, "-pthread", "-o", program])
    levels = ["scalar", isa] if isa != "host" else ["scalar", *runners.isas()]
    return {
        f"{level}": runners.answer([*command, str(program)], model, inputs, level, times=1)
        for command in commands
        for level in dict.fromkeys(levels)
    }


def on_board(
    t: targets.Target, cc: targets.Compiler, library: Path, model: Path, inputs: Path
) -> bytes:
    machine, code, data, size = BOARDS[t.name]
    output = library.with_name(f"{model.stem}.outputs")
    output.unlink(missing_ok=True)
    defines = [f'{k}="{v}"' for k, v in (("MODEL", model), ("INPUTS", inputs), ("OUTPUTS", output))]
    parts = library.with_name("board.a")
    targets.compile(
        t,
        [HERE / "board.c", HERE / "harness.c"],
        parts,
        defines=defines,
        includes=INCLUDES,
        using=cc,
    )
    lld = targets.compiler(t, "clang").tool("ld.lld")
    image = library.with_name(f"{model.stem}.elf")
    places = [f"--defsym={k}={v}" for k, v in (("CODE", code), ("DATA", data), ("SIZE", size))]
    targets.run([lld, "--gc-sections", *places, "-T", HERE / "board.ld", "--whole-archive", parts,
                 "--no-whole-archive", library, "-o", image])  # fmt: skip
    command = ["qemu-system-arm", "-M", machine, "-display", "none", "-serial", "none", "-monitor", "none",
               "-semihosting-config", "enable=on,target=native", "-kernel", str(image)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    need(
        done.returncode == 0 and output.exists(),
        f"{machine} stopped with {done.returncode}: {done.stderr}",
    )
    return output.read_bytes()


def on_node(module: Path, model: Path, inputs: Path) -> bytes:
    output = module.with_name(f"{model.stem}.outputs")
    targets.run(["node", HERE / "module.mjs", module, model, inputs, output])
    return output.read_bytes()


def execute(
    t: targets.Target, cc: targets.Compiler, library: Path, model: Path, inputs: Path
) -> dict[str, bytes]:
    """Outputs' records by level of processor features, or by slice."""
    if t.name in PROGRAMS:
        return on_linux(t, library, model, inputs)
    if t.name in BOARDS:
        return {t.name: on_board(t, cc, library, model, inputs)}
    if t.output == "wasm":
        return {"simd128": on_node(library, model, inputs)}
    import macho

    return macho.answers(library, model.read_bytes(), inputs.read_bytes())


HOW = {"elf": "natively", "macho": "lief + unicorn", "wasm": "node"}


def how(t: targets.Target) -> str:
    if t.name in BOARDS:
        return f"qemu-system-arm {BOARDS[t.name][0]}"
    if t.name in PROGRAMS and PROGRAMS[t.name][1][0]:
        return " ".join(PROGRAMS[t.name][1][0][:3:2])
    return HOW[t.output]


def missing(t: targets.Target) -> str:
    """What is not here to execute a target, as a sentence; empty if nothing."""
    programs = []
    if t.name in PROGRAMS:
        cc, commands, _ = PROGRAMS[t.name]
        programs = [cc[0], *(c[0] for c in commands if c)]
    elif t.name in BOARDS:
        programs = ["qemu-system-arm"]
    elif t.output == "wasm":
        programs = ["node"]
    gone = [p for p in programs if not shutil.which(p)]
    if t.output == "macho":
        try:
            import macho  # noqa: F401
        except ImportError as e:
            gone.append(f"Python's {e.name} (pip install lief unicorn)")
    return f"{t.name} cannot be executed here: there is no {' and no '.join(gone)}" if gone else ""


def _difference(said: str) -> float:
    """To find the worst of several judgements."""
    return float(said.split()[1]) if said.startswith("within") else float(said != "same bits") - 1


def check(
    t: targets.Target, family: str, given: dict[str, Given], more: dict[str, Given], holds: str
) -> Row:
    """Builds, checks and executes one target; Failed or ToolError says what is wrong.

    holds: one of HOLDS; everything runs `more` too, except on the boards, whose images hold one model each."""
    whole, profile = holds == EVERYTHING, holds.split()[-1]
    cc = targets.compiler(t, family)
    library = BUILD / t.name / f"{family}-{profile}" / t.library
    if whole:
        targets.compile(t, [SOURCE], library, includes=INCLUDES, flags=WARN, using=cc)
    else:
        with _build.source([whit.load(g[0]) for g in given.values()], t, profile) as s:
            s.compile([library], family)
    text, rodata = gate(t, library)
    said: dict[str, set[str]] = {}
    levels: set[str] = set()
    for name, (model, inputs, want) in {**given, **({} if t.name in BOARDS else more)}.items():
        if not whole and name not in given:
            continue
        for level, got in execute(t, cc, library, model, inputs).items():
            said.setdefault(name.split()[0], set()).add(judge(t.name, level, got, want))
            levels.add(level)
    results = {kind: max(words, key=_difference) for kind, words in said.items()}
    executed = f"{how(t)} ({', '.join(sorted(levels))})"
    return Row(t.name, Path(cc.path).name, text, rodata, library.stat().st_size, executed, results)


def cases() -> list[tuple[targets.Target, str, str]]:
    """Every target with every compiler that can make it."""
    return [
        (t, family, holds)
        for t in targets.TARGETS.values()
        for family in ("clang", "gcc")
        for holds in HOLDS
        if t.output != "source" and (family == "clang" or t.gcc)
    ]


def main() -> int:
    """All targets, or those that are named."""
    began, bad, given, more = time.monotonic(), 0, vectors(BUILD), golden(BUILD)
    columns = [*MODELS, f"{len(more)} golden files"]
    wanted = [c for c in cases() if c[0].name in (sys.argv[1:] or targets.TARGETS)]
    head = ["target", "compiler", "holds", "text", "rodata", "file", "executed", *columns]
    print(f"| {' | '.join(head)} |\n|---|---|---|---:|---:|---:|---|{'---|' * len(columns)}")
    for t, family, holds in wanted:
        try:
            need(not missing(t), missing(t))
            r = check(t, family, given, more, holds)
            results = [r.results.get("golden" if "golden" in c else c, "") for c in columns]
            cells = [
                r.target,
                r.compiler,
                holds,
                r.text or "",
                r.rodata or "",
                r.size,
                r.executed,
                *results,
            ]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
        except (Failed, targets.ToolError, subprocess.SubprocessError, RuntimeError) as e:
            bad += 1
            print(f"| {t.name} | {family} | {holds} | FAILED: {e} |", flush=True)
    print(f"\n{len(wanted) - bad} of {len(wanted)} in {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
