"""Reads safetensors files that nobody vouches for into numpy."""

from __future__ import annotations

import math

import numpy as np
from safetensors import SafetensorError, deserialize

from nmt_trt.errors import ArchiveError
from nmt_trt.models.storage import Array

_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


def read_safetensors(data: bytes, name: str) -> dict[str, Array]:
    """The tensors of a file, by name; bfloat16 becomes float32, exactly, every other type stays as it is.

    Args:
        data: the whole file.
        name: what errors call it.

    Raises:
        ArchiveError: damaged, or a tensor of a type that no translation model has.
    """
    try:
        entries = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ArchiveError(f"{name}: not a safetensors file, or a damaged one ({error})") from error
    return {key: _array(entry["dtype"], entry["shape"], entry["data"], f"{name}: {key}") for key, entry in entries}


def _array(dtype: str, shape: list[int], data: bytes, name: str) -> Array:
    if dtype not in _TYPES:
        raise ArchiveError(f"{name} has the type {dtype}; expected one of {', '.join(_TYPES)}")
    stored = np.dtype(_TYPES[dtype])
    if math.prod(shape) * stored.itemsize != len(data):
        raise ArchiveError(f"{name} has {len(data)} bytes, which do not make {shape} of {dtype}")
    values: Array = np.frombuffer(data, stored).reshape(shape)
    if dtype == "BF16":  # the upper half of a float32
        return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return values.astype(stored.newbyteorder("="), copy=False)
