"""What every tokenizer does, and the making of one from a model's configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from nmt_trt.errors import ArchiveError, ModelDirectoryError
from nmt_trt.models.config import TokenizerConfig
from nmt_trt.text.byte_level import ByteLevelTokenizer
from nmt_trt.text.sentencepiece_model import SentencePieceTokenizer
from nmt_trt.text.sentencepiece_vocabulary import SentencePieceVocabularyTokenizer
from nmt_trt.text.yttm import YttmTokenizer

Word = tuple[str, int]
"""A word and how many ids it has; no text where ids are of no word, as those of spaces."""


class Tokenizer(Protocol):
    """Subword ids of a text and back. Safe to use from several threads.

    Attributes:
        vocab_size: ids are 0 .. vocab_size - 1.
        pad, bos, eos, unk: special ids; -1 where the model has none.
    """

    @property
    def vocab_size(self) -> int: ...
    @property
    def pad(self) -> int: ...
    @property
    def bos(self) -> int: ...
    @property
    def eos(self) -> int: ...
    @property
    def unk(self) -> int: ...

    def encode(self, text: str) -> list[int]:
        """Ids of a text without special tokens around it."""

    def words(self, text: str) -> list[Word]:
        """The words of a text, each with the number of its ids; in their order those of encode()."""

    def decode(self, ids: Sequence[int | str]) -> str:
        """Text of ids, each below vocab_size; special ones leave no trace. A string is a word in the place of an id."""


def make_tokenizer(config: TokenizerConfig, files: Mapping[str, bytes]) -> Tokenizer:
    """The tokenizer that a configuration describes.

    Args:
        config: its kind and options.
        files: contents by the name that `config.file` uses.

    Raises:
        ArchiveError: the file is damaged.
        ModelDirectoryError: the file is not among `files`.
        MissingDependencyError: the package that reads it is not installed.
    """
    if config.kind == "byte-level":
        return ByteLevelTokenizer()
    for name in config.files or (None,):
        if name not in files:
            raise ModelDirectoryError(f"tokenizer file {name!r} is missing; there are {sorted(files)}")
    data = files[config.files[0]]
    try:
        if config.vocabulary is not None:
            return SentencePieceVocabularyTokenizer(data, files[config.vocabulary.file], config.vocabulary)
        if config.kind == "yttm":
            return YttmTokenizer(data, right_to_left=config.right_to_left)
        return SentencePieceTokenizer(data, legacy=config.legacy, added_tokens=config.added_tokens)
    except ArchiveError as error:
        raise ArchiveError(f"tokenizer file {config.file!r}: {error}") from error
