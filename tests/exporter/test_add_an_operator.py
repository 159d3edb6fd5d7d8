"""docs/add_an_operator.md is true: its two files, taken from the page, make the operator work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_worked_example(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "add_an_operator.md").read_text()
    operator, test = re.findall(r"```python\n(.*?)```", page, re.S)
    package = tmp_path / "whit_exporter"
    source = ROOT / "exporter" / "whit_exporter"
    for path in source.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            target = package / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (package / "frontends" / "onnx" / "logit.py").write_text(operator)
    (tmp_path / "check_logit.py").write_text(test + "\ntest_logit()\nprint('works')\n")
    done = subprocess.run(
        [sys.executable, tmp_path / "check_logit.py"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT / 'python_bindings'}"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "works\n", done.stderr
