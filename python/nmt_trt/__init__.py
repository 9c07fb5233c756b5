"""Transformer translation models, fast and faithful: see README.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from nmt_trt._core import __version__
from nmt_trt.build import build
from nmt_trt.demo import demo_directory
from nmt_trt.errors import Error
from nmt_trt.options import GenerationKeywords, GenerationOptions
from nmt_trt.results import GenerationResult, Hypothesis, TargetScore, Timings
from nmt_trt.runtime.engine_options import EngineKeywords, EngineOptions
from nmt_trt.runtime.inputs import SourceIds
from nmt_trt.runtime.model import Model

__all__ = [
    "EngineOptions",
    "Error",
    "GenerationOptions",
    "GenerationResult",
    "Hypothesis",
    "Model",
    "TargetScore",
    "Timings",
    "__version__",
    "build",
    "generate",
    "load",
]

_demo: Model | None = None


def load(
    directory: str | Path | None = None,
    *,
    ensemble: Sequence[str | Path] = (),
    backend: str = "auto",
    threads: int | None = None,
    source_language: str | None = None,
    target_language: str | None = None,
    text_workers: int = 0,
    **engine: Unpack[EngineKeywords],
) -> Model:
    """Open a model directory, or the bundled English-German demo model when none is given.

    Args and errors: see Model and EngineOptions.
    """
    return Model(
        demo_directory() if directory is None else directory,
        ensemble=ensemble,
        backend=backend,
        threads=threads,
        source_language=source_language,
        target_language=target_language,
        text_workers=text_workers,
        **engine,
    )


def generate(
    src_ids: SourceIds, *, model: Model | None = None, **options: Unpack[GenerationKeywords]
) -> GenerationResult:
    """`Model.generate` of `model`, or of the bundled demo model, which the first call loads.

    Raises:
        UsageError: an option or an id that cannot be used.
    """
    global _demo
    if model is None:
        model = _demo = _demo or load()
    return model.generate(src_ids, **options)
