"""Reads PyTorch checkpoints of weights into numpy, without torch and without running anything in them.

The format is torch.save's of PyTorch 1.6 and later: a zip file, nothing in it compressed, with a pickle that
describes the tensors in `<root>/data.pkl`, one storage each in `<root>/data/<key>` and, in newer files,
`<root>/byteorder`. Files of earlier versions are read too: see models/legacy_checkpoint.py.
"""

from __future__ import annotations

import io
import math
import struct
import sys
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nmt_trt.errors import ArchiveError
from nmt_trt.models.legacy_checkpoint import LEGACY_MAGIC, read_legacy
from nmt_trt.models.state_pickle import StorageRecord, TensorRecord, read_state_pickle
from nmt_trt.models.storage import Array, ByteOrder, element_size, storage_values

_MAX_PICKLE = 64 << 20
_MAX_DIRECTORY = 64 << 20
_MAX_DIMENSIONS = 8
_ZIP_MAGIC = b"PK\x03\x04"
_BYTE_ORDERS: dict[bytes, ByteOrder] = {b"little": "<", b"big": ">"}
_STRUCTURAL_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    KeyError,
    EOFError,
    OSError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
)


def read_checkpoint(source: str | Path | BinaryIO, name: str | None = None) -> dict[str, Array]:
    """The tensors of a checkpoint, by name, in their order.

    bfloat16 becomes float32, exactly; every other type stays as it is. Arrays are C-contiguous and read-only;
    tensors that are the whole of one storage share memory.

    Args:
        source: a path, or a seekable stream.
        name: what errors call it; a path's own name by default.

    Raises:
        ArchiveError: not such a checkpoint, damaged, refers to anything but tensors, or describes tensors
            that do not fit their data.
    """
    if not isinstance(source, (str, Path)):
        return _named(source, name or "checkpoint")
    try:
        with Path(source).open("rb") as stream:
            return _named(stream, name or Path(source).name)
    except OSError as error:
        raise ArchiveError(f"{source}: cannot be read: {error.strerror or error}") from error


def _named(stream: BinaryIO, name: str) -> dict[str, Array]:
    try:
        return _read(stream)
    except ArchiveError as error:
        raise ArchiveError(f"{name}: {error}") from error
    except _STRUCTURAL_ERRORS as error:
        raise ArchiveError(f"{name}: damaged file ({error})") from error


def _read(stream: BinaryIO) -> dict[str, Array]:
    magic = stream.read(len(LEGACY_MAGIC))
    if magic == LEGACY_MAGIC:
        stream.seek(0)
        state, legacy = read_legacy(stream)
        return {key: _materialise(key, record, legacy[record.storage.key]) for key, record in state.items()}
    if not magic.startswith(_ZIP_MAGIC):
        raise ArchiveError("is not a PyTorch checkpoint (a zip file as torch.save writes)")
    reads = _BoundedReads(stream)
    with zipfile.ZipFile(reads) as archive:
        reads.limit = None
        storages = _Storages(archive, size=stream.seek(0, io.SEEK_END))
        records = read_state_pickle(storages.read("data.pkl", _MAX_PICKLE))
        return {key: _materialise(key, record, storages.array(record.storage)) for key, record in records.items()}


class _BoundedReads:
    """What zipfile sees: the stream, but, while `limit` is set, no read of more, whatever the file claims."""

    def __init__(self, stream: BinaryIO) -> None:
        self.limit: int | None = _MAX_DIRECTORY
        self.seek = stream.seek
        self.tell = stream.tell
        self.seekable = stream.seekable
        self._read = stream.read

    def read(self, size: int = -1) -> bytes:
        if self.limit is not None and not size <= self.limit:
            raise zipfile.BadZipFile(f"a directory of {size:,} bytes")
        return self._read(size)


class _Storages:
    """The entries of the zip file below its root folder, and the storages among them."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self._archive = archive
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in archive.infolist():
            name = entry.filename.partition("/")[2]
            if name in self._entries:
                raise ArchiveError(f"has two entries named {name!r}")
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                raise ArchiveError(f"entry {name!r} is compressed, which PyTorch never does")
            self._entries[name] = entry
        claimed = sum(entry.file_size for entry in self._entries.values())
        if claimed > size:
            raise ArchiveError(f"its entries claim {claimed:,} bytes in a file of {size:,}")
        order = self.read("byteorder", 16) if "byteorder" in self._entries else b"little"
        if order not in _BYTE_ORDERS:
            raise ArchiveError(f"has the unknown byte order {order!r}")
        self._order = _BYTE_ORDERS[order]
        self._data: dict[str, bytes] = {}

    def read(self, name: str, limit: int) -> bytes:
        """All of one entry, of at most `limit` bytes."""
        if name not in self._entries:
            raise ArchiveError(f"has no entry {name!r}, which every PyTorch checkpoint has")
        size = self._entries[name].file_size
        if size > limit:
            raise ArchiveError(f"entry {name!r} has {size:,} bytes; at most {limit:,} are accepted")
        return self._archive.read(self._entries[name])

    def array(self, storage: StorageRecord) -> Array:
        """The whole storage, one-dimensional, in this machine's byte order."""
        name = f"data/{storage.key}"
        if storage.key not in self._data:
            self._data[storage.key] = self.read(name, sys.maxsize)
        data = self._data[storage.key]
        size = element_size(storage.dtype)
        if storage.elements * size != len(data):
            raise ArchiveError(f"entry {name!r} has {len(data)} bytes; expected {storage.elements} times {size}")
        return storage_values(data, storage.dtype, self._order)


def _materialise(name: str, record: TensorRecord, flat: Array) -> Array:
    """The tensor's values, C-contiguous and read-only, from those of its storage."""
    _check_bounds(name, record)
    steps = [step * flat.itemsize for step in record.strides]
    view: Array = np.lib.stride_tricks.as_strided(flat[record.offset :], record.shape, steps, writeable=False)
    values: Array = np.ascontiguousarray(view).reshape(record.shape)
    if record.storage.dtype == "bf16":  # the upper half of a float32
        values = (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    values.flags.writeable = False
    return values


def _check_bounds(name: str, record: TensorRecord) -> None:
    """Refuse a view that leaves its storage, or that is larger than it (a tensor expanded with stride 0)."""
    shape, elements = record.shape, record.storage.elements
    if len(shape) > _MAX_DIMENSIONS or min((elements, record.offset, *shape, *record.strides)) < 0:
        raise ArchiveError(f"tensor {name!r} has the impossible shape {shape}, strides {record.strides}")
    last = record.offset + sum((size - 1) * step for size, step in zip(shape, record.strides, strict=True))
    if (math.prod(shape) and last >= elements) or record.offset > elements:
        raise ArchiveError(
            f"tensor {name!r} of shape {shape}, strides {record.strides}, offset {record.offset} reaches "
            f"element {last:,} of a storage of {elements:,}"
        )
    if math.prod(shape) > elements:
        raise ArchiveError(f"tensor {name!r} of shape {shape} is larger than its storage of {elements:,}")
