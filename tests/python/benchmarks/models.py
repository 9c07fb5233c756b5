"""A small random model whose sentences end at many lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nmt_trt.model_directory import write_model_directory
from nmt_trt.models.config import StackConfig, TransformerConfig
from random_models import random_config, random_weights


def write_ending_model(path: Path, seed: int, *, of_nemo: bool = True, **fixed: Any) -> TransformerConfig:
    """A model directory in which EOS is likely enough to end most sentences before their limit.

    Args:
        path: the directory to make.
        seed: of the configuration and the weights.
        of_nemo: whether the model has only what NeMo's models have.
        **fixed: fields of the configuration to pin.
    """
    config = random_config(seed, **fixed)
    if of_nemo:
        sides = {"encoder": nemo_stack(config.encoder), "decoder": nemo_stack(config.decoder)}
        config = config.model_copy(update=sides)
    weights = random_weights(config, seed)
    bias = weights["output.bias"] = np.array(weights["output.bias"])
    bias[config.special_tokens.eos] += 3.0
    write_model_directory(path, config, weights, {})
    return config


def nemo_stack(stack: StackConfig) -> StackConfig:
    """The stack with a norm of unscaled embeddings, and without swish."""
    activation = "relu" if stack.activation == "swish" else stack.activation
    return stack.model_copy(update={"activation": activation, "embedding_norm": True, "scale_embeddings": False})
