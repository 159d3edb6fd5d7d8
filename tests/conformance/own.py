"""Models of one node for the operators that the suite has none of: to see what they are made of. Their answers are tested elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx.parser
import test_onnx_image_signal_ml
import test_onnx_nn
from onnx_node import Case

TEXTS = (
    "g (float[2, 3] x) => (int32[2, 9] y) { y = Multinomial <sample_size = 9> (x) }",
    "g () => (float[5] y) { y = RandomNormal <shape = [5]> () }",
    "g (float[5] x) => (float[5] y) { y = RandomNormalLike (x) }",
    "g () => (float[5] y) { y = RandomUniform <shape = [5]> () }",
    "g (float[5] x) => (float[5] y) { y = RandomUniformLike (x) }",
    "g (seq(float[n]) s) => (float[m] y) { y = ConcatFromSequence <axis = 0> (s) }",
    "g (seq(float[n]) s, int64 i) => (float[n] y) { y = SequenceAt (s, i) }",
    "g (float[n] a, float[n] b) => (seq(float[n]) s) { s = SequenceConstruct (a, b) }",
    "g () => (seq(float[n]) s) { s = SequenceEmpty () }",
    "g (seq(float[n]) s, int64 i) => (seq(float[n]) y) { y = SequenceErase (s, i) }",
    "g (seq(float[n]) s) => (int64 y) { y = SequenceLength (s) }",
    "g (float[n] x) => (optional(float[n]) y) { y = Optional (x) }",
)


def models() -> Iterator[onnx.ModelProto]:
    for text in TEXTS:
        yield onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 22]> {text}')
    for module in (test_onnx_nn, test_onnx_image_signal_ml):
        for cases in vars(module).values():
            if isinstance(cases, list) and all(isinstance(c, Case) for c in cases):
                yield from (c.model(True) for c in cases)
