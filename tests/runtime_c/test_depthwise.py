"""Depthwise convolution against NumPy in double precision: the same bits on every ISA and any number of threads."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import whit
from whit import _native, _threads
from whit_exporter import write
from whit_exporter.build import Builder
from whit_exporter.dtypes import DType
from whit_exporter.ir import Entry
from whit_exporter.micro import TileProgram

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    """One convolution; before and after are the padding of each axis."""

    size: tuple[int, ...]
    channels: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    batch: int = 1
    bias: bool = True

    def axes(self) -> list[tuple[int, int, int, int, int, int]]:
        """Size, kernel, stride, dilation, before, after of each axis."""
        n = len(self.size)
        one, zero = (1,) * n, (0,) * n
        rows = (self.stride or one, self.dilation or one, self.before or zero, self.after or zero)
        return list(zip(self.size, self.kernel, *rows, strict=True))

    def out(self) -> tuple[int, ...]:
        return tuple((b + s + a - d * (k - 1) - 1) // t + 1 for s, k, t, d, b, a in self.axes())


def reference(case: Case, x: Array, w: Array, bias: Array | None) -> Array:
    axes = case.axes()
    padded = np.pad(x.astype(np.float64), [(0, 0), *((b, a) for *_, b, a in axes), (0, 0)])
    y = np.zeros((x.shape[0], *case.out(), x.shape[-1]))
    for tap in itertools.product(*(range(k) for k in case.kernel)):
        at = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, n, (_, _, s, d, _, _) in zip(tap, case.out(), axes, strict=True)
        )
        y += padded[(slice(None), *at)] * w[tap][0]
    return y if bias is None else y + bias


def make(
    case: Case, epilogue: TileProgram | None, seed: int
) -> tuple[bytes, dict[str, Array], Array]:
    """The model of one convolution, its inputs, and the sums it should have."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((case.batch, *case.size, case.channels)).astype(np.float32)
    w = rng.standard_normal((*case.kernel, 1, case.channels)).astype(np.float32)
    bias = rng.standard_normal(case.channels).astype(np.float32) if case.bias else None
    expected = reference(case, x, w, bias)
    inputs = {"x": x}
    b = Builder(fold=False)
    b.graph.entries.append(Entry("main", b.region))
    value = b.param("x", DType.F32, x.shape)
    more = []
    if epilogue is not None:
        inputs["r"] = rng.standard_normal(expected.shape).astype(np.float32)
        more.append(b.param("r", DType.F32, inputs["r"].shape))
    axes = case.axes()
    y = b.op(
        "conv", value, b.const(w), None if bias is None else b.const(bias), *more, group=case.channels,
        channels=case.channels, kernel=list(case.kernel), strides=[a[2] for a in axes],
        dilations=[a[3] for a in axes], pads=[a[4] for a in axes] + [a[5] for a in axes],
    )  # fmt: skip
    if y.producer is not None:
        y.producer.tile = epilogue
    b.region.results = [y]
    b.graph.entries[0].output_names = ["y"]
    return write.write(b.graph), inputs, expected


def answers(model: whit.Model, inputs: dict[str, Array], monkeypatch: pytest.MonkeyPatch) -> Array:
    """The result, which must be the same bits on every ISA of this machine, on one thread and on three."""
    found = _native.cpu_detected()
    choices = sorted({0, found & _native.AVX2, found & (_native.AVX2 | _native.AVX512), found})
    results = []
    for features in choices:
        monkeypatch.setattr(_threads, "cpu_features", lambda features=features: features)
        for threads in (1, 3):
            instance, arrays = model.instance(inputs, threads=threads)
            results.append(instance.run(arrays)[0].copy())
    for k, result in enumerate(results):
        assert result.tobytes() == results[0].tobytes(), f"choice {k} of {choices} x 1, 3 threads"
    return results[0]


def relu6_of_sum(p: TileProgram) -> int:
    """What the kernel can finish in registers: a sum and two limits."""
    total = p.op("add", p.load(0), p.load(1))
    return p.op("min", p.op("max", total, p.imm(0)), p.imm(6))


def relu6(p: TileProgram) -> int:
    """What the kernel of depthwise convolution can finish too."""
    return p.op("min", p.op("max", p.load(0), p.imm(0)), p.imm(6))


def leaky(p: TileProgram) -> int:
    y = p.load(0)
    return p.op("max", y, p.op("mul", y, p.imm(0.2)))


def product(p: TileProgram) -> int:
    """What it cannot, so that the program runs on finished blocks."""
    return p.op("mul", p.load(0), p.load(1))


EPILOGUES = {
    "relu6_of_sum": (relu6_of_sum, lambda y, r: np.clip(y + r, 0, 6)),
    "relu6": (relu6, lambda y, r: np.clip(y, 0, 6)),
    "leaky": (leaky, lambda y, r: np.maximum(y, np.float32(0.2) * y)),
    "product": (product, lambda y, r: y * r),
}


def check(case: Case, monkeypatch: pytest.MonkeyPatch, epilogue: str = "", seed: int = 0) -> None:
    program = None
    if epilogue:
        program = TileProgram("f32")
        program.store(EPILOGUES[epilogue][0](program), 0, DType.F32)
    data, inputs, expected = make(case, program, seed)
    if epilogue:
        expected = EPILOGUES[epilogue][1](expected, inputs["r"])
    got = answers(whit.load(data), inputs, monkeypatch)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.prod(case.kernel) ** 0.5)


@pytest.mark.parametrize("kernel", range(1, 8))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_kernels_and_strides(kernel: int, stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every width from 1 to 20, with all paddings up to the whole kernel, and many numbers of channels."""
    for width in range(1, 21):
        before, after = width % kernel, (width // 2) % kernel
        if before + width + after < kernel:
            before = kernel
        channels = 1 + (width * 7 + kernel * 5 + stride) % 70
        case = Case(
            (kernel + width % 4, width), channels, (kernel, kernel), (stride, stride),
            before=(after, before), after=(before, after), bias=width % 3 > 0, batch=1 + width % 2,
        )  # fmt: skip
        check(case, monkeypatch, seed=width)


@pytest.mark.parametrize("channels", range(1, 71))
def test_channels(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    same = {"before": (1, 1), "after": (1, 1)}
    check(Case((4, 5), channels, (3, 3), **same), monkeypatch)
    check(Case((3, 8), channels, (3, 3), (2, 2), **same), monkeypatch, "relu6_of_sum")
    check(
        Case((30,), channels, (3,), before=(2,), after=(2,), dilation=(2,)), monkeypatch, "product"
    )


DILATED = [
    Case((9, 17), 24, (3, 3), dilation=(2, 2), before=(2, 2), after=(2, 2)),
    Case((9, 17), 24, (3, 3), dilation=(4, 3), before=(4, 3), after=(4, 3)),
    Case((20, 20), 18, (3, 3), dilation=(6, 6), before=(6, 6), after=(6, 6)),
    Case((9, 17), 40, (5, 3), (2, 1), dilation=(1, 2), before=(2, 1), after=(0, 3)),
    Case((9, 17), 40, (3, 5), (1, 2), dilation=(2, 2), before=(2, 4), after=(2, 4)),
    Case((9, 17), 40, (2, 2), (3, 3), before=(1, 1)),
    Case((9, 17), 9, (1, 1), (3, 3), dilation=(5, 5)),
    Case((1, 1), 33, (3, 3), dilation=(40, 40), before=(40, 40), after=(40, 40)),
    Case((3, 3), 5, (3, 3), before=(9, 9), after=(9, 9)),  # windows that see nothing but padding
]


@pytest.mark.parametrize("case", DILATED, ids=str)
@pytest.mark.parametrize("epilogue", ["", *EPILOGUES])
def test_dilated(case: Case, epilogue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, monkeypatch, epilogue)


@pytest.mark.parametrize("dilation", [1, 2, 3, 8, 16, 40])
@pytest.mark.parametrize("channels", [3, 16, 130])
def test_long_lines(dilation: int, channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    d = (dilation,)
    for epilogue in ("", "product"):
        check(
            Case((211,), channels, (3,), dilation=d, before=d, after=d, batch=2),
            monkeypatch,
            epilogue,
        )
    check(Case((211,), channels, (4,), (2,), d, before=(5,)), monkeypatch)
    check(Case((2, 211), channels, (1, 5), (1, 1), (1, dilation), before=(1, 0)), monkeypatch)


TALL = [
    Case((25, 5), 64, (3, 3), before=(1, 1), after=(1, 1)),
    Case((25, 5), 64, (3, 3), before=(1, 1), after=(1, 1), batch=3),
    Case((42, 3), 170, (5, 3), (2, 1), before=(2, 1), after=(2, 1), batch=2),
    Case((14, 8), 19, (3, 5), (1, 3), dilation=(1, 2), before=(1, 4), after=(1, 3), batch=2),
    Case((240, 1), 16, (3, 3), before=(1, 1), after=(1, 1)),
    Case((21, 2), 5, (3, 2), before=(2, 1), after=(0, 1), batch=2),
]


@pytest.mark.parametrize("case", TALL, ids=str)
def test_lines_along_the_first_axis(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for epilogue in ("", *EPILOGUES):
        check(case, monkeypatch, epilogue)


SPATIAL = [
    Case((5, 6, 7), 20, (3, 3, 3), before=(1, 1, 1), after=(1, 1, 1)),
    Case((5, 6, 7), 20, (2, 3, 4), (2, 1, 2), before=(1, 1, 1), after=(1, 0, 2), batch=2),
    Case((5, 6, 9), 12, (3, 2, 3), dilation=(2, 3, 2), before=(2, 0, 1), after=(2, 1, 3)),
    Case((3, 4, 3, 8), 17, (2, 2, 2, 3), before=(0, 1, 1, 1), after=(1, 1, 0, 1)),
]


@pytest.mark.parametrize("case", SPATIAL, ids=str)
def test_more_axes(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for epilogue in ("", *EPILOGUES):
        check(case, monkeypatch, epilogue)


LARGE = [
    Case((28, 28), 192, (3, 3), before=(1, 1), after=(1, 1)),
    Case((14, 14), 240, (5, 5), before=(2, 2), after=(2, 2)),
    Case((15, 230), 70, (5, 5), (2, 2), before=(2, 2), after=(2, 2)),
    Case((40, 12), 144, (9, 9), before=(4, 4), after=(4, 4)),
    Case((1999,), 128, (3,), dilation=(64,), before=(64,), after=(64,)),
]


@pytest.mark.parametrize("case", LARGE, ids=str)
def test_several_chunks_runs_and_bands(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for epilogue in ("", *EPILOGUES):
        check(case, monkeypatch, epilogue)


def test_not_a_number_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits let it pass, and it stays in its channel."""
    program = TileProgram("f32")
    program.store(relu6_of_sum(program), 0, DType.F32)
    data, inputs, _ = make(Case((6, 9), 20, (3, 3)), program, 0)
    inputs["x"][0, 3, 4, 7] = np.nan
    got = answers(whit.load(data), inputs, monkeypatch)
    assert np.isnan(got[..., 7]).sum() == 9
    assert not np.isnan(np.delete(got, 7, -1)).any()
