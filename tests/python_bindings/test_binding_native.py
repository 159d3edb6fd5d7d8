"""The ctypes layer: structures as the C compiler lays them out, memory, one-node programs."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from whit import _native, _tap, dtypes
from whit._file import one_node
from whit.errors import LibraryError, LoadError, WhitError

ROOT = Path(__file__).resolve().parents[2]
STRUCTS = {
    "whit_tensor": _native.Tensor,
    "whit_host": _native.Host,
    "whit_port_info": _native.PortInfo,
    "whit_profile": _native.Profile,
    "whit_model": _native.ModelStruct,
}


def test_structures_match_c(tmp_path: Path) -> None:
    """sizeof and offsetof as the compiler says."""
    lines = []
    for name, struct in STRUCTS.items():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        fields = [f[0] for f in struct._fields_ if f[0] not in ("pointers", "counts")]
        lines += [f'printf("{name}.{f} %zu\\n", offsetof({name}, {f}));' for f in fields]
    source = tmp_path / "sizes.c"
    body = "\n".join(lines)
    source.write_text(
        f"#include <stdio.h>\n#include <whit_platform.h>\nint main(void) {{ {body} }}\n"
    )
    program = tmp_path / "sizes"
    include = [f"-I{ROOT}/runtime_c/include", f"-I{ROOT}/runtime_c/platform"]
    subprocess.run([os.environ.get("CC", "cc"), *include, source, "-o", program], check=True)
    said = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    for line in said.splitlines():
        what, number = line.split()
        name, _, field = what.partition(".")
        struct = STRUCTS[name]
        ours = getattr(struct, field).offset if field else ctypes.sizeof(struct)
        assert ours == int(number), what


def test_constants_match_the_header() -> None:
    header = (ROOT / "runtime_c/include/whit.h").read_text()
    statuses = dict(re.findall(r"X\((\w+), (0x\w+),", header))
    for name in ("OK", "STOPPED", "E_INPUT", "E_FORMAT", "E_OPERATOR", "E_MEMORY", "E_UNSUPPORTED"):
        assert getattr(_native, name) == int(statuses[name], 16)
    for name in _native._FUNCTIONS:
        assert re.search(rf"\b{name}\(", header), name
    for name, number in re.findall(r"WHIT_(\w+) = (\d+)", header):
        if hasattr(dtypes, name):
            assert getattr(dtypes, name) == int(number)


@pytest.mark.parametrize("code", [*range(1, 8), 9, 10, 11, 12, 13, *range(16, 27)])
def test_dtypes_round_trip(code: int) -> None:
    dtype = dtypes.to_numpy(code)
    assert dtypes.from_numpy(dtype) == code
    assert dtypes.from_name(dtypes.name_of(code)) == code
    assert dtypes.from_numpy(dtype.newbyteorder(">")) == code


@pytest.mark.parametrize(
    "n_bytes", [64, 5000, (1 << 21) - 4096, 1 << 21, 5_000_000, (7 << 20) + 64]
)
def test_arenas(n_bytes: int) -> None:
    """Aligned, of the size asked for, zeroed or not; in huge pages from nearly one on; never shared with a child."""
    arena = _native.arena(n_bytes)
    assert arena.nbytes == n_bytes and _native.address(arena) % 64 == 0
    if n_bytes >= 1 << 21 and hasattr(mmap, "MADV_HUGEPAGE"):
        assert _native.address(arena) % (1 << 21) == 0
    arena[:] = 1
    child = os.fork()
    if not child:
        arena[:] = 2
        os._exit(0)
    os.waitpid(child, 0)
    assert (arena == 1).all()


def test_aligned_memory() -> None:
    for n in (1, 63, 64, 1000):
        a = _native.aligned(n)
        assert a.nbytes == n
        assert _native.address(a) % 64 == 0


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24.0).reshape(2, 3, 4),
        np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(24.0)[::-2],
        np.broadcast_to(np.arange(3.0), (4, 3)),
        np.float64(3),
        np.empty((0, 3)),
    ],
    ids=["dense", "transposed", "backwards", "broadcast", "scalar", "empty"],
)
def test_read_tensor(array: np.ndarray) -> None:
    a = np.asarray(array)
    t = _native.Tensor(data=a.ctypes.data, dtype=dtypes.F64, rank=a.ndim)
    for k in range(a.ndim):
        t.shape[k], t.stride[k] = a.shape[k], a.strides[k] // a.itemsize
    np.testing.assert_array_equal(_native.read_tensor(t), a)


def test_address_is_numpys() -> None:
    for a in (np.arange(3), np.zeros((4, 4))[1:, ::2], np.array(1), np.empty(0)):
        assert _native.address(a) == a.ctypes.data
        assert _native._pointer_slow(a).value == a.ctypes.data


def test_one_node_program() -> None:
    """A tile program written by hand: y = (a + 2) * b in float32."""
    micro = _tap.micro_numbers()
    two = int(np.float32(2).view(np.uint32))
    program = [
        0 | 5 << 8 | 6 << 16,
        micro["load"] | 0 << 8 | 0 << 14,
        micro["imm"] | 1 << 8,
        two,
        micro["add"] | 2 << 8 | 0 << 14 | 1 << 20,
        micro["load"] | 3 << 8 | 1 << 14,
        micro["mul"] | 4 << 8 | 2 << 14 | 3 << 20,
        micro["store"] | 4 << 14 | 0 << 20 | dtypes.F32 << 26,
    ]
    tile = next(op["id"] for op in _table()["ops"] if op["name"] == "tile")
    data = one_node(tile, [len(program), *program], [dtypes.F32] * 2, [dtypes.F32])
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, 10, 100], np.float32)
    (y,) = _native.run_bytes(data, [a, b])
    np.testing.assert_array_equal(y, (a + 2) * b)


def _table() -> dict:
    import json

    return json.loads((Path(_native.__file__).parent / "_ops.json").read_text())


@pytest.mark.parametrize("length", [0, 4, 15, 40, 100])
def test_damaged_files(length: int) -> None:
    data = one_node(1, [], [1], [1])[:length]
    with pytest.raises(LoadError) as e:
        _native.run_bytes(data, [])
    assert e.value.status


def test_unknown_operator() -> None:
    with pytest.raises(LoadError) as e:
        _native.run_bytes(one_node(0x12345678, [], [1], [1]), [])
    assert e.value.operator == "hash 0x12345678"


def test_missing_library(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="make lib"):
        _native.Library(tmp_path / "nothing.so", {})


def _python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)


def test_cpu_detection() -> None:
    assert _native.cpu_detected() == _native.cpu_detected()
    if os.path.exists("/proc/cpuinfo") and os.uname().machine == "x86_64":
        assert _native._features_of_cpuinfo() == _native.cpu_detected()
    code = "from whit import _native; print(_native.cpu_features())"
    assert _python(code, WHIT_CPU="scalar").stdout == "0\n"
    assert "expected one of" in _python(code, WHIT_CPU="mmx").stderr
    if os.uname().machine == "x86_64":
        assert "does not have it" in _python(code, WHIT_CPU="neon").stderr
    assert issubclass(LibraryError, (WhitError, ImportError))


def test_import_needs_numpy_only() -> None:
    """Neither onnx nor the exporter is imported by `import whit` or by loading a model."""
    code = (
        "import sys, whit; "
        "print([m for m in ('onnx', 'whit_exporter', 'ml_dtypes', 'flatbuffers') if m in sys.modules])"
    )
    assert _python(code).stdout == "[]\n"
