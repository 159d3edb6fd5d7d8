"""Element types of whit.h and the NumPy types that stand for them.

The small floats and integers are those of ml_dtypes where it is installed; otherwise their bytes come as
uint16 or uint8. A type below a byte takes one byte an element in either case.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

F32, U8, I8, U16, I16, I32, I64, BOOL, F16, F64, U32, U64, BF16 = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    9,
    10,
    11,
    12,
    13,
    16,
)

_NUMPY: dict[int, np.dtype[Any]] = {
    F32: np.dtype("float32"), U8: np.dtype("uint8"), I8: np.dtype("int8"), U16: np.dtype("uint16"), I16: np.dtype("int16"),
    I32: np.dtype("int32"), I64: np.dtype("int64"), BOOL: np.dtype("bool"), F16: np.dtype("float16"), F64: np.dtype("float64"),
    U32: np.dtype("uint32"), U64: np.dtype("uint64"),
}  # fmt: skip
_CODES = {dtype: code for code, dtype in _NUMPY.items()}
_ML_DTYPES: dict[int, str] = {
    BF16: "bfloat16", 17: "float8_e4m3fn", 18: "float8_e4m3fnuz", 19: "float8_e5m2", 20: "float8_e5m2fnuz",
    21: "uint4", 22: "int4", 23: "float4_e2m1fn", 24: "float8_e8m0fnu", 25: "uint2", 26: "int2",
}  # fmt: skip


@cache
def to_numpy(code: int) -> np.dtype[Any]:
    """The NumPy type of a whit_dtype. KeyError if there is no such type."""
    plain = _NUMPY.get(code)
    if plain is not None:
        return plain
    name = _ML_DTYPES[code]
    try:
        import ml_dtypes
    except ImportError:
        return np.dtype(np.uint16 if code == BF16 else np.uint8)
    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return dtype


@cache
def from_numpy(dtype: np.dtype[Any]) -> int:
    """The whit_dtype of a NumPy type of either byte order. KeyError if there is none."""
    plain = _CODES.get(dtype) or _CODES.get(dtype.newbyteorder("="))
    if plain is not None:
        return plain
    for code, name in _ML_DTYPES.items():
        if dtype.name == name:
            return code
    raise KeyError(dtype)


def name_of(code: int) -> str:
    """A type's name for people, whether or not ml_dtypes is installed. KeyError if there is no such type."""
    plain = _NUMPY.get(code)
    return plain.name if plain is not None else _ML_DTYPES[code]


def from_name(name: str) -> int | None:
    """The whit_dtype of a type's name, None if there is no such type."""
    return next((code for code in (*_NUMPY, *_ML_DTYPES) if name_of(code) == name), None)
