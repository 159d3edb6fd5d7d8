"""Collects the operator rows and the micro-operations of the C sources into one table for C and one for Python.

An operator is declared in one place, the WHIT_OP row of its own file; nothing lists them. This reads the rows of
runtime_c/ops/*.c (their form stands at WHIT_OP in src/internal.h) and the X(...) lines of runtime_c/kernels/micro.h.

    gen.py --inc build/gen/whit_ops.inc --json build/gen/whit_ops.json [FILE ...]

FILE names the operator sources to take (default: all), so that a build for one model can leave the others out.
In a row's name lists `x` is required, `x?` optional, `x*` any number and `x+` at least one (the last two: at the end).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

RUNTIME = Path(__file__).resolve().parent.parent
SCALARS = {"i32": 1, "f32": 1, "i64": 2, "f64": 2}
"""Words of each."""
LISTS = ("i32[]", "f32[]")
FLAGS = ("view", "sequence", "impure", "control", "loop", "no_larger")
C_FLAGS = {
    "view": "WHIT_OP_VIEW",
    "sequence": "WHIT_OP_SEQUENCE",
    "impure": "WHIT_OP_IMPURE",
    "control": "WHIT_OP_CONTROL",
    "loop": "WHIT_OP_LOOP",
    "no_larger": "WHIT_OP_NO_LARGER",
}
ANY = 65535
NAME = r"[A-Za-z_][A-Za-z0-9_]*"


class RowError(Exception):
    """A row that is not of the documented form; the message says where and why."""


def strip_comments(text: str) -> str:
    """Blanks out comments (keeping line breaks), not touching string literals."""
    pattern = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', re.S)

    def blank(m: re.Match[str]) -> str:
        return m[0] if m[0].startswith('"') else re.sub(r"[^\n]", " ", m[0])

    return pattern.sub(blank, text)


def fnv1a(text: str) -> int:
    """FNV-1a, 32 bits: the id that a .whit file stores."""
    h = 0x811C9DC5
    for byte in text.encode():
        h = (h ^ byte) * 0x01000193 & 0xFFFFFFFF
    return h


def calls(text: str, macro: str, where: str) -> list[tuple[int, str]]:
    """(line, arguments) of each use of a macro at the start of a line."""
    found = []
    for m in re.finditer(rf"^[ \t]*{macro}\(", text, re.M):
        line = text.count("\n", 0, m.end()) + 1
        depth, at = 1, m.end()
        tokens = re.compile(r'"(?:\\.|[^"\\\n])*"|[()]')
        while depth:
            t = tokens.search(text, at)
            if t is None:
                raise RowError(f"{where}:{line}: {macro}( is not closed")
            depth += {"(": 1, ")": -1}.get(t[0], 0)
            at = t.end()
        found.append((line, text[m.end() : at - 1]))
    return found


def fields(body: str, where: str) -> tuple[str, dict[str, str]]:
    """The name and the raw `.key = value` pairs of a row."""
    m = re.match(rf"\s*({NAME})\s*(?:,|$)", body)
    if m is None:
        raise RowError(f"{where}: a row starts with the operator's name, got {body.strip()[:40]!r}")
    name, at, found = m[1], m.end(), {}
    pair = re.compile(
        rf'\s*\.({NAME})\s*=\s*(\d+|"(?:\\.|[^"\\\n])*"(?:\s*"(?:\\.|[^"\\\n])*")*)\s*(?:,|$)'
    )
    while body[at:].strip():
        m = pair.match(body, at)
        if m is None:
            raise RowError(
                f'{where}: {name}: expected .key = "text" or .key = number at {body[at:].strip()[:40]!r}'
            )
        if m[1] in found:
            raise RowError(f"{where}: {name}: .{m[1]} is given twice")
        raw = m[2]
        found[m[1]] = raw if raw.isdigit() else "".join(re.findall(r'"((?:\\.|[^"\\\n])*)"', raw))
        at = m.end()
    return name, found


def arguments(text: str, what: str, where: str) -> list[dict[str, Any]]:
    """The inputs or outputs of a row; checks that the rule of the file's docstring holds."""
    found: list[dict[str, Any]] = []
    for word in text.split():
        m = re.fullmatch(rf"({NAME})([?*+]?)", word)
        if m is None:
            raise RowError(f"{where}: .{what}: {word!r} is not a name with an optional ?, * or +")
        if m[1] in [f["name"] for f in found]:
            raise RowError(f"{where}: .{what}: {m[1]!r} stands twice")
        if found and found[-1]["many"]:
            raise RowError(
                f"{where}: .{what}: {found[-1]['name']!r} takes any number, so it must be last"
            )
        optional = m[2] in ("?", "*") and m[2] != ""
        if found and found[-1]["optional"] and not optional:
            raise RowError(
                f"{where}: .{what}: {m[1]!r} is required but follows an optional one; mark it with ?"
            )
        found.append(
            {"name": m[1], "optional": optional, "many": m[2] in ("*", "+") and m[2] != ""}
        )
    return found


def attributes(text: str, where: str) -> list[dict[str, str]]:
    """The attributes of a row: scalars, then lists."""
    found: list[dict[str, str]] = []
    for word in text.split():
        name, colon, kind = word.partition(":")
        if not colon or not re.fullmatch(NAME, name):
            raise RowError(f"{where}: .attr: {word!r} is not of the form name:type")
        if kind not in SCALARS and kind not in LISTS:
            known = ", ".join([*SCALARS, *LISTS])
            raise RowError(
                f"{where}: .attr: {name!r} has the unknown type {kind!r}; one of {known}"
            )
        if name in [f["name"] for f in found]:
            raise RowError(f"{where}: .attr: {name!r} stands twice")
        if kind in SCALARS and found and found[-1]["type"] in LISTS:
            raise RowError(f"{where}: .attr: scalar {name!r} must stand before the lists")
        found.append({"name": name, "type": kind})
    return found


def row(body: str, where: str) -> dict[str, Any]:
    """One WHIT_OP row as the JSON object that Python gets."""
    name, given = fields(body, where)
    where = f"{where}: {name}"
    unknown = set(given) - {"version", "in", "out", "attr", "strided", "flags", "doc"}
    if unknown:
        raise RowError(f"{where}: unknown key .{sorted(unknown)[0]}")
    for key in ("version", "out", "doc"):
        if key not in given:
            raise RowError(f"{where}: .{key} is missing")
    if not given["version"].isdigit():
        raise RowError(f"{where}: .version must be a number")
    version = int(given["version"])
    inputs = arguments(given.get("in", ""), "in", where)
    strided = given.get("strided", "").split()
    flags = given.get("flags", "").split()
    for word in strided:
        if word not in [a["name"] for a in inputs]:
            raise RowError(f"{where}: .strided names {word!r}, which is no input")
    for word in flags:
        if word not in FLAGS:
            raise RowError(f"{where}: unknown flag {word!r}; one of {', '.join(FLAGS)}")
    if "no_larger" in flags and len(given["out"].split()) != 1:
        raise RowError(f"{where}: only an operator of one output is no_larger")
    if len(inputs) > 32:
        raise RowError(f"{where}: more than 32 inputs")
    return {
        "name": name,
        "version": version,
        "id": fnv1a(f"{name}.{version}"),
        "inputs": inputs,
        "outputs": arguments(given["out"], "out", where),
        "attrs": attributes(given.get("attr", ""), where),
        "strided": strided,
        "flags": flags,
        "doc": given["doc"],
    }


def read_ops(files: list[Path]) -> list[dict[str, Any]]:
    """All rows, sorted by name. Ids must differ too: two names with one hash could not be told apart."""
    rows: dict[str, dict[str, Any]] = {}
    ids: dict[int, str] = {}
    for file in sorted(files):
        for line, body in calls(strip_comments(file.read_text()), "WHIT_OP", str(file)):
            r = row(body, f"{file}:{line}")
            if r["name"] in rows:
                raise RowError(f"{file}:{line}: {r['name']!r} has a row already")
            if r["id"] in ids:
                raise RowError(
                    f"{file}:{line}: {r['name']!r} and {ids[r['id']]!r} have the same id"
                )
            rows[r["name"]], ids[r["id"]] = r, r["name"]
    return [rows[name] for name in sorted(rows)]


def micro_domains(text: str, where: str) -> list[str]:
    """Domains of a micro-operation, from the sum of 1 f32, 2 f64, 4 i64."""
    if not text.isdigit() or not 1 <= int(text) <= 7:
        raise RowError(
            f"{where}: domains must be a sum of 1 (f32), 2 (f64) and 4 (i64), got {text!r}"
        )
    return [d for k, d in enumerate(("f32", "f64", "i64")) if int(text) >> k & 1]


def read_micro(file: Path) -> list[dict[str, Any]]:
    """The X(name, number, n_args, domains) lines, sorted by number."""
    found: list[dict[str, Any]] = []
    text = strip_comments(file.read_text()).replace("\\\n", " \n")
    for line, body in calls(text, "X", str(file)):
        where = f"{file}:{line}"
        parts = [p.strip() for p in body.split(",")]
        if len(parts) != 4 or not parts[1].isdigit() or not parts[2].isdigit():
            raise RowError(f"{where}: expected X(name, number, n_args, domains), got X({body})")
        entry = {
            "name": parts[0],
            "number": int(parts[1]),
            "n_args": int(parts[2]),
            "domains": micro_domains(parts[3], where),
        }
        for other in found:
            if other["name"] == entry["name"] or other["number"] == entry["number"]:
                raise RowError(
                    f"{where}: {entry['name']!r} and {other['name']!r} share name or number"
                )
        found.append(entry)
    return sorted(found, key=lambda e: int(e["number"]))


def count(args: list[dict[str, Any]]) -> tuple[int, int]:
    """Least and largest number of arguments."""
    least = sum(not a["optional"] for a in args)
    return least, ANY if args and args[-1]["many"] else len(args)


def c_row(r: dict[str, Any], name_at: int) -> str:
    """The row in the C table. The last strided bit counts for all inputs that follow, so a variadic one's is repeated."""
    types = [a["type"] for a in r["attrs"]]
    words = sum(SCALARS.get(t, 0) for t in types)
    lists = sum(t in LISTS for t in types)
    flags = [C_FLAGS[f] for f in r["flags"] if f in C_FLAGS]
    bits = [a["name"] in r["strided"] for a in r["inputs"]]
    bits += bits[-1:] * 32 if bits and r["inputs"][-1]["many"] else [False] * 32
    if len(set(bits[7:])) > 1:
        raise RowError(f"{r['name']}: from the eighth input on, all are strided or none is")
    mask = sum(1 << k for k, bit in enumerate(bits[:8]) if bit)
    in_min, in_max = count(r["inputs"])
    out_min, out_max = count(r["outputs"])
    name = r["name"]
    run = f"whit_{name}_run"
    if "view" in r["flags"]:
        run = "whit_view_copy"
    if "control" in r["flags"]:
        run = "NULL"
    return (
        f"  {{ whit_{name}_shape, {run}, 0x{r['id']:08x}u, 0x{mask:x}, {words}, {lists}, "
        f"{' | '.join(flags) or '0'}, {in_min}, {out_min}, {in_max}, {out_max}, {name_at} }},"
    )


def c_table(rows: list[dict[str, Any]]) -> str:
    """whit_ops.inc: prototypes and the table, sorted by id so that a lookup can bisect."""
    lines = ["/* Generated by tools/gen.py from the WHIT_OP rows. Not to be edited. */"]
    for r in rows:
        lines.append(f"whit_status whit_{r['name']}_shape(whit_call *c);")
        if "view" not in r["flags"] and "control" not in r["flags"]:
            lines.append(f"whit_status whit_{r['name']}_run(whit_call *c);")
    ordered = sorted(rows, key=lambda r: int(r["id"]))
    lines.append("const char whit_op_names[] =")
    lines += [f'  "{r["name"]}\\0"' for r in ordered] or ['  ""']
    lines += ["  ;", "const whit_op whit_ops[] = {"]
    at = 0
    for r in ordered:
        lines.append(c_row(r, at))
        at += len(r["name"]) + 1
    lines += ["};", f"const uint32_t whit_n_ops = {len(rows)};", ""]
    return "\n".join(lines)


def write_if_changed(path: Path, text: str) -> None:
    """Leaves the time stamp of a file that is up to date alone, so make does not rebuild what uses it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def main(argv: list[str]) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--inc", type=Path, help="where to write the C table")
    parser.add_argument("--json", type=Path, action="append", default=[], help="the Python table")
    parser.add_argument("--micro", type=Path, default=RUNTIME / "kernels" / "micro.h")
    parser.add_argument("files", type=Path, nargs="*", help="operator sources (default: ops/*.c)")
    args = parser.parse_args(argv)
    try:
        rows = read_ops(args.files or sorted((RUNTIME / "ops").glob("*.c")))
        micro = read_micro(args.micro)
    except (RowError, OSError) as e:
        print(f"gen.py: {e}", file=sys.stderr)
        return 1
    if args.inc:
        write_if_changed(args.inc, c_table(rows))
    for path in args.json:
        write_if_changed(path, json.dumps({"ops": rows, "micro": micro}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
