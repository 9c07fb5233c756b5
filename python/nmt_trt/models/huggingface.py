"""Imports Hugging Face checkpoints of translation models, without transformers and without torch."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from nmt_trt.errors import ArchiveError, UnsupportedModelError
from nmt_trt.models.archive import Limits
from nmt_trt.models.config import Provenance, TransformerConfig
from nmt_trt.models.fairseq_tokenizers import import_fairseq_text
from nmt_trt.models.huggingface_config import parse_huggingface_config
from nmt_trt.models.huggingface_families import MARIAN
from nmt_trt.models.huggingface_files import CONFIG_FILE, CheckpointDirectory
from nmt_trt.models.huggingface_weights import completed_state, huggingface_weights
from nmt_trt.models.imported import ImportedModel, describe_invalid
from nmt_trt.models.marian_tokenizers import import_marian_text

_GENERATION_CONFIG = "generation_config.json"
_TORCH_EPSILON = 1e-5
"""Of torch's LayerNorm, which transformers' models take as it is."""


def import_huggingface(path: str | Path, limits: Limits | None = None, *, name: str | None = None) -> ImportedModel:
    """Read a checkpoint directory of transformers. Nothing in it is trusted, and nothing is executed.

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
        model = parse_huggingface_config(
            directory.read_object(CONFIG_FILE), directory.read_optional_object(_GENERATION_CONFIG)
        )
        import_text = import_marian_text if model.family is MARIAN else import_fairseq_text
        text = import_text(directory, model)
        state = directory.read_state()
        config = TransformerConfig(
            encoder=model.encoder,
            decoder=model.decoder,
            special_tokens=model.special_tokens,
            source_tokens=text.source_tokens,
            shared_embeddings=False,
            tied_output=False,
            norm_epsilon=_TORCH_EPSILON,
            generation=model.generation,
            text=text.text,
            provenance=Provenance(
                format=model.family.model_type, file=name, sha256=state.sha256, version=model.version
            ),
        )
    except ValidationError as error:
        raise ArchiveError(f"{CONFIG_FILE} describes an impossible model: {describe_invalid(error)}") from error
    tensors = completed_state(
        state.tensors, share_embeddings=model.share_embeddings, tie_output=model.tie_output, file=state.file
    )
    weights, shared, tied = huggingface_weights(tensors, config, model.family, state.file)
    config = config.model_copy(update={"shared_embeddings": shared, "tied_output": tied})
    return ImportedModel(config, weights, text.files, model.notes + text.notes)
