"""whit bench --adb against a stand-in phone: a directory, whose programs run under the emulator. What it prints, and what can go wrong."""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import devices
import numpy as np
import onnx
import pytest

import whit
from whit import _bench_build, _feeds
from whit.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.native]
ARM64 = "arm64-v8a"
Phone = Callable[..., Path]


def stand_in(folder: Path, bin: Path, **said: Any) -> Path:
    """A phone in a folder, and its adb in another; what is said replaces what a healthy arm64 phone says."""
    folder.mkdir(exist_ok=True)
    bin.mkdir(exist_ok=True)
    phone = {
        "devices": [["emu-1", "device"]],
        "properties": {
            "ro.product.cpu.abi": ARM64,
            "ro.product.cpu.abilist": f"{ARM64},armeabi-v7a",
            "ro.product.model": "Stand-in 9",
        },
        "emulator": " ".join(devices.EMULATORS[ARM64]),
    }
    (folder / "phone.json").write_text(json.dumps(phone | said))
    adb = bin / "adb"
    script = Path(__file__).with_name("stand_in_adb.py")
    adb.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{script}' '{folder}' \"$@\"\n")
    adb.chmod(0o755)
    return folder


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Phone:
    devices.command(ARM64)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return lambda **said: stand_in(tmp_path / "phone", tmp_path / "bin", **said)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    whit.convert(devices.MODELS / "digits.onnx", tmp_path / "digits.whit")
    return tmp_path / "digits.whit"


def bench(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    short = () if "--seconds" in arguments else ("--seconds", 0.01)
    code = main(["bench", *map(str, (*arguments, *short))])
    return code, *capsys.readouterr()


def keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: keys(v) for k, v in value.items()}
    return [keys(value[0])] if isinstance(value, list) and value and isinstance(value[0], dict) else None  # fmt: skip


def test_a_run_on_the_phone(phone: Phone, digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = phone()
    options = (digits, "--profile", "--minutes", 0.001, "--threads", 2, "--warmup", 1, "--json")
    code, out, err = bench(capsys, *options, "--adb", "--taskset", "1")
    assert code == 0, err
    there = json.loads(out)
    here = json.loads(bench(capsys, *options)[1])
    assert there.pop("device") == "Stand-in 9 (emu-1, arm64-v8a)"
    assert keys(there) == keys(here)
    assert there["machine"] == "aarch64" and there["cpu"] == ["neon"]
    for key in ("file", "shapes", "steps", "arena_bytes", "outputs", "flops", "threads"):
        assert there[key] == here[key], key
    fields = ("index", "name", "runs", "kind", "flops", "weight_bytes", "other_bytes")
    mine, yours = ({tuple(n[f] for f in fields) for n in d["nodes"]} for d in (there, here))
    assert mine == yours
    assert not list((folder / "data/local/tmp").iterdir()), "nothing is left on the phone"


def test_the_table(phone: Phone, digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    phone()
    code, out, err = bench(capsys, digits, "--adb", "--runs", 3)
    assert code == 0, err
    here = bench(capsys, digits, "--runs", 3)[1]
    first = out.splitlines()[0]
    assert f"{digits}, 3 runs, 1 thread, Stand-in 9 (emu-1, arm64-v8a) aarch64 neon" in first
    labels = [[line.split("  ")[1] for line in t.splitlines() if line.startswith("  ")][:13] for t in (out, here)]  # fmt: skip
    assert labels[0] == labels[1] and "peak resident" in labels[0]


def test_inputs_go_along(phone: Phone, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    phone()
    text = """
    mixed (seq(float[2]) parts, bfloat16[n] b, int64 k, bool[2] e) => (float[m] y, bfloat16[n] b2, int64 k2, bool[2] e2) {
      y = ConcatFromSequence <axis = 0> (parts) b2 = Identity(b) k2 = Identity(k) e2 = Identity(e)
    }"""
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]>\n{text}')
    path = tmp_path / "mixed.whit"
    whit.convert(model, path)
    inputs = ["parts=[[1, 2], [3, 4]]", "b=[0.5, 3, -2]", "k=7"]
    code, out, err = bench(capsys, path, *inputs, "--adb", "--seed", 3, "--json")
    assert code == 0, err
    loaded = whit.load(path)
    feeds = _feeds.gather(loaded.entry(None), inputs, {}, 3)
    expected = {k: zlib.crc32(v.tobytes()) for k, v in _feeds.flatten(loaded.run(feeds)).items()}
    assert {y["name"]: y["crc32"] for y in json.loads(out)["outputs"]} == expected


UNAUTHORIZED = {"devices": [["emu-1", "unauthorized"]]}
SEVERAL = {"devices": [["emu-1", "device"], ["emu-2", "device"]]}


@pytest.mark.parametrize(
    ("said", "arguments", "sentence"),
    [
        ({"devices": []}, [], "adb sees no phone: plug one in"),
        (SEVERAL, [], "several phones; name one with --serial: emu-1, emu-2"),
        (SEVERAL, ["--serial", "emu-3"], "no phone emu-3; it sees emu-1, emu-2"),
        (UNAUTHORIZED, [], "has not allowed this computer"),
        ({"devices": [["emu-1", "offline"]]}, [], "does not answer"),
        ({"devices": [["emu-1", "no permissions (user in plugdev group)"]]}, [], "may not be used"),
        ({}, ["--abi", "x86_64"], "does not run x86_64; it runs arm64-v8a, armeabi-v7a"),
        ({"properties": {"ro.product.cpu.abi": "riscv64"}}, [], "no whit_bench for riscv64; there is one for arm64"),
        ({"properties": {}}, [], "does not tell its ABI"),
        ({"space": 100_000}, [], "the phone is full: no room for"),
        ({"emulator": "false"}, [], "exit code 1"),
        ({"emulator": "qemu-arm"}, [], "Invalid ELF image"),
        ({}, ["--threads", "300"], "from 1 to 256"),
        ({}, ["--taskset", "0"], "failed to set"),
        ({}, ["--trace", "t.json"], "does not go with --adb"),
    ],
)  # fmt: skip
def test_what_can_go_wrong(
    phone: Phone, digits: Path, said: dict[str, Any], arguments: list[str], sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = phone(**said)
    code, out, err = bench(capsys, digits, "--adb", *arguments)
    assert code == 1 and out == ""
    assert sentence in err and err.startswith("whit: ") and err.count("\n") == 1
    left = folder / "data/local/tmp"
    assert not left.exists() or not list(left.iterdir()), "cleans up after a failure"


def test_one_of_several(phone: Phone, digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = phone(**SEVERAL)
    code, out, err = bench(capsys, digits, "--adb", "--serial", "emu-2", "--json")
    assert code == 0 and "emu-2" in json.loads(out)["device"], err
    assert "-s emu-1" not in (folder / "log").read_text()


def test_a_run_that_fails_there(phone: Phone, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    """The runtime's own sentence comes from the phone."""
    phone()
    text = "far (float[3] x, int64 k) => (float y) { y = Gather(x, k) }"
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]>\n{text}')
    whit.convert(model, tmp_path / "far.whit")
    code, _, err = bench(capsys, tmp_path / "far.whit", "k=9", "--adb")
    assert code == 1 and "on the phone emu-1: model.whit: node" in err and "an index is out of range" in err  # fmt: skip


def test_no_adb(tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = bench(capsys, digits, "--adb")
    assert code == 1 and "there is no adb on PATH" in err
    code, _, err = bench(capsys, digits, "--serial", "emu-1")
    assert code == 1 and "--serial says something about a phone: it needs --adb" in err


def test_built_on_demand(
    phone: Phone, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """From the sources of the wheel into the user's cache; a sentence where there is no compiler."""
    phone()
    wheel = tmp_path / "site/whit"
    wheel.mkdir(parents=True)
    (wheel / "runtime_c").symlink_to(devices.ROOT / "runtime_c")
    monkeypatch.setattr(_bench_build, "_HERE", wheel)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("WHIT_BENCH_CC", "no-such-compiler -O2")
    code, _, err = bench(capsys, digits, "--adb")
    assert code == 1 and "there is no compiler no-such-compiler" in err
    monkeypatch.delenv("WHIT_BENCH_CC")
    with monkeypatch.context() as without:
        without.setenv("PATH", f"{tmp_path}/bin")
        without.setattr("importlib.util.find_spec", lambda name: None)
        code, _, err = bench(capsys, digits, "--adb")
        assert code == 1 and "no compiler for arm64-v8a: apt install gcc-aarch64-linux-gnu" in err
    code, _, err = bench(capsys, digits, "--adb")
    assert code == 0, err
    program = tmp_path / "cache/whit/whit_bench/arm64-v8a/whit_bench"
    made = program.stat().st_mtime_ns
    assert bench(capsys, digits, "--adb")[0] == 0 and program.stat().st_mtime_ns == made


def test_a_compiler_that_fails(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(_bench_build, "target", lambda abi: tmp_path / "out" / abi)
    with pytest.raises(_bench_build.BuildError, match="does not build with false"):
        _bench_build.build("arm64", "false")
    assert np.size(list((tmp_path / "out").iterdir())) == 0


def test_zig_where_there_is_no_gcc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "ziglang")
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl"]
    assert _bench_build.compiler(ARM64) == command
    with pytest.raises(_bench_build.BuildError, match=r"apt install gcc-arm-linux-gnueabi \S+ \("):
        _bench_build.compiler("armeabi-v7a")
