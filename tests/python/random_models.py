"""Small random models for tests: configurations over every architecture option, and weights for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from nmt_trt.model_directory import write_model_directory
from nmt_trt.models.config import SourceTokens, SpecialTokens, StackConfig, TransformerConfig
from nmt_trt.models.positions import sinusoidal_positions
from nmt_trt.models.weights import weight_shapes

PAD, BOS, EOS = 0, 2, 3


def random_config(seed: int, **fixed: Any) -> TransformerConfig:
    """A configuration drawn from all architecture options; `fixed` pins TransformerConfig fields."""
    rng = np.random.default_rng(seed)

    def flag() -> bool:
        return bool(rng.integers(2))

    head_size, heads = int(rng.choice([4, 8, 16])), int(rng.choice([1, 2, 4]))
    shared = flag()
    source_vocabulary = int(rng.integers(20, 60))
    target_vocabulary = source_vocabulary if shared else int(rng.integers(20, 60))

    extra = np.random.default_rng([seed, 1])  # of its own, so that the other options keep their values

    def activation(smooth: bool) -> Literal["relu", "gelu", "swish"]:
        return "swish" if not extra.integers(3) else "gelu" if smooth else "relu"

    def stack(vocabulary: int) -> StackConfig:
        pre_norm = flag()
        return StackConfig(
            hidden_size=head_size * heads,
            num_layers=int(rng.integers(1, 4)),
            inner_size=int(rng.integers(8, 40)),
            num_heads=heads,
            vocab_size=vocabulary,
            max_positions=64,
            learned_positions=flag(),
            activation=activation(flag()),
            pre_norm=pre_norm,
            final_norm=pre_norm and flag(),
            embedding_norm=bool(extra.integers(3)),
            scale_embeddings=not extra.integers(3),
        )

    fields: dict[str, Any] = {
        "encoder": stack(source_vocabulary),
        "decoder": stack(target_vocabulary),
        "special_tokens": SpecialTokens(pad=PAD, eos=EOS, start=BOS),
        "source_tokens": SourceTokens(pad=PAD, bos=BOS, eos=EOS),
        "causal_encoder": flag(),
        "shared_embeddings": shared,
        "tied_output": flag(),
    }
    return TransformerConfig(**{**fields, **fixed})


def random_weights(config: TransformerConfig, seed: int) -> dict[str, np.ndarray]:
    """Weights large enough that different inputs give clearly different outputs."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in weight_shapes(config).items():
        if name.endswith("position.weight"):
            stack = config.encoder if name.startswith("encoder") else config.decoder
            table = rng.standard_normal(shape) if stack.learned_positions else sinusoidal_positions(*shape)
            weights[name] = table.astype(np.float32)
            continue
        noise = rng.standard_normal(shape)
        if "norm.weight" in name:
            values = 1.0 + 0.1 * noise
        elif name.endswith(".bias"):
            values = 0.1 * noise
        elif "embedding" in name or name == "output.weight":
            values = 0.5 * noise
        else:
            values = noise / np.sqrt(shape[1])
        weights[name] = values.astype(np.float32)
    return weights


def write_random_model(path: Path, seed: int, **fixed: Any) -> TransformerConfig:
    """A whole model directory without tokenizers; returns its configuration."""
    config = random_config(seed, **fixed)
    write_model_directory(path, config, random_weights(config, seed), {})
    return config


def random_sources(config: TransformerConfig, count: int, longest: int, seed: int) -> list[np.ndarray]:
    """`count` encoder inputs of 1 to `longest` tokens between BOS and EOS."""
    rng = np.random.default_rng(seed)
    return [
        np.concatenate([[BOS], rng.integers(4, config.encoder.vocab_size, rng.integers(1, longest + 1)), [EOS]]).astype(
            np.int32
        )
        for _ in range(count)
    ]
