"""Tiny Marian checkpoints with tokenizers, as the OPUS-MT models have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sentencepiece
from transformers import MarianTokenizer

from importing.tokenizer_files import sentencepiece_model
from random_marian import write_random_marian

LANGUAGES = ("deu", "fra", "spa_Latn")


def vocabularies(*, separate: bool = False, languages: tuple[str, ...] = ()) -> tuple[dict[str, int], dict[str, int]]:
    """Ids by piece, of source and target: </s>, <unk>, pieces in an order of their own, language tokens, <pad>.

    One piece of each model is left out, so that it is unknown.
    """
    source, target = (pieces(sentencepiece_model(size, model_type="unigram")) for size in (90, 70))
    if not separate:
        source = target = sorted({*source, *target}, key=lambda piece: piece[::-1])
    tokens = [f">>{language}<<" for language in languages]
    return tuple(  # type: ignore[return-value]
        {name: number for number, name in enumerate(["</s>", "<unk>", *names, *tokens, "<pad>"])}
        for names in (source, target)
    )


def pieces(model: bytes) -> list[str]:
    """The pieces of a SentencePiece model but special ones and the last."""
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(model)
    names = [processor.id_to_piece(number) for number in range(processor.get_piece_size())]
    return [name for name in names if not name.startswith("<")][:-1]


def write_tokenizer(
    path: Path, *, separate: bool = False, languages: tuple[str, ...] = (), **settings: Any
) -> tuple[int, int]:
    """Write the tokenizer files of a checkpoint; returns the sizes of its vocabularies."""
    path.mkdir(exist_ok=True)
    (path / "source.spm").write_bytes(sentencepiece_model(90, model_type="unigram"))
    (path / "target.spm").write_bytes(sentencepiece_model(70, model_type="unigram"))
    source, target = vocabularies(separate=separate, languages=languages)
    (path / "vocab.json").write_text(json.dumps(source), encoding="utf-8")
    if separate:
        (path / "target_vocab.json").write_text(json.dumps(target), encoding="utf-8")
    content = {"source_lang": "en", "target_lang": "de", "separate_vocabs": separate, **settings}
    (path / "tokenizer_config.json").write_text(json.dumps(content), encoding="utf-8")
    return len(source), len(target)


def write_marian_with_text(
    path: Path, seed: int = 0, *, separate: bool = False, languages: tuple[str, ...] = (), **settings: Any
) -> MarianTokenizer:
    """Write a random checkpoint with tokenizer files; returns transformers' tokenizer of it.

    Separate vocabularies are of one size, for a checkpoint has one PAD.
    """
    sizes = write_tokenizer(path, separate=separate, languages=languages, **settings)
    if separate:
        _move_pad(path / "target_vocab.json", sizes[0] - 1)
    write_random_marian(
        path,
        seed,
        vocab_size=sizes[0],
        decoder_vocab_size=sizes[0],
        share_encoder_decoder_embeddings=not separate,
        tie_word_embeddings=True,
    )
    return MarianTokenizer.from_pretrained(path)


def _move_pad(path: Path, number: int) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"<pad>": number}), encoding="utf-8")
