"""SHA-256 of files, remembered between processes."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from nmt_trt.atomic_write import write_atomically


class FileHashes:
    """Hashes files, and again only when their size or modification time has changed."""

    def __init__(self, memory: Path | None = None) -> None:
        """`memory` is a JSON file to remember in, made when needed; None remembers nothing."""
        self._memory = memory

    def sha256(self, path: Path) -> str:
        """The hash of a file's content, in hexadecimal.

        Raises:
            OSError: the file cannot be read.
        """
        path = path.resolve()
        status = path.stat()
        known = self._recall()
        entry = known.get(str(path))
        if isinstance(entry, list) and entry[:2] == [status.st_size, status.st_mtime_ns]:
            return str(entry[2])
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if self._memory is not None:
            known = {name: value for name, value in self._recall().items() if Path(name).is_file()}
            known[str(path)] = [status.st_size, status.st_mtime_ns, digest]
            with suppress(OSError):  # forgetting costs time and nothing else
                write_atomically(self._memory, json.dumps(known, indent=1).encode())
        return digest

    def _recall(self) -> dict[str, object]:
        if self._memory is None:
            return {}
        try:
            known = json.loads(self._memory.read_bytes())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}
