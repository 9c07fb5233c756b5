"""Tiny M2M100, NLLB and mBART checkpoints with tokenizers, as the published ones have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sentencepiece
from transformers import M2M100Tokenizer, MBart50Tokenizer, MBartTokenizer, NllbTokenizer

from importing.tokenizer_files import sentencepiece_model
from nmt_trt.models import fairseq_languages
from random_multilingual import write_random_multilingual

TOKENIZERS: dict[str, Any] = {
    tokenizer.__name__: tokenizer for tokenizer in (M2M100Tokenizer, NllbTokenizer, MBartTokenizer, MBart50Tokenizer)
}
LANGUAGES = {
    "M2M100Tokenizer": ("en", "de"),
    "NllbTokenizer": ("eng_Latn", "deu_Latn"),
    "MBartTokenizer": ("en_XX", "de_DE"),
    "MBart50Tokenizer": ("en_XX", "de_DE"),
}
"""A source and a target language of each."""
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def write_tokenizer(path: Path, tokenizer: str, **settings: Any) -> int:
    """Write the tokenizer files of a checkpoint; returns the size of its vocabulary."""
    path.mkdir(parents=True, exist_ok=True)
    model = sentencepiece_model(110, (0, -1, 1, 2), model_type="unigram" if "MBart" in tokenizer else "bpe")
    (path / "sentencepiece.bpe.model").write_bytes(model)
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(model)
    pieces = [processor.id_to_piece(number) for number in range(3, processor.get_piece_size())]
    content: dict[str, Any] = {"tokenizer_class": tokenizer}
    size = len(_SPECIAL) + len(pieces)
    if tokenizer == "M2M100Tokenizer":  # in an order of its own; one piece is unknown
        vocabulary = {piece: number for number, piece in enumerate([*_SPECIAL, *pieces[:0:-1]])}
        (path / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
        content["additional_special_tokens"] = [f"__{language}__" for language in fairseq_languages.M2M100]
        size = len(vocabulary) + len(fairseq_languages.M2M100)
    elif tokenizer == "NllbTokenizer":
        added = [*fairseq_languages.NLLB, "<mask>"]
        numbered = [*enumerate(_SPECIAL), *enumerate(added, start=size)]
        content["added_tokens_decoder"] = {str(number): {"content": name, "special": True} for number, name in numbered}
        content["extra_special_tokens"] = list(fairseq_languages.NLLB)
        size += len(added)
    else:
        size += 1 + len(fairseq_languages.MBART50 if "50" in tokenizer else fairseq_languages.MBART)
    (path / "tokenizer_config.json").write_text(json.dumps({**content, **settings}), encoding="utf-8")
    return size


def write_with_text(path: Path, tokenizer: str, seed: int = 0, **settings: Any) -> tuple[Any, Any]:
    """Write a random checkpoint with tokenizer files; returns transformers' model and tokenizer.

    Args:
        path: the directory to make.
        tokenizer: the name of its class.
        seed: of the model.
        **settings: more of tokenizer_config.json; also `generation` and `model`, dictionaries of arguments of
            GenerationConfig and of the model's configuration.
    """
    generation, fixed = settings.pop("generation", {}), settings.pop("model", {})
    size = write_tokenizer(path, tokenizer, **settings)
    family = "mbart" if "MBart" in tokenizer else "m2m_100"
    model = write_random_multilingual(path, family, seed, generation=generation, vocab_size=size, **fixed)
    return model, TOKENIZERS[tokenizer].from_pretrained(path)
