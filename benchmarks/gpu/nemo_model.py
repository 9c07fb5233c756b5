"""The real NeMo 1.23 modules and beam search with a model directory's weights, on any device and in any type.

NeMo's sources are fetched by tools/fetch_nemo.py; see tests/python/nemo_reference/loader.py.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

import locations  # noqa: F401  (makes nemo_reference importable)
from nemo_reference.loader import nemo_classes
from nemo_reference.modules import Architecture, NemoModel
from nmt_trt.model_directory import read_config, read_weights
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.nemo_weights import nemo_names


@dataclass(frozen=True)
class Taken:
    """One batch's times and result.

    Attributes:
        encoder, generator: seconds, the device synchronised after each.
        steps: decoder steps that the search made.
        tokens: the best hypotheses as NeMo returns them, BOS first, int64 [B,T].
    """

    encoder: float
    generator: float
    steps: int
    tokens: Tensor


class NemoTranslator:
    """NeMo's encoder, decoder with its mems, and BeamSearchSequenceGenerator."""

    def __init__(self, directory: Path, device: str, dtype: torch.dtype) -> None:
        self.config = read_config(directory)
        self._device = device
        self._model = nemo_model(self.config, read_weights(directory)).to(device, dtype)

    @torch.no_grad()
    def translate(
        self,
        rows: Sequence[npt.NDArray[np.int32]],
        *,
        beam_size: int,
        length_penalty: float,
        max_length_delta: int,
        max_length: int | None = None,
    ) -> Taken:
        """One batch; the search makes at most padded source length + `max_length_delta` tokens, and `max_length`."""
        model, tokens = self._model, self.config.special_tokens
        search = nemo_classes().beam_search(
            embedding=model.decoder._embedding,
            decoder=model.decoder._decoder,
            log_softmax=model.log_softmax,
            max_sequence_length=max_length or self.config.decoder.max_positions,
            beam_size=beam_size,
            bos=tokens.start,
            pad=tokens.pad,
            eos=tokens.eos,
            len_pen=length_penalty,
            max_delta_length=max_length_delta,
        )
        started = self._now()
        ids, pad = [torch.from_numpy(row).long() for row in rows], self.config.source_tokens.pad
        source = nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=pad).to(self._device)
        states = model.encode(source)
        encoded = self._now()
        found = search(encoder_hidden_states=states, encoder_input_mask=model.source_mask(source)).cpu()
        finished = self._now()
        return Taken(encoded - started, finished - encoded, found.shape[1] - 1, found)

    def _now(self) -> float:
        if self._device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()


def nemo_model(config: TransformerConfig, weights: Mapping[str, npt.NDArray[np.float32]]) -> NemoModel:
    """NeMo's modules, float32 on the CPU, with canonical weights.

    Raises:
        ValueError: the encoder and the decoder differ in what NemoModel has only one option for.
        RuntimeError: NeMo's sources have not been fetched.
    """
    encoder, decoder = config.encoder, config.decoder
    shared = (
        "max_positions",
        "learned_positions",
        "activation",
        "pre_norm",
        "final_norm",
        "num_heads",
        "embedding_norm",
        "scale_embeddings",
    )
    differing = [name for name in shared if getattr(encoder, name) != getattr(decoder, name)]
    if differing:
        raise ValueError(f"encoder and decoder must have the same {', '.join(differing)}")
    if decoder.activation == "swish" or not decoder.embedding_norm or decoder.scale_embeddings:
        raise ValueError("NeMo has no swish, and always a norm of its embeddings, which it never scales")
    tokens = config.special_tokens
    model = NemoModel(
        Architecture(
            hidden_size=decoder.hidden_size,
            num_attention_heads=decoder.num_heads,
            encoder_layers=encoder.num_layers,
            decoder_layers=decoder.num_layers,
            encoder_inner_size=encoder.inner_size,
            decoder_inner_size=decoder.inner_size,
            source_vocab_size=encoder.vocab_size,
            target_vocab_size=decoder.vocab_size,
            max_sequence_length=decoder.max_positions,
            pre_ln=decoder.pre_norm,
            pre_ln_final_layer_norm=decoder.final_norm,
            learn_positional_encodings=decoder.learned_positions,
            hidden_act=decoder.activation,
            mask_future=config.causal_encoder,
            shared_embeddings=config.shared_embeddings,
            tied_output=config.tied_output,
            special_tokens=(1, tokens.pad, tokens.start, tokens.eos),
        )
    )
    state: dict[str, Tensor] = {}
    for name, array in weights.items():
        parts = nemo_names(name, learned_positions=decoder.learned_positions)
        state.update(zip(parts, torch.from_numpy(array).chunk(len(parts)), strict=True))
    missing, unexpected = model.load_state_dict(state, strict=False)
    tied = {"log_softmax.mlp.layer0.weight", "decoder._embedding.token_embedding.weight"}
    left_out = [name for name in missing if name not in tied and "token_type_embedding" not in name]
    if left_out or unexpected:
        raise ValueError(f"weights do not fit: missing {left_out}, unexpected {unexpected}")
    return model.requires_grad_(False)
