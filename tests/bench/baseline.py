"""baseline.json: what the bench's numbers must not fall behind.

ratios         Whit's time over onnxruntime's, per mode/threads/model (bench.py --baseline on a quiet machine)
compilers      the ones that made the code whose instructions were counted
instructions   executed in one inference, per instruction set and model (counts.py --baseline)
operators      of those, per instruction set, example model and operator (operators.py --baseline)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("baseline.json")


def read(section: str) -> dict[str, Any]:
    if not FILE.exists():
        return {}
    found: dict[str, Any] = json.loads(FILE.read_text()).get(section, {})
    return found


def write(section: str, numbers: Mapping[str, Any]) -> None:
    """Puts these numbers in the place of those of the same names."""
    document = json.loads(FILE.read_text()) if FILE.exists() else {}
    document[section] = {**document.get(section, {}), **numbers}
    FILE.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
