"""The machines that Whit is built for, how each is compiled, and the compilers of this machine. Standard library only."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import WhitError

CLANG_NEEDED = 19
"""Older ones lack some of the targets, or make other bits of them."""


class ToolError(WhitError):
    """A compiler or a tool beside it is not there, or says no."""


@dataclass(frozen=True)
class Target:
    """One machine. A library is one translation unit or a few, linked with nothing else."""

    name: str
    triples: tuple[str, ...]
    """What clang calls it; more than one makes a universal Mach-O file."""
    cflags: tuple[str, ...] = ()
    ldflags: tuple[str, ...] = ()
    output: str = "elf"
    """The linked form: elf and macho shared libraries, a wasm module, archive (static only), source (nothing is compiled)."""
    library: str = "libwhit.so"
    """Usual file name of the linked form; the static one is libwhit.a."""
    gcc: str = ""
    """The gcc that can do it too, if there is one."""
    gcc_flags: tuple[str, ...] = ()
    """For gcc, in place of cflags."""
    gcc_package: str = ""


ELF = (
    "-Wl,-z,max-page-size=16384", "-Wl,-z,common-page-size=16384", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack",
    "-Wl,-z,text", "-Wl,--no-undefined", "-Wl,--build-id=sha1", "-Wl,--hash-style=gnu", "-Wl,-Bsymbolic",
    "-Wl,--gc-sections", "-Wl,-s",
)  # fmt: skip
"""Android asks for 16 KiB; other systems lose no byte by it."""

WASM = ("-Wl,--no-entry", "-Wl,--export-dynamic", "-Wl,--export=__heap_base", "-Wl,--gc-sections",
        "-Wl,--strip-all", "-Wl,-z,stack-size=65536")  # fmt: skip


def macho(platform: str, version: str, install_name: str) -> tuple[str, ...]:
    return (
        "-platform_version", platform, version, version, "-install_name", install_name,
        "-dead_strip", "-x", "-no_function_starts", "-no_data_in_code_info",
    )  # fmt: skip


ARM64 = ("-march=armv8-a", "-mbranch-protection=standard")
ARMV7 = ("-march=armv7-a", "-mthumb")
X86 = ("-march=i686", "-msse2", "-mssse3", "-mfpmath=sse", "-mstackrealign")
IOS_NAME = "@rpath/whit.framework/whit"

TARGETS: dict[str, Target] = {
    t.name: t
    for t in (
        Target("android-arm64-v8a", ("aarch64-linux-android21",), ARM64, ELF),
        # Floats are passed in core registers there, and VFPv4 is not promised.
        Target(
            "android-armeabi-v7a", ("armv7a-linux-androideabi21",),
            (*ARMV7, "-mfpu=neon", "-mfloat-abi=softfp"), ELF,
            gcc="arm-linux-gnueabi-gcc", gcc_flags=(*ARMV7, "-mfpu=neon", "-mfloat-abi=softfp"),
            gcc_package="gcc-arm-linux-gnueabi",
        ),
        # Tuned for processors that have AVX2, not for those that have no more than x86-64-v2 and read 32 bytes in halves.
        Target(
            "android-x86_64", ("x86_64-linux-android21",), ("-march=x86-64-v2", "-mtune=generic"), ELF,
        ),
        Target(
            "android-x86", ("i686-linux-android21",), X86, ELF,
            gcc="i686-linux-gnu-gcc", gcc_flags=X86, gcc_package="gcc-i686-linux-gnu",
        ),
        Target(
            "ios-arm64", ("arm64-apple-ios15.0",), (), macho("ios", "15.0", IOS_NAME),
            "macho", "whit",
        ),
        Target(
            "ios-simulator", ("arm64-apple-ios15.0-simulator", "x86_64-apple-ios15.0-simulator"), (),
            macho("ios-simulator", "15.0", IOS_NAME), "macho", "whit",
        ),
        Target(
            "macos", ("arm64-apple-macos11.0", "x86_64-apple-macos11.0"), (),
            macho("macos", "11.0", "@rpath/libwhit.dylib"), "macho", "libwhit.dylib",
        ),
        Target(
            "linux-x86_64", ("x86_64-linux-gnu",), (), ELF, gcc="gcc", gcc_package="gcc",
        ),
        Target(
            "linux-aarch64", ("aarch64-linux-gnu",), ARM64, ELF,
            gcc="aarch64-linux-gnu-gcc", gcc_flags=(*ARM64, "-mno-outline-atomics"),
            gcc_package="gcc-aarch64-linux-gnu",
        ),
        Target(
            "linux-armv7", ("armv7a-linux-gnueabihf",), (*ARMV7, "-mfpu=neon"), ELF,
            gcc="arm-linux-gnueabihf-gcc", gcc_flags=(*ARMV7, "-mfpu=neon", "-mfloat-abi=hard"),
            gcc_package="gcc-arm-linux-gnueabihf",
        ),
        Target(
            "wasm32", ("wasm32",), ("-msimd128", "-mbulk-memory"), WASM, "wasm", "whit.wasm",
        ),
        Target(
            "cortex-m4", ("thumbv7em-none-eabihf",), ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16"),
            output="archive", library="libwhit.a", gcc="arm-none-eabi-gcc",
            gcc_flags=("-mthumb", "-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
            gcc_package="gcc-arm-none-eabi",
        ),
        # The M7 with the single-precision unit: code for it runs on those with double precision as well.
        Target(
            "cortex-m7", ("thumbv7em-none-eabihf",), ("-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16"),
            output="archive", library="libwhit.a", gcc="arm-none-eabi-gcc",
            gcc_flags=("-mthumb", "-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"),
            gcc_package="gcc-arm-none-eabi",
        ),
        # -fno-if-conversion2: gcc 12 makes a vcvt.f64.f32 conditional, and its assembler does not know `vcvtne.f64.f32` on this core.
        Target(
            "cortex-m55", ("thumbv8.1m.main-none-eabihf",), ("-mcpu=cortex-m55",),
            output="archive", library="libwhit.a", gcc="arm-none-eabi-gcc",
            gcc_flags=("-mthumb", "-mcpu=cortex-m55", "-mfloat-abi=hard", "-fno-if-conversion2"),
            gcc_package="gcc-arm-none-eabi",
        ),
        Target("c", (), output="source", library="whit.c"),
    )
}  # fmt: skip

# No -ffast-math, no contraction: the same bits on every machine.
CFLAGS = (
    "-std=c11", "-ffreestanding", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fvisibility=hidden", "-ffunction-sections",
    "-fdata-sections", "-fno-ident",
)  # fmt: skip


def target(name: str) -> Target:
    """The target of a name, or an error that names them all."""
    if name not in TARGETS:
        raise ToolError(f"there is no target {name!r}; there are {', '.join(TARGETS)}")
    return TARGETS[name]


@dataclass(frozen=True)
class Compiler:
    """A compiler that was found. family: clang or gcc."""

    path: str
    family: str

    def tool(self, name: str) -> str:
        """A program that belongs to it: lld's and LLVM's stand beside clang, ar beside gcc."""
        if self.family == "gcc":
            return str(Path(self.path).with_name(Path(self.path).name.removesuffix("gcc") + name))
        home = Path(self.path).resolve().parent
        version = f"-{_clang_version(self.path)}"
        places = (home / name, shutil.which(name + version), shutil.which(name))
        found = next((str(p) for p in places if p and os.access(p, os.X_OK)), None)
        if found is None:
            package = "lld" if "ld" in name and "llvm" not in name else "llvm"
            raise ToolError(
                f"there is no {name} beside {self.path}: apt install {package}{version}"
            )
        return found


@functools.cache
def _clang_version(path: str) -> int:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    m = re.search(r"clang version (\d+)", said)
    return int(m[1]) if m and "Apple" not in said else 0


@functools.cache
def _clang(given: str | None) -> Compiler | None:
    names = (
        [given] if given else [*(f"clang-{n}" for n in range(30, CLANG_NEEDED - 1, -1)), "clang"]
    )
    for path in filter(None, map(shutil.which, names)):
        if _clang_version(path) >= CLANG_NEEDED:
            return Compiler(path, "clang")
    return None


def compiler(t: Target, family: str = "") -> Compiler:
    """The compiler for a target: clang (the environment's CLANG, else the newest), or gcc where the target has one.
    family "clang" or "gcc" asks for that one. Raises ToolError, saying what to install."""
    if family != "gcc":
        clang = _clang(os.environ.get("CLANG"))
        if clang:
            return clang
    gcc = shutil.which(t.gcc) if t.gcc and family != "clang" else None
    if gcc:
        return Compiler(gcc, "gcc")
    wanted = (
        []
        if family == "gcc"
        else [f"clang {CLANG_NEEDED} or newer with lld (apt install clang-19 lld-19 llvm-19)"]
    )
    if t.gcc and family != "clang":
        wanted.append(f"{t.gcc} (apt install {t.gcc_package})")
    if not wanted:
        raise ToolError(f"no gcc makes {t.name}; it takes clang {CLANG_NEEDED} or newer with lld")
    raise ToolError(f"{t.name} is built with {' or '.join(wanted)}; none is here")


def compile(
    t: Target, sources: Sequence[str | Path], output: str | Path, opt: str = "-Os", defines: Iterable[str] = (), *,
    includes: Iterable[str | Path] = (), flags: Iterable[str] = (), using: Compiler | None = None,
) -> Path:  # fmt: skip
    """Makes output of C sources: a static library if it ends in .a, else the target's linked form.

    defines are NAME or NAME=VALUE; flags go to the compiler after all others. Raises ToolError with what the compiler said."""
    extra = [opt, *(f"-D{d}" for d in defines), *(f"-I{i}" for i in includes), *flags]
    compile_all(t, sources, [Path(output)], extra, using or compiler(t))
    return Path(output)


def compile_all(
    t: Target, sources: Sequence[str | Path], outputs: Sequence[Path], flags: list[str], cc: Compiler
) -> None:  # fmt: skip
    """Each of the outputs, as compile() makes one; what is compiled serves them all."""
    if t.output == "source":
        raise ToolError("the target c is the source itself; nothing is compiled for it")
    for output in outputs:
        if t.output == "archive" and output.suffix != ".a":
            raise ToolError(f"{t.name} has static libraries only: name the output {output.stem}.a")
        output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        slices = []
        for k, triple in enumerate(t.triples):
            machine, place = _machine(t, cc, triple), Path(folder, str(k))
            place.mkdir()
            objects: list[Path] = []
            for source in sources:
                objects.append(place / f"{len(objects)}-{Path(source).stem}.o")
                run([cc.path, *machine, *CFLAGS, *flags, "-c", source, "-o", objects[-1]])
            slices.append((triple, machine, objects))
        for output in outputs:
            made = [_slice(t, cc, *parts, output.name) for parts in slices]
            if len(made) > 1:
                whole = made[0].with_name(f"all-{output.name}")
                run([cc.tool("llvm-lipo"), "-create", *made, "-output", whole])
                made = [whole]
            shutil.move(made[0], output)


def _slice(t: Target, cc: Compiler, triple: str, machine: list[str], objects: list[Path], name: str) -> Path:  # fmt: skip
    """The library of one triple, beside its objects."""
    made = objects[0].with_name(name)
    static = made.suffix == ".a"
    if static and t.output == "macho":
        run([cc.tool("llvm-libtool-darwin"), "-static", "-o", made, *objects])
    elif static:
        run([cc.tool("ar" if cc.family == "gcc" else "llvm-ar"), "rcsD", made, *objects])
    elif t.output == "macho":
        arch = ("-arch", triple.partition("-")[0])
        run([cc.tool("ld64.lld"), "-dylib", *arch, *t.ldflags, *objects, "-o", made])
    elif t.output == "wasm":
        run([cc.path, *machine, "-fuse-ld=lld", "-nostdlib", *t.ldflags, *objects, "-o", made])
    else:
        soname = f"-Wl,-soname,{name}"
        lld = ("-fuse-ld=lld", "-Wl,--icf=safe") if cc.family == "clang" else ()
        run([cc.path, *machine, *lld, "-nostdlib", "-shared", soname, *t.ldflags, *objects, "-o", made])  # fmt: skip
    return made


def link(t: Target, cc: Compiler, archive: Path, functions: Sequence[str]) -> Path:
    """A program beside the archive of an ELF target that needs these functions, and what they need."""
    made = archive.with_suffix(".elf")
    lld = ["-fuse-ld=lld"] if cc.family == "clang" else []
    wanted = [f"-Wl,--undefined={name}" for name in functions]
    machine = [f for f in _machine(t, cc, t.triples[0]) if f != "-fPIC"]
    run(
        [
            cc.path,
            *machine,
            *lld,
            "-nostdlib",
            "-static",
            "-Wl,--gc-sections",
            "-Wl,--entry=0",
            *wanted,
            archive,
            "-o",
            made,
        ]
    )
    return made


def _machine(t: Target, cc: Compiler, triple: str) -> list[str]:
    """What names the machine to the compiler. Its own headers are all that a source may include."""
    pic = ["-fPIC"] if t.output in ("elf", "macho") else []
    if cc.family == "gcc":
        return [*t.gcc_flags, *pic]
    return [f"--target={triple}", *t.cflags, *pic, "-nostdinc", "-isystem", f"{_resources(cc.path)}/include"]  # fmt: skip


@functools.cache
def _resources(clang: str) -> str:
    return run([clang, "-print-resource-dir"]).strip()


def run(command: Sequence[str | Path]) -> str:
    """Runs a tool; what it says goes into the error if it fails."""
    words = [str(c) for c in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as e:
        raise ToolError(f"cannot run {words[0]}: {e.strerror}") from None
    if done.returncode:
        raise ToolError(f"{Path(words[0]).name} failed:\n{' '.join(words)}\n{done.stderr.strip()}")
    return done.stdout
