"""Sentences as pairs of source ids and fp32's own translation of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmt_trt.errors import UsageError
from nmt_trt.model_directory import read_tokenizer_files
from nmt_trt.precision.comparison import Pair
from nmt_trt.runtime.inputs import source_rows
from nmt_trt.runtime.model import Model
from nmt_trt.text.pipeline import TextPipeline


def translated_pairs(
    directory: Path, lines: Sequence[str], *, source_language: str | None = None, target_language: str | None = None
) -> list[Pair]:
    """What a comparison runs for each line that is not empty: translated in fp32 on the CPU, with the model's defaults.

    Raises:
        UsageError: the model has no tokenizer, nothing is left of the lines, or one of them is too long for the model.
        ModelDirectoryError: not a complete model directory.
    """
    model = Model(directory, backend="onnxruntime", source_language=source_language, target_language=target_language)
    config = model.config
    if config.text is None:
        raise UsageError(f"{directory}: this model has no tokenizer, so it cannot be given text")
    pipeline = TextPipeline(config, read_tokenizer_files(directory, config))
    pipeline = pipeline.with_languages(source_language, target_language)
    sources = source_rows([pipeline.encode(line) for line in lines if line.strip()], config)
    if not sources:
        raise UsageError("no sentences to compare precisions on")
    start = [config.special_tokens.start]
    sequences = model.generate(sources).sequences
    return [
        Pair(source, np.concatenate([start, tokens]).astype(np.int32)[: config.decoder.max_positions])
        for source, tokens in zip(sources, sequences, strict=True)
    ]
