"""The command line: what it prints, and that mistakes end in one line and an exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from binding_models import COUNTER, LINEAR, SEQUENCE, numbers, parse

import whit
from whit.cli import main


class Output:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: Any) -> Output:
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as e:
            code = int(e.code or 0)
        return Output(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    for name, graph in {"linear": LINEAR, "counter": COUNTER, "lists": SEQUENCE}.items():
        onnx.save(parse(graph), path / f"{name}.onnx")
        whit.convert(path / f"{name}.onnx", path / f"{name}.whit")
    return path


def test_convert(run: Any, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.whit"
    said = run("convert", folder / "linear.onnx", "-o", target)
    assert said.code == 0 and f"{target.stat().st_size:,} bytes" in said.out
    assert whit.load(target)(numbers(1, 3)).shape == (1, 2)
    said = run("convert", folder / "linear.onnx", "-o", target, "--strip", "--json")
    assert said.json["bytes"] == target.stat().st_size < (folder / "linear.whit").stat().st_size


def test_convert_default_name(run: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes((folder / "linear.onnx").read_bytes())
    assert run("convert", tmp_path / "m.onnx").code == 0
    assert (tmp_path / "m.whit").exists()


def test_run_values_files_and_random(run: Any, folder: Path, tmp_path: Path) -> None:
    x = numbers(2, 3)
    expected = whit.load(folder / "linear.whit")(x)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    (tmp_path / "x.json").write_text(json.dumps({"x": x.tolist()}))
    for given in (
        f"x={tmp_path}/x.npy",
        f"{tmp_path}/x.npy",
        f"{tmp_path}/x.npz",
        f"{tmp_path}/x.json",
        f"x={x.tolist()}",
    ):
        said = run("run", folder / "linear.whit", given, "--json")
        assert said.code == 0, said.err
        y = said.json["outputs"]["y"]
        assert (y["dtype"], y["shape"]) == ("float32", [2, 2])
        np.testing.assert_allclose(y["data"], expected, rtol=1e-5)
    said = run("run", folder / "linear.whit", "--shape", "batch=3", "--json")
    assert said.json["outputs"]["y"]["shape"] == [3, 2]
    said = run("run", folder / "linear.whit", "--shape", "x=4,3")
    assert "y: float32 [4, 2]" in said.out


def test_run_tap_and_output(run: Any, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.npz"
    said = run(
        "run",
        folder / "counter.whit",
        "trips=4",
        "start=[0, 0]",
        "--tap",
        "doubled@2",
        "-o",
        target,
    )
    assert said.code == 0 and "doubled@2" in said.out
    with np.load(target) as saved:
        np.testing.assert_array_equal(saved["total"], [2 * (2 * (2 * 1 + 2) + 3)] * 2)
    said = run("run", folder / "lists.whit", "items=[[1, 2], [3]]", "at=1", "-o", target)
    assert said.code == 0 and "longer: 3 arrays" in said.out
    with np.load(target) as saved:
        np.testing.assert_array_equal(saved["longer[2]"], [3])


def test_inspect(run: Any, folder: Path) -> None:
    said = run("inspect", folder / "counter.whit")
    assert said.code == 0
    for text in ("trips", "int64", "history", "loop", "constants"):
        assert text in said.out
    data = run("inspect", folder / "counter.whit", "--json").json
    assert data["bytes"] == (folder / "counter.whit").stat().st_size == sum(data["sizes"].values())
    assert [p["name"] for p in data["entries"][0]["inputs"]] == ["trips", "start"]
    assert any(n["operator"] == "loop" for n in data["nodes"])
    assert max(n["depth"] for n in data["nodes"]) == 1


def test_bench(run: Any, folder: Path) -> None:
    arguments = ("bench", folder / "counter.whit", "trips=10", "--runs", 20)
    data = run(*arguments, "--json").json
    assert data["runs"] == 20
    assert 0 < data["min_ns"] <= data["median_ns"] <= data["p95_ns"]
    assert data["steps"] > 10 and data["arena_bytes"] > 0
    assert sum(n["runs"] for n in data["nodes"]) >= 20
    assert {o["operator"] for o in data["operators"]} >= {"loop", "tile"}
    text = run(*arguments).out
    assert "median" in text and "by operator" in text


def test_diff_agrees(run: Any, folder: Path) -> None:
    said = run("diff", folder / "linear.onnx", folder / "linear.whit", "--shape", "batch=5")
    assert said.code == 0 and "all agree" in said.out, said.out
    data = run("diff", folder / "linear.onnx", folder / "linear.whit", "--json").json
    assert data["departed"] == 0 and data["compared"] >= 2


def test_diff_names_the_first_node(run: Any, folder: Path, tmp_path: Path) -> None:
    """A model that was changed after conversion: the diff says where it departs."""
    changed = parse(LINEAR.replace("Add(h, b)", "Sub(h, b)"))
    onnx.save(changed, tmp_path / "changed.onnx")
    said = run("diff", tmp_path / "changed.onnx", folder / "linear.whit", "x=[[1, 2, 3]]")
    assert said.code == 1
    assert "the first to depart: node 'shift'" in said.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "required: COMMAND"),
        (["walk"], 2, "invalid choice"),
        (["run"], 2, "required: model"),
        (["bench", "m.whit", "--runs", "many"], 2, "invalid int value"),
        (["run", "none.whit"], 1, "none.whit: No such file or directory"),
        (["inspect", "linear.onnx"], 1, "not a .whit file"),
        (["convert", "none.onnx"], 1, "no such file"),
        (["convert", "linear.whit"], 1, ""),
        (["convert", "linear.onnx", "--state", "x"], 1, "expected INPUT=OUTPUT"),
        (["convert", "linear.onnx", "--state", "x=q"], 1, ""),
        (["convert", "linear.onnx", "-o", "no/such/folder.whit"], 1, ""),
        (["convert", "linear.onnx", "-o", "t.whit", "--dump-after", "nothing"], 1, "nothing"),
        (["run", "linear.whit", "y=1"], 1, "no input 'y'"),
        (["run", "linear.whit", "x=[1, 2]"], 1, "input 'x': expected float32 [batch, 3]"),
        (["run", "linear.whit", "x=[[1], [2, 3]]"], 1, "input 'x'"),
        (["run", "linear.whit", "x=abc"], 1, "'abc' is not"),
        (["run", "linear.whit", "x=none.npy"], 1, "none.npy: No such file"),
        (["run", "linear.whit", "x=linear.onnx.npz"], 1, "No such file"),
        (["run", "linear.whit", "ints.npy"], 1, "got int32 [2, 3]"),
        (["run", "linear.whit", "--shape", "width=3"], 1, "no dimension or input 'width'"),
        (["run", "linear.whit", "--shape", "batch"], 1, "expected DIMENSION=NUMBER"),
        (["run", "linear.whit", "--shape", "batch=-2"], 1, "expected DIMENSION=NUMBER"),
        (["run", "linear.whit", "--tap", "nothing"], 1, "no value or node is called 'nothing'"),
        (["run", "linear.whit", "--entry", "other"], 1, "no entry point 'other'"),
        (["run", "linear.whit", "--threads", "0"], 1, "threads=0"),
        (["bench", "linear.whit", "--seconds", "-1"], 1, "must be positive"),
        (["diff", "none.onnx", "linear.whit"], 1, "no such file"),
        (["diff", "linear.whit", "linear.whit"], 1, "not an ONNX model"),
        (["diff", "lists.onnx", "linear.whit"], 1, ""),
    ],
)
def test_mistakes(
    run: Any,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list,
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    np.save("ints.npy", np.zeros((2, 3), np.int32))
    said = run(*arguments)
    assert said.code == code
    assert said.err.startswith("whit") and message in said.err
    assert said.err.count("\n") == 1 and "Traceback" not in said.err
    assert "internal error" not in said.err


def test_help_and_version(run: Any) -> None:
    for arguments in (["--help"], ["run", "--help"], ["--version"]):
        said = run(*arguments)
        assert said.code == 0 and "whit" in said.out
