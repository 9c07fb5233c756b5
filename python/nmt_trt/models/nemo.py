"""Imports NeMo translation models (MTEncDecModel) from `.nemo` archives, without NeMo and without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from nmt_trt.errors import ArchiveError, UnsupportedModelError
from nmt_trt.models.archive import Archive, Limits
from nmt_trt.models.checkpoint import read_checkpoint
from nmt_trt.models.config import GenerationDefaults, Provenance, StackConfig, TransformerConfig
from nmt_trt.models.imported import ImportedModel, describe_invalid
from nmt_trt.models.nemo_config import NemoConfig, NemoStack, parse_nemo_config
from nmt_trt.models.nemo_tokenizers import ImportedText, import_text
from nmt_trt.models.nemo_weights import (
    OUTPUT,
    canonical_weights,
    check_state,
    has_final_norm,
    refuse,
    token_embedding,
)
from nmt_trt.models.storage import Array
from nmt_trt.options import MAX_BEAM_SIZE

_CONFIG = "model_config.yaml"
_WEIGHTS = "model_weights.ckpt"


def import_nemo(path: str | Path, limits: Limits | None = None) -> ImportedModel:
    """Read a `.nemo` archive. Nothing in it is trusted, and nothing is executed or extracted.

    A model whose tokenizer files are not in the archive is imported without text handling. Its special ids
    are then `pad_id`, `bos_id` and `eos_id` of the configuration's tokenizer sections, or, for YouTokenToMe,
    the library's defaults 0, 2 and 3.

    Raises:
        ArchiveError: a damaged or hostile archive, or one whose parts do not fit together.
        UnsupportedModelError: a model with options that nmt_trt does not have; lists all of them.
        MissingDependencyError: its tokenizer needs a package that is not installed.
    """
    with Archive(path, limits) as archive:
        try:
            return _import(archive)
        except (ArchiveError, UnsupportedModelError) as error:
            prefix = f"{archive.path.name}: "
            if str(error).startswith(prefix):
                raise
            raise type(error)(prefix + str(error)) from error


def _import(archive: Archive) -> ImportedModel:
    nemo = parse_nemo_config(archive.read(_CONFIG, archive.limits.config))
    state = read_checkpoint(archive.open(_WEIGHTS), _WEIGHTS)
    vocabularies = tuple(_vocabulary(state, side) for side in ("encoder", "decoder"))
    imported = import_text(archive, nemo, *vocabularies)
    provenance = Provenance(format="nemo", file=archive.path.name, sha256=archive.sha256, version=nemo.version)
    try:
        config = _config(nemo, state, imported, provenance)
    except ValidationError as error:
        raise ArchiveError(f"{_CONFIG} describes an impossible model: {describe_invalid(error)}") from error
    check_state(state, config)
    config = config.model_copy(update=_shared_tables(state))
    notes = imported.notes + _capped_beam(nemo)
    return ImportedModel(config, canonical_weights(state, config), imported.files, notes)


def _capped_beam(nemo: NemoConfig) -> tuple[str, ...]:
    if nemo.beam_size <= MAX_BEAM_SIZE:
        return ()
    return (f"its beam_size {nemo.beam_size} is more than {MAX_BEAM_SIZE}, which became the default instead",)


def _vocabulary(state: Mapping[str, Array], side: str) -> int:
    name = token_embedding(side)
    if name not in state:
        refuse([f"{name} is missing"])
    if state[name].ndim != 2 or not state[name].size:
        refuse([f"{name} has the shape {list(state[name].shape)}; expected [vocabulary, hidden_size]"])
    return int(state[name].shape[0])


def _config(
    nemo: NemoConfig, state: Mapping[str, Array], text: ImportedText, provenance: Provenance
) -> TransformerConfig:
    """The configuration, with neither tied nor shared tables yet."""
    return TransformerConfig(
        encoder=_stack("encoder", nemo.encoder, state, nemo.encoder.hidden_size),
        decoder=_stack("decoder", nemo.decoder, state, _decoder_hidden_size(nemo, state)),
        special_tokens=text.special_tokens,
        source_tokens=text.source_tokens,
        causal_encoder=nemo.causal_encoder,
        shared_embeddings=False,
        tied_output=False,
        generation=GenerationDefaults(
            beam_size=min(nemo.beam_size, MAX_BEAM_SIZE),
            length_penalty=nemo.length_penalty,
            max_length_delta=nemo.max_length_delta,
        ),
        text=text.text,
        provenance=provenance,
    )


def _decoder_hidden_size(nemo: NemoConfig, state: Mapping[str, Array]) -> int:
    """The decoder's width; up to version 1.3 NeMo made it the encoder's, whatever the configuration said."""
    width = state[token_embedding("decoder")].shape[1]
    return nemo.encoder.hidden_size if width == nemo.encoder.hidden_size else nemo.decoder.hidden_size


def _stack(side: str, stack: NemoStack, state: Mapping[str, Array], hidden_size: int) -> StackConfig:
    return StackConfig(
        hidden_size=hidden_size,
        num_layers=stack.num_layers,
        inner_size=stack.inner_size,
        num_heads=stack.num_heads,
        vocab_size=_vocabulary(state, side),
        max_positions=stack.max_positions,
        learned_positions=stack.learned_positions,
        activation=stack.activation,
        pre_norm=stack.pre_norm,
        final_norm=has_final_norm(state, side),
    )


def _shared_tables(state: Mapping[str, Array]) -> dict[str, bool]:
    """Which tables are one: equality decides, for a checkpoint keeps every name of a tensor."""
    source, target = state[token_embedding("encoder")], state[token_embedding("decoder")]
    return {
        "shared_embeddings": source.shape == target.shape and np.array_equal(source, target),
        "tied_output": np.array_equal(state[OUTPUT], target),
    }
