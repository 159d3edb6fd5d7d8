"""Writes the runtime as one C file and one header: `cc -c -O2 whit.c`, with any compiler, as C11 or C++.

    amalgamate.py -o DIR [--select selection.json] [--only]

Functions that only the runtime calls become static, so that a compiler drops those that nothing calls. A selection
(whit/_select.py makes one for some models) names the operators to take and what the block of constants at the top says
(runtime_c/src/selection.h explains them); without one, everything is there.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import gen

RUNTIME = Path(__file__).resolve().parent.parent

TOP = """/* whit.c - the Whit runtime in one file, made by tools/amalgamate.py of Whit's sources. MIT licence.
 *
 * Compiles alone: cc -c -O2 whit.c. No libc is needed. The same bits come out of every processor and compiler, so nothing
 * may be contracted or reordered: do not add -ffast-math. */
#if defined __clang__
#pragma STDC FP_CONTRACT OFF
#pragma clang diagnostic ignored "-Wunused-function"
#pragma clang diagnostic ignored "-Wmissing-field-initializers"
#pragma clang diagnostic ignored "-Wpragma-clang-attribute"
#elif defined __GNUC__
#pragma GCC optimize("fp-contract=off", "no-math-errno", "no-trapping-math")
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#endif
"""
# balanced: one level for the kernels and one for the rest: gcc gets -Os and makes more of the kernels, clang -O2 and less of the
# rest. size: -Os for all, and with clang less of the rest, too (of the kernels that would be more: loops stay as they are).
KERNELS = """#if defined __GNUC__ && !defined __clang__
#pragma GCC push_options
#pragma GCC optimize("O2")
#endif
"""
KERNELS_END = """#if defined __GNUC__ && !defined __clang__
#pragma GCC pop_options
#endif
"""
REST = """#ifdef __clang__
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#endif
"""
REST_END = """#ifdef __clang__
#pragma clang attribute pop
#endif
"""
ISAS = """#if defined __aarch64__
#define WHIT_ISAS WHIT_ISA_NEON
#elif defined __ARM_NEON
#define WHIT_ISAS (WHIT_ISA_SCALAR | WHIT_ISA_NEON)
#elif defined __wasm_simd128__
#define WHIT_ISAS WHIT_ISA_SIMD128
#elif defined __x86_64__
#define WHIT_ISAS ({x86})
#else
#define WHIT_ISAS WHIT_ISA_SCALAR
#endif
"""


def everything() -> dict[str, Any]:
    """The selection that leaves nothing out: the numbers of src/selection.h, but for those that block() finds out by itself.
    views: as many as there can be; block() knows that a small build has fewer."""
    text = (RUNTIME / "src/selection.h").read_text()
    numbers = text.split("#ifndef WHIT_SELECTED\n")[1].split("#if defined __x86_64__")[0]
    found = dict(re.findall(r"^#define WHIT_(\w+) (\w+)", numbers, re.M))
    own = ("HAS_", "FOLDS", "SHARES", "TABLES")
    chosen = {k.lower(): int(v.rstrip("u"), 0) for k, v in found.items() if not k.startswith(own)}
    return {**chosen, "views": 2, "avx512": 1, "profile": "speed"}


def _shares(op: str) -> bool:
    """May an operator's output lie in its inputs' memory, or they in its?"""
    text = (RUNTIME / f"ops/{op}.c").read_text()
    return re.search(r"->(over|joins) =|\"join\.h\"", text) is not None


def block(selection: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """The constants of src/selection.h. rows: of the operators that are taken."""
    ops = {r["name"] for r in rows}
    if selection["small"]:  # what could be a view is a copy
        selection = {**selection, "views": min(selection["views"], 1)}
    numbers = [(k, int(v)) for k, v in selection.items() if k not in ("ops", "avx512", "profile")]
    lines = [f"#define WHIT_{name.upper()} {_number(value)}" for name, value in numbers]
    sums = selection["reduces"] & 0x13 or "avg_pool" in ops
    ends = selection["reduces"] & 0xC or {"argreduce", "max_pool"} & ops
    lines.append(f"#define WHIT_FOLDS {bool(sums) + 2 * bool(ends)}")
    lines.append(f"#define WHIT_SHARES {int(not selection['small'] and any(map(_shares, ops)))}")
    known = ("if", "loop", "identity", "shape", "bottleneck")
    lines += [f"#define WHIT_HAS_{name} {int(name in ops)}" for name in known]
    x86 = ["WHIT_ISA_SCALAR", "WHIT_ISA_AVX2", *["WHIT_ISA_AVX512"] * bool(selection["avx512"])]
    head = "/* What this build holds. */\n#define WHIT_SELECTED 1\n#define WHIT_TABLES 0\n"
    return head + "\n".join(lines) + "\n" + ISAS.format(x86=" | ".join(x86))


def _number(value: int) -> str:
    return str(value) if value < 2 else f"{value:#x}u" + "ll" * (value >> 32 > 0)


class Expander:
    """Puts included files of ours in place: headers once, .inc files and those of isa/ each time."""

    def __init__(self) -> None:
        self.seen: set[Path] = set()

    def text(self, path: Path) -> str:
        lines = []
        for line in path.read_text().splitlines():
            m = re.match(r'#include "([^"]+)"', line)
            if m is None:
                lines.append(line)
                continue
            target = (path.parent / m[1]).resolve()
            if target == RUNTIME / "include/whit.h":
                continue
            again = target.suffix == ".inc" or target.parent.name == "isa"
            if again or target not in self.seen:
                self.seen.add(target)
                lines.append(self.text(target).rstrip("\n"))
        return "\n".join(lines) + "\n"


def sources(names: Collection[str]) -> list[Path]:
    """The runtime's files in order, with the operators of these names. What calls kernels stands behind them."""
    ops = sorted((RUNTIME / "ops").glob("*.c"))
    taken = [f for f in ops if f.stem in names or "WHIT_OP(" not in f.read_text()]
    first = [RUNTIME / "src/memory.c", RUNTIME / "kernels/kernels.c"]
    rest = [*sorted((RUNTIME / "src").glob("*.c")), *sorted((RUNTIME / "kernels").glob("*.c"))]
    return [*first, *(f for f in rest if f not in first), *taken]


def tables(rows: list[dict[str, Any]]) -> str:
    """The operator table, in place of its declaration in src/internal.h."""
    return re.sub(
        r"const uint32_t whit_n_ops = (\d+);", r"enum { whit_n_ops = \1 };",
        re.sub(r"^const (?=whit_op |char )", "static const ", gen.c_table(rows), flags=re.M),
    )  # fmt: skip


def internal(text: str) -> str:
    """Makes the functions and tables static that whit.h does not declare. In C and C++ a definition keeps the linkage that its
    first declaration gave it, so only those at the start of a line change."""
    defined = set(re.findall(r"^[\w \t*]*?\b(whit_\w+)\([^;{]*\)\s*\{", text, re.M))

    def declaration(m: re.Match[str]) -> str:
        return f"static {m[0]}" if m[2] in defined else m[0]

    return re.sub(r"^(?!static|typedef|enum|extern|return|WHIT_API)((?:const |struct )*\w+ \**)(whit_\w+)\((?=[^{]*?\);)",
                  declaration, text, flags=re.M)  # fmt: skip


def amalgamate(selection: dict[str, Any] | None = None) -> tuple[str, str]:
    """The text of whit.c and of whit.h."""
    whole = everything()
    unknown = sorted(set(selection or {}) - set(whole) - {"ops"})
    if unknown:
        raise gen.RowError(f"src/selection.h has no WHIT_{unknown[0].upper()}")
    chosen = {**whole, **(selection or {})}
    rows = gen.read_ops(sorted((RUNTIME / "ops").glob("*.c")))
    names = [r["name"] for r in rows]
    wanted = chosen.get("ops", names)
    missing = sorted(set(wanted) - set(names))
    if missing:
        raise gen.RowError(f"there is no operator {missing[0]!r}")
    expander = Expander()
    parts = []
    for file in sources(
        {*wanted, *["tile"] * chosen["programs"]}
    ):  # programs of epilogues run on tile.c
        expander.seen.add(file)
        part = expander.text(file)
        if file.stem != "kernels" and chosen["profile"] != "speed":
            part = REST + part + REST_END
        elif chosen["profile"] == "balanced":
            part = KERNELS + part + KERNELS_END
        parts.append(f"/* ---- {file.relative_to(RUNTIME).as_posix()} ---- */\n{part}")
    text = "\n".join(parts)
    declared = "extern const char whit_op_names[];\nextern const whit_op whit_ops[];\nextern const uint32_t whit_n_ops;\n"
    if declared not in text:
        raise gen.RowError(
            "src/internal.h does not declare whit_ops in the way that this tool knows"
        )
    taken = [r for r in rows if r["name"] in wanted]
    if not chosen["batches"]:  # the plan has to see to it that matmul's left factor has no gaps
        taken = [{**r, "strided": ["b"]} if r["name"] == "matmul" else r for r in taken]
    text = text.replace(declared, tables(taken))
    text = re.sub(
        r"^WHIT_OP\((\w+)(?:[^\"]|\"(?:\\.|[^\"])*\")*?\);\n",
        r"whit_status whit_\1_shape(whit_call *c);\nwhit_status whit_\1_run(whit_call *c);\n", text, flags=re.M,
    )  # fmt: skip
    text = internal(text)
    return f'{TOP}{block(chosen, taken)}#include "whit.h"\n\n{text}', (
        RUNTIME / "include/whit.h"
    ).read_text()


def main(argv: list[str]) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder for whit.c and whit.h"
    )
    parser.add_argument("--select", type=Path, help="a selection, JSON")
    args = parser.parse_args(argv)
    try:
        selection = json.loads(args.select.read_text()) if args.select else None
        source, header = amalgamate(selection)
    except (gen.RowError, OSError, ValueError) as e:
        print(f"amalgamate.py: {e}", file=sys.stderr)
        return 1
    gen.write_if_changed(args.output / "whit.c", source)
    gen.write_if_changed(args.output / "whit.h", header)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
