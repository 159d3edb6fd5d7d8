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

_NUMPY: dict[int, str] = {
    F32: "float32", U8: "uint8", I8: "int8", U16: "uint16", I16: "int16", I32: "int32", I64: "int64",
    BOOL: "bool", F16: "float16", F64: "float64", U32: "uint32", U64: "uint64",
}  # fmt: skip
_ML_DTYPES: dict[int, str] = {
    BF16: "bfloat16", 17: "float8_e4m3fn", 18: "float8_e4m3fnuz", 19: "float8_e5m2", 20: "float8_e5m2fnuz",
    21: "uint4", 22: "int4", 23: "float4_e2m1fn", 24: "float8_e8m0fnu", 25: "uint2", 26: "int2",
}  # fmt: skip


@cache
def to_numpy(code: int) -> np.dtype[Any]:
    """The NumPy type of a whit_dtype. KeyError if there is no such type."""
    plain = _NUMPY.get(code)
    if plain is not None:
        return np.dtype(plain)
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
    for code, name in _NUMPY.items():
        if dtype.newbyteorder("=") == np.dtype(name):
            return code
    for code, name in _ML_DTYPES.items():
        if dtype.name == name:
            return code
    raise KeyError(dtype)


def name_of(code: int) -> str:
    """A type's name for people, whether or not ml_dtypes is installed. KeyError if there is no such type."""
    return _NUMPY.get(code) or _ML_DTYPES[code]


def from_name(name: str) -> int | None:
    """The whit_dtype of a type's name, None if there is no such type."""
    return next((code for code, n in (_NUMPY | _ML_DTYPES).items() if n == name), None)
