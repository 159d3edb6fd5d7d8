"""Element types, numbered as in ONNX and in whit.h."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np


class DType(IntEnum):
    F32 = 1
    U8 = 2
    I8 = 3
    U16 = 4
    I16 = 5
    I32 = 6
    I64 = 7
    BOOL = 9
    F16 = 10
    F64 = 11
    U32 = 12
    U64 = 13
    BF16 = 16
    F8E4M3FN = 17
    F8E4M3FNUZ = 18
    F8E5M2 = 19
    F8E5M2FNUZ = 20
    U4 = 21
    I4 = 22
    F4E2M1 = 23
    F8E8M0 = 24
    U2 = 25
    I2 = 26

    @property
    def size(self) -> int:
        """Bytes an element in memory; types below a byte take one byte."""
        return _SIZE.get(self, 1)

    @property
    def is_float(self) -> bool:
        return self in _FLOATS

    @property
    def is_signed(self) -> bool:
        return self in (DType.I8, DType.I16, DType.I32, DType.I64, DType.I4, DType.I2)

    @property
    def short(self) -> str:
        return self.name.lower()

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy type; the small floats and integers come from ml_dtypes (a dependency of onnx)."""
        plain = _NUMPY.get(self)
        if plain is not None:
            found: np.dtype[Any] = np.dtype(plain)
            return found
        import ml_dtypes

        small: np.dtype[Any] = np.dtype(getattr(ml_dtypes, _ML_DTYPES[self]))
        return small


_SIZE = {
    DType.F32: 4, DType.U16: 2, DType.I16: 2, DType.I32: 4, DType.I64: 8, DType.F16: 2,
    DType.F64: 8, DType.U32: 4, DType.U64: 8, DType.BF16: 2,
}  # fmt: skip
_NUMPY: dict[DType, Any] = {
    DType.F32: np.float32, DType.U8: np.uint8, DType.I8: np.int8, DType.U16: np.uint16,
    DType.I16: np.int16, DType.I32: np.int32, DType.I64: np.int64, DType.BOOL: np.bool_,
    DType.F16: np.float16, DType.F64: np.float64, DType.U32: np.uint32, DType.U64: np.uint64,
}  # fmt: skip
_ML_DTYPES = {
    DType.BF16: "bfloat16", DType.F8E4M3FN: "float8_e4m3fn", DType.F8E4M3FNUZ: "float8_e4m3fnuz",
    DType.F8E5M2: "float8_e5m2", DType.F8E5M2FNUZ: "float8_e5m2fnuz", DType.U4: "uint4", DType.I4: "int4",
    DType.F4E2M1: "float4_e2m1fn", DType.F8E8M0: "float8_e8m0fnu", DType.U2: "uint2", DType.I2: "int2",
}  # fmt: skip
_FLOATS = frozenset((
    DType.F32, DType.F16, DType.F64, DType.BF16, DType.F8E4M3FN, DType.F8E4M3FNUZ, DType.F8E5M2,
    DType.F8E5M2FNUZ, DType.F4E2M1, DType.F8E8M0,
))  # fmt: skip


def from_numpy(dtype: np.dtype[Any]) -> DType:
    """The DType of a NumPy type. KeyError if there is none (strings, complex numbers)."""
    for t, n in _NUMPY.items():
        if np.dtype(n) == dtype:
            return t
    for t, name in _ML_DTYPES.items():
        if name == dtype.name:
            return t
    raise KeyError(dtype)
