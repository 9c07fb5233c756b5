"""Keeps the kernels that TensorRT compiles just in time, so that the next process need not."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from nmt_trt import _core
from nmt_trt.atomic_write import write_atomically

_log = logging.getLogger("nmt_trt")


class RuntimeCache:
    """A file in the user's own cache folder. Losing it costs time and nothing else, so no failure here is an error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept = b""

    def load(self, library: _core.EngineLibrary) -> None:
        """Give the library what an earlier process kept; before its first plan."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            _log.warning("%s: cannot be read (%s); kernels will be compiled again", self.path, error.strerror)
            return
        library.load_runtime_cache(content)
        self._kept = _digest(content)

    def save(self, library: _core.EngineLibrary) -> None:
        """Keep what the library has compiled so far; a flavour that compiles nothing keeps nothing."""
        content = library.runtime_cache()
        if not content or _digest(content) == self._kept:
            return
        try:
            write_atomically(self.path, content)
            self._kept = _digest(content)
        except OSError as error:
            _log.warning("%s: cannot be written (%s)", self.path, error.strerror)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
