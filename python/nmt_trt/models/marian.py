"""Imports Hugging Face Marian checkpoints (OPUS-MT), without transformers and without torch."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from nmt_trt.errors import ArchiveError, UnsupportedModelError
from nmt_trt.models.archive import Limits
from nmt_trt.models.config import Provenance, TransformerConfig
from nmt_trt.models.huggingface_files import CONFIG_FILE, CheckpointDirectory
from nmt_trt.models.imported import ImportedModel, describe_invalid
from nmt_trt.models.marian_config import parse_marian_config
from nmt_trt.models.marian_tokenizers import import_marian_text
from nmt_trt.models.marian_weights import completed_state, marian_weights

_GENERATION_CONFIG = "generation_config.json"
_TORCH_EPSILON = 1e-5
"""Of torch's LayerNorm, which MarianMTModel takes as it is."""


def import_marian(path: str | Path, limits: Limits | None = None, *, name: str | None = None) -> ImportedModel:
    """Read a checkpoint directory of transformers' MarianMTModel. Nothing in it is trusted, and nothing is executed.

    A model without all of its tokenizer files is imported without text handling.

    Args:
        path: the directory.
        limits: what its files may ask of this machine.
        name: what errors and the provenance call the checkpoint; the directory's own name by default.

    Raises:
        ArchiveError: damaged or hostile files, or files that do not fit together.
        UnsupportedModelError: another kind of model, or options that nmt_trt does not have; lists all of them.
        MissingDependencyError: sentencepiece is not installed.
    """
    name = name or Path(path).resolve().name
    try:
        return _import(CheckpointDirectory(Path(path), limits), name)
    except (ArchiveError, UnsupportedModelError) as error:
        raise type(error)(f"{name}: {error}") from error


def _import(directory: CheckpointDirectory, name: str) -> ImportedModel:
    try:
        marian = parse_marian_config(
            directory.read_object(CONFIG_FILE), directory.read_optional_object(_GENERATION_CONFIG)
        )
        text = import_marian_text(directory, marian)
        state = directory.read_state()
        config = TransformerConfig(
            encoder=marian.encoder,
            decoder=marian.decoder,
            special_tokens=marian.special_tokens,
            source_tokens=text.source_tokens,
            shared_embeddings=False,
            tied_output=False,
            norm_epsilon=_TORCH_EPSILON,
            generation=marian.generation,
            text=text.text,
            provenance=Provenance(format="marian", file=name, sha256=state.sha256, version=marian.version),
        )
    except ValidationError as error:
        raise ArchiveError(f"{CONFIG_FILE} describes an impossible model: {describe_invalid(error)}") from error
    tensors = completed_state(
        state.tensors, share_embeddings=marian.share_embeddings, tie_output=marian.tie_output, file=state.file
    )
    weights, shared, tied = marian_weights(tensors, config, state.file)
    config = config.model_copy(update={"shared_embeddings": shared, "tied_output": tied})
    return ImportedModel(config, weights, text.files, marian.notes + text.notes)
