"""A SentencePiece model made of a tokenizer.json, where transformers 5 saves the pieces of NLLB and mBART."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Collection, Mapping
from typing import Any

from nmt_trt.errors import ArchiveError
from nmt_trt.models.huggingface_files import Object

TOKENIZER_JSON = "tokenizer.json"
OWN_PIECES = ("<unk>", "<s>", "</s>")
"""What the SentencePiece models of fairseq begin with: an unknown piece and two control pieces."""
_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3
_UNIGRAM, _BPE = 1, 2
_LARGEST_SCORE = 1e30

Ids = dict[str, int]


def sentencepiece_of(content: Object, special: Collection[str]) -> tuple[bytes, Ids, Ids]:
    """The serialized SentencePiece model, the ids of its pieces and of special tokens, and those of added tokens.

    The format is that of sentencepiece_model.proto (https://github.com/google/sentencepiece). Merges become scores, the
    earlier the higher, which they were before.

    Args:
        content: of tokenizer.json.
        special: the names of special tokens that are part of the vocabulary.

    Raises:
        ArchiveError: neither a BPE nor a Unigram model, or a damaged one.
    """
    model: Any = content.get("model")
    tokens: Any = content.get("added_tokens") or ()
    if not isinstance(model, dict) or model.get("type") not in ("BPE", "Unigram"):
        raise ArchiveError(f"{TOKENIZER_JSON}: expected a model of the type BPE or Unigram")
    try:
        added = {str(token["content"]): int(token["id"]) for token in tokens}
        ids, scores = _bpe(model) if model["type"] == "BPE" else _unigram(model)
        charsmap = _charsmap(content.get("normalizer"))
        ids = {piece: number for piece, number in ids.items() if piece not in added or piece in special}
        pieces = sorted(ids.keys() - {*special, *OWN_PIECES}, key=ids.__getitem__)
        normal = [_piece(piece, scores[piece], _NORMAL) for piece in pieces]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, struct.error, binascii.Error) as error:
        raise ArchiveError(f"{TOKENIZER_JSON} is damaged ({type(error).__name__}: {str(error)[:100]})") from error
    own = [_piece(piece, 0.0, _CONTROL if number else _UNKNOWN) for number, piece in enumerate(OWN_PIECES)]
    trainer = _message(2, _integer(3, _BPE if model["type"] == "BPE" else _UNIGRAM))
    normalizer = _message(3, _message(2, charsmap))
    return b"".join([*own, *normal, trainer, normalizer]), ids, added


def _bpe(model: Mapping[str, Any]) -> tuple[Ids, dict[str, float]]:
    """Ids and scores of the pieces: the places of their first merges, backwards."""
    vocabulary, merges = model["vocab"], model["merges"]
    ids = {str(piece): int(number) for piece, number in vocabulary.items()}
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        ranks.setdefault(left + right, rank)
    return ids, {piece: -float(ranks.get(piece, len(ranks))) for piece in ids}


def _unigram(model: Mapping[str, Any]) -> tuple[Ids, dict[str, float]]:
    entries = [(str(piece), float(score)) for piece, score in model["vocab"]]
    if any(not abs(score) < _LARGEST_SCORE for _, score in entries):
        raise ValueError("a score is not a number, or too large")
    ids = {piece: number for number, (piece, _) in enumerate(entries)}
    return ids, dict(entries)


def _charsmap(normalizer: object) -> bytes:
    """The precompiled normalisation among the normalizers; empty for none."""
    if not isinstance(normalizer, dict):
        return b""
    steps = normalizer["normalizers"] if normalizer.get("type") == "Sequence" else [normalizer]
    found = [step["precompiled_charsmap"] for step in steps if step.get("type") == "Precompiled"]
    return base64.b64decode(found[0], validate=True) if found else b""


def _piece(piece: str, score: float, kind: int) -> bytes:
    return _message(1, _message(1, piece.encode()) + b"\x15" + struct.pack("<f", score) + _integer(3, kind))


def _message(field: int, content: bytes) -> bytes:
    """A field of protobuf with a length."""
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """7 bits a byte, the lowest first, the highest bit set in all but the last."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
