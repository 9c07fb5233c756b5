"""Opens the model that a command asks for."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmt_trt import Model, load
from nmt_trt.cli.console import can_show_progress, notice, working
from nmt_trt.cli.options import RuntimeFlags
from nmt_trt.engines.tensorrt_log import TENSORRT_LOG
from nmt_trt.options import make_options


def open_model(
    directory: Path | None, options: Mapping[str, Any], runtime: RuntimeFlags, *, text_workers: int = 0
) -> Model:
    """The model of a directory, or the bundled one, once the generation options are known to suit it.

    Raises:
        UsageError: an option that cannot be used; those that do not depend on the model before it is loaded.
        ModelDirectoryError, BackendError: see Model.
    """
    chosen = make_options(**options)
    _LOG_LINES.show(quiet=runtime.quiet)
    with working("loading the model", quiet=runtime.quiet):
        model = load(
            directory,
            ensemble=runtime.ensemble or (),
            backend=runtime.backend,
            threads=runtime.threads,
            source_language=runtime.source_language,
            target_language=runtime.target_language,
            text_workers=text_workers,
            **runtime.engine_keywords(),
        )
    chosen.resolve(model.config)
    notice(f"backend: {model.backend}", quiet=runtime.quiet)
    return model


class _LogLines(logging.Handler):
    """What the package logs, a line each on stderr: warnings, and to a terminal also what it is busy with."""

    def show(self, *, quiet: bool) -> None:
        """Begin to print."""
        logger = logging.getLogger("nmt_trt")
        logger.addHandler(self)
        if can_show_progress(quiet=quiet):
            logger.setLevel(logging.INFO)
        else:
            self.setLevel(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record; TensorRT's own are for those who ask for them, and its errors are raised."""
        if record.name == TENSORRT_LOG:
            return
        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        print(prefix + record.getMessage(), file=sys.stderr)


_LOG_LINES = _LogLines()
