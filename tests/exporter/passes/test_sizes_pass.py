"""Reshapes say how long their axes are, where that is known."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import whit
from whit import _select
from whit_exporter import read

CASES = [
    ("float[2, 3, 4] x", "0, -1", [[2, 12]], 0),
    ("float[n, 3, 4] x", "0, 12", [[-3, 12]], 2),
    ("float[n, 3, 4] x", "-1, 12", [[-3, 12]], 2),
    ("float[2, n, 4] x", "-1, 4", [[-4, 4]], 2),
    ("float[2, n, 4] x", "-1, 2", [[-21, 2]], 2),
    ("float[n, 3, 4] x", "0, -1", [[-3, 12]], 2),
    ("float[n, m, 4] x", "0, -1, 2", [[-3, -1, 2]], 3),
    ("float[n, 3, 4] x", "3, -1", [[3, -1]], 1),
    ("float[n, m, 4] x", "0, 0, 2, 2", [[-3, -20, 2, 2]], 2),
    ("float[n, 3, 0] x", "0, 3, 0", [[-3, 3, 0]], 2),
]


@pytest.mark.parametrize(
    ("x", "to", "dims", "infers"), CASES, ids=[f"{c[0]} {c[1]}" for c in CASES]
)
def test_sizes(x: str, to: str, dims: list[list[int]], infers: int) -> None:
    n = to.count(",") + 1
    model = onnx.parser.parse_model(f"""<ir_version: 10, opset_import: ["": 21]>
      g ({x}) => (float[{", ".join("abcd"[:n])}] y) <int64[{n}] to = {{{to}}}> {{ y = Reshape(x, to) }}""")
    data = whit.convert(model, check=True)
    assert [n.attrs["dims"] for _, n in read.read(data).walk() if n.op == "reshape"] == dims
    subject = whit.load(data)
    assert _select.select([subject]).infers == infers
    wanted = [int(d) for d in to.split(",")]
    for n_rows in (3, 0):
        shape = [d if isinstance(d, int) else n_rows for d in subject.inputs[0].shape or ()]
        array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        if not array.size and -1 in wanted:
            continue
        whole = [shape[k] if d == 0 else d for k, d in enumerate(wanted)]
        np.testing.assert_array_equal(subject(array), array.reshape(whole))
