"""whit_bench for every processor that can be executed here, and what it says."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runners

from whit import _bench_build, dtypes

ROOT = runners.ROOT
MODELS = ROOT / "examples/models"
GOLDEN = sorted((ROOT / "tests/golden").glob("v*/*.whit"))
EMULATORS: dict[str, tuple[str, ...]] = {
    "host": (),
    "arm64-v8a": ("qemu-aarch64", "-cpu", "cortex-a53"),
    "armeabi-v7a": ("qemu-arm", "-cpu", "cortex-a8"),
    "x86_64": () if platform.machine() == "x86_64" else ("qemu-x86_64",),
    "x86": () if platform.machine() == "x86_64" else ("qemu-i386",),
}
MACHINES = {"arm64-v8a": "aarch64", "armeabi-v7a": "armv7l", "x86_64": "x86_64", "x86": "i686"}


def command(abi: str) -> list[str]:
    """What starts the ABI's whit_bench here; the test is skipped if a tool is missing."""
    emulator = EMULATORS[abi]
    if emulator and not shutil.which(emulator[0]):
        pytest.skip(f"no {emulator[0]}: apt install qemu-user")
    try:
        if abi != "host":
            _bench_build.compiler(abi)
    except _bench_build.BuildError as e:
        pytest.skip(str(e))
    return [*emulator, str(_bench_build.build(abi))]


def call(program: Sequence[str], *arguments: Any, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*program, *map(str, arguments)], capture_output=True, text=True, **more)


def measured(program: Sequence[str], *arguments: Any) -> dict[str, Any]:
    """The JSON of a short run."""
    said = call(program, *arguments, "--seconds", 0.001, "--json", "-")
    assert said.returncode == 0, said.stderr
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def golden_feeds(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    arrays = np.load(path.with_suffix(".npz"))
    return {k.removeprefix("in:"): arrays[k] for k in arrays.files if k.startswith("in:")}


def saved(feeds: Mapping[str, np.ndarray[Any, Any]], folder: Path) -> list[str]:
    """Writes inputs to files; whit_bench's options for them."""
    options: list[str] = []
    for k, (name, a) in enumerate(feeds.items()):
        if dtypes.from_numpy(a.dtype) <= dtypes.U64:
            np.save(folder / f"{k}.npy", a)
            options += ["--input", f"{name}={folder}/{k}.npy"]
        else:
            (folder / f"{k}.raw").write_bytes(a.tobytes())
            options += ["--input", f"{name}={folder}/{k}.raw"]
            options += ["--shape", f"{name}={','.join(map(str, a.shape))}"]
    return options
