"""Attention as exporters write it becomes one node, and stays apart where it must."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from patterns import Array, Net, nodes, numbers

import whit

B, H, S, D = 2, 3, 9, 8
Change = Callable[[Net, str], str]


def heads(net: Net, x: str, n: int = S, h: int = H, perm: tuple[int, ...] = (0, 2, 1, 3)) -> str:
    """[B, n, h * D] to [B, h, n, D], or another order."""
    return net.op("Transpose", net.op("Reshape", x, np.array([B, n, h, D])), perm=list(perm))


def bert(
    scores: Change, q_change: Change = lambda net, x: x, **more: Array
) -> tuple[Net, str, str]:
    """Projections' outputs in, heads joined out. scores: what happens before the softmax. Also the weights' name."""
    net = Net(q=numbers(B, S, H * D), k=numbers(B, S, H * D), v=numbers(B, S, H * D), **more)
    q = q_change(net, heads(net, "q"))
    s = scores(net, net.op("MatMul", q, heads(net, "k", perm=(0, 2, 3, 1))))
    p = net.op("Softmax", s, axis=-1)
    y = net.op("Transpose", net.op("MatMul", p, heads(net, "v")), perm=[0, 2, 1, 3])
    return net, net.op("Reshape", y, np.array([B, S, H * D])), p


def scaled(net: Net, s: str) -> str:
    return net.op("Div", s, 2.5)


def test_without_copies() -> None:
    """No transpose copies: those of the inputs are views, that of the output is the order in which it is written."""
    net, y, _ = bert(scaled)
    ops = net.check(y)
    assert ops == {"attention": 1, "transpose": 3, "reshape": 4}
    found = next(n for n in nodes(net.model(y)) if n.op == "attention")
    assert found.attrs == {"scale": pytest.approx(0.4), "causal": 0, "merge": 1}


MASK = np.where(np.arange(S) < 6, 0, -10000).astype(np.float32)
KEEP = np.arange(S) < 6
TRI = np.tri(S, dtype=bool)
MASKS: dict[str, tuple[Change, dict[str, Array]]] = {
    "added": (
        lambda net, s: net.op("Add", scaled(net, s), "m"),
        {"m": MASK[None, None, None].repeat(B, 0)},
    ),
    "added first": (
        lambda net, s: net.op("Add", "m", net.op("Mul", 0.3, s)),
        {"m": numbers(B, 1, S, S)},
    ),
    "of heads": (lambda net, s: net.op("Add", s, "m"), {"m": numbers(H, S, S)}),
    "vector": (lambda net, s: net.op("Add", s, MASK), {}),
    "where": (
        lambda net, s: net.op("Where", "m", scaled(net, s), -np.inf),
        {"m": KEEP[None, None, None].repeat(B, 0)},
    ),
    "where not": (
        lambda net, s: net.op("Where", "m", float(np.finfo(np.float32).min), s),
        {"m": ~KEEP[None]},
    ),
    "constant where": (lambda net, s: net.op("Where", KEEP[None], s, -1e38), {}),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks(name: str) -> None:
    scores, more = MASKS[name]
    net, y, _ = bert(scores, **more)
    ops = net.check(y)
    assert ops["attention"] == 1
    assert not ops["softmax"] + ops["matmul"]


@pytest.mark.parametrize(
    "scores",
    [
        lambda net, s: net.op("Where", TRI, s, float("-inf")),
        lambda net, s: net.op("Add", s, np.where(TRI, 0, -3e38).astype(np.float32)[None, None]),
    ],
)
def test_causal(scores: Change) -> None:
    net, y, _ = bert(scores)
    net.check(y)
    found = next(n for n in nodes(net.model(y)) if n.op == "attention")
    assert found.attrs["causal"] == 1
    assert len(found.inputs) == 3


def test_scale_at_the_queries() -> None:
    """As scaled_dot_product_attention is exported."""
    net, y, _ = bert(lambda net, s: s, lambda net, x: net.op("Mul", x, 0.35))
    assert net.check(y)["tile"] == 0
    found = next(n for n in nodes(net.model(y)) if n.op == "attention")
    assert found.attrs["scale"] == pytest.approx(0.35)


def test_one_mask_for_all_layers() -> None:
    net = Net(x=numbers(B, H, S, D), m=KEEP[None, None, None].repeat(B, 0))
    x = "x"
    for _ in range(3):
        s = net.op("MatMul", x, net.op("Transpose", x, perm=[0, 1, 3, 2]))
        x = net.op("MatMul", net.op("Softmax", net.op("Where", "m", s, float("-inf")), axis=-1), x)
    ops = net.check(x)
    assert (ops["attention"], ops["tile"]) == (3, 1)


def test_three_axes() -> None:
    net = Net(q=numbers(6, S, D), k=numbers(6, D, 5), v=numbers(6, 5, 7), m=numbers(1, S, 5))
    s = net.op("Add", net.op("Mul", net.op("MatMul", "q", "k"), 0.2), "m")
    assert net.check(net.op("MatMul", net.op("Softmax", s, axis=2), "v"))["attention"] == 1


@pytest.mark.parametrize("groups", [1, 2])
def test_repeated_heads(groups: int) -> None:
    """Grouped queries: the copies of k and v are not made."""
    net = Net(q=numbers(B, 4, S, D), k=numbers(B, groups, S, D), v=numbers(B, groups, S, D))

    def repeated(x: str) -> str:
        wide = net.op(
            "Expand",
            net.op("Unsqueeze", x, np.array([2])),
            np.array([B, groups, 4 // groups, S, D]),
        )
        return net.op("Reshape", wide, np.array([B, 4, S, D]))

    s = net.op("MatMul", "q", net.op("Transpose", repeated("k"), perm=[0, 1, 3, 2]))
    ops = net.check(net.op("MatMul", net.op("Softmax", s, axis=-1), repeated("v")))
    assert ops["attention"] == 1
    assert not ops["expand"]


def test_step_of_a_decoder() -> None:
    net = Net(q=numbers(B, H, 1, D), k=numbers(B, H, 1, D), v=numbers(B, H, 1, D),
              past_k=numbers(B, H, 6, D), past_v=numbers(B, H, 6, D))  # fmt: skip
    k, v = (net.op("Concat", f"past_{x}", x, axis=2) for x in "kv")
    s = net.op("Mul", net.op("MatMul", "q", net.op("Transpose", k, perm=[0, 1, 3, 2])), 0.3)
    y = net.op("MatMul", net.op("Softmax", s, axis=-1), v)
    ops = net.check(y, k, v)
    assert ops == {"concat": 2, "attention": 1}


def test_any_batch() -> None:
    net = Net(q=numbers(B, H, S, D), k=numbers(B, H, D, S), v=numbers(B, H, S, D))
    s = net.op("MatMul", "q", "k")
    y = net.op("MatMul", net.op("Softmax", s, axis=-1), "v")
    assert net.check(y, free="qkv")["attention"] == 1


def test_weights_that_are_an_output_stay() -> None:
    net, y, p = bert(scaled)
    ops = net.check(y, p)
    assert (ops["attention"], ops["softmax"], ops["matmul"]) == (0, 1, 2)


def test_weights_that_are_read_stay() -> None:
    net, y, p = bert(scaled)
    ops = net.check(y, net.op("ReduceMax", p))
    assert ops["attention"] == 0


APART: dict[str, tuple[Change, dict[str, Array]]] = {
    "small number for masked": (lambda net, s: net.op("Where", KEEP[None], s, -5.0), {}),
    "mask without keys": (lambda net, s: net.op("Add", s, "m"), {"m": numbers(S, 1)}),
    "mask that is scaled": (lambda net, s: net.op("Mul", net.op("Add", s, MASK), 0.5), {}),
    "scale that comes at run time": (lambda net, s: net.op("Mul", s, "m"), {"m": numbers(1)}),
    "no scale at all": (lambda net, s: net.op("Tanh", s), {}),
}


@pytest.mark.parametrize("name", APART)
def test_stays_apart(name: str) -> None:
    scores, more = APART[name]
    net, y, _ = bert(scores, **more)
    ops = net.check(y)
    assert (ops["attention"], ops["softmax"]) == (0, 1)


def test_mask_that_widens_stays_apart() -> None:
    net = Net(
        q=numbers(1, H, S, D), k=numbers(1, H, D, S), v=numbers(1, H, S, D), m=numbers(4, 1, 1, S)
    )
    s = net.op("Add", net.op("MatMul", "q", "k"), "m")
    assert net.check(net.op("MatMul", net.op("Softmax", s, axis=-1), "v"))["attention"] == 0


def test_tap_says_what_is_gone() -> None:
    net, y, p = bert(scaled)
    model = whit.load(whit.convert(net.model(y)))
    with pytest.raises(whit.RunError, match="fusion left nothing of it"):
        model.run(net.feeds, tap=p)
    joined: Any = model.run(net.feeds, tap="v*")
    assert joined


def test_long_sequences() -> None:
    """Blocks of queries: 70 queries and 300 keys."""
    net = Net(q=numbers(1, 2, 70, 16), k=numbers(1, 2, 16, 300), v=numbers(1, 2, 300, 16))
    s = net.op("MatMul", "q", "k")
    assert net.check(net.op("MatMul", net.op("Softmax", s, axis=-1), "v"))["attention"] == 1
