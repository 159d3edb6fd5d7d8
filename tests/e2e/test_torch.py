"""Networks exported by torch.onnx.export: MobileNetV2, a BERT-style encoder, an LSTM tagger, a decoder step.

Needs PyTorch and onnxscript (requirements-torch.txt, which `make test` and so .ci/run install); where PyTorch
cannot be had the module is skipped. Weights are random with a fixed seed; the oracles are torch itself and onnxruntime.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from helpers import assert_same, load, onnxruntime_oracle

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
TOLERANCE = {"rtol": 1e-3, "atol": 2e-5}
Sizes = dict[str, int]


# ---- MobileNetV2 ------------------------------------------------------------------------------------------


class InvertedResidual(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int, expand: int) -> None:
        super().__init__()
        width = n_in * expand
        self.is_residual = stride == 1 and n_in == n_out
        first = [conv_norm(n_in, width, 1, 1)] if expand != 1 else []
        self.layers = nn.Sequential(
            *first,
            conv_norm(width, width, 3, stride, groups=width),
            nn.Conv2d(width, n_out, 1, bias=False),
            nn.BatchNorm2d(n_out),
        )

    def forward(self, x: Any) -> Any:
        return x + self.layers(x) if self.is_residual else self.layers(x)


def conv_norm(n_in: int, n_out: int, size: int, stride: int, groups: int = 1) -> Any:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU6(),
    )


class MobileNetV2(nn.Module):
    """Sandler et al. 2018, table 2: expansion, channels, repeats, stride."""

    BLOCKS = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self) -> None:
        super().__init__()
        layers, n_in = [conv_norm(3, 32, 3, 2)], 32
        for expand, n_out, repeats, stride in self.BLOCKS:
            for k in range(repeats):
                layers.append(InvertedResidual(n_in, n_out, stride if k == 0 else 1, expand))
                n_in = n_out
        self.features = nn.Sequential(*layers, conv_norm(n_in, 1280, 1, 1))
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))

    def forward(self, x: Any) -> Any:
        return self.head(self.features(x).mean((2, 3)))


def mobilenet() -> Any:
    """Batch-norm statistics as one pass over noise leaves them, so that activations keep their size."""
    model = MobileNetV2()
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out")
        if isinstance(m, nn.BatchNorm2d):
            m.momentum = None
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.uniform_(m.bias, -0.2, 0.2)
    with torch.no_grad():
        model.train()(torch.randn(4, 3, 96, 96))
    return model


# ---- transformers -----------------------------------------------------------------------------------------


class Attention(nn.Module):
    """Heads over keys and values of the past, if there are any, and of the present."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def heads(self, x: Any) -> Any:
        batch, length, width = x.shape
        return x.reshape(batch, length, self.n_heads, width // self.n_heads).transpose(1, 2)

    def forward(self, x: Any, mask: Any = None, past: Any = None) -> Any:
        q, k, v = (self.heads(part) for part in self.qkv(x).chunk(3, -1))
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -1e4)
        y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape)
        return self.out(y), k, v


class Block(nn.Module):
    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.attention = Attention(width, n_heads)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Any, mask: Any = None, past: Any = None) -> Any:
        y, k, v = self.attention(x, mask, past)
        x = self.norm1(x + y)
        return self.norm2(x + self.mlp(x)), k, v


class Bert(nn.Module):
    def __init__(self, width: int = 64, n_layers: int = 3) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(100, width), nn.Embedding(64, width)
        self.kinds, self.norm = nn.Embedding(2, width), nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, 4) for _ in range(n_layers))
        self.pooler = nn.Linear(width, width)

    def forward(self, tokens: Any, kinds: Any, mask: Any) -> Any:
        places = torch.arange(tokens.shape[1])
        x = self.norm(self.words(tokens) + self.kinds(kinds) + self.places(places))
        for block in self.blocks:
            x, _, _ = block(x, mask[:, None, None, :])
        return x, torch.tanh(self.pooler(x[:, 0]))


class DecoderStep(nn.Module):
    """One token in; the caches of two layers in and out, longer by one."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(50, width), nn.Embedding(64, width)
        self.blocks = nn.ModuleList(Block(width, 4) for _ in range(2))

    def forward(self, token: Any, k0: Any, v0: Any, k1: Any, v1: Any) -> Any:
        x = self.words(token) + self.places.weight[k0.shape[2]]
        x, k0, v0 = self.blocks[0](x, past=(k0, v0))
        x, k1, v1 = self.blocks[1](x, past=(k1, v1))
        return x @ self.words.weight.T, k0, v0, k1, v1


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(60, 24)
        self.lstm = nn.LSTM(24, 20, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(40, 9)

    def forward(self, tokens: Any) -> Any:
        return self.head(self.lstm(self.words(tokens))[0]).log_softmax(-1)


# ---- the cases --------------------------------------------------------------------------------------------


def image(s: Sizes) -> tuple[Any, ...]:
    return (torch.randn(s["batch"], 3, s["side"], s["side"]),)


def text(s: Sizes) -> tuple[Any, ...]:
    tokens = torch.randint(0, 100, (s["batch"], s["length"]))
    mask = torch.ones_like(tokens)
    mask[-1, s["length"] // 2 :] = 0
    return tokens, tokens % 2, mask


def step(s: Sizes) -> tuple[Any, ...]:
    caches = (torch.randn(s["batch"], 4, s["past"], 12) for _ in range(4))
    return torch.randint(0, 50, (s["batch"], 1)), *caches


def words(s: Sizes) -> tuple[Any, ...]:
    return (torch.randint(0, 60, (s["batch"], s["length"])),)


CACHE = {0: "batch", 2: "past"}
TEXT = {0: "batch", 1: "length"}
NETWORKS: dict[str, tuple[Callable[[], Any], Any, list[Any], list[Sizes]]] = {
    "mobilenet_v2": (
        mobilenet,
        image,
        [{0: "batch"}],
        [{"batch": 2, "side": 96}, {"batch": 1, "side": 96}],
    ),
    "bert": (
        Bert,
        text,
        [TEXT, TEXT, TEXT],
        [{"batch": b, "length": n} for b, n in ((2, 11), (1, 1), (3, 40), (2, 11))],
    ),
    "lstm_tagger": (
        Tagger,
        words,
        [TEXT],
        [{"batch": b, "length": n} for b, n in ((2, 11), (1, 2), (3, 30))],
    ),
    "decoder_step": (
        DecoderStep,
        step,
        [{0: "batch"}, CACHE, CACHE, CACHE, CACHE],
        [{"batch": b, "past": n} for b, n in ((2, 5), (1, 1), (3, 40), (2, 6))],
    ),
}


def export(network: Any, inputs: Sequence[Any], axes: list[dict[int, str]], dynamo: bool) -> Any:
    names = [f"in{k}" for k in range(len(inputs))]
    target = io.BytesIO()
    if not dynamo:
        dynamic = dict(zip(names, axes, strict=True))
        torch.onnx.export(
            network,
            tuple(inputs),
            target,
            input_names=names,
            dynamic_axes=dynamic,
            opset_version=17,
            dynamo=False,
        )
        return onnx.load_from_string(target.getvalue())
    symbols = {s: torch.export.Dim.DYNAMIC for a in axes for s in a.values()}
    shapes = tuple({k: symbols[s] for k, s in a.items()} for a in axes)
    program = torch.onnx.export(
        network,
        tuple(inputs),
        dynamo=True,
        input_names=names,
        dynamic_shapes=shapes,
        verbose=False,
    )
    return program.model_proto


@pytest.mark.parametrize("dynamo", [False, True], ids=["torchscript", "dynamo"])
@pytest.mark.parametrize("name", NETWORKS)
def test_exported(name: str, dynamo: bool) -> None:
    make, draw, axes, sizes = NETWORKS[name]
    torch.manual_seed(11)
    network = make().eval()
    model = export(network, draw(sizes[0]), axes, dynamo)
    subject, oracle = load(model), onnxruntime_oracle(model)
    for size in sizes:
        inputs = draw(size)
        feeds = {i.name: t.numpy() for i, t in zip(model.graph.input, inputs, strict=True)}
        with torch.no_grad():
            outputs = network(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        want = oracle(feeds)
        got = subject.run(feeds)
        for key, from_torch in zip(got, outputs, strict=True):
            assert np.isfinite(got[key]).all()
            assert_same(got[key], from_torch.numpy(), **TOLERANCE, what=f"{size}: {key}, torch")
            assert_same(got[key], want[key], **TOLERANCE, what=f"{size}: {key}, onnxruntime")


def test_decoding_with_the_cache() -> None:
    """Twenty steps, each fed the caches of the one before: the caches grow by one, and so do the plans."""
    make, draw, axes, sizes = NETWORKS["decoder_step"]
    torch.manual_seed(12)
    network = make().eval()
    model = export(network, draw(sizes[0]), axes, dynamo=False)
    subject = load(model)
    feeds = {
        i.name: t.numpy()
        for i, t in zip(model.graph.input, draw({"batch": 1, "past": 1}), strict=True)
    }
    names = list(feeds)
    for _ in range(20):
        logits, *caches = subject.run(feeds).values()
        with torch.no_grad():
            want = network(*(torch.from_numpy(a) for a in feeds.values()))
        assert_same(logits, want[0].numpy(), **TOLERANCE)
        token = logits.argmax(-1)
        feeds = dict(zip(names, [token, *caches], strict=True))
    assert feeds[names[1]].shape == (1, 4, 21, 12)
