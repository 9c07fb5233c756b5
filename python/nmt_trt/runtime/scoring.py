"""Scores translations that are given: they are forced token by token, and the search keeps the model's scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nmt_trt.errors import BackendError, UsageError
from nmt_trt.models.config import TransformerConfig
from nmt_trt.options import BatchType, ResolvedOptions, make_options
from nmt_trt.results import GenerationResult, TargetScore
from nmt_trt.runtime.inputs import Row


def scoring_options(
    config: TransformerConfig, *, batch_size: int | None, batch_type: BatchType, deterministic: bool
) -> ResolvedOptions:
    """Options with which a target prefix that ends with EOS is all that is generated.

    Raises:
        UsageError: a batch size or type that cannot be used.
    """
    return make_options(
        policy="gnmt",
        beam_size=1,
        length_penalty=0.0,
        max_length_delta=-1,
        token_scores=True,
        batch_size=batch_size,
        batch_type=batch_type,
        deterministic=deterministic,
    ).resolve(config)


def ended_targets(name: str, targets: Sequence[Row], config: TransformerConfig) -> list[Row]:
    """The targets with EOS at their end.

    Raises:
        UsageError: one is longer than the decoder's positions.
    """
    eos, limit = config.special_tokens.eos, config.decoder.max_positions
    ended = [row if row.size and row[-1] == eos else np.append(row, np.int32(eos)) for row in targets]
    for index, row in enumerate(ended):
        if row.size > limit:
            raise UsageError(f"{name}[{index}] has {row.size} tokens, EOS included; the model's limit is {limit}")
    return ended


def target_scores(targets: Sequence[Row], result: GenerationResult) -> list[TargetScore]:
    """What the search found for targets that it was forced to.

    Raises:
        BackendError: the model gives a token no probability at all.
    """
    scores = []
    for index, (target, (found, *_)) in enumerate(zip(targets, result.hypotheses, strict=True)):
        if found.token_scores is None or found.token_scores.size != target.size:
            raise BackendError(f"the model holds a token of translation {index} for impossible")
        scores.append(TargetScore(target[:-1], found.token_scores, found.log_prob))
    return scores
