"""What the tokenizers of all Hugging Face checkpoints have in common: settings, special tokens, missing files."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from nmt_trt.errors import ArchiveError
from nmt_trt.models.config import SourceTokens, SpecialTokens, TextConfig, TokenizerConfig, VocabularyConfig
from nmt_trt.models.sections import Section
from nmt_trt.text.sentencepiece_vocabulary import SentencePieceVocabularyTokenizer

TOKENIZER_CONFIG = "tokenizer_config.json"


@dataclass(frozen=True)
class CheckpointText:
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


def without_tokenizer(missing: Collection[str], special: SpecialTokens) -> CheckpointText:
    """A checkpoint that lacks tokenizer files."""
    note = f"no tokenizer ({', '.join(sorted(missing))} missing): it cannot translate text"
    return CheckpointText(None, SourceTokens(pad=special.pad, bos=None, eos=special.eos), {}, (note,))


def special_name(settings: Section, key: str, default: str) -> str:
    """A special token's name, which is a string or an object with a `content`."""
    value = settings.values.get(key)
    if value is None:
        return default
    name = token_name(value)
    if not name:
        settings.invalid(key, "a token", value)
        return default
    return name


def token_name(value: object) -> str:
    """The name of a token that is a string or an object with a `content`; empty for anything else."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else ""


def settings_notes(settings: Section) -> tuple[str, ...]:
    """Notes on settings that are not followed; takes note of those that are not supported."""
    if settings.section("sp_model_kwargs", optional=True).values:
        settings.unsupported("sp_model_kwargs are given")
    if settings.flag("clean_up_tokenization_spaces", False):
        return ("its tokenizer asks to clean up spaces before punctuation, which is not done",)
    return ()


def refuse_added_tokens(settings: Section, added: Collection[str]) -> None:
    """Take note of tokens that nmt_trt cannot place, if there are any."""
    if added:
        settings.unsupported(f"it has added tokens: {', '.join(sorted(added))[:200]}")


def vocabulary_tokenizer(
    contents: dict[str, bytes], model: str, vocabulary: VocabularyConfig, size: int
) -> tuple[TokenizerConfig, SentencePieceVocabularyTokenizer]:
    """A tokenizer of these files, and its configuration.

    Args:
        contents: of the files, by name.
        model: the SentencePiece model's name.
        vocabulary: which pieces have which ids.
        size: rows of the embedding.

    Raises:
        ArchiveError: a damaged file, or ids beyond the embedding.
    """
    try:
        made = SentencePieceVocabularyTokenizer(contents[model], contents[vocabulary.file], vocabulary)
    except ArchiveError as error:
        place = "" if str(error).startswith(vocabulary.file) else f"{model}: "
        raise ArchiveError(f"{place}{error}") from error
    if made.vocab_size > size:
        raise ArchiveError(f"{vocabulary.file} has ids up to {made.vocab_size - 1}; the embedding has {size:,} rows")
    return TokenizerConfig(kind="sentencepiece-vocabulary", file=model, vocabulary=vocabulary), made


def check_special_tokens(
    special: SpecialTokens, tokenizer: SentencePieceVocabularyTokenizer, vocabulary: VocabularyConfig
) -> None:
    """Check that a tokenizer's EOS and PAD are the model's.

    Raises:
        ArchiveError: they are not.
    """
    for key, name, token, own in (
        ("eos", vocabulary.eos, special.eos, tokenizer.eos),
        ("pad", vocabulary.pad, special.pad, tokenizer.pad),
    ):
        if token != own:
            raise ArchiveError(
                f"{vocabulary.file} gives {name!r} the id {own}; expected {key}_token_id, which is {token}"
            )
