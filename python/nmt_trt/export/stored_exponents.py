"""The exponents of a low-precision weights file, kept in the file itself beside the weights that carry them."""

from __future__ import annotations

import json
from pathlib import Path

from nmt_trt.errors import ModelDirectoryError
from nmt_trt.export.islands import Islands
from nmt_trt.export.weights_file import read_metadata

_NAME = "exponents"


def exponents_metadata(islands: Islands) -> dict[str, str]:
    """What a weights file says of the exponents of its weights."""
    return {_NAME: json.dumps(dict(islands.exponents), sort_keys=True)}


def read_exponents(path: Path) -> dict[str, int] | None:
    """The exponents that a weights file was made with; None if it does not say, as those of earlier versions.

    Raises:
        ModelDirectoryError: the file cannot be read, or says something else.
    """
    text = read_metadata(path).get(_NAME)
    if text is None:
        return None
    try:
        return {str(key): int(exponent) for key, exponent in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelDirectoryError(f"{path}: exponents that are none: {error}") from error
