"""whit_bench: the host's bits on every ABI, the JSON of `whit bench`, numbers that fit each other, and mistakes that end in a sentence."""

from __future__ import annotations

import json
import re
import subprocess
import zlib
from pathlib import Path
from typing import Any

import devices
import numpy as np
import onnx
import pytest
import runners

import whit
from whit import _feeds
from whit.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.native]
EACH_FILE = pytest.mark.parametrize("path", devices.GOLDEN, ids=lambda p: f"{p.parent.name}-{p.stem}")  # fmt: skip
EACH_ABI = pytest.mark.parametrize("abi", devices.EMULATORS)

ROWS = """
rows (float[n, m] x, float[n] y) => (float[n, m] z) {
  one = Constant <value_ints = [1]> ()
  column = Unsqueeze(y, one)
  s = Add(x, column)
  z = Exp(s)
}"""
KINDS = """
kinds (float a, double[2] b, float16[3] c, int64[4] d, bool[5] e, int8[6] f, bfloat16[7] g, uint32[k] h) =>
    (float a2, double[2] b2, float16[3] c2, int64[4] d2, bool[5] e2, int8[6] f2, bfloat16[7] g2, uint32[k] h2) {
  a2 = Identity(a) b2 = Identity(b) c2 = Identity(c) d2 = Identity(d)
  e2 = Identity(e) f2 = Identity(f) g2 = Identity(g) h2 = Identity(h)
}"""
STREAM = """
stream (float[2] x, float[2] old) => (float[2] y, float[2] new) { new = Add(x, old) y = Mul(new, new) }"""
CHAIN = """
chain (float[1024, 1024] x) => (float[1024, 1024] y) { [a] h = Softmax(x) [b] t = Transpose(h) [c] y = Softmax(t) }"""
LISTS = """
lists (seq(float[3]) parts) => (float[k] y, seq(float[3]) back) {
  y = ConcatFromSequence <axis = 0> (parts) back = Identity(parts)
}"""
ODD = 'say "\\hi"\n\x01 naïve'


@pytest.fixture(scope="module")
def host() -> list[str]:
    return devices.command("host")


def converted(text: str, path: Path, **options: Any) -> Path:
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]>\n{text}')
    whit.convert(model, path, **options)
    return path


def crcs(results: dict[str, Any]) -> dict[str, int]:
    return {name: zlib.crc32(y.tobytes()) for name, y in _feeds.flatten(results).items()}


def said_crcs(data: dict[str, Any]) -> dict[str, int]:
    return {y["name"]: y["crc32"] for y in data["outputs"]}


# ---- the bits --------------------------------------------------------------------------------------------


@EACH_ABI
@EACH_FILE
def test_bits_of_the_host(abi: str, path: Path, tmp_path: Path) -> None:
    program = devices.command(abi)
    feeds = devices.golden_feeds(path)
    expected = crcs(whit.load(path).run(feeds))
    for more in ([], ["--threads", 2], ["--cpu", "scalar"]):
        data = devices.measured(program, path, *devices.saved(feeds, tmp_path), "--runs", 1, *more)
        assert said_crcs(data) == expected and expected, more
    assert data["cpu"] == [] and data["machine"] == devices.MACHINES.get(abi, data["machine"])


def mixed(z: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """SplitMix64's function of its counter."""
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return z ^ z >> np.uint64(31)


def made_up(model: whit.Model, shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, Any]:
    """The inputs that whit_bench documents."""
    done, feeds = 0, {}
    for port in model.inputs:
        shape = shapes[port.name]
        n = int(np.prod(shape, dtype=np.int64))
        with np.errstate(over="ignore"):
            counter = np.arange(done + 1, done + n + 1, dtype=np.uint64)
            z = mixed(np.uint64(seed) + counter * np.uint64(0x9E3779B97F4A7C15))
        done += n
        if port.dtype.kind in "biu":
            values = z >> np.uint64(63)
        else:
            bits = {"float16": 11, "bfloat16": 8}.get(port.dtype.name, 24)
            values = (z >> np.uint64(64 - bits)).astype(np.float64) / 2 ** (bits - 1) - 1
        feeds[port.name] = values.reshape(shape).astype(port.dtype)
    return feeds


@EACH_ABI
def test_inputs_that_are_made_up(abi: str, tmp_path: Path) -> None:
    program = devices.command(abi)
    path = converted(KINDS, tmp_path / "kinds.whit")
    shapes = {"a": (), "b": (2,), "c": (3,), "d": (4,), "e": (5,), "f": (6,), "g": (7,), "h": (9,)}
    model = whit.load(path)
    for seed in (0, 2**64 - 3):
        feeds = made_up(model, shapes, seed)
        data = devices.measured(program, path, "--shape", "k=9", "--fixed-seed", seed)
        assert said_crcs(data) == crcs(model.run(feeds))
        assert data["shapes"] == {name: list(shape) for name, shape in shapes.items()}


def test_sizes_of_named_dimensions(host: list[str], tmp_path: Path) -> None:
    path = converted(ROWS, tmp_path / "rows.whit")
    np.save(tmp_path / "y.npy", np.ones(4, np.float32))
    for options, shapes in (
        ([], {"x": [1, 1], "y": [1]}),
        (["--shape", "n=3", "--shape=m=5"], {"x": [3, 5], "y": [3]}),
        (["--input", f"y={tmp_path}/y.npy", "--shape", "m=2"], {"x": [4, 2], "y": [4]}),
        (["--shape", "x=2x3", "--shape", "y=2"], {"x": [2, 3], "y": [2]}),
    ):
        data = devices.measured(host, path, *options)
        assert data["shapes"] == shapes
        model = whit.load(path)
        if not any("npy" in o for o in options):
            feeds = made_up(model, {k: tuple(v) for k, v in shapes.items()}, 0)
            assert said_crcs(data) == crcs(model.run(feeds))


def test_raw_files_and_sequences(host: list[str], tmp_path: Path) -> None:
    path = converted(LISTS, tmp_path / "lists.whit")
    parts = [np.arange(3, dtype=np.float32) + k for k in range(2)]
    np.save(tmp_path / "0.npy", parts[0])
    (tmp_path / "1.raw").write_bytes(parts[1].tobytes())
    data = devices.measured(
        host, path, "--input", f"parts={tmp_path}/0.npy", f"--input=parts={tmp_path}/1.raw"
    )
    assert said_crcs(data) == crcs(whit.load(path).run({"parts": parts}))
    assert [y["name"] for y in data["outputs"]] == ["y", "back[0]", "back[1]"]


def test_state_starts_afresh(host: list[str], tmp_path: Path) -> None:
    path = converted(STREAM, tmp_path / "stream.whit", state={"old": "new"})
    model = whit.load(path)
    data = devices.measured(host, path, "--runs", 3)
    assert data["state_bytes"] > 0
    assert said_crcs(data) == crcs(model.run(made_up(model, {"x": (2,)}, 0)))


# ---- the numbers -----------------------------------------------------------------------------------------


def form(value: Any) -> Any:
    """Keys and kinds of a JSON document; of a list, the forms that its items have."""
    if isinstance(value, dict):
        return {k: form(v) for k, v in value.items()}
    if isinstance(value, list):
        found: list[Any] = []
        for v in value:
            if form(v) not in found:
                found.append(form(v))
        return found
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__  # fmt: skip


@pytest.mark.parametrize("more", [(), ("--minutes", "0.002"), ("--threads", "2", "--warmup", "1")])
@pytest.mark.parametrize("name", ["digits", "dates", "triple"])
def test_the_json_of_whit_bench(
    host: list[str], name: str, more: tuple[str, ...], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = tmp_path / f"{name}.whit"
    whit.convert(devices.MODELS / f"{name}.onnx", path)
    feeds = _feeds.gather(whit.load(path).entry(None), [], {}, 1)
    options = devices.saved(feeds, tmp_path)
    ours = devices.measured(host, path, *options, "--runs", 20, *more)
    files = [o for o in options if o != "--input"]
    arguments = ["bench", path, *files, "--runs", 20, "--seconds", 0.001, "--json", *more]
    assert main([str(a) for a in arguments]) == 0
    theirs = json.loads(capsys.readouterr().out)
    assert form(ours) == form(theirs)
    for key in (
        "file", "shapes", "threads", "runs", "steps", "instance_bytes", "state_bytes", "file_bytes", "machine", "cpu",
        "outputs",
    ):  # fmt: skip
        assert ours[key] == theirs[key], key
    if name != "dates":  # whose arena grows during the run, by steps that depend on where it starts
        assert ours["arena_bytes"] == theirs["arena_bytes"]
    for key, fields in (
        ("nodes", ("index", "operator", "name", "runs")),
        ("operators", ("operator", "kind", "nodes", "runs")),
    ):
        mine, yours = ({tuple(row[f] for f in fields) for row in d[key]} for d in (ours, theirs))
        assert mine == yours


def test_numbers_fit_each_other(host: list[str], tmp_path: Path) -> None:
    path = converted(CHAIN, tmp_path / "chain.whit")
    data = devices.measured(host, path, "--runs", 7)
    assert data["runs"] == 7 and data["threads"] == 1
    assert 0 < data["min_ns"] <= data["median_ns"] <= data["p95_ns"]
    assert data["load_ns"] > 0 and 0 < data["plan_ns"] < data["first_run_ns"]
    assert data["min_ns"] < data["first_run_ns"], "the first run plans and meets its memory"
    assert data["file_bytes"] == path.stat().st_size
    # the input, the output and the arena have been written
    assert data["anonymous_bytes"] >= 2 * 4 * 1024 * 1024 + data["arena_bytes"] >= 3 * 4 << 20
    assert data["peak_resident_bytes"] >= data["resident_bytes"] >= data["anonymous_bytes"]
    assert data["peak_resident_bytes"] < data["anonymous_bytes"] + (8 << 20), (
        "and nothing else is large"
    )
    assert sum(n["runs"] for n in data["nodes"]) == data["steps"]
    of_nodes = sum(n["ns"] for n in data["nodes"])
    assert 0.3 * data["min_ns"] < of_nodes < 3 * data["median_ns"]
    assert [n["ns"] for n in data["nodes"]] == sorted(
        (n["ns"] for n in data["nodes"]), reverse=True
    )
    assert sum(o["ns"] for o in data["operators"]) == of_nodes
    clocks = list(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    assert len(data["cpu_mhz"]) == len(clocks)


def test_two_threads_help_where_there_are_two_cores(host: list[str], tmp_path: Path) -> None:
    path = converted(CHAIN, tmp_path / "chain.whit")
    data = devices.measured(host, path, "--threads", 2, "--runs", 3)
    assert data["threads"] == 2 and said_crcs(data) == said_crcs(devices.measured(host, path))


def test_long_run(host: list[str], tmp_path: Path) -> None:
    path = tmp_path / "digits.whit"
    whit.convert(devices.MODELS / "digits.onnx", path)
    data = devices.measured(host, path, "--minutes", 0.01)
    at = data["intervals"]
    assert 2 <= len(at) <= 20
    starts = [i["start_s"] for i in at]
    assert starts == sorted(starts) and starts[0] == 0 and 0.4 < starts[-1] < 0.6
    assert all(i["runs"] > 0 and 0 < i["min_ns"] <= i["median_ns"] for i in at)
    spent = sum(i["runs"] * i["min_ns"] for i in at) / 1e9
    assert spent < 5 and sum(i["runs"] for i in at) > 1000, "all of the 0.6 s was used"
    assert data["drift"] == pytest.approx(at[-1]["median_ns"] / at[0]["median_ns"], rel=1e-5)
    # a run that is longer than the intervals, and one that is longer than all
    path = converted(CHAIN, tmp_path / "chain.whit")
    assert 1 <= len(devices.measured(host, path, "--minutes", 0.0005)["intervals"]) <= 20
    one = devices.measured(host, path, "--minutes", 0.00001)
    assert len(one["intervals"]) == 1 and one["drift"] == 1


def test_tables_say_what_the_json_says(host: list[str], tmp_path: Path) -> None:
    path = tmp_path / "digits.whit"
    whit.convert(devices.MODELS / "digits.onnx", path)
    target = tmp_path / "numbers.json"
    said = devices.call(
        host, path, "--seconds", 0.01, "--minutes", 0.001, "--profile", "--top", 3, "--json", target
    )
    assert said.returncode == 0, said.stderr
    data = json.loads(target.read_text())
    assert data["peaks"]["gflops"] > 0 and data["peaks"]["threads"] == 1
    sizes = [r["bytes"] for r in data["peaks"]["read"]]
    assert sizes == sorted(sizes) and all(r["gb_per_s"] > 0 for r in data["peaks"]["read"])
    assert f"{data['runs']} runs" in said.stdout
    for key in ("arena", "instance", "file", "anonymous"):
        assert re.search(rf"{key} +{data[f'{key}_bytes']} bytes", said.stdout)
    assert f"the first 3 of {len(data['nodes'])}" in said.stdout
    table = said.stdout.partition("source node\n")[2].splitlines()
    assert [int(row.split()[0]) for row in table] == [n["index"] for n in data["nodes"][:3]]
    assert f"{data['drift']:.3f} times the first's" in said.stdout


def test_names_that_are_no_plain_text(host: list[str], tmp_path: Path) -> None:
    x, y = (onnx.helper.make_tensor_value_info(n, 1, [2]) for n in (ODD, "y"))
    node = onnx.helper.make_node("Exp", [ODD], ["y"], ODD)
    graph = onnx.helper.make_graph([node], "g", [x], [y])
    path = tmp_path / "odd.whit"
    whit.convert(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)]), path)  # fmt: skip
    data = devices.measured(host, path)
    assert data["shapes"] == {ODD: [2]} and data["nodes"][0]["name"] == ODD
    # bytes that are no UTF-8, as a damaged file may have
    path.write_bytes(path.read_bytes().replace("ï".encode(), b"\xff\xfe"))
    assert list(devices.measured(host, path)["shapes"]) == [ODD.replace("ï", "\ufffd\ufffd")]
    said = devices.call(host, path, "--runs", 1)
    assert said.returncode == 0 and "\x01" not in said.stdout


# ---- mistakes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ([], 2, "which model?"),
        (["m.whit", "n.whit"], 2, "one model at a time"),
        (["m.whit", "--runs"], 2, "--runs --seconds: expected a number"),
        (["m.whit", "--runs", "0"], 2, "expected a number from 1"),
        (["m.whit", "--runs", "2.5"], 2, "whole number"),
        (["m.whit", "--runs", "ten"], 2, "expected a number"),
        (["m.whit", "--threads", "257"], 2, "from 1 to 256"),
        (["m.whit", "--seconds", "nan"], 2, "expected a number"),
        (["m.whit", "--minutes", "-1"], 2, "expected a number"),
        (["m.whit", "--fixed-seed", "-1"], 2, "whole number"),
        (["m.whit", "--frobnicate", "1"], 2, "no such option"),
        (["m.whit", "--cpu", "sse9"], 2, "expected scalar, neon, avx2 or avx512"),
        (["m.whit", "--cpu", "neon"], 2, "does not have it"),
        (["m.whit", "--input", "y.npy"], 2, "expected NAME=FILE"),
        (["m.whit", "--input", "z=y.npy"], 2, "no input z"),
        (["m.whit", "--input", "y=none.npy"], 1, "none.npy: No such file"),
        (["m.whit", "--input", "y=wrong.npy"], 1, "type <f8, expected f4 (float32)"),
        (["m.whit", "--input", "x=fortran.npy"], 1, "Fortran"),
        (["m.whit", "--input", "y=cut.npy"], 1, "damaged"),
        (["m.whit", "--input", "y=y.npy", "--input", "y=y.npy"], 2, "given twice"),
        (["m.whit", "--input", "y=five.raw"], 1, "has 5 bytes of elements, expected 4"),
        (["m.whit", "--shape", "n"], 2, "expected NAME=N"),
        (["m.whit", "--shape", "n=-2"], 2, "expected NAME=N"),
        (["m.whit", "--shape", "n=2,"], 2, "expected NAME=N"),
        (["m.whit", "--shape", "q=2"], 2, "no input or dimension q"),
        (["m.whit", "--shape", "x=65536,65536"], 1, "2^31 elements"),
        (["m.whit", "--shape", "x=3,2", "--shape", "y=4"], 1, "m.whit: node"),
        (["m.whit", "--shape", "y=1,1,1"], 1, "m.whit: "),
        (["m.whit", "--entry", "other"], 2, "no such entry point"),
        (["m.whit", "--json", "no/where.json"], 1, "No such file"),
        (["m.whit", "--max-steps", "1"], 1, "budget"),
        (["none.whit"], 1, "none.whit: No such file"),
        (["empty.whit"], 1, "an empty one"),
        (["."], 1, "not a file"),
        (["cut.whit"], 1, "not a .whit file, or a damaged one: at byte"),
        (["y.npy"], 1, "not a .whit file"),
    ],
)
def test_mistakes(host: list[str], arguments: list[str], code: int, sentence: str, tmp_path: Path) -> None:  # fmt: skip
    if "neon" in arguments and devices.EMULATORS["x86_64"]:
        arguments = [a.replace("neon", "avx2") for a in arguments]
    converted(ROWS, tmp_path / "m.whit")
    (tmp_path / "cut.whit").write_bytes((tmp_path / "m.whit").read_bytes()[:200])
    (tmp_path / "empty.whit").touch()
    np.save(tmp_path / "y.npy", np.ones(3, np.float32))
    np.save(tmp_path / "wrong.npy", np.ones(3))
    np.save(tmp_path / "fortran.npy", np.ones((3, 2), np.float32, order="F"))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "y.npy").read_bytes()[:40])
    (tmp_path / "five.raw").write_bytes(b"12345")
    said = devices.call(host, *arguments, "--seconds", 0.001, cwd=tmp_path)
    assert said.returncode == code, said.stderr
    assert sentence in said.stderr and said.stderr.startswith("whit_bench: ")
    assert said.stderr.count("\n") == 1 and said.stdout == ""


def test_help_names_every_option(host: list[str]) -> None:
    said = devices.call(host, "--help")
    assert said.returncode == 0 and said.stderr == ""
    source = (devices.ROOT / "runtime_c/tools/whit_bench.c").read_text()
    options = set(re.findall(r'strcmp\(name, "(--[a-z-]+)"\)', source)) - {"--help"}
    assert len(options) > 10 and options == set(re.findall(r"^  (--[a-z-]+)", said.stdout, re.M))


def test_warnings(tmp_path: Path) -> None:
    include = [f"-I{devices.ROOT}/runtime_c/include", f"-I{devices.ROOT}/runtime_c/platform"]
    warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wvla", "-Werror"]
    for source in sorted((devices.ROOT / "runtime_c/tools").glob("whit_bench*.c")):
        command = ["cc", "-std=c11", "-O2", *warnings, *include, "-c", source, "-o", tmp_path / "o"]
        subprocess.run(command, check=True)
        assert len(source.read_text().splitlines()) < 800


# ---- hostile files -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The tool and the library under ASan and UBSan."""
    program = tmp_path_factory.mktemp("sanitized") / "whit_bench"
    sources = [
        runners.LIBRARY, *sorted((devices.ROOT / "runtime_c/platform").glob("*.c")),
        *sorted((devices.ROOT / "runtime_c/tools").glob("whit_bench*.c")),
    ]  # fmt: skip
    flags = [f for f in runners.FLAGS if f != "-O2"]
    subprocess.run(
        ["cc", *flags, "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined",
         *map(str, sources), "-pthread", "-o", str(program)],
        check=True,
    )  # fmt: skip
    return [str(program)]


LIMITS = {
    "ASAN_OPTIONS": "detect_leaks=0:exitcode=77:allocator_may_return_null=1:max_allocation_size_mb=64",
    "UBSAN_OPTIONS": "exitcode=77",
    "PATH": "/usr/bin:/bin",
}


def held(said: subprocess.CompletedProcess[str], what: str) -> int:
    """A run that ended as documented: fine, or one sentence."""
    assert said.returncode in (0, 1, 2), f"{what}: {said.returncode}\n{said.stderr[-3000:]}"
    assert "runtime error" not in said.stderr and "Sanitizer: " not in said.stderr, what
    lines = [s for s in said.stderr.splitlines() if s.startswith("whit_bench: ")]
    assert len(lines) == (said.returncode > 0), what
    return said.returncode


@pytest.mark.parametrize("name", ["triple", "branches", "growing"])
def test_mutants(sanitized: list[str], name: str, tmp_path: Path) -> None:
    """Prefixes and corrupted bytes of golden models."""
    whole = (devices.ROOT / f"tests/golden/v1/{name}.whit").read_bytes()
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    path, codes = tmp_path / "m.whit", set()
    options = ["--runs", 1, "--seconds", 0.001, "--max-steps", 500, "--threads", 2, "--json", "-"]
    for k in range(40):
        at, mutant = int(rng.integers(len(whole))), bytearray(whole)
        if k % 4:
            mutant[at] ^= int(rng.integers(1, 256))
        else:
            del mutant[at:]
        path.write_bytes(mutant)
        said = devices.call(sanitized, path, *options, env=LIMITS, errors="replace", timeout=120)
        codes.add(held(said, f"{name} {k} at {at}"))
        if said.returncode == 0:
            json.loads(said.stdout)
    assert codes == {0, 1}


def test_mutants_of_inputs(sanitized: list[str], tmp_path: Path) -> None:
    path = converted(ROWS, tmp_path / "rows.whit")
    np.save(tmp_path / "x.npy", np.ones((3, 2), np.float32))
    whole = (tmp_path / "x.npy").read_bytes()
    rng = np.random.default_rng(0)
    codes = set()
    for k in range(60):
        at, mutant = int(rng.integers(len(whole) if k % 2 else 80)), bytearray(whole)
        if k % 5:
            mutant[at] = int(rng.integers(256))
        else:
            del mutant[at:]
        (tmp_path / "m.npy").write_bytes(mutant)
        said = devices.call(
            sanitized, path, "--input", f"x={tmp_path}/m.npy", "--runs", 1, "--seconds", 0.001, env=LIMITS, errors="replace"
        )  # fmt: skip
        codes.add(held(said, f"{k} at {at}"))
    assert codes >= {0, 1}


def test_arguments_of_any_kind(sanitized: list[str], tmp_path: Path) -> None:
    path = converted(ROWS, tmp_path / "rows.whit")
    words = [
        "--runs", "--seconds=", "--shape", "x=", "n=3", "=", "--input", "x=", "y==", "--json", "", "-", "--cpu", "--top",
        "--minutes=0.00001", "--entry", "--", "--warmup=2", "--shape=x=1x2x3x4x5x6x7x8x9", "1e400", "9" * 40, "--profile=1",
        "--threads=3", "é", "--max-steps", "--fixed-seed=18446744073709551615", str(path), str(path),
    ]  # fmt: skip
    rng = np.random.default_rng(1)
    codes = set()
    for k in range(60):
        chosen = [words[int(j)] for j in rng.integers(len(words), size=int(rng.integers(4)))]
        arguments = [path, *chosen, "--seconds", 0.001] if k % 3 else chosen
        said = devices.call(sanitized, *arguments, env=LIMITS, errors="replace", cwd=tmp_path)
        codes.add(held(said, str(arguments)))
    assert codes >= {0, 2}
