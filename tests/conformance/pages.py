"""What a run of the suite found, as tables for people and as pages of the documentation."""

from __future__ import annotations

import collections
import inspect
import re
from collections.abc import Iterable
from typing import Any

import onnx
import own
import suite

import whit
from whit import _select
from whit_exporter.dtypes import DType
from whit_exporter.frontends.onnx import NEWEST_OPSET, has_standard_function
from whit_exporter.frontends.onnx.refused import REASONS
from whit_exporter.frontends.onnx.registry import lowering

OUTCOMES = ("pass", "wrong", "refused", "error", "crash", "timeout")
DOMAINS = ("", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training")
NARROW = {"float": "f32", "double": "f64", "float16": "f16", "bfloat16": "bf16"}
ALL = " ".join(d.short for d in DType)
TYPE_GROUPS = {
    "all": ALL,
    "numbers": "f32 f64 f16 bf16 i8 i16 i32 i64 u8 u16 u32 u64",
    "floats": "f32 f64 f16 bf16",
    "integers": "i8 i16 i32 i64 u8 u16 u32 u64",
    "small": "f8e4m3fn f8e4m3fnuz f8e5m2 f8e5m2fnuz f8e8m0 f4e2m1 i4 u4 i2 u2",
    "float8": "f8e4m3fn f8e4m3fnuz f8e5m2 f8e5m2fnuz",
}
"""Names for sets of element types, widest first."""
Results = dict[str, dict[str, Any]]
Counts = dict[str, collections.Counter[str]]


def by_category(results: Results) -> Counts:
    counts: Counts = collections.defaultdict(collections.Counter)
    for r in results.values():
        counts[r["category"]][r["outcome"]] += 1
    counts = dict(sorted(counts.items()))
    counts["all"] = collections.Counter(r["outcome"] for r in results.values())
    return counts


def by_operator(results: Results) -> Counts:
    """Every case counts for each operator that its model has."""
    counts: Counts = collections.defaultdict(collections.Counter)
    for r in results.values():
        for op in r.get("operators", ()):
            counts[op][r["outcome"]] += 1
    return dict(sorted(counts.items()))


def grid(counts: Counts, head: str) -> str:
    wide = max(len(head), *(len(k) for k in counts)) if counts else len(head)
    lines = [f"{head:<{wide}}  {'cases':>6} " + " ".join(f"{o:>8}" for o in OUTCOMES)]
    for key, c in counts.items():
        numbers = " ".join(f"{c[o] or '.':>8}" for o in OUTCOMES)
        lines.append(f"{key:<{wide}}  {sum(c.values()):>6} {numbers}")
    return "\n".join(lines)


def tables(results: Results) -> str:
    """By operator, by category, and what broke."""
    parts = [
        grid(by_operator(results), "cases with a node of"),
        "",
        grid(by_category(results), "category"),
    ]
    for name, r in results.items():
        if r["outcome"] not in ("pass", "refused"):
            parts.append(f"{r['outcome']}: {name}: {r['why'].strip()[:1000]}")
    return "\n".join(parts)


# docs/conformance.md


def conformance(results: Results) -> str:
    lines = [
        "# ONNX's own backend suite",
        "",
        f"Made by `make conformance ARGS=--update` with onnx {onnx.__version__}. Every case of the suite inside the `onnx` wheel goes "
        "through `whit.convert` and `whit.load`, in processes of their own, and is judged by onnx's comparison (type, shape, "
        "tolerances). *refused*: the exporter names the operator and the reason; *error*: the runtime gives up with a message. The "
        "12 cases that draw random numbers (Bernoulli, Dropout in training; two drop nothing) are judged here by type, shape and what was "
        "kept, since their expected values are NumPy's own draws; `tests/conformance/test_random_cases.py` tests their distribution.",
        "",
        "| category | cases | " + " | ".join(OUTCOMES) + " |",
        "|---|" + "---|" * (len(OUTCOMES) + 1),
    ]
    for key, c in by_category(results).items():
        lines.append(
            f"| {key} | {sum(c.values())} | " + " | ".join(str(c[o]) for o in OUTCOMES) + " |"
        )
    lines += ["", "By operator: [operators.md](operators.md).", ""]
    lines += ["## Cases that do not pass", "", "| case | outcome | why |", "|---|---|---|"]
    for name, r in results.items():
        if r["outcome"] != "pass":
            why = " ".join(r["why"].split())[:200].replace("|", "\\|")
            lines.append(f"| {name.removeprefix('test_')} | {r['outcome']} | {why} |")
    return "\n".join(lines) + "\n"


# docs/operators.md


def schemas() -> dict[tuple[str, str], list[Any]]:
    """{(domain, operator): its versions, oldest first} of the installed standard."""
    found: dict[tuple[str, str], list[Any]] = collections.defaultdict(list)
    for s in onnx.defs.get_all_schemas_with_history():
        found[s.domain, s.name].append(s)
    return {k: sorted(v, key=lambda s: s.since_version) for k, v in sorted(found.items())}


def type_name(text: str) -> str:
    """f32 for float, i64 for int64, u8 for uint8; the others as they are."""
    text = NARROW.get(text, text)
    return text.replace("uint", "u").replace("float", "f").replace("int", "i")


def types(schema: Any) -> str:
    """Element types of an operator's inputs that the standard allows and Whit has, or of its outputs if it has no input."""
    given = schema.inputs or schema.outputs
    names = {t for p in given for t in p.types}
    inner = {t.split("tensor(")[-1].rstrip(")") for t in names if "tensor(" in t}
    kept = {type_name(t) for t in inner}
    groups = []
    for name, words in TYPE_GROUPS.items():
        members = set(words.split())
        if members <= kept:
            groups.append(name)
            kept -= members
    return " ".join(groups + sorted(kept & set(ALL.split())))


def primitives(lowered: Iterable[dict[str, list[str]]]) -> str:
    """What the cases of one node needed of the runtime; the micro-operations of tile in brackets."""
    operators: dict[str, None] = {}
    micro: dict[str, None] = {}
    for found in lowered:
        operators |= dict.fromkeys(found.get("operators", ()))
        for key, names in found.items():
            if key.startswith("micro"):
                micro |= dict.fromkeys(names)
    spelled = []
    for name in sorted(operators):
        spelled.append(f"tile({' '.join(sorted(micro))})" if name == "tile" and micro else name)
    return ", ".join(spelled)


def limits(key: tuple[str, str]) -> str:
    """What a lowering refuses, in its own words."""
    said = re.findall(r'fail\(\s*f?"([^"]*supported[^"]*)"', inspect.getsource(lowering(*key)))
    return "".join(f"; {re.sub('{.*?}', '...', text).split(';')[0]}" for text in said)


def how(key: tuple[str, str], newest: Any, lowered: list[dict[str, list[str]]]) -> str:
    domain, name = key
    if key in REASONS:
        return f"**refused**: {REASONS[key]}"
    found = primitives(lowered)
    if lowering(domain, name) is not None:
        if not found:
            raise LookupError(f"no model of {name} alone: add one to tests/conformance/own.py")
        return found + limits(key)
    if has_standard_function(domain, name, newest.since_version):
        return f"the standard's body: {found}"
    return "**refused**: it has no lowering"


def needs(results: Results) -> dict[str, list[dict[str, list[str]]]]:
    """{operator: what models of that node alone need of the runtime}: the suite's that pass, and a few others."""
    found: dict[str, list[dict[str, list[str]]]] = collections.defaultdict(list)
    for r in results.values():
        if r["outcome"] == "pass" and r.get("root"):
            found[r["root"]].append(r["lowered"])
    have = set(found)
    for model in own.models():
        root = suite.root_of(model.graph)
        if root not in have:
            found[root].append(_select.select([whit.load(whit.convert(model))]).names())
    return found


def operators(results: Results) -> str:
    counts, lowered = by_operator(results), needs(results)
    groups = "; ".join(f"*{name}*: {members}" for name, members in TYPE_GROUPS.items())
    lines = [
        "# Every operator of ONNX",
        "",
        f"Made by `make conformance ARGS=--update` from the schemas of onnx {onnx.__version__} and from a run of its backend suite; `make "
        "conformance` fails when it is not what they say.",
        "",
        f"- *versions*: the opsets in which the standard changed the operator. Opsets 1 to {NEWEST_OPSET} are read; models below opset 6 are "
        "brought up by onnx's converter where it can.",
        f"- *types*: element types of its inputs, together, that the standard allows and Whit has; `tests/conformance/test_types.py` runs the suite's first case of an operator alone in each. {groups}. Whit has no strings, complex "
        "numbers and 6-bit floats.",
        "- *made of*: the primitives of the runtime that models of this one node needed, together; in brackets the micro-operations of "
        "`tile`, the primitive of element-wise work. *the standard's "
        "body*: there is no lowering; the function that the standard defines it by is inlined.",
        "- *cases*: how many of the suite's cases have a node of it and pass, of all that have one (the others are refused, for "
        "an operator or a type that Whit has not).",
    ]
    for domain in DOMAINS:
        lines += [
            "",
            f"## {domain or 'ai.onnx'}",
            "",
            "| operator | versions | types | made of | cases |",
            "|---|---|---|---|---|",
        ]
        for key, versions in schemas().items():
            if key[0] != domain:
                continue
            full = f"{domain}.{key[1]}" if domain else key[1]
            c = counts.get(full, collections.Counter())
            since = ", ".join(str(s.since_version) for s in versions)
            passed = f"{c['pass']} / {sum(c.values())}" if c else "-"
            made = how(key, versions[-1], lowered.get(full, []))
            lines.append(f"| {key[1]} | {since} | {types(versions[-1])} | {made} | {passed} |")
    return "\n".join(lines) + "\n"
