"""whit build: the same bits as the whole library, nothing else inside, and what is not inside is refused."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import built
import numpy as np
import onnx.parser
import pytest
import runners
from onnx import TensorProto, helper

import whit
from whit import _operators, _select, _targets, cli
from whit_exporter import write
from whit_exporter.build import Builder
from whit_exporter.dtypes import DType
from whit_exporter.ir import Entry

GOLDEN = sorted((runners.ROOT / "tests/golden").glob("v*/*.whit"))
HEADER = (runners.ROOT / "runtime_c/include/whit.h").read_text()


@pytest.fixture(scope="module")
def native() -> list[str]:
    return runners.native()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("build")


def _check_bits(
    native: list[str], model: Path, inputs: Path, folder: Path, *,
    targets: Sequence[str] = ("linux-x86_64",), profiles: Sequence[str] = ("size",),
) -> None:  # fmt: skip
    """Libraries for a model alone answer as the whole one, on every instruction set."""
    expected = runners.answer(native, model, inputs, "scalar")
    for target in targets:
        for profile in profiles:
            place = folder / target / profile
            made = built.build([model], target, place, "--profile", profile)
            command = built.runner(made / "libwhit.a", target)
            for isa in built.isas(target):
                given = (target, profile, isa)
                assert runners.answer(command, model, inputs, isa) == expected, given


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("target", built.TARGETS)
@pytest.mark.parametrize("name", built.NAMES)
def test_same_bits(native: list[str], folder: Path, name: str, target: str, tmp_path: Path) -> None:
    model = built.convert(name, folder)
    inputs = built.inputs(model, tmp_path)
    _check_bits(native, model, inputs, tmp_path, targets=(target,), profiles=("size", "balanced"))


def test_a_program_of_one_model_counts_for_all(folder: Path) -> None:
    """With programs inside, the runtime looks at those of every model, also where a kernel would do without."""
    plain = whit.load(built.convert("digits", folder))
    more = whit.load(runners.ROOT / "tests/golden/v1/finished.whit")
    assert not _select.select([plain]).programs and _select.select([more]).programs
    assert _select.select([plain, more]) == _select.select([more, plain])


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_same_bits_of_golden_files(native: list[str], path: Path, tmp_path: Path) -> None:
    _check_bits(native, path, built.golden_inputs(path, tmp_path), tmp_path, targets=built.TARGETS)


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("op", ["ArgMax", "ReduceMax", "ReduceSum"])
def test_only_a_reduction(native: list[str], op: str, tmp_path: Path) -> None:
    """The kernels that fold rows are there for each operator that calls them."""
    to = TensorProto.INT64 if op == "ArgMax" else TensorProto.FLOAT
    ports = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 300])]
    results = [helper.make_tensor_value_info("y", to, None)]
    node = helper.make_node(op, ["x"], ["y"], **({"axis": 1} if op == "ArgMax" else {}))
    graph = helper.make_graph([node], op, ports, results)
    model = tmp_path / "model.whit"
    whit.convert(helper.make_model(graph), str(model))
    _check_bits(
        native, model, built.inputs(model, tmp_path), tmp_path, profiles=("size", "balanced")
    )


@pytest.mark.slow
@pytest.mark.native
def test_a_left_factor_with_gaps(native: list[str], tmp_path: Path) -> None:
    """Without batches of products, the plan makes it dense. The right factors: weights, and a matrix that is given."""
    nodes = "s = Slice(x, from, to, axes)  t = Transpose<perm = [0, 2, 1]>(s)  p = MatMul(t, m)  y = MatMul(p, z)"
    network = _network(nodes, {"m": (3, 20)}, "float[2, 5, 8] x, float[20, 6] z")
    for name, value in (("from", [2, 1]), ("to", [5, 4]), ("axes", [2, 1])):
        network.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value), name))
    model = tmp_path / "model.whit"
    whit.convert(network, str(model))
    chosen = _select.select([whit.load(model)])
    assert "slice" in chosen.ops and chosen.packs and not chosen.batches and not chosen.epilogues
    _check_bits(
        native, model, built.inputs(model, tmp_path), tmp_path, profiles=("size", "balanced")
    )


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("name", ["digits", "finished", "convolutions", "bottlenecks"])
def test_hostile_files(name: str, tmp_path: Path) -> None:
    """Parts that are left out leave no hole: mutants of the model that a build is for, under ASan and UBSan."""
    _mutants(runners.ROOT / f"tests/golden/v1/{name}.whit", 7, tmp_path)


@pytest.mark.slow
@pytest.mark.native
def test_loops_of_two_entries(tmp_path: Path) -> None:
    """A library that has loops and no if: the constants of an entry that is not the first are in scope in it."""
    f, i, b = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
    body = helper.make_graph(
        [helper.make_node("Mul", ["old", "w"], ["new"]), helper.make_node("Identity", ["go_in"], ["go"])],
        "body",
        [helper.make_tensor_value_info("k", i, []), helper.make_tensor_value_info("go_in", b, []),
         helper.make_tensor_value_info("old", f, [3])],
        [helper.make_tensor_value_info("go", b, []), helper.make_tensor_value_info("new", f, [3])],
    )  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)],
        "g",
        [helper.make_tensor_value_info("x", f, [3])],
        [helper.make_tensor_value_info("y", f, [3])],
        [onnx.numpy_helper.from_array(np.array(3), "n"), onnx.numpy_helper.from_array(np.ones(3, np.float32), "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path = tmp_path / "two.whit"
    whit.convert({"a": model, "b": model}, str(path))
    _mutants(path, 101, tmp_path)


def _mutants(path: Path, stride: int, tmp_path: Path) -> None:
    """tests/fuzz/mutate.c, with the C file of the size profile for the model; the whole file must run in all entries."""
    built.build([path], "c", tmp_path, "--profile", "size")
    program = tmp_path / "mutate"
    sanitize = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
    sources = (tmp_path / "whit.c", runners.ROOT / "tests/fuzz/mutate.c")
    command = [
        os.environ.get("CC", "cc"),
        "-std=c11",
        *sanitize,
        f"-I{tmp_path}",
        *sources,
        "-o",
        program,
    ]
    subprocess.run([str(c) for c in command], check=True)
    done = subprocess.run([program, "-s", str(stride), path], capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "mutants" in done.stdout


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("target", built.TARGETS)
def test_symbols(folder: Path, target: str, tmp_path: Path) -> None:
    """Calls nothing, exports whit.h, and has no memory of its own."""
    made = built.build([built.convert("digits", folder)], target, tmp_path, "--profile", "size")
    nm, readelf = built.tool("nm"), built.tool("readelf")
    library = made / "libwhit.so"
    assert _said([nm, "-D", "-u", library]) == ""
    exported = {
        line.split()[-1] for line in _said([nm, "-D", "--defined-only", library]).splitlines()
    }
    assert exported == set(re.findall(r"WHIT_API [^;(]*?\b(whit_\w+)\(", HEADER))
    assert "NEEDED" not in _said([readelf, "-d", library])
    for line in _said([readelf, "-S", "-W", library]).splitlines():
        m = re.search(
            r" (\.data|\.bss|\.init_array|\.tbss|\.tdata)\s+\w+\s+\w+\s+\w+\s+(\w+)", line
        )
        assert m is None or int(m[2], 16) == 0, line
    assert _said([nm, "-u", made / "libwhit.a"]).split()[1:] == []


def _said(command: list[object]) -> str:
    words = [str(c) for c in command]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


OF_LINKERS = {"_GLOBAL_OFFSET_TABLE_", "__indirect_function_table", "__stack_pointer"}
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


@pytest.fixture(scope="module")
def small(folder: Path) -> whit._native.Library:
    """The library of experts.whit, loaded here beside the whole one."""
    made = built.build([built.convert("experts", folder)], "linux-x86_64", folder / "experts")
    return ctypes.CDLL(str(made / "libwhit.so"))


def _open(library: ctypes.CDLL, model: Path) -> tuple[int, int, whit._native.ModelStruct, object]:
    raw = np.fromfile(model, np.uint8)
    memory = whit._native.aligned(raw.nbytes)
    memory[:] = raw
    opened = whit._native.ModelStruct()
    status = library.whit_open(
        ctypes.byref(opened), ctypes.c_void_p(memory.ctypes.data), ctypes.c_size_t(memory.nbytes)
    )
    return status, int(opened.bad_offset), opened, memory


@pytest.mark.slow
@pytest.mark.native
def test_operator_that_is_not_there(small: ctypes.CDLL, folder: Path) -> None:
    status, missing, _, _ = _open(small, built.convert("dates", folder))
    assert status == 0x22  # WHIT_E_OPERATOR
    names = {int(r["id"]): r["name"] for r in _operators.table()["ops"]}
    inside = _select.select([whit.load(built.convert("experts", folder))]).ops
    assert names[missing] in {"loop", "gather", "softmax", "concat", "slice", "shape", "identity"}
    assert names[missing] not in inside


def _needs(*, dtypes: set[int], micros: set[int]) -> bytes:
    """A model whose one tile node does f32 micro-operations on inputs of a type and stores as another."""
    given, stored = sorted(dtypes)[0], sorted(dtypes)[-1]
    words = [0 | 1 << 8 | (2 + len(micros)) << 16, 0]
    words += sorted(micros)
    words.append(2 | stored << 26)
    row = next(r for r in _operators.table()["ops"] if r["name"] == "tile")
    return whit._file.one_node(int(row["id"]), [len(words), *words], [given], [stored])


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize(
    ("dtypes", "micros", "status"),
    [({1}, {35}, 0x22), ({1, 10}, set(), 0x41)],
    ids=["sin", "float16"],
)
def test_type_or_micro_operation_that_is_not_there(
    small: ctypes.CDLL, dtypes: set[int], micros: set[int], status: int, tmp_path: Path
) -> None:
    """Refused by whit_open or whit_plan: never run."""
    model = tmp_path / "needs.whit"
    model.write_bytes(_needs(dtypes=dtypes, micros=micros))
    assert whit.load(model)(np.ones(20, np.float32)).shape == (20,)
    found, _, opened, _memory = _open(small, model)
    assert (found or _plan(small, opened, [np.zeros(20, np.float32)])[0]) == status


def _plan(library: ctypes.CDLL, opened: object, feeds: list[np.ndarray]) -> tuple[int, int, str]:
    """Status of whit_plan, the node and the sentence of its error."""
    library.whit_instance_bytes.restype = ctypes.c_size_t
    library.whit_instance_init.restype = ctypes.c_void_p
    library.whit_error_text.restype = ctypes.c_char_p
    n = ctypes.c_size_t(library.whit_instance_bytes(ctypes.byref(opened)))
    tables = whit._native.aligned(n.value)
    init = library.whit_instance_init
    at = ctypes.c_void_p(
        init(ctypes.c_void_p(tables.ctypes.data), n, ctypes.byref(opened), 0, None)
    )
    for k, x in enumerate(feeds):
        shape = (ctypes.c_int32 * x.ndim)(*x.shape)
        dtype = whit.dtypes.from_numpy(x.dtype)
        data = ctypes.c_void_p(x.ctypes.data)
        assert library.whit_input_set(at, k, dtype, x.ndim, shape, data) == 0
    status = library.whit_plan(at, ctypes.byref(n))
    return status, library.whit_error_node(at), library.whit_error_text(at).decode()


def _reshape(shape: list[int] | None, to: Path) -> Path:
    """y = relu(reshape(x, shape)), without a shape that of a second input."""
    ports = [helper.make_tensor_value_info("x", FLOAT, ["n"])]
    if shape is None:
        ports.append(helper.make_tensor_value_info("shape", INT64, [2]))
    constants = [] if shape is None else [helper.make_tensor("shape", INT64, [2], shape)]
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Reshape", ["r", "shape"], ["y"]),
    ]
    y = helper.make_tensor_value_info("y", FLOAT, ["a", "b"])
    graph = helper.make_graph(nodes, "reshape", ports, [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    whit.convert(model, to)
    return to


@pytest.mark.slow
@pytest.mark.native
def test_the_size_profile(tmp_path: Path) -> None:
    """It says the node and the status of an error in place of a sentence of its own, and refuses sizes that are inputs if its models
    have none."""
    fixed = _reshape([2, -1], tmp_path / "fixed.whit")
    whole = tmp_path / "whole.whit"  # has the type of the shape below
    port = [helper.make_tensor_value_info(name, INT64, [4]) for name in "xy"]
    add = helper.make_node("Add", ["x", "x"], ["y"])
    graph = helper.make_graph([add], "whole", port[:1], port[1:])
    whit.convert(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), whole)
    made = built.build([fixed, whole], "linux-x86_64", tmp_path, "--profile", "size")
    library = ctypes.CDLL(str(made / "libwhit.so"))
    found, _, opened, _memory = _open(library, fixed)
    assert found == 0
    assert _plan(library, opened, [np.zeros(6, np.float32)])[0] == 0
    assert _plan(library, opened, [np.zeros(5, np.float32)]) == (0x40, 1, "E_SHAPE")
    given = _reshape(None, tmp_path / "given.whit")
    x, shape = np.zeros(6, np.float32), np.array([2, 3])
    assert whit.load(given)(x, shape).shape == (2, 3)
    found, _, opened, _memory = _open(library, given)
    assert found == 0
    assert _plan(library, opened, [x, shape]) == (0x22, 1, "E_OPERATOR")


@pytest.mark.slow
@pytest.mark.native
def test_embedded(folder: Path, tmp_path: Path) -> None:
    """The model's bytes come out of the library as they are."""
    model = built.convert("triple", folder)
    built.build([model], "linux-x86_64", tmp_path, "--embed")
    assert "const void *whit_model_triple(size_t *n_bytes);" in (tmp_path / "whit.h").read_text()
    library = ctypes.CDLL(str(tmp_path / "libwhit.so"))
    library.whit_model_triple.restype = ctypes.c_void_p
    n = ctypes.c_size_t()
    at = library.whit_model_triple(ctypes.byref(n))
    assert at % 64 == 0
    assert ctypes.string_at(at, n.value) == model.read_bytes()


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize(
    "target", [t.name for t in _targets.TARGETS.values() if t.output != "source"]
)
def test_the_size_profile_links(folder: Path, target: str, tmp_path: Path) -> None:
    """Small code calls for more of what a compiler takes for granted: shifts of 64 bits, memory filled with zeros."""
    try:
        _targets.compiler(_targets.target(target))
    except _targets.ToolError as e:
        pytest.skip(str(e))
    made = built.build([built.convert("dates", folder)], target, tmp_path, "--profile", "size")
    undefined = _said([built.tool("nm"), "-u", made / "libwhit.a"]).splitlines()
    assert [x for x in undefined if " U " in x and x.split()[-1] not in OF_LINKERS] == []


def test_bad_arguments(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["build", "--target", "toaster", "-o", str(tmp_path)]) == 1
    assert "no target 'toaster'; there are android-arm64-v8a," in capsys.readouterr().err
    assert cli.main(["size", "--target", "wasm32"]) == 1
    assert "do not say how large a function is" in capsys.readouterr().err


def test_selection_of_a_model(folder: Path) -> None:
    chosen = _select.select([whit.load(built.convert("digits", folder))])
    assert {"conv", "if", "max_pool"} <= chosen.ops
    assert not {"loop", "matmul"} & chosen.ops
    assert chosen.convs == {_select.DIRECT, _select.STRIPS}
    assert not chosen.wide and not chosen.pools and not chosen.dynamic and not chosen.sequences
    chosen = _select.select([whit.load(built.convert("dates", folder))])
    assert chosen.dynamic and not chosen.sequences  # how many codes there are, the run says:
    assert not chosen.heap  # no more than max_steps


def loop_of(joins: bool) -> bytes:
    """Three trips that add to a carried value, or join it with itself; each also writes a slice."""
    b = Builder()
    b.graph.entries.append(Entry("main", b.region))
    x = b.param("x", DType.F32, (2, 4))
    with b.sub() as body:
        b.param("i", DType.I64, ())
        p = b.param("p", DType.F32, (None, 4) if joins else (2, 4))
        row = b.op("reduce", p, kind=2, axes=[0], keepdims=1)
        body.results = [None, b.concat([p, row] if joins else [row, row], 0), row]
    b.region.results = b.control("loop", [b.const(3), None, x], [body], 2)
    return write.write(b.graph)


PLAN = """
import numpy, sys, whit
try:
    print(float(whit.load(sys.argv[1])(numpy.ones((2, 4), numpy.float32))[1].sum()))
except whit.WhitError as e:
    print(e)
"""


@pytest.mark.slow
@pytest.mark.native
def test_shapes_that_a_loop_changes(tmp_path: Path) -> None:
    """The library for a loop of known shapes has no dynamic memory, and says so of another loop."""
    files = [tmp_path / "fixed.whit", tmp_path / "growing.whit"]
    for joins, file in enumerate(files):
        file.write_bytes(loop_of(bool(joins)))
        chosen = _select.select([whit.load(file)])
        assert chosen.dynamic == chosen.heap == bool(joins) and not chosen.sequences
    made = built.build(files[:1], "linux-x86_64", tmp_path / "made")
    said = [
        subprocess.run(
            [sys.executable, "-c", PLAN, str(file)], capture_output=True, text=True, check=True,
            env={**os.environ, "WHIT_LIBRARY": str(made / "libwhit.so")},
        ).stdout
        for file in files
    ]  # fmt: skip
    assert said[0] == "12.0\n"
    assert "not supported" in said[1]


@pytest.mark.slow
@pytest.mark.native
def test_from_an_installed_wheel(folder: Path, tmp_path: Path) -> None:
    """Sources come with the package; nothing but a C compiler is needed."""
    source = tmp_path / "source"
    keep = shutil.ignore_patterns(".git", ".venv", "build", "dist", "tests", "*.egg-info")
    shutil.copytree(runners.ROOT, source, ignore=keep)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", source]
    subprocess.run([*map(str, pip), "-w", str(tmp_path)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    shutil.unpack_archive(wheel, site, "zip")
    model = built.convert("triple", folder)
    python = [sys.executable, "-S", "-c"]
    numpy = Path(np.__file__).parents[1]
    code = (
        f"import sys; sys.path[:0] = [{str(site)!r}, {str(numpy)!r}]; import whit; from whit.cli import main;"
        f" assert whit.__file__.startswith({str(site)!r});"
        f" sys.exit(main(['build', {str(model)!r}, '--target', 'linux-x86_64', '-o', {str(tmp_path / 'made')!r}]))"
    )
    subprocess.run([*python, code], check=True, cwd=tmp_path)
    assert (tmp_path / "made/libwhit.so").is_file()


@pytest.mark.slow
@pytest.mark.native
def test_views_that_are_copies(native: list[str], tmp_path: Path) -> None:
    """A picture's transpose is read by a convolution, which wants it dense, and that of the result is the caller's: such a library
    holds no views."""
    model = tmp_path / "copied.whit"
    nodes = "c = Conv(x, w)  y = Conv(c, v)"
    weights = {"w": (8, 3, 3, 3), "v": (8, 8, 1, 1)}
    whit.convert(_network(nodes, weights, "float[1, 3, 8, 8] x"), model)
    chosen = _select.select([whit.load(model)])
    assert chosen.ops == {"transpose", "conv"} and chosen.json()["views"] == 1
    _check_bits(native, model, built.inputs(model, tmp_path), tmp_path)


@pytest.fixture(scope="module")
def plain(folder: Path) -> ctypes.CDLL:
    """The library of a network of the plainest kind: weights in panels, a mean over pixels, no epilogue but limits."""
    model = folder / "plain.whit"
    whit.convert(_network(PLAIN, {"w": (8, 3, 3, 3), "m": (4, 5)}, "float[1, 3, 8, 8] x"), model)
    chosen = _select.select([whit.load(model)])
    assert chosen.ops == {
        "transpose",
        "conv",
        "reduce",
        "reshape",
        "matmul",
        "softmax",
    } and chosen.reduces == {4}
    assert (
        not chosen.packs
        and not chosen.gates
        and not chosen.ints
        and not chosen.infers
        and not chosen.logs
    )
    made = built.build([model], "linux-x86_64", folder / "plain", "--profile", "size")
    return ctypes.CDLL(str(made / "libwhit.so"))


PLAIN = """
  c = Conv<pads = [1, 1, 1, 1]>(x, w)
  r = Relu(c)
  p = GlobalAveragePool(r)
  s = Constant<value_ints = [1, 2, 4]>()
  f = Reshape(p, s)
  m1 = MatMul(f, m)
  r1 = Relu(m1)
  y = Softmax(r1)"""


def _network(nodes: str, weights: dict[str, tuple[int, ...]], inputs: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["": 21]> g ({inputs}) => (float y) {{ {nodes} }}'
    )
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    rng = np.random.default_rng(1)
    for name, shape in weights.items():
        value = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    return model


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize(
    ("nodes", "weights", "inputs", "shapes"),
    [
        ("y = MatMul(x, z)", {}, "float[2, 3] x, float[3, 4] z", [(2, 3), (3, 4)]),
        ("y = MatMul(m, x)", {"m": (3, 4)}, "float[2, 4, 5] x", [(2, 4, 5)]),
        ("y = Conv(x, w)", {}, "float[1, 3, 8, 8] x, float[4, 3, 3, 3] w", [(1, 3, 8, 8), (4, 3, 3, 3)]),
        ("y = ReduceProd<keepdims = 0>(x)", {}, "float[2, 3] x", [(2, 3)]),
        ("y = ReduceMean<keepdims = 0>(x)", {}, "float[0, 3] x", [(0, 3)]),
        ("y = ReduceMean<keepdims = 0>(x)", {}, "float[2, 3] x", [(2, 3)]),
        ('y = Conv<auto_pad = "SAME_UPPER">(x, w)', {"w": (8, 3, 3, 3)}, "float[1, 3, 8, 8] x", [(1, 3, 8, 8)]),
        ("y = LogSoftmax(x)", {}, "float[2, 3] x", [(2, 3)]),
        ("y = Flatten(x)", {}, "float[n, 3, 2] x", [(2, 3, 2)]),
        ("c = Conv(x, w)  y = HardSwish(c)", {"w": (8, 3, 3, 3)}, "float[1, 3, 8, 8] x", [(1, 3, 8, 8)]),
        ("c = Conv(x, w)  y = LeakyRelu<alpha = 0.1>(c)", {"w": (8, 3, 3, 3)}, "float[1, 3, 8, 8] x", [(1, 3, 8, 8)]),
    ],
    ids=["two inputs", "batches", "weights given", "product", "of nothing", "of rows", "padding by rule", "logarithm", "size that is copied", "gate", "leak"],
)  # fmt: skip
def test_part_of_an_operator_that_is_not_there(
    plain: ctypes.CDLL, nodes: str, weights: dict[str, tuple[int, ...]], inputs: str, shapes: list[tuple[int, ...]], tmp_path: Path,
) -> None:  # fmt: skip
    """Refused by whit_open or whit_plan, where the whole library runs it."""
    model = tmp_path / "needs.whit"
    whit.convert(_network(nodes, weights, inputs), model)
    feeds = [np.ones(s, np.float32) for s in shapes]
    whit.load(model)(*feeds)
    status, _, opened, _memory = _open(plain, model)
    assert (status or _plan(plain, opened, feeds)[0]) == 0x22


@pytest.mark.slow
@pytest.mark.native
def test_slices_of_one_axis(native: list[str], folder: Path, tmp_path: Path) -> None:
    """A library for these refuses others. A recurrent network that goes backwards has no others."""
    one = tmp_path / "one.whit"
    weights = {"w": (2, 9, 4), "r": (2, 9, 3)}
    nodes = 'h, last = GRU<hidden_size = 3, direction = "bidirectional">(x, w, r)  y = Tanh(h)'
    whit.convert(_network(nodes, weights, "float[t, 1, 4] x"), one)
    assert _select.select([whit.load(one)]).slices == 1
    feeds = {"x": np.random.default_rng(2).standard_normal((5, 1, 4)).astype(np.float32)}
    runners.write_inputs(whit.load(one), feeds, tmp_path / "one.inputs")
    _check_bits(native, one, tmp_path / "one.inputs", tmp_path)
    made = built.build([one], "linux-x86_64", tmp_path / "made", "--profile", "size")
    library = ctypes.CDLL(str(made / "libwhit.so"))
    for number, (axes, steps) in enumerate((("{0}", ""), ("{0, 2}", ""), ("{0}", "{2}"))):
        model = tmp_path / f"{number}.whit"
        n = axes.count(",") + 1
        lists = [
            f"int64[{n}] {k} = {{{', '.join([v] * n)}}}" for k, v in (("from", "0"), ("to", "2"))
        ]
        lists += [f"int64[{n}] {k} = {v}" for k, v in (("axes", axes), ("steps", steps)) if v]
        named = "x, from, to, axes, steps" if steps else "x, from, to, axes"
        text = f'<ir_version: 10, opset_import: ["": 21]> g (float[5, 1, 4] x) => (float[a, b, c] y) <{", ".join(lists)}>'
        whit.convert(onnx.parser.parse_model(f"{text} {{ y = Slice({named}) }}"), model)
        assert _select.select([whit.load(model)]).slices == (1 if number == 0 else 2)
        status, _, opened, _memory = _open(library, model)
        refused = status or _plan(library, opened, [np.ones((5, 1, 4), np.float32)])[0]
        assert refused == (0 if number == 0 else 0x22)


@pytest.mark.slow
@pytest.mark.native
def test_types_that_are_not_converted(folder: Path, tmp_path: Path) -> None:
    """A library for floats and for integers, each by themselves, refuses a program that goes from one to the other."""
    head = '<ir_version: 10, opset_import: ["": 21]> g (float[3] x, int64[3] k) => (float[3] y, int64[3] n)'
    apart, mixed = folder / "apart.whit", tmp_path / "mixed.whit"
    whit.convert(onnx.parser.parse_model(f"{head} {{ y = Tanh(x)  n = Add(k, k) }}"), apart)
    whit.convert(
        onnx.parser.parse_model(f"{head} {{ y = Tanh(x)  t = Cast<to = 7>(x)  n = Add(k, t) }}"),
        mixed,
    )
    assert not _select.select([whit.load(apart)]).casts and _select.select([whit.load(mixed)]).casts
    made = ctypes.CDLL(
        str(
            built.build([apart], "linux-x86_64", folder / "apart", "--profile", "size")
            / "libwhit.so"
        )
    )
    feeds = [np.ones(3, np.float32), np.ones(3, np.int64)]
    for model, wanted in ((apart, 0), (mixed, 0x22)):
        status, _, opened, _memory = _open(made, model)
        assert (status or _plan(made, opened, feeds)[0]) == wanted
