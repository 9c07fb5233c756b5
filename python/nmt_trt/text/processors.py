"""What happens to text around the tokenizer, by language: NeMo's pre- and postprocessing."""

from __future__ import annotations

from typing import Protocol

from nmt_trt.text.chinese import ChineseProcessor
from nmt_trt.text.japanese import EnglishJapaneseProcessor, MecabProcessor
from nmt_trt.text.moses import DetokenizingProcessor, MosesProcessor


class Processor(Protocol):
    """Turns text into space-separated tokens and back. Safe to use from several threads."""

    def prepare(self, text: str) -> str:
        """Normalise and tokenise a source text."""

    def restore(self, text: str) -> str:
        """Detokenise a target text."""


class PlainProcessor:
    """Leaves text as it is."""

    def prepare(self, text: str) -> str:
        """The text itself."""
        return text

    def restore(self, text: str) -> str:
        """The text itself."""
        return text


def make_processor(language: str | None, pair: tuple[str | None, str | None], kind: str) -> Processor:
    """The processor of one side, by the rules of NeMo's setup_pre_and_post_processing_utils.

    Args:
        language: the side's language, NeMo's own words included: "ignore" and None for none, "ja-mecab".
        pair: (source, target) language; English with Japanese has a rule of its own.
        kind: the side's kind of tokenizer; bytes need no processing, and Hugging Face's models get none.

    Raises:
        MissingDependencyError: the language needs a package that is not installed.
    """
    if kind in ("byte-level", "sentencepiece-vocabulary"):
        return PlainProcessor()
    if language in ("en", "ja") and set(pair) == {"en", "ja"}:
        return EnglishJapaneseProcessor(language)
    if language == "ja-mecab":
        return MecabProcessor()
    if language == "zh":
        return ChineseProcessor()
    if language == "hi":
        return DetokenizingProcessor(language)
    if language in (None, "ignore", "ja"):
        return PlainProcessor()
    return MosesProcessor(language)
