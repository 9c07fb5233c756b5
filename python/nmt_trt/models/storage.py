"""The values of a PyTorch storage."""

from __future__ import annotations

from typing import Literal

import numpy as np

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
ByteOrder = Literal["<", ">"]


def element_size(dtype: str) -> int:
    """Bytes of an element; `dtype` is a value of STORAGE_DTYPES."""
    return _native(dtype).itemsize


def storage_values(data: bytes, dtype: str, order: ByteOrder) -> Array:
    """All values, one-dimensional, in this machine's byte order; those of bf16 as their bits, uint16."""
    native = _native(dtype)
    values = np.frombuffer(data, native.newbyteorder(order)).astype(native, copy=False)
    return values.astype(np.bool_) if dtype == "?" else values


def _native(dtype: str) -> np.dtype[np.generic]:
    return np.dtype({"bf16": "u2", "?": "u1"}.get(dtype, dtype))
