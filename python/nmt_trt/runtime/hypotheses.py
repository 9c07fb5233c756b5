"""Hypotheses as the C++ searches return them, and as users get them."""

from __future__ import annotations

from collections.abc import Sequence

from nmt_trt import _core
from nmt_trt.options import ResolvedOptions
from nmt_trt.results import Hypothesis


def hypotheses_of(found: Sequence[Sequence[_core.Hypothesis]], options: ResolvedOptions) -> list[list[Hypothesis]]:
    """Those of each sentence, with `token_scores` if the options ask for them."""
    return [
        [Hypothesis(h.tokens, h.score, h.log_prob, h.token_scores if options.token_scores else None) for h in sentence]
        for sentence in found
    ]
