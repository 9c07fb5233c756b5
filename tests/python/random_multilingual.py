"""Small random M2M100 and mBART checkpoints for tests, made and saved with transformers, over their options."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    M2M100Config,
    M2M100ForConditionalGeneration,
    MBartConfig,
    MBartForConditionalGeneration,
)

from random_layers import draw_heads, draw_layers, draw_weights

PAD, EOS = 1, 2
FAMILIES = ("m2m_100", "mbart")
_CLASSES: dict[str, tuple[Any, Any]] = {
    "m2m_100": (M2M100Config, M2M100ForConditionalGeneration),
    "mbart": (MBartConfig, MBartForConditionalGeneration),
}


def random_options(seed: int, **fixed: Any) -> dict[str, Any]:
    """Configuration arguments drawn from all architecture options; `fixed` pins some. Ids are fairseq's."""
    rng = np.random.default_rng(seed)

    def flag() -> bool:
        return bool(rng.integers(2))

    head_size, heads = draw_heads(rng)
    return {
        "vocab_size": int(rng.integers(24, 60)),
        **draw_layers(rng, head_size, heads),
        "tie_word_embeddings": flag(),
        "encoder_layerdrop": 0.5,
        "decoder_layerdrop": 0.5,
        "pad_token_id": PAD,
        "bos_token_id": 0,
        "eos_token_id": EOS,
        "decoder_start_token_id": EOS,
        **fixed,
    }


def random_multilingual_model(family: str, seed: int, **fixed: Any) -> Any:
    """A model in eval mode whose search is lively: tokens vary, and hypotheses end at various lengths.

    PAD is never likely: in M2M100's decoder transformers gives it no position, and we do.
    """
    configuration, architecture = _CLASSES[family]
    model = architecture(configuration(**random_options(seed, **fixed))).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        draw_weights(model, generator, positions=True)
        _enliven_output(model, generator)
    return model


def _enliven_output(model: Any, generator: torch.Generator) -> None:
    """Give logits a deviation of some 1, EOS a fair chance, and PAD none; see random_marian."""
    norm, table = model.model.decoder.layer_norm, model.lm_head.weight
    norm.weight.copy_(torch.randn(norm.weight.shape, generator=generator))
    norm.bias.copy_(torch.randn(norm.bias.shape, generator=generator))
    deviation = (table * norm.weight).square().sum(dim=1).sqrt().mean()
    norm.weight *= 1.0 / deviation
    norm.bias *= 1.0 / deviation
    length = norm.bias.square().sum()
    likely = math.sqrt(2 * math.log(len(table)))  # about the largest of all the others
    for token, logit in ((EOS, likely), (PAD, -8.0)):  # what the norm's bias alone makes of its row
        table[token] *= 0.2
        table[token] += norm.bias * (logit - table[token] @ norm.bias) / length
    if hasattr(model, "final_logits_bias"):
        model.final_logits_bias.copy_(0.5 * torch.randn(model.final_logits_bias.shape, generator=generator))
        model.final_logits_bias[0, EOS], model.final_logits_bias[0, PAD] = 0.0, -8.0


def random_multilingual_sources(vocabulary: int, count: int, longest: int, seed: int) -> list[np.ndarray]:
    """`count` encoder inputs, int32, of 1 to `longest` tokens and EOS."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, longest + 1, count)
    return [np.append(rng.integers(EOS + 1, vocabulary, size), EOS).astype(np.int32) for size in sizes]


def write_random_multilingual(path: Path, family: str, seed: int, **fixed: Any) -> Any:
    """Save a random model as a checkpoint directory without tokenizers; returns it.

    Args:
        path: the directory to make.
        family: one of FAMILIES.
        seed: of the options and of the weights.
        **fixed: arguments of the configuration to pin; also `generation`, a dictionary of GenerationConfig arguments
            that are added to the special tokens.
    """
    generation = fixed.pop("generation", {})
    model = random_multilingual_model(family, seed, **fixed)
    config = model.config
    model.generation_config = GenerationConfig(
        pad_token_id=config.pad_token_id,
        eos_token_id=config.eos_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
        **{"max_length": 40, **generation},
    )
    model.save_pretrained(path)
    return model
