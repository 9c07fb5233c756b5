"""Reads where each tensor of a safetensors file lies, so that ONNX graphs can point into it."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

from onnx import TensorProto

from nmt_trt.errors import ModelDirectoryError

_DTYPES = {"F32": TensorProto.FLOAT, "F16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16}


@dataclass(frozen=True)
class WeightLocation:
    """A tensor inside a weights file: `offset` and `length` are in bytes from the file's start."""

    file: str
    dtype: int
    shape: tuple[int, ...]
    offset: int
    length: int


def weight_locations(path: Path) -> dict[str, WeightLocation]:
    """The tensors of a safetensors file by name.

    The format (8 bytes of header size, a JSON header, then data) is documented at
    https://github.com/huggingface/safetensors.

    Raises:
        ModelDirectoryError: the header cannot be read or names a type that graphs cannot use.
    """
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > path.stat().st_size:
                raise ValueError(f"header of {size} bytes is longer than the file")
            header = json.loads(file.read(size))
        start = 8 + size
        return {
            name: WeightLocation(
                file=path.name,
                dtype=_DTYPES[entry["dtype"]],
                shape=tuple(entry["shape"]),
                offset=start + entry["data_offsets"][0],
                length=entry["data_offsets"][1] - entry["data_offsets"][0],
            )
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        raise ModelDirectoryError(f"{path}: not a safetensors file of floating-point weights: {error}") from error
