"""Reads where each tensor of a safetensors file lies, so that ONNX graphs can point into it, and what else it says."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import TensorProto

from nmt_trt.errors import ModelDirectoryError

_METADATA = "__metadata__"
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
        header, start = _read_header(path)
        locations = {
            name: WeightLocation(
                file=path.name,
                dtype=_DTYPES[entry["dtype"]],
                shape=tuple(entry["shape"]),
                offset=start + entry["data_offsets"][0],
                length=entry["data_offsets"][1] - entry["data_offsets"][0],
            )
            for name, entry in header.items()
            if name != _METADATA
        }
        size = path.stat().st_size
    except (OSError, ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        raise ModelDirectoryError(f"{path}: not a safetensors file of floating-point weights: {error}") from error
    if any(location.offset + location.length > size for location in locations.values()):
        raise ModelDirectoryError(f"{path}: ends before its tensors do")
    return locations


def read_metadata(path: Path) -> dict[str, str]:
    """The texts that a safetensors file keeps beside its tensors, by name.

    Raises:
        ModelDirectoryError: the header cannot be read.
    """
    try:
        header, _ = _read_header(path)
        return dict(header.get(_METADATA, {}))
    except (OSError, ValueError, TypeError, AttributeError, struct.error) as error:
        raise ModelDirectoryError(f"{path}: not a safetensors file: {error}") from error


def read_tensor_bytes(path: Path, location: WeightLocation) -> bytes:
    """A tensor's bytes as they lie in its file.

    Raises:
        ModelDirectoryError: the file cannot be read, or ends before the tensor does.
    """
    try:
        with path.open("rb") as file:
            file.seek(location.offset)
            content = file.read(location.length)
    except OSError as error:
        raise ModelDirectoryError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) != location.length:
        raise ModelDirectoryError(f"{path}: ends before its tensors do")
    return content


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The JSON header, and where the data begins."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > path.stat().st_size:
            raise ValueError(f"header of {size} bytes is longer than the file")
        return json.loads(file.read(size)), 8 + size
