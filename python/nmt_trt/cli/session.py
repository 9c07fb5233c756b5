"""Opens the model that a command asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmt_trt import Model, load
from nmt_trt.cli.console import notice, working
from nmt_trt.cli.options import RuntimeFlags
from nmt_trt.options import make_options


def open_model(directory: Path | None, options: Mapping[str, Any], runtime: RuntimeFlags) -> Model:
    """The model of a directory, or the bundled one, once the generation options are known to suit it.

    Raises:
        UsageError: an option that cannot be used; those that do not depend on the model before it is loaded.
        ModelDirectoryError, BackendError: see Model.
    """
    chosen = make_options(**options)
    with working("loading the model", quiet=runtime.quiet):
        model = load(
            directory,
            backend=runtime.backend,
            threads=runtime.threads,
            source_language=runtime.source_language,
            target_language=runtime.target_language,
        )
    chosen.resolve(model.config)
    notice(f"backend: {model.backend}", quiet=runtime.quiet)
    return model
