"""Normalisations and softmax that are spelled out become one node, and what follows goes into their scale and bias."""

from __future__ import annotations

import numpy as np
import pytest
from patterns import Net, nodes, numbers

import whit

X = numbers(2, 5, 12) * 3 + 1
W, SHIFT = numbers(12), numbers(12)


def spelled_out(net: Net, x: str, rms: bool, division: str, square: str) -> str:
    """x / sqrt(mean(x^2) + eps) in one of the ways in which exporters write it."""
    d = x if rms else net.op("Sub", x, net.op("ReduceMean", x, axes=[-1]))
    squares = net.op("Pow", d, 2.0) if square == "Pow" else net.op("Mul", d, d)
    root = net.op("Sqrt", net.op("Add", net.op("ReduceMean", squares, axes=[-1]), 1e-5))
    if division == "Div":
        return net.op("Div", d, root)
    return net.op(
        "Mul",
        d,
        net.op("Reciprocal", root) if division == "Reciprocal" else net.op("Div", 1.0, root),
    )


@pytest.mark.parametrize("rms", [False, True])
@pytest.mark.parametrize("division", ["Div", "Reciprocal", "inverse"])
@pytest.mark.parametrize("square", ["Pow", "Mul"])
def test_layer_and_rms(rms: bool, division: str, square: str) -> None:
    net = Net(x=X)
    y = spelled_out(net, "x", rms, division, square)
    y = net.op("Add", net.op("Mul", W, y), SHIFT)
    assert net.check(y) == {"norm": 1}


def test_parameters_that_come_at_run_time() -> None:
    net = Net(x=X, w=W)
    assert net.check(net.op("Mul", spelled_out(net, "x", False, "Div", "Pow"), "w")) == {
        "norm": 1,
        "tile": 1,
    }


def test_values_between_that_are_read_stay() -> None:
    net = Net(x=X)
    mean = net.op("ReduceMean", "x", axes=[-1])
    d = net.op("Sub", "x", mean)
    root = net.op("Sqrt", net.op("Add", net.op("ReduceMean", net.op("Mul", d, d), axes=[-1]), 1e-5))
    y = net.op("Div", d, root)
    assert net.check(y, root)["norm"] == 0
    assert net.check(y, d)["norm"] == 0
    assert net.check(y) == {"norm": 1}


def test_other_axes_stay() -> None:
    net = Net(x=X)
    root = net.op(
        "Sqrt", net.op("Add", net.op("ReduceMean", net.op("Mul", "x", "x"), axes=[1]), 1e-5)
    )
    assert net.check(net.op("Div", "x", root))["norm"] == 0


def test_affine_goes_into_the_operators_own_parameters() -> None:
    net = Net(x=X)
    y = net.op("LayerNormalization", "x", W, SHIFT)
    y = net.op("Add", net.op("Mul", y, 0.5), numbers(1, 12))
    assert net.check(y) == {"norm": 1}
    assert net.check(net.op("Mul", y, numbers(5, 1)))["tile"] == 1


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("shape", [(2, 6, 7), (1, 6, 4, 5)])
def test_group_norm_of_torch(groups: int, shape: tuple[int, ...]) -> None:
    """Between reshapes, as an instance normalisation with the parameters behind."""
    net = Net(x=numbers(*shape) * 2 + 3)
    split = net.op("Reshape", "x", np.array([0, groups, -1]))
    y = net.op(
        "InstanceNormalization",
        split,
        np.ones(groups, np.float32) * 2,
        np.zeros(groups, np.float32),
    )
    y = net.op("Reshape", y, np.array(shape))
    along = [6] + [1] * (len(shape) - 2)
    y = net.op("Add", net.op("Mul", y, numbers(*along)), numbers(*along))
    assert net.check(y) == {"norm": 1, "transpose": 2}
    assert net.check(y, free="x")["norm"] == 1


def test_group_norm_spelled_out() -> None:
    """Between convolutions, so that its transposes cancel; a tap on what is gone says so."""
    net = Net(x=numbers(1, 3, 8, 8))
    x = net.op("Conv", "x", numbers(6, 3, 3, 3), kernel_shape=[3, 3])
    split = net.op("Reshape", x, np.array([0, 2, -1]))
    y = net.op("Reshape", spelled_out(net, split, False, "Div", "Pow"), np.array([1, 6, 6, 6]))
    y = net.op("Mul", y, numbers(6, 1, 1))
    y = net.op("Conv", y, numbers(4, 6, 3, 3), kernel_shape=[3, 3])
    assert net.check(y) == {"conv": 2, "norm": 1, "transpose": 2}
    with pytest.raises(whit.RunError, match="fusion left nothing of it"):
        whit.load(whit.convert(net.model(y))).run(net.feeds, tap=split)


@pytest.mark.parametrize("groups", [1, 2, 0])
def test_norm_between_convolutions(groups: int) -> None:
    """Channels-last inside: no transposes but at the borders."""
    net = Net(x=numbers(1, 3, 8, 8))
    y = net.op("Conv", "x", numbers(4, 3, 3, 3), kernel_shape=[3, 3])
    if groups:
        y = net.op("GroupNormalization", y, W[:4], SHIFT[:4], num_groups=groups)
    else:
        y = net.op("InstanceNormalization", y, W[:4], SHIFT[:4])
    y = net.op("Softmax", net.op("Conv", y, numbers(4, 4, 3, 3), kernel_shape=[3, 3]), axis=1)
    ops = net.check(y, opset=21)
    assert ops == {"conv": 2, "norm": 1, "softmax": 1, "transpose": 2}


@pytest.mark.parametrize("axis", [-1, 1])
def test_softmax_spelled_out(axis: int) -> None:
    net = Net(x=X)
    e = net.op("Exp", net.op("Sub", "x", net.op("ReduceMax", "x", axes=[axis])))
    y = net.op("Div", e, net.op("ReduceSum", e, np.array([axis])))
    assert (net.check(y) == {"softmax": 1}) == (axis == -1)
    assert net.check(y, e)["softmax"] == 0


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax_along_any_axis(op: str, axis: int) -> None:
    net = Net(x=X)
    assert net.check(net.op(op, "x", axis=axis))["softmax"] == 1


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_types(dtype: type) -> None:
    net = Net(x=X.astype(dtype))
    y = net.op(
        "Softmax", net.op("LayerNormalization", "x", W.astype(dtype), SHIFT.astype(dtype)), axis=-1
    )
    ops = net.check(y, atol=2e-3)
    assert ops["norm"] == (dtype == np.float16)


def test_outputs_are_not_copied() -> None:
    net = Net(x=X)
    y = net.op("MatMul", "x", numbers(12, 4))
    z = net.op("Identity", y)
    assert net.check(z, net.op("Relu", y))["identity"] == 0
    net.check(z, net.op("Identity", y))  # one value, two outputs
    assert [n.op for n in nodes(net.model(z))] == ["matmul"]
