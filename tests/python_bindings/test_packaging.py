"""The wheel: one for the machine, NumPy the only need for running."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from binding_models import LINEAR, numbers, parse

import whit

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.native]


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Without this process's paths to the sources."""
    env = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_PRELOAD", "WHIT_LIBRARY")
    }
    return subprocess.run(command, capture_output=True, text=True, env=env | environment, cwd="/")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in a copy of the sources: two test processes that build in one tree take each other's files away."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(
        ROOT,
        source,
        ignore=shutil.ignore_patterns(".*", "bench", "dist", "lib.*", "bdist.*", "__pycache__"),
    )
    said = run(
        sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--disable-pip-version-check",
        source, "-w", folder,
    )  # fmt: skip
    if "setuptools.command.bdist_wheel" in said.stderr:
        pytest.skip("setuptools is older than 70.1")
    assert said.returncode == 0, said.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and NumPy, and nothing else."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin/python"
    said = run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel)
    if said.returncode and "numpy" in said.stderr:
        pytest.skip("NumPy cannot be fetched")
    assert said.returncode == 0, said.stderr
    return python


def test_contents(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "whit/__init__.py", "whit/py.typed", "whit/libwhit.so", "whit/libwhit_platform.so", "whit/_ops.json",
        "whit_exporter/__init__.py", "whit_exporter/_ops.json", "whit_exporter/frontends/onnx/__init__.py",
        "whit/runtime_c/include/whit.h", "whit/runtime_c/src/exec.c", "whit/android/jni/whit_jni.c",
    } <= names  # fmt: skip
    assert "py3-none-" in wheel.name and "any" not in wheel.name
    assert not [n for n in names if "test" in n or "__pycache__" in n]


def test_runs_with_numpy_alone(python: Path, tmp_path: Path) -> None:
    path = tmp_path / "linear.whit"
    whit.convert(parse(LINEAR), path)
    x = numbers(2, 3)
    code = f"""
import numpy as np, whit, importlib.util
assert not importlib.util.find_spec("onnx") and not importlib.util.find_spec("flatbuffers")
model = whit.load({str(path)!r})
out = model.run({{"x": np.array({x.tolist()}, np.float32)}}, tap="s")
print(out["y"].tobytes().hex(), out["s"].shape)
for call in (lambda: whit.convert("x.onnx"), lambda: whit.ops.relu(np.ones(1, np.float32))):
    try:
        call()
    except whit.ConvertError as e:
        assert "pip install 'whit[export]'" in str(e)
    else:
        raise AssertionError
"""
    said = run(python, "-c", code)
    assert said.returncode == 0, said.stderr
    expected = whit.load(path).run({"x": x}, tap="s")
    assert said.stdout.split(" ", 1) == [expected["y"].tobytes().hex(), f"{expected['s'].shape}\n"]


def test_command_is_installed(python: Path, tmp_path: Path) -> None:
    path = tmp_path / "linear.whit"
    whit.convert(parse(LINEAR), path)
    np.save(tmp_path / "x.npy", numbers(2, 3))
    said = run(python.parent / "whit", "run", path, f"x={tmp_path}/x.npy")
    assert said.returncode == 0 and said.stdout.startswith("y: float32 [2, 2]")
    said = run(python, "-m", "whit", "inspect", path)
    assert said.returncode == 0 and "matmul" in said.stdout
    said = run(python.parent / "whit", "diff", "a.onnx", path)
    assert said.returncode == 1 and said.stderr.count("\n") == 1
