"""What every importer gives."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.state import Weights


@dataclass(frozen=True)
class ImportedModel:
    """A checkpoint in canonical form.

    Attributes:
        config: the model.
        weights: float32 arrays by canonical name.
        tokenizer_files: contents by the names that `config.text` uses; empty when `config.text` is None.
        notes: what the user should know about this import.
    """

    config: TransformerConfig
    weights: Weights
    tokenizer_files: dict[str, bytes]
    notes: tuple[str, ...] = ()


def describe_invalid(error: ValidationError) -> str:
    """What is wrong with a configuration, in one line."""
    return "; ".join(f"{'.'.join(map(str, it['loc']))} {it['msg']}".strip() for it in error.errors())
