"""What the random Hugging Face checkpoints of tests have in common: sizes of their layers, and lively weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def draw_heads(rng: np.random.Generator) -> tuple[int, tuple[int, int]]:
    """The size of a head, and how many the encoder's and the decoder's attentions have."""
    head_size = int(rng.choice([4, 8, 16]))
    return head_size, [(1, 2), (2, 4), (2, 2), (4, 1), (4, 4)][rng.integers(5)]


def draw_layers(rng: np.random.Generator, head_size: int, heads: tuple[int, int]) -> dict[str, Any]:
    """Configuration arguments of the layers, and whether embeddings are scaled."""
    return {
        "d_model": head_size * max(heads),
        "encoder_layers": int(rng.integers(1, 4)),
        "decoder_layers": int(rng.integers(1, 4)),
        "encoder_attention_heads": heads[0],
        "decoder_attention_heads": heads[1],
        "encoder_ffn_dim": int(rng.integers(8, 40)),
        "decoder_ffn_dim": int(rng.integers(8, 40)),
        "max_position_embeddings": 64,
        "activation_function": str(rng.choice(["swish", "silu", "relu", "gelu"])),
        "scale_embedding": bool(rng.integers(2)),
    }


def draw_weights(model: Any, generator: torch.Generator, *, positions: bool) -> None:
    """Fill a model's parameters with noise of a size that suits each; those of positions only if asked for."""
    scale = model.config.d_model**0.5 if model.config.scale_embedding else 1.0
    for name, parameter in model.named_parameters():
        if "embed_positions" in name and not positions:
            continue
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name and name.endswith("weight"):
            noise = 1.0 + 0.1 * noise
        elif name.endswith(".bias"):
            noise *= 0.05
        elif "embed_tokens" in name or "shared" in name:
            noise *= 2.0 / scale
        elif "embed_positions" in name or name == "lm_head.weight":
            noise *= 0.5
        else:
            noise *= parameter.shape[1] ** -0.5
        parameter.copy_(noise)
