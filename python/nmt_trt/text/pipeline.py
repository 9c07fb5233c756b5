"""Text to the encoder's ids, and the decoder's ids to text, exactly as the model's own toolkit does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import numpy as np

from nmt_trt.errors import UsageError
from nmt_trt.models.config import SourceTokens, TextConfig, TransformerConfig
from nmt_trt.text.processors import Processor, make_processor
from nmt_trt.text.tokenizer import Tokenizer, Word, make_tokenizer
from nmt_trt.text.unknowns import replace_unknowns

_SHOWN = 12
"""Languages that an error names."""


class TextPipeline:
    """Both directions of a model's text handling. Safe to use from several threads.

    Args:
        config: the model; it must have a text configuration.
        files: tokenizer files by name.

    Raises:
        UsageError: the model has no tokenizer.
        ArchiveError: a tokenizer file is damaged.
        ModelDirectoryError: a tokenizer file is missing.
        MissingDependencyError: a tokenizer needs a package that is not installed.
    """

    def __init__(self, config: TransformerConfig, files: Mapping[str, bytes]) -> None:
        if config.text is None:
            raise UsageError("this model has no tokenizer: it takes and gives ids, not text")
        self._text: TextConfig = config.text
        self._frame: SourceTokens = config.source_tokens
        self._source: Tokenizer = make_tokenizer(self._text.source_tokenizer, files)
        same = self._text.source_tokenizer == self._text.target_tokenizer
        self._target = self._source if same else make_tokenizer(self._text.target_tokenizer, files)
        self._languages = (self._text.source_language, self._text.target_language)

    def with_languages(self, source: str | None = None, target: str | None = None) -> TextPipeline:
        """The same tokenizers for other languages; None keeps a side's language.

        A model of several source or target languages needs one of them chosen before it can encode or decode.
        The language "ignore" switches a side's processing off.

        Raises:
            UsageError: a language that a multilingual model does not have.
        """
        other = object.__new__(TextPipeline)
        other._text, other._frame = self._text, self._frame
        other._source, other._target = self._source, self._target
        other._languages = (
            _chosen("source", source, self._text.source_languages) or self._languages[0],
            _chosen("target", target, self._text.target_languages) or self._languages[1],
        )
        return other

    @property
    def languages(self) -> tuple[str | None, str | None]:
        """What it translates from and to; None where that is not known."""
        return self._languages

    def encode(self, text: str) -> list[int]:
        """The encoder's whole input: prepended ids, BOS, the text's ids, EOS; a language's id may stand behind it.

        Nothing is prepended to a text that names its own language, in a model where texts may.

        Raises:
            UsageError: not a text, or a multilingual model without a language.
            MissingDependencyError: the language needs a package that is not installed.
        """
        check_text(text)
        ids = self._source.encode(self._source_processor.prepare(text.rstrip("\n")))
        before, behind = self._around(ids)
        return [*before, *ids, *behind]

    def _around(self, ids: Sequence[int]) -> tuple[list[int], list[int]]:
        """What stands before and behind the ids of a text."""
        added = () if self._names_language(ids) else self._added
        bos = [] if self._frame.bos is None else [self._frame.bos]
        if self._text.language_last:
            return bos, [self._frame.eos, *added]
        return [*added, *bos], [self._frame.eos]

    def _names_language(self, ids: Sequence[int]) -> bool:
        return self._text.inline_languages and list(ids[:1]) in self._language_rows

    def encode_target(self, text: str) -> list[int]:
        """Ids of a translation, in the order in which they are generated: the target language's, where the model begins
        with it, then the text's, without special tokens around them.

        Raises:
            UsageError: not a text, or a multilingual model without a language.
            MissingDependencyError: the language needs a package that is not installed.
        """
        check_text(text)
        ids = self._target.encode(self._target_processor.prepare(text.rstrip("\n"))) if text.strip() else []
        return [*self._first_target, *ids]

    def decode(self, tokens: Sequence[int] | np.ndarray) -> str:
        """Text of generated ids; special tokens leave no trace, ids beyond the vocabulary are unknown tokens.

        Raises:
            UsageError: a multilingual model without a language.
            MissingDependencyError: the language needs a package that is not installed.
        """
        return self._target_processor.restore(self._target.decode(self._known(tokens)))

    def decode_replacing(self, tokens: Sequence[int] | np.ndarray, attention: np.ndarray, text: str) -> str:
        """`decode`, with words of the source in the places of unknown tokens; see replace_unknowns.

        Args:
            tokens: generated ids.
            attention: [tokens or more, source], of these tokens to what encode(text) gives.
            text: the source.
        """
        ids, unknown = self._known(tokens), self._target.unk
        if unknown not in ids:
            return self.decode(ids)
        replaced = replace_unknowns(ids, unknown, attention, self._source_words(text))
        return self._target_processor.restore(self._target.decode(replaced))

    def _known(self, tokens: Sequence[int] | np.ndarray) -> list[int]:
        size, unknown = self._target.vocab_size, self._target.unk
        return [token if 0 <= token < size else unknown for token in map(int, tokens)]

    def _source_words(self, text: str) -> list[Word]:
        """The words of what encode() gives; special ids are of none."""
        prepared = self._source_processor.prepare(text.rstrip("\n"))
        ids, words = self._source.encode(prepared), self._source.words(prepared)
        if self._names_language(ids):
            words[0] = ("", words[0][1])
        before, behind = self._around(ids)
        return [("", len(before)), *words, ("", len(behind))]

    @cached_property
    def _source_processor(self) -> Processor:
        self._check_languages()
        return make_processor(self._languages[0], self._languages, self._text.source_tokenizer.kind)

    @cached_property
    def _target_processor(self) -> Processor:
        self._check_languages()
        return make_processor(self._languages[1], self._languages, self._text.target_tokenizer.kind)

    @cached_property
    def _added(self) -> tuple[int, ...]:
        """Ids around the source: the source language's token where the model has one, else the target's."""
        tokens = self._text.language_tokens
        for language in self._languages:
            if language in tokens:
                return (tokens[language],)
        return self._frame.prepend

    @cached_property
    def _first_target(self) -> tuple[int, ...]:
        language = self._languages[1]
        tokens = self._text.language_tokens if self._text.target_token == "first" else {}
        return (tokens[language],) if language in tokens else ()

    @cached_property
    def _language_rows(self) -> list[list[int]]:
        return [[token] for token in self._text.language_tokens.values()]

    def _check_languages(self) -> None:
        if self._text.inline_languages:
            return
        choices = (self._text.source_languages, self._text.target_languages)
        for side, language, known in zip(("source", "target"), self._languages, choices, strict=True):
            if known and language is None:
                raise UsageError(f"this model has several {side} languages; choose one of {_some(known, len(known))}")


def _chosen(side: str, language: str | None, known: Sequence[str]) -> str | None:
    if language is not None and known and language not in known:
        alike = known if len(known) <= _SHOWN else get_close_matches(language, known, n=_SHOWN, cutoff=0)
        raise UsageError(f"{side} language must be one of {_some(alike, len(known))}; given {language!r}")
    return language


def _some(languages: Sequence[str], count: int) -> str:
    """The first of them, and how many there are if that is more."""
    shown = ", ".join(languages[:_SHOWN])
    return shown if count <= _SHOWN else f"{shown}, ... ({count} in all)"


def check_text(text: str) -> None:
    """Refuse what no tokenizer can read.

    Raises:
        UsageError: not a string, or one with half a surrogate pair (undecodable bytes of a file).
    """
    problem = text_problem(text)
    if problem is not None:
        raise UsageError(f"text {problem}")


def text_problem(text: Any) -> str | None:
    """Why no tokenizer can read it, as what is said of it; None if any can."""
    if not isinstance(text, str):
        return f"must be a string; given {type(text).__name__}"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"must be valid Unicode; found a lone surrogate, {text[error.start]!r}, at {error.start}"
    return None
