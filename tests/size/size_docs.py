"""docs/size.md, from what is measured: make size ARGS=--docs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import size_cases

import whit
from whit import _build, _size, _targets

PAGE = size_cases.ROOT / "docs/size.md"
RIVALS = (
    ("core", "TensorFlow Lite Micro, core", "17.8 KB", "interpreter and allocator; no operator, no `If`, no `While`, no verifier of files"),
    ("core", "TensorFlow Lite Micro, core with `If` and `While`", "20.8 KB", "the same with two operators for control flow; no verifier"),
    ("core", "ExecuTorch, core", "34.4 KB", "no operator"),
    ("core", "ONNX Runtime, minimal build", "1.18 MB", "no operator"),
    ("mobilenet", "TensorFlow Lite Micro for MobileNet", "61 KB", "core and its nine operators as plain C: no vector kernels"),
    ("mobilenet", "ncnn for MobileNet", "338 KB", "built with nothing but the layers of that network"),
    ("mobilenet", "TensorFlow Lite, selective build", "383 KB", "the Android archive with the operators of that network"),
    ("mobilenet", "ExecuTorch for MobileNetV2", "467 KB", "core, operators, vector kernels"),
)  # fmt: skip
"""Size is what each project can be brought down to on arm64. From a survey of their own minimal builds; not built by this script."""
KB = 1000


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Numbers to the right."""
    rows = [list(r) for r in rows]
    right = [all(isinstance(r[k], int) or r[k] == "" for r in rows) for k in range(len(head))]
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join('--:' if r else '---' for r in right)}|"]
    for row in rows:
        cells = [f"{c:,}" if isinstance(c, int) else str(c) for c in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def beside(found: dict[str, dict[str, int]]) -> str:
    """Ours and the rivals', a group each."""

    def ours(case: str) -> tuple[int, str]:
        sizes = {c: found[f"{case}, {c}"]["total"] for c in size_cases.COMPILERS}
        worse = max(sizes, key=lambda c: sizes[c])
        target = size_cases.TARGETS.get(case)
        machine = f"{target}, " if target else ""
        return (
            sizes[worse],
            f"`make size`: {machine}code and constants, profile size, the larger of two compilers ({worse})",
        )

    rows: list[tuple[object, ...]] = []
    for group, case, name in (
        ("", "core", "**Whit, core**: verifier, planner, executor, `If`, `Loop` (so `Scan`, `While`), taps, names"),
        ("core", "dynamic core", "**Whit, core**, with shapes that depend on data, sequences and optionals"),
        ("", "thumb core", "**Whit, core**, for a microcontroller (Thumb-2)"),
        ("mobilenet", "mobilenet_v2", "**Whit for MobileNetV2**, fp32, NEON kernels"),
    ):  # fmt: skip
        size, how = ours(case)
        rows.append((name, f"{size / KB:.1f} KB", how))
        rows += [(name, size, how) for g, name, size, how in RIVALS if g == group]
    size, how = ours("everything")
    rows.append(
        ("**Whit, everything**: all operators, all element types", f"{size / KB:.1f} KB", how)
    )
    return table(("arm64", "size", "how the figure was made"), rows)


def parts(size: _size.Size, folder: str, least: int = 0) -> str:
    return table(
        ("bytes", folder), [(n, f"`{name}`") for name, n in size.by(folder).items() if n >= least]
    )


def instructions(name: str, profile: str, compiler: str) -> int:
    """Millions of one inference on one thread, counted in the emulator."""
    sys.path[:0] = [str(size_cases.ROOT / "tests" / k) for k in ("bench", "build", "runtime_c")]
    import built
    import counts
    import models
    import runners

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        library, inputs = folder / "libwhit.a", folder / "inputs"
        model = size_cases.model(name, folder)
        with _build.source([model], _targets.target(size_cases.TARGET), profile) as source:
            source.compile([library], compiler)
        program = Path(built.runner(library, size_cases.TARGET)[-1])
        runners.write_inputs(model, models.feeds(name), inputs)
        return round(
            counts.count(folder / f"{name}.whit", inputs, "neon", program)["instructions"] / 1e6
        )


def page(found: dict[str, dict[str, int]]) -> str:
    """The text of docs/size.md."""
    target = _targets.target(size_cases.TARGET)
    everything = _size.measure([], target, "size", "clang")
    dtypes = _size.by_dtype([], target, "size", "clang")
    head = ("core", "operators", "kernels", "literals", "total", "shared")
    with tempfile.TemporaryDirectory() as folder:
        mobilenet = [size_cases.model("mobilenet_v2", Path(folder))]
        one = _size.measure(mobilenet, target, "size", "clang")
        abis = [_size.by_target(mobilenet, profile) for profile in ("size", "balanced")]
        profiles = [
            (p, c, _size.measure(mobilenet, target, p, c), instructions("mobilenet_v2", p, c))
            for p in _build.PROFILES
            for c in size_cases.COMPILERS
        ]
    compilers = [
        subprocess.run([_targets.compiler(target, c).path, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
        for c in size_cases.COMPILERS
    ]  # fmt: skip
    return f"""# Size

Written by `make size ARGS=--docs`, Whit {whit.__version__}, with {" and ".join(compilers)}.
`tests/size/budget.json` holds what each case of the second table may cost; a test fails on one byte more. `whit size MODEL` shows the same for a
model of yours, `--dtypes` what each element type costs, `--abis` the library of every target, `--json` all of it for machines.

KB are 1000 bytes. Code and constants are what counts: no writable data, nothing of another library.

## Beside others
{beside(found)}

A core is what `whit build` makes of a model without operators. Parts that only some operators need are added with the first of them:
epilogues, inputs that hold sizes or positions, conversions of types. What could be a view is a copy in the size profile, and every value has
memory of its own: with epilogues in products and convolutions, arenas are hardly larger for it.

Whit's rows are measured by the script that writes this page. The others' come from a survey of each project's own smallest build for arm64,
made when the goals of this project were set; they are not built again here, and newer versions may differ.

## By component
Profile size, {size_cases.TARGET}; thumb core: {size_cases.TARGETS["thumb core"]}. core: the executor, the verifier, the planner, tensors; literals: strings and numbers without a name; shared: the
file, whose segments start on pages. aar: `libwhit.so` of an Android archive by ABI, with the native half of its Java API and, where it holds everything, the sentences of errors.

{table(("case", *head), [(case, *(sizes.get(k, "") for k in head)) for case, sizes in found.items()])}

## By profile
MobileNetV2, {size_cases.TARGET}. balanced (the default): kernels for speed, the rest for size. compressed: the shared library by zlib. instructions:
millions executed by one inference on one thread, counted in the emulator.

{table(("profile", "compiler", "code and constants", "shared library", "compressed", "instructions"), [(p, c, s.total, s.shared, s.compressed, n) for p, c, s, n in profiles])}

## By ABI
The shared library with what MobileNetV2 needs. Of the bare machines, which link a static library: code and constants.

{table(("target", "file", "size", "compressed", "balanced", "compressed"), [(a.target, f"`{a.file}`", a.n_bytes, a.compressed or "", b.n_bytes, b.compressed or "") for a, b in zip(*abis, strict=True)])}

## By element type
Everything, profile size, clang. last: by how much the library shrinks without that type; first: by how much one with `f32`, `i64` and `bool`
alone grows by it. Types share code, so that the costs do not add up.

{chr(10).join(_size.dtype_table(dtypes))}

## MobileNetV2 by operator and kernel
{parts(one, "ops")}

{parts(one, "kernels")}

## Everything by operator, kernel and file of the core
{parts(everything, "ops")}

{parts(everything, "kernels")}

{parts(everything, "src")}
"""


def write(found: dict[str, dict[str, int]]) -> None:
    PAGE.write_text(page(found))
    print(f"wrote {PAGE}")
