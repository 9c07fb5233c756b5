"""Hypotheses as the C++ searches return them, and as users get them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from nmt_trt import _core
from nmt_trt.options import ResolvedOptions
from nmt_trt.results import Hypothesis
from nmt_trt.text.pipeline import TextPipeline


def hypotheses_of(
    found: Sequence[Sequence[_core.Hypothesis]], options: ResolvedOptions, lengths: Iterable[int]
) -> list[list[Hypothesis]]:
    """Those of each sentence, with `token_scores` and `attention` if the options need them.

    `lengths`: how many tokens each source has.
    """

    def taken(h: _core.Hypothesis, length: int) -> Hypothesis:
        scores = h.token_scores if options.token_scores else None
        attention = h.attention(length) if options.gives_attention else None
        return Hypothesis(h.tokens, h.score, h.log_prob, scores, attention)

    return [[taken(h, int(length)) for h in sentence] for sentence, length in zip(found, lengths, strict=True)]


def decoded(
    hypothesis: Hypothesis, text: str, pipeline: TextPipeline, options: ResolvedOptions
) -> tuple[str, Hypothesis]:
    """A translation of `text` and its hypothesis, which keeps its attention only if the options ask for that."""
    if not options.replace_unknowns or hypothesis.attention is None:
        return pipeline.decode(hypothesis.tokens), hypothesis
    translation = pipeline.decode_replacing(hypothesis.tokens, hypothesis.attention, text)
    return translation, hypothesis if options.attention else replace(hypothesis, attention=None)


def empty_hypothesis(options: ResolvedOptions) -> Hypothesis:
    """The translation of nothing, with what the options ask for."""
    scores = np.empty(0, dtype=np.float32) if options.token_scores else None
    attention = np.empty((0, 0), dtype=np.float32) if options.attention else None
    return Hypothesis(np.empty(0, dtype=np.int32), 0.0, 0.0, scores, attention)
