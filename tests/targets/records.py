"""Records of tensors as tests/runtime_c/runner.c reads and writes them: dtype, rank, two zero bytes, dims, data."""

from __future__ import annotations

import struct

import numpy as np

KINDS = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 11: np.float64}


def head(dtype: int, rank: int, dims: bytes) -> tuple[bytes, int]:
    """A record without its data, and how many bytes those are."""
    shape = struct.unpack_from(f"<{rank}i", dims)
    n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(KINDS[dtype]).itemsize
    return struct.pack(f"<BBH{rank}i", dtype, rank, 0, *shape), n_bytes


def take(record: bytes, at: int) -> tuple[int, int, bytes, bytes, int]:
    """dtype, rank, dims and data of the record there, and where the next one begins."""
    dtype, rank = record[at], record[at + 1]
    first = at + 4 + 4 * rank
    dims = record[at + 4 : first]
    end = first + head(dtype, rank, dims)[1]
    return dtype, rank, dims, record[first:end], end


def arrays(record: bytes) -> list[np.ndarray]:  # type: ignore[type-arg]
    found, at = [], 0
    while at < len(record):
        dtype, rank, dims, data, at = take(record, at)
        found.append(np.frombuffer(data, KINDS[dtype]).reshape(struct.unpack(f"<{rank}i", dims)))
    return found
