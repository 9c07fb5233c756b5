"""Splits a paragraph into sentences, with the package sentencesplit."""

from __future__ import annotations

from itertools import pairwise

from nmt_trt.text.dependencies import require

_OTHER_LANGUAGES = "en"
"""Whose rules serve languages that sentencesplit has none for."""


class SentenceSplitter:
    """Splits text of one language; loses no character of it.

    Args:
        language: as "de" or "zh-Hans"; one that sentencesplit does not know, or None, is split by English rules.

    Raises:
        MissingDependencyError: sentencesplit is not installed.
    """

    def __init__(self, language: str | None) -> None:
        library = require("sentencesplit", "splitting a document into sentences", "documents")
        code = primary_language(language)
        known = code in library.list_languages()
        self._segmenter = library.Segmenter(language=code if known else _OTHER_LANGUAGES)

    def split(self, text: str) -> list[str]:
        """The sentences, each with the white space around it; together they are the text."""
        starts = {span.start for span in self._segmenter.segment_spans(text)}
        edges = sorted({0, *starts, len(text)})
        return [text[start:end] for start, end in pairwise(edges)]


def primary_language(language: str | None) -> str | None:
    """ "zh" of "zh-Hans" or "zh_CN"."""
    return None if language is None else language.replace("_", "-").split("-")[0].lower()
