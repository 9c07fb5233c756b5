"""Imports of third-party packages where they are first needed; the error says how to install them."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType

from nmt_trt.errors import MissingDependencyError


def require(module: str, needed_for: str, extra: str | None = None) -> ModuleType:
    """Import a package; warnings of its import are its own affair and are silenced.

    Args:
        module: what to import.
        needed_for: what needs it, for the error.
        extra: the extra of nmt_trt that brings it; None for a plain dependency.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ImportError as error:
        wanted = f"nmt_trt[{extra}]" if extra else "nmt_trt"
        raise MissingDependencyError(
            f"{needed_for} needs {module}, which cannot be imported ({error}): pip install '{wanted}'"
        ) from error
