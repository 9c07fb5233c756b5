"""The demo model's shape, its training objective and its schedule."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from batches import BOS, EOS, PAD
from nmt_trt.models.config import (
    GenerationDefaults,
    SourceTokens,
    SpecialTokens,
    StackConfig,
    TextConfig,
    TokenizerConfig,
    TransformerConfig,
)

LABEL_SMOOTHING = 0.1
PEAK_RATE = 2e-3
WARM_UP = 0.04
"""Fraction of the run in which the learning rate rises."""
FINAL_RATE = 0.01
"""Last learning rate, relative to the peak."""


def demo_config(
    vocabulary: int, hidden: int, heads: int, inner: int, encoder_layers: int, decoder_layers: int
) -> TransformerConfig:
    """Return the demo's configuration: pre-norm, sinusoidal positions, one table for both sides and the output."""
    encoder = StackConfig(
        hidden_size=hidden,
        num_layers=encoder_layers,
        inner_size=inner,
        num_heads=heads,
        vocab_size=vocabulary,
        max_positions=512,
        pre_norm=True,
        final_norm=True,
    )
    tokenizer = TokenizerConfig(kind="sentencepiece", file="spm.model")
    return TransformerConfig(
        encoder=encoder,
        decoder=encoder.model_copy(update={"num_layers": decoder_layers}),
        special_tokens=SpecialTokens(pad=PAD, eos=EOS, start=BOS),
        source_tokens=SourceTokens(pad=PAD, bos=BOS, eos=EOS),
        shared_embeddings=True,
        generation=GenerationDefaults(beam_size=4, length_penalty=0.6, max_length_delta=50),
        text=TextConfig(
            source_language="en", target_language="de", source_tokenizer=tokenizer, target_tokenizer=tokenizer
        ),
    )


def learning_rate(fraction: float) -> float:
    """Linear warm-up, then a cosine down to FINAL_RATE, as a function of the fraction of the run that is over."""
    if fraction < WARM_UP:
        return PEAK_RATE * max(fraction, 1e-4) / WARM_UP
    progress = min(1.0, (fraction - WARM_UP) / (1.0 - WARM_UP))
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    return PEAK_RATE * (FINAL_RATE + (1.0 - FINAL_RATE) * cosine)


def smoothed_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean label-smoothed cross-entropy of the real tokens; logits [B,T,V], labels [B,T]."""
    return functional.cross_entropy(
        logits.flatten(0, 1).float(),
        labels.flatten(),
        ignore_index=PAD,
        label_smoothing=LABEL_SMOOTHING,
    )


def agreement_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean symmetric KL divergence between the two halves of a doubled batch (R-Drop, arXiv:2106.14448)."""
    first, second = (half.log_softmax(-1) for half in logits.float().chunk(2))
    divergence = ((first.exp() - second.exp()) * (first - second)).sum(-1) / 2
    real = labels[: len(first)] != PAD
    return torch.where(real, divergence, 0.0).sum() / real.sum()
