"""The tokenizers of Hugging Face M2M100, NLLB and mBART checkpoints: fairseq's ids, and the languages' tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nmt_trt.errors import ArchiveError
from nmt_trt.models import fairseq_languages
from nmt_trt.models.config import SourceTokens, TextConfig, VocabularyConfig
from nmt_trt.models.huggingface_config import HuggingFaceConfig
from nmt_trt.models.huggingface_files import CheckpointDirectory
from nmt_trt.models.huggingface_tokenizers import (
    TOKENIZER_CONFIG,
    CheckpointText,
    check_special_tokens,
    refuse_added_tokens,
    settings_notes,
    special_name,
    token_name,
    vocabulary_tokenizer,
    without_tokenizer,
)
from nmt_trt.models.sections import Findings, Section
from nmt_trt.models.tokenizer_json import OWN_PIECES, TOKENIZER_JSON, Ids, sentencepiece_of
from nmt_trt.text.sentencepiece_model import load_processor
from nmt_trt.text.sentencepiece_vocabulary import read_vocabulary

_MODEL, _VOCABULARY = "sentencepiece.bpe.model", "vocab.json"
_ADDED_TOKENS, _SPECIAL_TOKENS = "added_tokens.json", "special_tokens_map.json"
_NAMES = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"}
_LANGUAGE = re.compile(r"__([a-z]+)__|([a-z]{2,3}_[A-Z][A-Za-z]+)")


@dataclass(frozen=True)
class _Scheme:
    """What transformers' tokenizers of these models differ in.

    Attributes:
        languages: those that have ids behind the vocabulary's, in their order, where no file names them.
        token: a language's token.
        own_vocabulary: whether vocab.json gives the pieces' ids; otherwise they follow from the SentencePiece model.
        language_last: whether a source's language stands behind it.
        target: what the target language's token is; see TextConfig.
    """

    languages: tuple[str, ...]
    token: str = "{}"
    own_vocabulary: bool = False
    language_last: bool = False
    target: Literal["first", "start"] = "first"


_SCHEMES: Mapping[str, _Scheme] = {
    "M2M100Tokenizer": _Scheme(fairseq_languages.M2M100, token="__{}__", own_vocabulary=True),
    "NllbTokenizer": _Scheme(fairseq_languages.NLLB),
    "MBartTokenizer": _Scheme(fairseq_languages.MBART, language_last=True, target="start"),
    "MBart50Tokenizer": _Scheme(fairseq_languages.MBART50),
}
_OF_MODEL_TYPE = {"m2m_100": "M2M100Tokenizer", "mbart": "MBartTokenizer"}
"""The tokenizer of a checkpoint that names none."""


def import_fairseq_text(directory: CheckpointDirectory, config: HuggingFaceConfig) -> CheckpointText:
    """Read the tokenizer and check it against the model.

    Raises:
        UnsupportedModelError: tokenizer options that nmt_trt does not have; lists all of them.
        ArchiveError: a damaged tokenizer, or one for another vocabulary or other special tokens.
        MissingDependencyError: sentencepiece is not installed.
    """
    findings = Findings(TOKENIZER_CONFIG)
    settings = Section("", directory.read_optional_object(TOKENIZER_CONFIG), findings)
    names = {name: special_name(settings, f"{name}_token", default) for name, default in _NAMES.items()}
    scheme = _scheme(settings, config)
    language_last = settings.flag("legacy_behaviour", scheme.language_last)
    notes = settings_notes(settings)
    if missing := _missing(directory, scheme):
        findings.report()
        return without_tokenizer(missing, config.special_tokens)
    model, ids, added = _pieces(directory, scheme, names)
    added |= _added_tokens(directory, settings)
    languages = _languages(added, scheme, ids, names, settings)
    known = {*ids, *names.values(), *map(scheme.token.format, languages)}
    refuse_added_tokens(settings, {*added, *_special_tokens(directory, settings)} - known)
    source_language = settings.text("src_lang")
    if source_language is not None and source_language not in languages:
        settings.invalid("src_lang", "one of its languages", source_language)
    findings.report()
    tokens = {scheme.token.format(language): number for language, number in languages.items()}
    ids |= tokens
    contents = {_MODEL: model, _VOCABULARY: json.dumps(ids, ensure_ascii=False).encode()}
    vocabulary = VocabularyConfig(
        file=_VOCABULARY,
        unk=names["unk"],
        eos=names["eos"],
        pad=names["pad"],
        special=tuple(name for name in (names["bos"], names["mask"], *tokens) if name in ids),
        language_prefix=False,
    )
    tokenizer, made = vocabulary_tokenizer(contents, _MODEL, vocabulary, config.encoder.vocab_size)
    check_special_tokens(config.special_tokens, made, vocabulary)
    text = TextConfig(
        source_language=source_language,
        target_language=_published_target(config, scheme, languages),
        source_languages=tuple(languages),
        target_languages=tuple(languages),
        language_tokens=languages,
        language_last=language_last,
        target_token=scheme.target,
        source_tokenizer=tokenizer,
        target_tokenizer=tokenizer,
    )
    return CheckpointText(text, SourceTokens(pad=made.pad, bos=None, eos=made.eos), contents, notes)


def _scheme(settings: Section, config: HuggingFaceConfig) -> _Scheme:
    default = _OF_MODEL_TYPE[config.family.model_type]
    name = (settings.text("tokenizer_class") or config.tokenizer_class or default).removesuffix("Fast")
    if name not in _SCHEMES:
        settings.unsupported(f"tokenizer_class is {name[:100]!r}; supported are {', '.join(_SCHEMES)}")
    scheme = _SCHEMES.get(name, _SCHEMES[default])
    codes = settings.text("language_codes") or "m2m100"
    if not scheme.own_vocabulary or codes == "m2m100":
        return scheme
    if codes != "wmt21":
        settings.unsupported(f"language_codes is {codes[:100]!r}; supported are m2m100, wmt21")
    return _Scheme(fairseq_languages.WMT21, scheme.token, scheme.own_vocabulary)


def _missing(directory: CheckpointDirectory, scheme: _Scheme) -> list[str]:
    """The files without which there is no tokenizer."""
    needed = [_MODEL, _VOCABULARY] if scheme.own_vocabulary else [_MODEL]
    missing = [name for name in needed if not directory.has(name)]
    return [] if not scheme.own_vocabulary and directory.has(TOKENIZER_JSON) else missing


def _pieces(directory: CheckpointDirectory, scheme: _Scheme, names: Mapping[str, str]) -> tuple[bytes, Ids, Ids]:
    """A SentencePiece model, the ids of its pieces and of special tokens, and those of tokens added to them.

    Raises:
        ArchiveError: a damaged file.
    """
    limit = directory.limits.tokenizer
    special = [names[name] for name in ("bos", "pad", "eos", "unk")]
    if not directory.has(_MODEL):
        return sentencepiece_of(directory.read_object(TOKENIZER_JSON, limit), special)
    model = directory.read(_MODEL, limit)
    if scheme.own_vocabulary:
        return model, read_vocabulary(directory.read(_VOCABULARY, limit), _VOCABULARY), {}
    return model, _fairseq_ids(model, special), {}


def _fairseq_ids(model: bytes, special: Sequence[str]) -> Ids:
    """fairseq's ids of the pieces of a SentencePiece model: its own special tokens, then from the model's third on.

    Raises:
        ArchiveError: not a SentencePiece model, or one that begins otherwise.
    """
    try:
        processor = load_processor(model)
    except ArchiveError as error:
        raise ArchiveError(f"{_MODEL}: {error}") from error
    pieces: list[str] = processor.id_to_piece(list(range(processor.get_piece_size())))
    if tuple(pieces[: len(OWN_PIECES)]) != OWN_PIECES:
        raise ArchiveError(
            f"{_MODEL} begins with {', '.join(pieces[: len(OWN_PIECES)])}; expected {', '.join(OWN_PIECES)}"
        )
    ids = {piece: number for number, piece in enumerate([*special, *pieces[len(OWN_PIECES) :]])}
    if len(ids) != len(pieces) + 1:
        raise ArchiveError(f"{_MODEL} has a piece that is called as a special token")
    return ids


def _languages(added: Ids, scheme: _Scheme, ids: Ids, names: Mapping[str, str], settings: Section) -> Ids:
    """Ids by language: those among the added tokens, and if no language of fairseq's is there, all of these besides.

    Those stand behind the vocabulary. Adds the mask token to `ids`, and takes note of added tokens of other ids there.
    """
    for token in added.keys() & ids.keys():
        if added[token] != ids[token]:
            settings.findings.invalid.append(f"{token!r} has another id among the added tokens than {ids[token]}")
    languages = {
        (match[1] or match[2]): number for token, number in added.items() if (match := _LANGUAGE.fullmatch(token))
    }
    if languages.keys().isdisjoint(scheme.languages):
        languages |= {language: len(ids) + place for place, language in enumerate(scheme.languages)}
        if not scheme.own_vocabulary:
            added.setdefault(names["mask"], len(ids) + len(scheme.languages))
    if names["mask"] in added:
        ids[names["mask"]] = added[names["mask"]]
    return languages


def _added_tokens(directory: CheckpointDirectory, settings: Section) -> Ids:
    """Ids of tokens that were added to the vocabulary, by token."""
    added: Ids = {}
    for token, number in directory.read_optional_object(_ADDED_TOKENS).items():
        if isinstance(number, bool) or not isinstance(number, int):
            settings.findings.invalid.append(f"{_ADDED_TOKENS}: {str(token)[:50]!r} has no integer as its id")
        else:
            added[str(token)] = number
    for key, entry in settings.section("added_tokens_decoder", optional=True).values.items():
        if token_name(entry) and str(key).isdecimal():
            added[token_name(entry)] = int(str(key))
        else:
            settings.findings.invalid.append(f"added_tokens_decoder: expected a token by its id at {str(key)[:50]!r}")
    return added


def _special_tokens(directory: CheckpointDirectory, settings: Section) -> set[str]:
    """The names of special tokens that are only listed, without ids."""
    listed: set[str] = set()
    for values in (settings.values, directory.read_optional_object(_SPECIAL_TOKENS)):
        for key in ("additional_special_tokens", "extra_special_tokens"):
            entries = values.get(key)
            listed |= {token_name(entry) or str(entry) for entry in entries} if isinstance(entries, list) else set()
    return listed


def _published_target(config: HuggingFaceConfig, scheme: _Scheme, languages: Ids) -> str | None:
    """The language that the checkpoint was published to translate into, if there is one."""
    hf = config.generation.hf
    forced = None if hf is None else hf.forced_bos
    token = config.special_tokens.start if scheme.target == "start" else forced
    return next((language for language, number in languages.items() if number == token), None)
