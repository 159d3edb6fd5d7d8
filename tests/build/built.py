"""Libraries that `whit build` makes, and models run on them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import runners

import whit
from whit import cli

MODELS = runners.ROOT / "examples/models"
NAMES = ("triple", "digits", "dates", "experts", "train_triple")
TARGETS = ("linux-x86_64", "linux-aarch64")


def convert(name: str, folder: Path) -> Path:
    """An example's model as a .whit file."""
    to = folder / f"{name}.whit"
    if not to.exists():
        whit.convert(str(MODELS / f"{name}.onnx"), str(to))
    return to


def inputs(model: Path, folder: Path) -> Path:
    """Random inputs for a model, as runner.c takes them."""
    entry = whit.load(model)
    rng = np.random.default_rng(5)
    feeds = {}
    for port in entry.inputs:
        shape = [d if isinstance(d, int) else 3 for d in port.shape or ()]
        whole = port.dtype.kind in "iu"
        values = rng.integers(0, 10, shape) if whole else rng.standard_normal(shape)
        feeds[port.name] = np.asarray(values).astype(port.dtype)
    to = folder / f"{model.stem}.inputs"
    runners.write_inputs(entry, feeds, to)
    return to


def build(models: list[Path], target: str, folder: Path, *options: str) -> Path:
    """The folder that `whit build` wrote."""
    words = ["build", *map(str, models), "--target", target, "-o", str(folder), *options]
    assert cli.main(words) == 0
    return folder


def runner(library: Path, target: str) -> list[str]:
    """The command that runs tests/runtime_c/runner.c on a static library."""
    arm64 = target == "linux-aarch64"
    compiler = runners.ARM64_CC if arm64 else os.environ.get("CC", "cc")
    if arm64 and not (runners.ARM64_CC and runners.QEMU):
        pytest.skip(runners.NO_ARM64)
    program = library.with_name("runner")
    platform_part = sorted((runners.ROOT / "runtime_c/platform").glob("*.c"))
    sources = [runners.ROOT / "tests/runtime_c/runner.c", *platform_part, library]
    command = [compiler, *runners.FLAGS, "-static", *sources, "-pthread", "-o", program]
    subprocess.run([str(c) for c in command], check=True)
    return [runners.QEMU or "", "-cpu", "cortex-a53", str(program)] if arm64 else [str(program)]


def isas(target: str) -> list[str]:
    """Names of kernel tables to ask for; a library that lacks one takes another."""
    return ["scalar", "neon"] if target == "linux-aarch64" else ["scalar", *runners.isas()]


def tool(name: str) -> str:
    found = shutil.which(f"llvm-{name}-19") or shutil.which(f"llvm-{name}")
    if found is None:
        pytest.skip(f"no llvm-{name}: apt install llvm-19")
    return found


def golden_inputs(path: Path, folder: Path) -> Path:
    """The inputs kept with a golden file, as runner.c takes them."""
    arrays = np.load(path.with_suffix(".npz"))
    feeds = {k.removeprefix("in:"): arrays[k] for k in arrays.files if k.startswith("in:")}
    to = folder / f"{path.stem}.inputs"
    runners.write_inputs(whit.load(path), feeds, to)
    return to
