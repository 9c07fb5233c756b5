"""Reads what torch.save wrote before PyTorch 1.6, without torch and without running anything in it.

Five pickles one after the other: a magic number, the format's version, the machine's byte order, the state dict, and
the keys of its storages; then each storage in the order of the keys: the number of its elements, int64, and their
bytes.
"""

from __future__ import annotations

import io
from typing import BinaryIO

from nmt_trt.errors import ArchiveError
from nmt_trt.models.state_pickle import StorageRecord, TensorRecord, checked_state, read_pickle
from nmt_trt.models.storage import Array, element_size, storage_values

LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""The whole first pickle."""
_VERSION = 1001
_MAX_PICKLES = 64 << 20


def read_legacy(stream: BinaryIO) -> tuple[dict[str, TensorRecord], dict[str, Array]]:
    """The tensors by name, and the values of their storages by key, one-dimensional.

    Raises:
        ArchiveError: damaged, of another version or byte order, or refers to anything but tensors.
    """
    program = io.BytesIO(stream.read(_MAX_PICKLES))
    read_pickle(program)
    version, machine = read_pickle(program), read_pickle(program)
    if version != _VERSION:
        found = version if isinstance(version, int) and version.bit_length() < 64 else type(version).__name__
        raise ArchiveError(f"has the version {found} of PyTorch's old format; expected {_VERSION}")
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise ArchiveError("was written on a machine of another byte order")
    state = checked_state(read_pickle(program))
    keys = read_pickle(program)
    known = {record.storage.key: record.storage for record in state.values()}
    if not isinstance(keys, list) or not all(isinstance(key, (str, int)) for key in keys):
        raise ArchiveError("its list of storages is none")
    if set(map(str, keys)) != known.keys() or len(keys) != len(known):
        raise ArchiveError("its list of storages is not that of its tensors")
    if any(record.storage != known[record.storage.key] for record in state.values()):
        raise ArchiveError("describes one storage in two ways")
    size = stream.seek(0, io.SEEK_END)
    stream.seek(program.tell())
    return state, {str(key): _read_storage(stream, known[str(key)], size) for key in keys}


def _read_storage(stream: BinaryIO, storage: StorageRecord, size: int) -> Array:
    """The storage that begins where `stream`, of `size` bytes, is."""
    elements = int.from_bytes(stream.read(8), "little", signed=True)
    length = storage.elements * element_size(storage.dtype)
    if elements != storage.elements or not 0 <= length <= size - stream.tell():
        raise ArchiveError(f"storage {storage.key!r} is damaged, or the file ends within it")
    return storage_values(stream.read(length), storage.dtype, "<")
