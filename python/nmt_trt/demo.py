"""The bundled English-German demo model."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from platformdirs import user_cache_path

from nmt_trt._core import __version__
from nmt_trt.build import build
from nmt_trt.errors import ModelDirectoryError
from nmt_trt.model_directory import CONFIG_FILE

ARCHIVE = "demo-en-de.nemo"


def demo_archive() -> Path:
    """The bundled `.nemo` archive.

    Raises:
        ModelDirectoryError: the installation lacks it.
    """
    path = Path(__file__).parent / "data" / ARCHIVE
    if not path.is_file():
        raise ModelDirectoryError(f"{path}: the demo model is not part of this installation")
    return path


def cache_folder() -> Path:
    """Where the package keeps what it can make again; NMT_TRT_CACHE names another place."""
    return Path(os.environ.get("NMT_TRT_CACHE") or user_cache_path("nmt_trt"))


def demo_directory() -> Path:
    """The demo model's directory in the cache folder, made on first use.

    Its name holds the hash of the archive and the package's version, so that a new one is made when either changes.
    """
    archive = demo_archive()
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()[:16]
    directory = cache_folder() / f"demo-en-de-{digest}-{__version__}"
    if not (directory / CONFIG_FILE).is_file():
        try:
            build(archive, directory)
        except ModelDirectoryError:
            if not (directory / CONFIG_FILE).is_file():  # another process may have been first
                raise
    return directory
