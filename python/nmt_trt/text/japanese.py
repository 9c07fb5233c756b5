"""Japanese: NeMo's two ways, Moses for models between English and Japanese, MeCab for "ja-mecab"."""

from __future__ import annotations

import threading

from nmt_trt.text.dependencies import require
from nmt_trt.text.wide_spacing import wide_joiner

_EXTRA = "ja"


class EnglishJapaneseProcessor:
    """Moses on both sides of a model between English and Japanese; only here does NeMo XML-escape the tokens.

    Args:
        language: "en", whose punctuation is normalised, or "ja", whose is not.
    """

    def __init__(self, language: str) -> None:
        moses = require("sacremoses", f"text in the language {language!r}")
        self._normalizer = None
        if language == "en":
            self._normalizer = moses.MosesPunctNormalizer(
                lang=language, pre_replace_unicode_punct=True, post_remove_control_chars=True
            )
        self._tokenizer = moses.MosesTokenizer(lang=language)
        self._detokenizer = moses.MosesDetokenizer(lang=language)

    def prepare(self, text: str) -> str:
        """Escaped tokens, joined by spaces."""
        normal = text if self._normalizer is None else self._normalizer.normalize(text)
        return " ".join(self._tokenizer.tokenize(normal))

    def restore(self, text: str) -> str:
        """Text of space-separated tokens, escapes undone."""
        return str(self._detokenizer.detokenize(text.split(" ")))


class MecabProcessor:
    """Words by MeCab with the IPA dictionary; spacing by pangu."""

    def __init__(self) -> None:
        dictionary = require("ipadic", "Japanese text", _EXTRA).MECAB_ARGS
        self._tagger = require("MeCab", "Japanese text", _EXTRA).Tagger(f"{dictionary} -Owakati")
        self._lock = threading.Lock()  # a tagger keeps its lattice between calls
        self._join = wide_joiner(_EXTRA)

    def prepare(self, text: str) -> str:
        """Words, joined by spaces."""
        with self._lock:
            return str(self._tagger.parse(text)).strip()

    def restore(self, text: str) -> str:
        """Text without spaces between Japanese characters."""
        return self._join(text)
