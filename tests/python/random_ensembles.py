"""Random models of one vocabulary and of every other size, for tests of ensembles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nmt_trt.model_directory import write_model_directory
from nmt_trt.models.config import TransformerConfig
from random_models import random_config, random_weights

SOURCE_VOCABULARY, TARGET_VOCABULARY = 41, 37


def member_config(seed: int, **fixed: Any) -> TransformerConfig:
    """As random_config, with vocabularies that do not depend on the seed; `fixed` pins fields of both stacks."""
    config = random_config(seed, shared_embeddings=False)
    stacks = {
        "encoder": config.encoder.model_copy(update={"vocab_size": SOURCE_VOCABULARY, **fixed}),
        "decoder": config.decoder.model_copy(update={"vocab_size": TARGET_VOCABULARY, **fixed}),
    }
    return config.model_copy(update=stacks)


def write_members(folder: Path, seeds: Sequence[int], **fixed: Any) -> list[Path]:
    """A model directory for each seed, named after it."""
    paths = [folder / str(seed) for seed in seeds]
    for path, seed in zip(paths, seeds, strict=True):
        config = member_config(seed, **fixed)
        write_model_directory(path, config, random_weights(config, seed), {})
    return paths
