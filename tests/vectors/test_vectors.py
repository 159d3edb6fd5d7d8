"""The vectors say what the Python binding does: the bindings for phones are held against the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import whit

HERE = Path(__file__).resolve().parent
CASES = json.loads((HERE / "vectors.json").read_text())["cases"]
DATA = (HERE / "vectors.bin").read_bytes()


def value(t: dict[str, Any]) -> Any:
    if t.get("absent"):
        return None
    if "items" in t:
        return [value(item) for item in t["items"]]
    if t["dtype"] == "bfloat16":
        kind = pytest.importorskip("ml_dtypes").bfloat16
    else:
        kind = np.dtype(t["dtype"])
    count = int(np.prod(t["shape"], dtype=np.int64))
    return np.frombuffer(DATA, kind, count, t["at"]).reshape(t["shape"])


def bits(v: Any) -> Any:
    return [bits(x) for x in v] if isinstance(v, list) else (v.dtype.name, v.shape, v.tobytes())


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
def test_bits(case: dict[str, Any]) -> None:
    model = whit.load(HERE / case["model"])
    for run in case["runs"]:
        feeds = {t["name"]: value(t) for t in run["inputs"]}
        if "fails" in run:
            with pytest.raises(whit.RunError) as e:
                model.run(feeds, entry=run["entry"] or None)
            found = {"status": e.value.status, "node": e.value.node, "operator": e.value.operator}
            assert found == run["fails"]
            continue
        results = model.run(feeds, entry=run["entry"] or None)
        for t in run["outputs"]:
            assert bits(results[t["name"]]) == bits(value(t)), t["name"]
        assert model.last_steps == run["steps"]
