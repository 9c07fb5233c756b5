"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read or change.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary sibling folder that takes `path`'s place when the block succeeds and vanishes when it fails.

    Raises:
        OSError: it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
        made = Path(scratch, "new")
        made.mkdir()
        yield made
        take_place(made, path, Path(scratch, "old"))


def take_place(made: Path, path: Path, retired: Path) -> None:
    """Put a folder in the place of the one at `path`, if there is one, which becomes `retired`, or stays if that fails.

    Raises:
        OSError: it cannot be put there.
    """
    try:
        if path.exists():
            os.replace(path, retired)
        os.replace(made, path)
    except BaseException:
        if retired.exists() and not path.exists():
            os.replace(retired, path)
        raise


def new_mode(mode: int) -> int:
    """The permissions of a new file or folder that is made with these."""
    mask = os.umask(0)
    os.umask(mask)
    return mode & ~mask
