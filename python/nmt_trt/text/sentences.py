"""Splits a paragraph into sentences, with the package sentencesplit."""

from __future__ import annotations

from itertools import pairwise

from nmt_trt.text.dependencies import require

_OTHER_LANGUAGES = "en"
"""Whose rules serve languages that sentencesplit has none for."""
_OF_THREE_LETTERS = {
    code: short
    for short, codes in {
        "am": "amh",
        "ar": "acm acq aeb ajp apc ara arb ars ary arz",
        "bg": "bul",
        "da": "dan",
        "de": "deu",
        "el": "ell",
        "en": "eng",
        "es": "spa",
        "fa": "fas pes prs",
        "fr": "fra",
        "hi": "hin",
        "hy": "hye",
        "it": "ita",
        "ja": "jpn",
        "kk": "kaz",
        "mr": "mar",
        "my": "mya",
        "nl": "nld",
        "pl": "pol",
        "ru": "rus",
        "sk": "slk",
        "tl": "tgl",
        "ur": "urd",
        "zh": "cmn yue zho",
    }.items()
    for code in codes.split()
}
"""sentencesplit's languages by ISO 639-3, which OPUS-MT and NLLB name them by."""


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
    """ "zh" of "zh-Hans", "zh_CN" or "zho_Hans"; a code of three letters that has no rules here stays."""
    if language is None:
        return None
    code = language.replace("_", "-").split("-")[0].lower()
    return _OF_THREE_LETTERS.get(code, code)
