"""The cases of ONNX's own backend suite, judged in this process: what run.py starts as a process of its own.

    python tests/conformance/suite.py [--keep FOLDER]

Names of cases come in, a line each; JSON goes out: first {"cases": {name: category}, "library": ...}, then what became of each. A case
is `pass`, `wrong` (an answer that onnx does not accept), `refused` (the exporter names what it does not support) or `error` (the
runtime gives up, or Python does). With --keep every run is written as files that tests/runtime_c/runner.c repeats.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
import unittest
import warnings
from pathlib import Path
from typing import Any


def check_inferred(port: Any, value: Any) -> None:
    if port.kind != "tensor" or value is None or port.shape is None:
        return
    fits = len(port.shape) == value.ndim and all(
        not isinstance(d, int) or d == n for d, n in zip(port.shape, value.shape, strict=True)
    )
    if not fits:
        raise AssertionError(f"output {port.name!r}: inferred {port.shape}, computed {value.shape}")


def keep(folder: Path, model: Any, file: bytes, feeds: dict[str, Any], outputs: list[Any]) -> None:
    """Writes a run as files that tests/runtime_c/runner.c repeats, and what it gave here."""
    import runners

    stem = f"{folder}/{current.name}.{next(current.runs)}"
    Path(f"{stem}.whit").write_bytes(file)
    runners.write_inputs(model, feeds, Path(f"{stem}.inputs"))
    Path(f"{stem}.outputs").write_bytes(b"".join(map(runners.record, outputs)))


def operators_of(graph: Any) -> set[str]:
    """Names of a graph's operators, with their domain if it is not ONNX's main one; those of bodies too."""
    found = set()
    for node in graph.node:
        found.add(
            node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        )
        for a in node.attribute:
            for body in (*a.graphs, *([a.g] if a.HasField("g") else [])):
                found |= operators_of(body)
    return found


def root_of(graph: Any) -> str:
    """The operator of a graph of one node, or ""."""
    if len(graph.node) != 1:
        return ""
    node = graph.node[0]
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def make_backend(keep_in: Path | None) -> Any:
    import onnx.backend.base

    import whit
    from whit import _select

    class Prepared(onnx.backend.base.BackendRep):  # type: ignore[misc]
        def __init__(self, model: Any) -> None:
            current.operators, current.root = operators_of(model.graph), root_of(model.graph)
            self.file = whit.convert(model)
            self.model = whit.load(self.file)
            if current.root:
                current.lowered = _select.select([self.model]).names()
            constants = {t.name for t in model.graph.initializer}
            self.names = [i.name for i in model.graph.input if i.name not in constants]
            self.outputs = [o.name for o in model.graph.output]

        def run(self, inputs: Any, **_: Any) -> list[Any]:
            feeds = dict(zip(self.names, inputs, strict=False))
            results = self.model.run(feeds)
            if keep_in is not None:
                keep(keep_in, self.model, self.file, feeds, [results[o] for o in self.outputs])
            for port in self.model.outputs:  # the exporter's shapes against what the runtime made
                check_inferred(port, results[port.name])
            return [results[name] for name in self.outputs]

    class Backend(onnx.backend.base.Backend):  # type: ignore[misc]
        @classmethod
        def prepare(cls, model: Any, device: str = "CPU", **_: Any) -> Any:
            return Prepared(model)

        @classmethod
        def supports_device(cls, device: str) -> bool:
            return device == "CPU"

    return Backend


RANDOM = re.compile(r"^test_(bernoulli|training_dropout(?!_zero))")
"""Cases that draw random numbers. What onnx expects there are NumPy's draws ("the generator operator is
non-deterministic and may not produce the same values in different implementations", says onnx's own test), so only
type, shape and the values where both drew something other than 0 are compared."""


class Current:
    """The case at hand, and what is learned about it on the way."""

    def __init__(self, name: str) -> None:
        self.name, self.runs = name, itertools.count()
        self.operators: set[str] = set()
        self.root = ""
        """The operator of a model of one node, ..."""
        self.lowered: dict[str, list[str]] = {}
        """... and what it needs of the runtime."""


current = Current("")


def make_suite() -> Any:
    import numpy as np
    import onnx.backend.test

    class Suite(onnx.backend.test.BackendTest):  # type: ignore[misc]
        @classmethod
        def assert_similar_outputs(
            cls, ref_outputs: Any, outputs: Any, rtol: float, atol: float, model_dir: Any = None
        ) -> None:
            """onnx's comparison, which takes the items of a sequence apart although they are tensors."""
            want, got = list(ref_outputs), list(outputs)
            if len(want) == len(got):
                for k, (w, g) in enumerate(zip(want, got, strict=True)):
                    if isinstance(w, list) and isinstance(g, list):
                        cls.assert_similar_outputs(w, g, rtol, atol, model_dir)
                        want[k] = got[k] = np.zeros(0)
                    elif RANDOM.match(current.name) and w.shape == g.shape and w.dtype == g.dtype:
                        got[k] = np.where((w != 0) & (g != 0), g, w)
            super().assert_similar_outputs(want, got, rtol, atol, model_dir)

    return Suite


def load_cases(keep_in: Path | None = None) -> dict[str, tuple[str, unittest.TestCase]]:
    """{case name: (category, test)}."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        suite = make_suite()(make_backend(keep_in), __name__)
        cases = {}
        for group, case in suite.test_cases.items():
            category = group.removeprefix("OnnxBackend").removesuffix("Test").removesuffix("Model")
            for name in dir(case):
                if name.startswith("test_") and name.endswith("_cpu"):
                    cases[name.removesuffix("_cpu")] = (category, case(name))
    return cases


def judge(test: unittest.TestCase) -> tuple[str, str]:
    import whit

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            getattr(test, test._testMethodName)()
    except whit.ConvertError as e:
        return "refused", str(e)
    except AssertionError as e:
        return "wrong", str(e)
    except whit.WhitError as e:
        return "error", str(e)
    except Exception as e:  # a fault of ours in Python: never a refusal
        return "error", f"{type(e).__name__}: {e}"
    return "pass", ""


def work(keep_in: Path | None) -> None:
    global current
    from whit import _native

    cases = load_cases(keep_in)
    categories = {name: category for name, (category, _) in cases.items()}
    print(json.dumps({"cases": categories, "library": str(_native._libwhit_path())}), flush=True)
    for line in sys.stdin:
        current = Current(line.strip())
        outcome, why = judge(cases[current.name][1])
        answer = {"outcome": outcome, "why": why[:2000]}
        learned = {
            "operators": sorted(current.operators),
            "root": current.root,
            "lowered": current.lowered,
        }
        print(json.dumps({**answer, **learned}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    work(parser.parse_args().keep)
