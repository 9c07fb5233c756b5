"""Random models for the GPU, and comparisons of what they generate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nmt_trt.export.graph import PRECISIONS
from nmt_trt.model_directory import export_graphs, write_model_directory
from nmt_trt.models.config import TransformerConfig
from nmt_trt.results import Hypothesis
from random_models import EOS, random_config, random_weights

NEAR_TIE = 1e-5
SCORE_TOLERANCE = 1e-4
"""Relative, for scores of the same tokens summed in another order."""


def write_model(
    path: Path, seed: int, *, low_precisions: tuple[str, ...] = (), endless: bool = False, **fixed: Any
) -> TransformerConfig:
    """A random model directory; an `endless` one never generates EOS of its own accord."""
    config = random_config(seed, **fixed)
    weights = random_weights(config, seed)
    if endless:
        weights["output.bias"][EOS] = -100.0
    write_model_directory(path, config, weights, {})
    for name in low_precisions:
        export_graphs(path, config, PRECISIONS[name])
    return config


def assert_equal(found: list[Hypothesis], wanted: list[Hypothesis]) -> None:
    """The same hypotheses in the same order, but for those whose scores are a near-tie."""
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        scale = max(1.0, abs(other.score))
        if one.tokens.tolist() == other.tokens.tolist():
            assert abs(one.score - other.score) < SCORE_TOLERANCE * scale
            assert abs(one.log_prob - other.log_prob) < SCORE_TOLERANCE * max(1.0, abs(other.log_prob))
        else:
            assert abs(one.score - other.score) < NEAR_TIE * scale, (one, other)


def tokens(hypotheses: list[list[Hypothesis]]) -> list[list[int]]:
    """The best tokens of each sentence."""
    return [sentence[0].tokens.tolist() for sentence in hypotheses]
