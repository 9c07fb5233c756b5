"""Input as lines and output as whole files, in bytes: what a line is never depends on the platform or locale."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nmt_trt.errors import Error, LineError, UsageError

MAX_LINE_BYTES = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@contextmanager
def open_input(path: Path | None) -> Iterator[BinaryIO]:
    """A file, or standard input.

    Raises:
        OSError: it cannot be read.
    """
    if path is None:
        yield sys.stdin.buffer
    else:
        with path.open("rb") as stream:
            yield stream


def read_lines(stream: BinaryIO, *, keep_ends: bool = False) -> Iterator[str]:
    r"""The lines of a UTF-8 stream, ended by \n or \r\n and by nothing else; the last may lack its end.

    Args:
        stream: what is read, as far as it is asked for.
        keep_ends: yield the lines with their ends.

    Raises:
        LineError: a line that is not UTF-8, or of more than MAX_LINE_BYTES bytes.
    """
    number = 0
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(raw) > MAX_LINE_BYTES:
            raise LineError(number, f"more than {MAX_LINE_BYTES:,} bytes long; is this text?")
        if number == 1:
            raw = raw.removeprefix(_BYTE_ORDER_MARK)
        if not keep_ends:
            raw = raw.removesuffix(b"\n").removesuffix(b"\r")
        try:
            line = raw.decode()
        except UnicodeDecodeError as error:
            byte = raw[error.start]
            raise LineError(number, f"not UTF-8: byte {error.start + 1} of the line is 0x{byte:02x}") from error
        yield line


def parallel_lines(source: Path, other: Path, kind: str) -> tuple[list[str], list[str]]:
    """The lines of two files that belong together; `kind` is what messages call the other.

    Raises:
        UsageError: there are more lines in one than in the other, or none at all.
        Error: a line that cannot be read.
    """
    sources, others = _lines(source), _lines(other)
    if len(sources) != len(others):
        raise UsageError(
            f"source and {kind} must have the same number of lines; {source} has {len(sources):,}, "
            f"{other} has {len(others):,}"
        )
    if not sources:
        raise UsageError(f"{source} has no lines, so there is nothing to score")
    return sources, others


@contextmanager
def lines_beside(path: Path | None) -> Iterator[Iterator[str] | None]:
    """The lines of a file that is read beside the input; None without one. Errors name the file.

    Raises:
        OSError: it cannot be read.
    """
    if path is None:
        yield None
    else:
        with path.open("rb") as stream:
            yield _named(stream, path)


def _lines(path: Path) -> list[str]:
    with path.open("rb") as stream:
        return list(_named(stream, path))


def _named(stream: BinaryIO, path: Path) -> Iterator[str]:
    try:
        yield from read_lines(stream)
    except LineError as error:
        raise Error(f"{path}, {error}") from error


@contextmanager
def open_output(path: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that takes its name when the block succeeds and is never seen when it fails.

    What exists and is not a regular file (a device, a pipe) is written directly.

    Raises:
        OSError: it cannot be written.
    """
    if path is None:
        yield sys.stdout.buffer
    elif path.exists() and not path.is_file():
        with path.open("wb") as stream:
            yield stream
    else:
        with _replacing(path.resolve()) as stream:
            yield stream


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    if not path.parent.is_dir():
        raise FileNotFoundError(2, "no such folder", str(path.parent))
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
