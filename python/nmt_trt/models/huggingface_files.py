"""The files of a Hugging Face checkpoint directory, read as what nobody vouches for."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from nmt_trt.errors import ArchiveError
from nmt_trt.models.archive import Limits
from nmt_trt.models.checkpoint import read_checkpoint
from nmt_trt.models.safetensors_file import read_safetensors
from nmt_trt.models.storage import Array

CONFIG_FILE = "config.json"
WEIGHTS_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
"""Where weights may be; the first that is there is read."""

Object = dict[object, object]


@dataclass(frozen=True)
class StoredState:
    """The tensors of a checkpoint.

    Attributes:
        file: where they were found.
        tensors: by name.
        sha256: of the file, or of those that an index names, one after the other in the order of their names.
    """

    file: str
    tensors: dict[str, Array]
    sha256: str


class CheckpointDirectory:
    """Reads files of a directory by their bare names.

    Args:
        path: the directory.
        limits: what its files may ask of this machine.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self.path = path
        self.limits = limits or Limits()

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self.path / name).is_file()

    def read(self, name: str, limit: int) -> bytes:
        """All of one file.

        Raises:
            ArchiveError: it is not there, cannot be read, or has more than `limit` bytes.
        """
        try:
            with (self.path / name).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                data = file.read(min(size, limit) + 1)  # which is allocated before anything is read
        except OSError as error:
            raise ArchiveError(f"{name} cannot be read: {error.strerror or error}") from error
        if len(data) > limit:
            raise ArchiveError(f"{name} has more than {limit:,} bytes")
        return data

    def read_object(self, name: str, limit: int | None = None) -> Object:
        """A JSON object, of at most `limit` bytes, or as many as a configuration may have.

        Raises:
            ArchiveError: as `read`, or not a JSON object.
        """
        try:
            content = json.loads(self.read(name, self.limits.config if limit is None else limit))
        except (ValueError, RecursionError) as error:
            raise ArchiveError(f"{name} is not JSON ({error})") from error
        if not isinstance(content, dict):
            raise ArchiveError(f"{name}: expected a JSON object; found {type(content).__name__}")
        return content

    def read_optional_object(self, name: str) -> Object:
        """A JSON object; an empty one where there is no such file.

        Raises:
            ArchiveError: as `read_object`.
        """
        return self.read_object(name) if self.has(name) else {}

    def read_state(self) -> StoredState:
        """The weights.

        Raises:
            ArchiveError: there are none, or they cannot be read.
        """
        name = next((name for name in WEIGHTS_FILES if self.has(name)), None)
        if name is None:
            raise ArchiveError(f"has no weights; expected one of {', '.join(WEIGHTS_FILES)}")
        files = self._shards(name) if name.endswith(".index.json") else [name]
        digest = hashlib.sha256()
        tensors: dict[str, Array] = {}
        for file in files:
            found = self._read_tensors(file, digest)
            if twice := sorted(tensors.keys() & found.keys()):
                raise ArchiveError(f"{file}: tensor {twice[0]!r} is in another file too")
            tensors |= found
        return StoredState(name, tensors, digest.hexdigest())

    def _read_tensors(self, name: str, digest: hashlib._Hash) -> dict[str, Array]:
        if name.endswith(".safetensors"):
            data = self.read(name, self.limits.total)
            digest.update(data)
            return read_safetensors(data, name)
        try:
            with (self.path / name).open("rb") as file:
                hashlib.file_digest(file, lambda: digest)
                file.seek(0)
                return read_checkpoint(file, name)
        except OSError as error:
            raise ArchiveError(f"{name} cannot be read: {error.strerror or error}") from error

    def _shards(self, index: str) -> list[str]:
        """The files that an index names."""
        places = self.read_object(index).get("weight_map")
        if not isinstance(places, dict) or not places:
            raise ArchiveError(f"{index}: expected an object weight_map of file names by tensor")
        files = sorted({str(file) for file in places.values()})
        for file in files:
            if Path(file).name != file or not file.endswith(".safetensors"):
                raise ArchiveError(f"{index}: expected the name of a safetensors file beside it; found {file[:100]!r}")
        return files
