"""Small random Marian checkpoints for tests, made and saved with transformers, over its configuration options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, MarianConfig, MarianMTModel
from transformers.utils import logging

from random_layers import draw_heads, draw_layers, draw_weights

EOS = 0

logging.disable_progress_bar()


def random_marian_options(seed: int, **fixed: Any) -> dict[str, Any]:
    """MarianConfig arguments drawn from all its architecture options; `fixed` pins some.

    EOS is id 0; PAD, which is the start token too, the last id of both vocabularies, as in the OPUS-MT models.
    """
    rng = np.random.default_rng(seed)

    def flag() -> bool:
        return bool(rng.integers(2))

    head_size, heads = draw_heads(rng)
    shared = flag()
    vocabulary = int(rng.integers(24, 60))
    target_vocabulary = vocabulary if shared else int(rng.integers(24, 60))
    options: dict[str, Any] = {
        "vocab_size": vocabulary,
        "decoder_vocab_size": target_vocabulary,
        **draw_layers(rng, head_size, heads),
        "share_encoder_decoder_embeddings": shared,
        "tie_word_embeddings": shared or flag(),
        **fixed,
    }
    pad = min(options["vocab_size"], options["decoder_vocab_size"]) - 1
    return {"pad_token_id": pad, "decoder_start_token_id": pad, "eos_token_id": EOS, "bos_token_id": None} | options


def random_marian_model(seed: int, **fixed: Any) -> MarianMTModel:
    """A model in eval mode whose search is lively: tokens vary, and hypotheses end at various lengths.

    `fixed` pins arguments of MarianConfig.
    """
    model = MarianMTModel(MarianConfig(**random_marian_options(seed, **fixed))).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        draw_weights(model, generator, positions=False)
        _enliven_output(model, generator)
    return model


def _enliven_output(model: MarianMTModel, generator: torch.Generator) -> None:
    """Give logits a deviation of some 1 and no liking for the token that was just read; give EOS a fair chance.

    The table that makes the logits may be the embedding, so it is the decoder's last norm that is changed: gains of
    random signs undo the likeness of its input to that token, and their size makes that of the logits. EOS's row is
    small, so that its bias decides.
    """
    config = model.config
    bias = 0.5 * torch.randn(model.final_logits_bias.shape, generator=generator)
    bias[0, config.eos_token_id] = 2.5
    model.final_logits_bias.copy_(bias)
    last = model.model.decoder.layers[-1].final_layer_norm
    last.weight.copy_(torch.randn(last.weight.shape, generator=generator))
    table = model.lm_head.weight
    table[config.eos_token_id] *= 0.2
    deviation = ((table * last.weight).square().sum(dim=1) + (table * last.bias).square().sum(dim=1)).sqrt().mean()
    last.weight *= 1.0 / deviation
    last.bias *= 1.0 / deviation


def random_marian_sources(
    config: MarianConfig, count: int, longest: int, seed: int, shortest: int = 1
) -> list[np.ndarray]:
    """`count` encoder inputs, int32, of `shortest` to `longest` tokens and EOS."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(shortest, longest + 1, count)
    return [np.append(rng.integers(1, config.pad_token_id, size), EOS).astype(np.int32) for size in sizes]


def write_random_marian(path: Path, seed: int, **fixed: Any) -> MarianMTModel:
    """Save a random model as a checkpoint directory without tokenizers; returns it.

    Args:
        path: the directory to make.
        seed: of the options and of the weights.
        **fixed: arguments of MarianConfig to pin; also `generation`, a dictionary of GenerationConfig arguments that
            are added to the special tokens, and `saving`, one of arguments of save_pretrained.
    """
    generation = fixed.pop("generation", {})
    saving = fixed.pop("saving", {})
    model = random_marian_model(seed, **fixed)
    config = model.config
    model.generation_config = GenerationConfig(
        pad_token_id=config.pad_token_id,
        eos_token_id=config.eos_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
        **{"bad_words_ids": [[config.pad_token_id]], "num_beams": 4, "max_length": 40, **generation},
    )
    model.save_pretrained(path, **saving)
    return model


def edit_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON object in a file; the value ... takes one away."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content = {key: value for key, value in {**content, **changes}.items() if value is not ...}
    path.write_text(json.dumps(content), encoding="utf-8")
