"""Reads tar and tar.gz archives that nobody vouches for: everything is checked before anything is believed.

Members are read in place, by name; nothing is ever extracted under a name that the archive chose.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from nmt_trt.errors import ArchiveError

_CHUNK = 1 << 20
_MAX_HEADER = 1 << 20
_BLOCK = 512
_GZIP_MAGIC = b"\x1f\x8b"


class _ReadSeek(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...
    def seek(self, offset: int, whence: int = ..., /) -> int: ...
    def tell(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an archive may ask of this machine, in bytes; `members` is a count."""

    total: int = 16 << 30
    """All of the archive, after decompression."""
    members: int = 10_000
    config: int = 1 << 20
    tokenizer: int = 64 << 20


class Archive:
    """The regular files of a tar or tar.gz archive, by their names without a leading `./`.

    Use it as a context manager. A gzip archive is first decompressed into an unnamed temporary file.

    Attributes:
        path: the archive.
        sha256: hexadecimal SHA-256 of the file as it is on disk.

    Raises:
        ArchiveError: unreadable, truncated, neither tar nor tar.gz, beyond a limit, or holding anything but
            regular files and directories with plain relative names, each once.
    """

    def __init__(self, path: str | Path, limits: Limits | None = None) -> None:
        self.path = Path(path)
        self.limits = limits or Limits()
        self._tar: BinaryIO
        self._file: BinaryIO
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            raise ArchiveError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        self._tar = self._file
        try:
            self.sha256 = hashlib.file_digest(self._file, "sha256").hexdigest()
            self._tar = self._plain_tar()
            self._members = self._index()
        except OSError as error:
            self.close()
            raise self._error(f"cannot be read: {error.strerror or error}") from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; open members become unusable."""
        self._tar.close()
        self._file.close()

    @property
    def names(self) -> list[str]:
        """Names of the regular files, in the archive's order."""
        return list(self._members)

    def open(self, name: str) -> BinaryIO:
        """A seekable stream over one member.

        Raises:
            ArchiveError: no such member; lists those there are.
        """
        if name not in self._members:
            shown = ", ".join(repr(member) for member in self.names[:20]) or "no file at all"
            raise self._error(f"has no member {name!r}; it has {shown}")
        offset, size = self._members[name]
        return io.BufferedReader(_Slice(self._tar, offset, size))

    def read(self, name: str, limit: int) -> bytes:
        """All of one member, of at most `limit` bytes.

        Raises:
            ArchiveError: no such member, or a larger one.
        """
        with self.open(name) as stream:
            size = self._members[name][1]
            if size > limit:
                raise self._error(f"member {name!r} has {size:,} bytes; at most {limit:,} are accepted")
            return stream.read()

    def _error(self, what: str) -> ArchiveError:
        return ArchiveError(f"{self.path.name}: {what}")

    def _plain_tar(self) -> BinaryIO:
        """The uncompressed tar: the file itself, or an unnamed temporary copy."""
        self._file.seek(0)
        magic = self._file.read(len(_GZIP_MAGIC))
        self._file.seek(0)
        if magic != _GZIP_MAGIC:
            size = self.path.stat().st_size
            if size > self.limits.total:
                raise self._error(f"has {size:,} bytes; at most {self.limits.total:,} are accepted")
            return self._file
        plain: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  (closed by close())
        try:
            self._decompress(plain)
        except BaseException:
            plain.close()
            raise
        return plain

    def _decompress(self, plain: BinaryIO) -> None:
        total = 0
        try:
            with gzip.GzipFile(fileobj=self._file, mode="rb") as stream:
                while chunk := stream.read(_CHUNK):
                    total += len(chunk)
                    if total > self.limits.total:
                        limit = f"{self.limits.total:,} bytes"
                        raise self._error(f"decompresses to more than the {limit} that are accepted")
                    plain.write(chunk)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise self._error(f"is damaged or truncated gzip data ({error})") from error

    def _index(self) -> dict[str, tuple[int, int]]:
        """(offset, size) of every regular file, by clean name."""
        size = self._tar.seek(0, io.SEEK_END)
        self._tar.seek(0)
        try:
            tar = tarfile.open(fileobj=_HeaderReader(self._tar), mode="r:")  # type: ignore[call-overload]  # noqa: SIM115
            entries = self._entries(tar, size)
        except (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError) as error:
            if self._tar.seek(0) == 0 and not _looks_like_tar(self._tar.read(_BLOCK)):
                raise self._error("is neither a tar nor a tar.gz archive, as a .nemo file is") from error
            raise self._error(f"is a damaged or truncated tar archive ({error})") from error
        members: dict[str, tuple[int, int]] = {}
        for info in entries:
            name = self._clean_name(info)
            if info.isdir():
                continue
            if name in members:
                raise self._error(f"has two members named {name!r}")
            members[name] = (info.offset_data, info.size)
        return members

    def _entries(self, tar: tarfile.TarFile, size: int) -> list[tarfile.TarInfo]:
        """Every header, each within the file of `size` bytes and after the one before it."""
        entries: list[tarfile.TarInfo] = []
        end = 0
        while (info := tar.next()) is not None:
            if info.offset_data < end or info.size < 0:
                raise self._error(f"member {info.name!r} has an impossible position or size")
            end = info.offset_data + (info.size if info.isreg() else 0)
            if end > size:
                raise self._error(f"is truncated: member {info.name!r} ends at byte {end:,} of {size:,}")
            entries.append(info)
            if len(entries) > self.limits.members:
                raise self._error(f"has more than {self.limits.members:,} members")
        self._tar.seek(tar.offset)
        if self._tar.read(_BLOCK) != bytes(_BLOCK):
            where = f"byte {tar.offset:,}"
            raise self._error(f"is truncated or damaged: neither a member nor the archive's end at {where}")
        return entries

    def _clean_name(self, info: tarfile.TarInfo) -> str:
        """The member's name without `./`.

        Raises:
            ArchiveError: a name that leads outside, or anything but a plain file or a directory.
        """
        if not (info.isdir() or (info.isreg() and not info.issparse())):
            raise self._error(f"member {info.name!r} is {_kind(info)}; only regular files are accepted")
        parts = [part for part in info.name.split("/") if part not in ("", ".")]
        if info.name.startswith("/") or ".." in parts or "\0" in info.name or "\\" in info.name:
            raise self._error(f"member name {info.name!r} is not a plain relative path")
        if not parts and not info.isdir():
            raise self._error(f"has a file without a name ({info.name!r})")
        return "/".join(parts)


def _looks_like_tar(block: bytes) -> bool:
    return block[257:262] == b"ustar"


def _kind(info: tarfile.TarInfo) -> str:
    kinds = [
        (info.issym(), "a symbolic link"),
        (info.islnk(), "a hard link"),
        (info.isfifo(), "a named pipe"),
        (info.isdev(), "a device"),
        (info.issparse(), "a sparse file"),
    ]
    return next((text for matches, text in kinds if matches), f"of the unknown type {info.type!r}")


class _HeaderReader:
    """What tarfile sees while it indexes: the file, but no read larger than a header can need."""

    def __init__(self, file: _ReadSeek) -> None:
        self.seek = file.seek
        self.tell = file.tell
        self._read = file.read

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER:
            raise tarfile.ReadError(f"a header claims {size:,} bytes")
        return self._read(size)


class _Slice(io.RawIOBase):
    """Bytes offset .. offset + size of a file, as a read-only stream of its own position."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._file = file
        self._offset = offset
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"cannot seek to {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        wanted = min(len(buffer), max(self._size - self._position, 0))
        self._file.seek(self._offset + self._position)
        data = self._file.read(wanted)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
