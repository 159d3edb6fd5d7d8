"""Every prefix and every single-byte corruption of each golden file ends in a clean error or a result, under ASan and UBSan.

Of the size profile every eleventh is tried; mutate.c says what is passed over.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "tests" / "golden").glob("v*/*.whit"))


STRIDES = {"speed": 1, "size": 11}
"""Every how manieth byte is changed, by profile: of the size profile only what has code of its own is news."""


@pytest.fixture(scope="module", params=STRIDES)
def mutate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    program = tmp_path_factory.mktemp("fuzz") / "mutate"
    subprocess.run(
        [
            os.environ.get("CC", "cc"), "-std=c11", "-O1", "-g", "-fsanitize=address,undefined",
            "-fno-sanitize-recover=undefined", "-ffp-contract=off", f"-DWHIT_SMALL={int(request.param == 'size')}",
            f"-I{ROOT}/runtime_c/include", f"-I{ROOT}/build/gen",
            str(ROOT / "build/gen/whit_all.c"), str(ROOT / "tests/fuzz/mutate.c"), "-o", str(program),
        ],
        check=True,
    )  # fmt: skip
    return [str(program), "-s", str(STRIDES[request.param])]


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_mutants(mutate: list[str], path: Path) -> None:
    done = subprocess.run([*mutate, path], capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "mutants" in done.stdout
