"""A model directory's network as a model of Hugging Face transformers, and its generate().

transformers has no class for every model that a directory can hold, but its BART and mBART, which are post-norm and
pre-norm and otherwise alike, have every part: a LayerNorm behind the embedding, tables of any positions, an output
bias. Each side is taken from the one that fits, with an identity for a norm that the model does not have. The output
bias of PAD is lowered so far that it is never generated, as this package's default search never does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import GenerationConfig, MBartConfig, MBartForConditionalGeneration
from transformers.activations import ACT2FN
from transformers.models.bart.modeling_bart import BartDecoder, BartEncoder
from transformers.models.mbart.modeling_mbart import MBartLearnedPositionalEmbedding, MBartScaledWordEmbedding

from nmt_trt.errors import UnsupportedModelError
from nmt_trt.model_directory import read_config, read_weights
from nmt_trt.models.config import StackConfig, TransformerConfig
from nmt_trt.models.huggingface_weights import tensor_names
from nmt_trt.models.weights import output_table, token_table

NEVER = -10000.0
"""The output bias of PAD; representable in fp16."""
_POST_NORM = {"encoder": BartEncoder, "decoder": BartDecoder}
_POSITION_OFFSET = 2
"""Rows of BART's position tables before the first position's."""


class HuggingFaceTranslator:
    """transformers' generate(), eager, with its own beam search and caches."""

    def __init__(self, directory: Path, device: str, dtype: torch.dtype) -> None:
        self.config = read_config(directory)
        self._device = device
        self._model = huggingface_model(self.config, read_weights(directory)).to(device, dtype)

    @torch.inference_mode()
    def translate(
        self, rows: Sequence[npt.NDArray[np.int32]], *, beam_size: int, length_penalty: float, max_length: int
    ) -> list[list[int]]:
        """The best hypotheses of one batch of at most `max_length` tokens, EOS counted, without special tokens."""
        tokens = self.config.special_tokens
        ids = nn.utils.rnn.pad_sequence(
            [torch.from_numpy(row).long() for row in rows],
            batch_first=True,
            padding_value=self.config.source_tokens.pad,
        ).to(self._device)
        lengths = torch.tensor([row.size for row in rows], device=self._device)
        mask = torch.arange(ids.shape[1], device=self._device) < lengths[:, None]
        found = self._model.generate(
            ids,
            attention_mask=mask.long(),
            generation_config=GenerationConfig(
                num_beams=beam_size,
                length_penalty=length_penalty,
                max_new_tokens=max_length,
                pad_token_id=tokens.pad,
                eos_token_id=tokens.eos,
                decoder_start_token_id=tokens.start,
            ),
        )
        ends = (tokens.pad, tokens.eos)
        return [[token for token in row if token not in ends] for row in found[:, 1:].tolist()]


def huggingface_model(config: TransformerConfig, weights: Mapping[str, npt.NDArray[np.float32]]) -> Any:
    """The network with canonical weights, float32 on the CPU, in eval mode.

    Raises:
        UnsupportedModelError: a causal encoder, or a final norm behind post-norm layers, which no class has.
    """
    stacks = {"encoder": config.encoder, "decoder": config.decoder}
    if config.causal_encoder or any(stack.final_norm and not stack.pre_norm for stack in stacks.values()):
        raise UnsupportedModelError("transformers has no BART with a causal encoder, or with a final norm if post-norm")
    with torch.device("meta"):  # no time is spent on an initialisation that is overwritten
        model = MBartForConditionalGeneration(_configuration(config))
        for side, stack in stacks.items():
            _fit(model.model, side, stack)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = config.norm_epsilon
    model.load_state_dict(_state(config, weights), assign=True)
    return model.requires_grad_(False).eval()


def _configuration(config: TransformerConfig) -> MBartConfig:
    sizes: dict[str, int] = {}
    for side, stack in (("encoder", config.encoder), ("decoder", config.decoder)):
        sizes |= {
            f"{side}_layers": stack.num_layers,
            f"{side}_attention_heads": stack.num_heads,
            f"{side}_ffn_dim": stack.inner_size,
        }
    tokens = config.special_tokens
    return MBartConfig(
        vocab_size=config.decoder.vocab_size,
        d_model=config.decoder.hidden_size,
        max_position_embeddings=config.decoder.max_positions,
        tie_word_embeddings=False,
        pad_token_id=tokens.pad,
        bos_token_id=tokens.start,
        eos_token_id=tokens.eos,
        decoder_start_token_id=tokens.start,
        forced_eos_token_id=None,
        **sizes,
    )


def _fit(model: Any, side: str, stack: StackConfig) -> None:
    """Make a side what `stack` says beyond its sizes."""
    if not stack.pre_norm:
        setattr(model, side, _POST_NORM[side](model.config))
    part = getattr(model, side)
    hidden, pad = stack.hidden_size, model.config.pad_token_id
    scale = hidden**0.5 if stack.scale_embeddings else 1.0
    part.embed_tokens = MBartScaledWordEmbedding(stack.vocab_size, hidden, pad, embed_scale=scale)
    part.embed_positions = MBartLearnedPositionalEmbedding(stack.max_positions, hidden)
    if not stack.embedding_norm:
        part.layernorm_embedding = nn.Identity()
    if stack.pre_norm and not stack.final_norm:
        part.layer_norm = nn.Identity()
    for layer in part.layers:
        layer.activation_fn = ACT2FN[stack.activation]


def _state(config: TransformerConfig, weights: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, Tensor]:
    """The tensors by transformers' names, each table under all of its names."""
    state: dict[str, Tensor] = {}
    for name, array in weights.items():
        parts = tensor_names(name)
        state.update(zip(parts, torch.from_numpy(array).chunk(len(parts)), strict=True))
    for name in tensor_names("encoder.embedding.position.weight") + tensor_names("decoder.embedding.position.weight"):
        state[name] = nn.functional.pad(state[name], (0, 0, _POSITION_OFFSET, 0))
    target = torch.from_numpy(weights[token_table(config, "decoder")])
    state["model.shared.weight"] = target
    state.update(dict.fromkeys(tensor_names("decoder.embedding.token.weight"), target))
    output = torch.from_numpy(weights[output_table(config)])
    state.update(dict.fromkeys(tensor_names("output.weight"), output))
    (bias,) = tensor_names("output.bias")
    state[bias] = state[bias].clone()[None]
    state[bias][0, config.special_tokens.pad] = NEVER
    return state
