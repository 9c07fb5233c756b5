"""A small random model whose sentences end at many lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nmt_trt.model_directory import write_model_directory
from nmt_trt.models.config import TransformerConfig
from random_models import random_config, random_weights


def write_ending_model(path: Path, seed: int, **fixed: Any) -> TransformerConfig:
    """A model directory in which EOS is likely enough to end most sentences before their limit."""
    config = random_config(seed, **fixed)
    weights = random_weights(config, seed)
    bias = weights["output.bias"] = np.array(weights["output.bias"])
    bias[config.special_tokens.eos] += 3.0
    write_model_directory(path, config, weights, {})
    return config
