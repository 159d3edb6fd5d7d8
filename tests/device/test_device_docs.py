"""Every command of docs/on_device.md works, with the stand-in phone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import devices
import pytest
from test_device_adb import stand_in

PAGE = devices.ROOT / "docs/on_device.md"
SHORTER = (("--minutes 10", "--minutes 0.005"), ("--taskset f0", "--taskset 1"))
"""What the test has no time for, and cores that this machine may not have."""


@pytest.mark.slow
@pytest.mark.native
def test_every_command(tmp_path: Path) -> None:
    devices.command("arm64-v8a")
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    commands = [line for block in blocks for line in block.splitlines()]
    assert len(commands) > 15
    for name in ("Makefile", "python_bindings", "exporter", "runtime_c", "build"):
        (tmp_path / name).symlink_to(devices.ROOT / name)
    shutil.copy(devices.MODELS / "digits.onnx", tmp_path / "model.onnx")
    folder = stand_in(tmp_path / "phone", tmp_path / "bin")
    whit = tmp_path / "bin/whit"
    whit.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m whit \"$@\"\n")
    whit.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "PYTHONPATH": f"{devices.ROOT}/python_bindings:{devices.ROOT}/exporter",
    }
    for command in commands:
        for long, short in SHORTER:
            command = command.replace(long, short)
        said = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert said.returncode == 0, f"{command}\n{said.stderr}"
        if "./whit_bench" not in command or "numbers" not in command:
            assert said.stdout or not command.startswith(("whit ", "make ")), command
        assert "rror" not in said.stderr, f"{command}\n{said.stderr}"
    assert json.loads((tmp_path / "numbers.json").read_text())["runs"] == 50
    assert not (folder / "data/local/tmp/whit").exists()
