"""Random models for the GPU, and comparisons of what they generate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nmt_trt.export.graph import PRECISIONS
from nmt_trt.model_directory import export_graphs, write_model_directory
from nmt_trt.models.config import StackConfig, TransformerConfig
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


NATIVE_STACKS: list[dict[str, Any]] = [
    {"hidden_size": 64, "inner_size": 256, "num_heads": 4},
    {"hidden_size": 32, "inner_size": 64, "num_heads": 2, "activation": "gelu", "pre_norm": True, "final_norm": True},
    {"hidden_size": 128, "inner_size": 512, "num_heads": 2, "activation": "swish", "pre_norm": True},
    {"hidden_size": 96, "inner_size": 160, "num_heads": 3, "embedding_norm": False, "scale_embeddings": True},
    {"hidden_size": 64, "inner_size": 32, "num_heads": 8, "activation": "gelu", "learned_positions": True},
    {"hidden_size": 256, "inner_size": 1024, "num_heads": 4, "activation": "swish", "final_norm": True},
    {"hidden_size": 1024, "inner_size": 4096, "num_heads": 16, "num_layers": 1, "pre_norm": True, "final_norm": True},
]
"""Of models whose decoders run on the package's own kernels in fp16 and bf16."""


def write_native_model(path: Path, kind: int, *precisions: str, endless: bool = False) -> TransformerConfig:
    """A random model of one of NATIVE_STACKS; tables are shared and tied in turn."""
    stack = StackConfig(**{"num_layers": 2, "vocab_size": 50, "max_positions": 64, **NATIVE_STACKS[kind]})
    fixed: dict[str, Any] = {
        "encoder": stack,
        "decoder": stack,
        "shared_embeddings": kind % 2 == 0,
        "tied_output": kind % 3 != 0,
    }
    return write_model(path, kind, low_precisions=precisions, endless=endless, **fixed)


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


def bits(hypotheses: list[Hypothesis]) -> list[tuple[list[int], bytes, bytes]]:
    """The tokens and the exact scores of a sentence's hypotheses."""
    return [(h.tokens.tolist(), np.float32(h.score).tobytes(), np.float32(h.log_prob).tobytes()) for h in hypotheses]


def tokens(hypotheses: list[list[Hypothesis]]) -> list[list[int]]:
    """The best tokens of each sentence."""
    return [sentence[0].tokens.tolist() for sentence in hypotheses]
