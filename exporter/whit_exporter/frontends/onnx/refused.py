"""Operators of the standard that Whit refuses for good, and what to do instead."""

from __future__ import annotations

_TEXT = "Whit has no strings: do this in the app, and give the model numbers"
_MAP = "Whit has no maps (dictionaries): leave it out, and pair names with numbers in the app"

REASONS = {
    ("", "ImageDecoder"): "pictures are decoded by the app's platform: give the model the pixels",
    ("", "RegexFullMatch"): _TEXT,
    ("", "StringConcat"): _TEXT,
    ("", "StringNormalizer"): _TEXT,
    ("", "StringSplit"): _TEXT,
    ("ai.onnx.ml", "CastMap"): _MAP,
    ("ai.onnx.ml", "CategoryMapper"): _TEXT,
    ("ai.onnx.ml", "DictVectorizer"): _MAP,
    ("ai.onnx.ml", "ZipMap"): _MAP,
    ("ai.onnx.preview.training", "Gradient"): (
        "it has no definition by other operators: let the training framework export the gradient as nodes"
    ),
}  # fmt: skip
