"""Writes a model made of NeMo's modules as the `.nemo` archive that NeMo itself would restore."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from importing.nemo_archives import checkpoint_bytes, write_tar
from nemo_reference.modules import Architecture, NemoModel

SPACE = 0x2581
FIRST_CHARACTER = ord("a")


def write_archive(path: Path, model: NemoModel) -> Path:
    """Write `model` with a tokenizer of single characters for each side; returns `path`."""
    architecture = model.architecture
    source = _tokenizer(architecture.source_vocab_size, architecture.special_tokens)
    target = _tokenizer(architecture.target_vocab_size, architecture.special_tokens)
    members = {_member("source", source): source, _member("target", target): target}
    config = nemo_config(architecture, *members)
    members = {"model_config.yaml": yaml.safe_dump(config, sort_keys=False).encode(), **members}
    write_tar(path, {**members, "model_weights.ckpt": checkpoint_bytes(model.checkpoint())})
    return path


def nemo_config(architecture: Architecture, source_member: str, target_member: str) -> dict[str, Any]:
    """model_config.yaml: all that NeMo 1.23.0's `restore_from` needs, and what differs from its defaults."""
    encoder = _side(architecture, architecture.encoder_layers, architecture.encoder_inner_size)
    return {
        "target": "nemo.collections.nlp.models.machine_translation.mt_enc_dec_model.MTEncDecModel",
        "nemo_version": "1.23.0",
        "src_language": "en",
        "tgt_language": "de",
        "beam_size": 4,
        "len_pen": 0.6,
        "max_generation_delta": 10,
        "label_smoothing": 0.1,
        "shared_embeddings": architecture.shared_embeddings,
        "encoder_tokenizer": {"library": "yttm", "tokenizer_model": f"nemo:{source_member}"},
        "decoder_tokenizer": {"library": "yttm", "tokenizer_model": f"nemo:{target_member}"},
        "encoder": {**encoder, "mask_future": architecture.mask_future},
        "decoder": _side(architecture, architecture.decoder_layers, architecture.decoder_inner_size),
        "head": {"activation": "relu", "log_softmax": True, "dropout": 0.0, "use_transformer_init": True},
    }


def _side(architecture: Architecture, layers: int, inner_size: int) -> dict[str, Any]:
    return {
        "library": "nemo",
        "hidden_size": architecture.hidden_size,
        "num_layers": layers,
        "inner_size": inner_size,
        "num_attention_heads": architecture.num_attention_heads,
        "max_sequence_length": architecture.max_sequence_length,
        "learn_positional_encodings": architecture.learn_positional_encodings,
        "hidden_act": architecture.hidden_act,
        "pre_ln": architecture.pre_ln,
        "pre_ln_final_layer_norm": architecture.pre_ln_final_layer_norm,
    }


def _tokenizer(vocab_size: int, special_tokens: tuple[int, int, int, int]) -> bytes:
    """A YouTokenToMe model of `vocab_size` tokens: the special ones, a space and single characters."""
    free = [token for token in range(vocab_size) if token not in special_tokens]
    codepoints = [SPACE, *range(FIRST_CHARACTER, FIRST_CHARACTER + len(free) - 1)]
    lines = [f"{len(free)} 0", *(f"{code} {token}" for code, token in zip(codepoints, free, strict=True))]
    return "\n".join([*lines, " ".join(map(str, special_tokens)), ""]).encode("ascii")


def _member(side: str, data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:32]}_tokenizer.{side}.model"
