"""The bundled English-German demo model."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nmt_trt._core import __version__
from nmt_trt.build import build
from nmt_trt.cache import cache_folder
from nmt_trt.errors import ModelDirectoryError
from nmt_trt.gpu import find_gpus
from nmt_trt.model_directory import CONFIG_FILE

ARCHIVE = "demo-en-de.nemo"
_BUILDING_CODE = ("export/*.py", "models/*.py", "model_directory.py")
"""What decides, with the archive, about a model directory's content."""


def demo_archive() -> Path:
    """The bundled `.nemo` archive.

    Raises:
        ModelDirectoryError: the installation lacks it.
    """
    path = Path(__file__).parent / "data" / ARCHIVE
    if not path.is_file():
        raise ModelDirectoryError(f"{path}: the demo model is not part of this installation")
    return path


def demo_directory() -> Path:
    """The demo model's directory in the cache folder, made on first use; with fp16 graphs where there is a GPU.

    Its name holds a hash of the archive and of the code that builds, so that a new one is made when either changes.
    """
    archive = demo_archive()
    precision = "fp16" if _has_gpu() else "fp32"
    directory = cache_folder() / f"demo-en-de-{__version__}-{_digest(archive)}-{precision}"
    if not (directory / CONFIG_FILE).is_file():
        try:
            build(archive, directory, precision=precision)
        except ModelDirectoryError:
            if not (directory / CONFIG_FILE).is_file():  # another process may have been first
                raise
    return directory


def _digest(archive: Path) -> str:
    digest = hashlib.sha256(archive.read_bytes())
    package = Path(__file__).parent
    for pattern in _BUILDING_CODE:
        for source in sorted(package.glob(pattern)):
            digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _has_gpu() -> bool:
    try:
        return bool(find_gpus())
    except OSError:
        return False
