"""Inputs given on the command line: files, values, or random numbers of the right shape."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._native import Array
from .errors import RunError
from .model import Entry, Port, shape_text

_ITEM = re.compile(r"(.+)\[(\d+)\]")


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """`batch=4` or `x=1,3,8,8` to numbers by name of a dimension or of an input."""
    found = {}
    for text in texts:
        name, equals, numbers = text.rpartition("=")
        try:
            found[name] = tuple(int(n) for n in re.split(r"[,x]", numbers.strip("[]")) if n)
        except ValueError:
            equals = ""
        if not equals or not name or any(n < 0 for n in found[name]):
            raise RunError(f"--shape {text}: expected DIMENSION=NUMBER or INPUT=NUMBER,NUMBER,...")
    return found


def gather(
    entry: Entry, arguments: Sequence[str], shapes: dict[str, tuple[int, ...]], seed: int
) -> dict[str, Any]:
    """Inputs by name from `name=value` and file arguments; what is not given is random."""
    given: dict[str, Any] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name in entry.number:
            given[name] = _value(entry.inputs[entry.number[name]], value)
        elif os.path.exists(argument) or argument.endswith((".npz", ".npy", ".json")):
            given.update(_from_file(entry, argument))
        elif equals:
            raise RunError(
                f"the model has no input {name!r}; it has {', '.join(entry.number) or 'none'}"
            )
        else:
            raise RunError(f"{argument}: expected NAME=VALUE or a .npz, .npy or .json file")
    unknown = [n for n in shapes if n not in entry.number and n not in _symbols(entry)]
    if unknown:
        known = ", ".join([*_symbols(entry), *entry.number])
        raise RunError(f"--shape: no dimension or input {unknown[0]!r}; there are {known}")
    sizes = {n: s[0] for n, s in shapes.items() if n not in entry.number and len(s) == 1}
    _sizes_of_given(entry, given, sizes)
    rng = np.random.default_rng(seed)
    for port in entry.inputs:
        if port.name not in given and not port.optional:
            given[port.name] = _random(port, shapes.get(port.name), sizes, rng)
    return given


def _symbols(entry: Entry) -> list[str]:
    return list(dict.fromkeys(d for p in entry.inputs for d in p.shape or () if isinstance(d, str)))


def _sizes_of_given(entry: Entry, given: dict[str, Any], sizes: dict[str, int]) -> None:
    """Dimensions that the given arrays settle."""
    for name, value in given.items():
        shape = entry.inputs[entry.number[name]].shape
        if isinstance(value, np.ndarray) and shape is not None:
            for d, n in zip(shape, value.shape, strict=False):
                if isinstance(d, str):
                    sizes.setdefault(d, n)


def _random(
    port: Port, shape: tuple[int, ...] | None, sizes: dict[str, int], rng: np.random.Generator
) -> Any:
    if shape is None:
        if port.shape is None:
            raise RunError(
                f"input {port.name!r}: its shape is not known; give --shape {port.name}=N,N,..."
            )
        shape = tuple(d if isinstance(d, int) else sizes.get(d or "", 1) for d in port.shape)
    if port.kind == "sequence":
        return [_numbers(port.dtype, shape, rng)]
    return _numbers(port.dtype, shape, rng)


def _numbers(dtype: np.dtype[Any], shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if dtype.kind in "biu":
        return rng.integers(0, 2, shape).astype(dtype)
    return rng.standard_normal(shape).astype(np.float32).astype(dtype)


def _read(path: str) -> Any:
    """An array (.npy) or things by name (.npz, .json)."""
    try:
        if path.endswith(".json"):
            with open(path, encoding="utf-8") as f:
                return json.load(f)
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content:
            return {k: content[k] for k in content.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as e:
        reason = getattr(e, "strerror", None) or str(e).split("\n")[0]
        raise RunError(f"{path}: {reason}") from None


def _from_file(entry: Entry, path: str) -> dict[str, Any]:
    content = _read(path)
    if not isinstance(content, dict):
        if len(entry.inputs) != 1:
            raise RunError(f"{path}: the model has several inputs; say which: NAME={path}")
        content = {entry.inputs[0].name: content}
    found: dict[str, Any] = {}
    for name, value in content.items():
        item = _ITEM.fullmatch(name)
        if name not in entry.number and item and item[1] in entry.number:
            found.setdefault(item[1], []).append(value)
        elif name in entry.number:
            found[name] = _typed(entry.inputs[entry.number[name]], value)
        else:
            raise RunError(
                f"{path}: the model has no input {name!r}; it has {', '.join(entry.number) or 'none'}"
            )
    return found


def _value(port: Port, text: str) -> Any:
    if text.endswith((".npy", ".npz", ".json")):
        content = _read(text)
        if isinstance(content, dict):
            if port.name not in content:
                raise RunError(f"{text}: has no {port.name!r}; it has {', '.join(content)}")
            content = content[port.name]
        return _typed(port, content)
    try:
        return _typed(port, json.loads(text))
    except ValueError:
        expected = "a number, a [list], null or a .npy, .npz or .json file"
        raise RunError(f"input {port.name!r}: {text!r} is not {expected}") from None


def _typed(port: Port, value: Any) -> Any:
    """JSON content as arrays; the model checks them."""
    if isinstance(value, np.ndarray) or value is None:
        return value
    if port.kind == "sequence":
        if not isinstance(value, list):
            raise RunError(f"input {port.name!r}: expected a list of arrays")
        return [v if isinstance(v, np.ndarray) else np.asarray(v, port.dtype) for v in value]
    try:
        a = np.asarray(value)
    except ValueError:
        raise RunError(f"input {port.name!r}: the lists are not of one length") from None
    if a.dtype.kind not in "biuf":
        raise RunError(
            f"input {port.name!r}: expected numbers {shape_text(port.shape)}, got {a.dtype.name}"
        )
    return value


def flatten(results: dict[str, Any]) -> dict[str, Array]:
    """Results as a .npz file keeps them: the items of a sequence as name[0], name[1], ..."""
    found: dict[str, Array] = {}
    for name, value in results.items():
        if isinstance(value, list):
            found.update({f"{name}[{k}]": v for k, v in enumerate(value) if v is not None})
        elif value is not None:
            found[name] = value
    return found
