"""Chooses the importer of a checkpoint by what it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

from nmt_trt.errors import ArchiveError
from nmt_trt.models.hub import download
from nmt_trt.models.huggingface import import_huggingface
from nmt_trt.models.huggingface_families import FAMILIES
from nmt_trt.models.huggingface_files import CONFIG_FILE
from nmt_trt.models.imported import ImportedModel
from nmt_trt.models.nemo import import_nemo

FORMAT_VERSIONS = {"nemo": "NeMo", **dict.fromkeys(FAMILIES, "transformers")}
"""Whose version a provenance tells, by its format."""
_MODEL_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def import_checkpoint(source: str | Path) -> ImportedModel:
    """Import a `.nemo` archive, a Hugging Face checkpoint directory, or one that is downloaded by its name.

    Raises:
        ArchiveError: nothing is there, or something damaged or hostile.
        UnsupportedModelError: a model that is not supported; names every reason.
        MissingDependencyError: a package that the model needs is not installed.
        DownloadError: a model that cannot be downloaded.
    """
    path = Path(source)
    if path.is_dir():
        if not is_huggingface(path):
            raise ArchiveError(f"{path}: no checkpoint; expected a {CONFIG_FILE} with a model_type, and weights")
        return import_huggingface(path)
    if not path.exists() and is_model_name(source):
        return import_huggingface(download(str(source)), name=str(source))
    return import_nemo(path)


def is_huggingface(path: Path) -> bool:
    """Whether a directory is a checkpoint of transformers, and not a model directory of ours."""
    try:
        content = json.loads((path / CONFIG_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "model_type" in content


def is_model_name(source: str | Path) -> bool:
    """Whether this may name a model of the Hugging Face Hub: `owner/name`, without the suffix of an archive."""
    text = str(source)
    return bool(_MODEL_NAME.fullmatch(text)) and not text.endswith(".nemo")
