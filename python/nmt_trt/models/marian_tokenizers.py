"""The tokenizer of a Hugging Face Marian checkpoint: its files, special tokens and languages."""

from __future__ import annotations

from dataclasses import dataclass

from nmt_trt.errors import ArchiveError
from nmt_trt.models.config import SourceTokens, TextConfig, TokenizerConfig, VocabularyConfig
from nmt_trt.models.huggingface_files import CheckpointDirectory
from nmt_trt.models.marian_config import MarianConfig
from nmt_trt.models.sections import Findings, Section
from nmt_trt.text.sentencepiece_vocabulary import SentencePieceVocabularyTokenizer

_TOKENIZER_CONFIG = "tokenizer_config.json"
_SOURCE, _TARGET = "source.spm", "target.spm"
_VOCABULARY, _TARGET_VOCABULARY = "vocab.json", "target_vocab.json"
TOKENIZER_FILES = (_TOKENIZER_CONFIG, _SOURCE, _TARGET, _VOCABULARY, _TARGET_VOCABULARY)


@dataclass(frozen=True)
class MarianText:
    """What a checkpoint says about text.

    Attributes:
        text: None when a tokenizer file is missing.
        files: contents by the names that `text` uses.
        notes: what a user should know.
    """

    text: TextConfig | None
    source_tokens: SourceTokens
    files: dict[str, bytes]
    notes: tuple[str, ...]


def import_marian_text(directory: CheckpointDirectory, config: MarianConfig) -> MarianText:
    """Read the tokenizer and check it against the model.

    Raises:
        UnsupportedModelError: tokenizer options that nmt_trt does not have; lists all of them.
        ArchiveError: a damaged tokenizer, or one for another vocabulary or other special tokens.
        MissingDependencyError: sentencepiece is not installed.
    """
    findings = Findings(_TOKENIZER_CONFIG)
    settings = Section("", directory.read_optional_object(_TOKENIZER_CONFIG), findings)
    names = {name: _special_name(settings, f"{name}_token", default) for name, default in _DEFAULT_NAMES.items()}
    separate = settings.flag("separate_vocabs", False)
    _check_settings(settings, set(names.values()))
    languages = settings.text("source_lang"), settings.text("target_lang")
    notes = (
        ("its tokenizer asks to clean up spaces before punctuation, which is not done",)
        if settings.flag("clean_up_tokenization_spaces", False)
        else ()
    )
    findings.report()
    vocabularies = (_VOCABULARY, _TARGET_VOCABULARY if separate else _VOCABULARY)
    special = config.special_tokens
    files = (_SOURCE, _TARGET, *vocabularies)
    if missing := sorted({name for name in files if not directory.has(name)}):
        note = f"no tokenizer ({', '.join(missing)} missing): it cannot translate text"
        return MarianText(None, SourceTokens(pad=special.pad, bos=None, eos=special.eos), {}, (note,))
    contents = {name: directory.read(name, directory.limits.tokenizer) for name in files}
    sides = [
        _tokenizer(contents, model, VocabularyConfig(file=vocabulary, **names), size)
        for model, vocabulary, size in (
            (_SOURCE, vocabularies[0], config.encoder.vocab_size),
            (_TARGET, vocabularies[1], config.decoder.vocab_size),
        )
    ]
    (source, reader), (target, writer) = sides
    for name, token, own in (("eos", special.eos, writer.eos), ("pad", special.pad, writer.pad)):
        if token != own:
            raise ArchiveError(
                f"{vocabularies[1]} gives {names[name]!r} the id {own}; expected {name}_token_id, which is {token}"
            )
    targets = tuple(reader.languages)
    text = TextConfig(
        source_language=languages[0],
        target_language=None if targets else languages[1],
        target_languages=targets,
        language_tokens=reader.languages,
        inline_languages=bool(targets),
        source_tokenizer=source,
        target_tokenizer=target,
    )
    return MarianText(text, SourceTokens(pad=reader.pad, bos=None, eos=reader.eos), contents, notes)


_DEFAULT_NAMES = {"unk": "<unk>", "eos": "</s>", "pad": "<pad>"}


def _special_name(settings: Section, key: str, default: str) -> str:
    """A special token's name, which is a string or an object with a `content`."""
    value = settings.values.get(key)
    if isinstance(value, dict):
        value = value.get("content")
    if value is None:
        return default
    if not isinstance(value, str) or not value:
        settings.invalid(key, "a token", value)
        return default
    return value


def _check_settings(settings: Section, special: set[str]) -> None:
    if settings.section("sp_model_kwargs", optional=True).values:
        settings.unsupported("sp_model_kwargs are given")
    added: set[str] = set()
    for entry in settings.section("added_tokens_decoder", optional=True).values.values():
        added.add(str(entry.get("content") if isinstance(entry, dict) else entry))
    for key in ("additional_special_tokens", "extra_special_tokens"):
        listed = settings.values.get(key)
        added |= {str(name) for name in listed} if isinstance(listed, list) else set()
    if further := sorted(added - special):
        settings.unsupported(f"it has added tokens: {', '.join(further)[:200]}")


def _tokenizer(
    contents: dict[str, bytes], model: str, vocabulary: VocabularyConfig, size: int
) -> tuple[TokenizerConfig, SentencePieceVocabularyTokenizer]:
    try:
        made = SentencePieceVocabularyTokenizer(contents[model], contents[vocabulary.file], vocabulary)
    except ArchiveError as error:
        place = "" if str(error).startswith(vocabulary.file) else f"{model}: "
        raise ArchiveError(f"{place}{error}") from error
    if made.vocab_size > size:
        raise ArchiveError(f"{vocabulary.file} has ids up to {made.vocab_size - 1}; the embedding has {size:,} rows")
    return TokenizerConfig(kind="sentencepiece-vocabulary", file=model, vocabulary=vocabulary), made
