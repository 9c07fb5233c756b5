"""Moses punctuation normalisation and tokenisation, by sacremoses."""

from __future__ import annotations

from nmt_trt.text.dependencies import require


class MosesProcessor:
    """Normalises punctuation and splits it from words; the default for a language.

    Args:
        language: its code; one that Moses does not know is treated like English without its special cases.
    """

    def __init__(self, language: str) -> None:
        moses = require("sacremoses", f"text in the language {language!r}")
        self._normalizer = moses.MosesPunctNormalizer(lang=language)
        self._ascii_normalizer = moses.MosesPunctNormalizer(lang=language)
        # Most rules look for a character that is not ASCII, and none of the others puts one in.
        self._ascii_normalizer.substitutions = [
            (pattern, replacement) for pattern, replacement in self._normalizer.substitutions if pattern.isascii()
        ]
        self._tokenizer = moses.MosesTokenizer(lang=language)
        self._detokenizer = moses.MosesDetokenizer(lang=language)

    def prepare(self, text: str) -> str:
        """Normalised tokens, joined by spaces; nothing is escaped."""
        normal = (self._ascii_normalizer if text.isascii() else self._normalizer).normalize(text)
        return str(self._tokenizer.tokenize(normal, escape=False, return_str=True))

    def restore(self, text: str) -> str:
        """Text of space-separated tokens."""
        return str(self._detokenizer.detokenize(text.split(" ")))


class DetokenizingProcessor:
    """Leaves source text as it is and detokenises target text; NeMo's choice for Hindi."""

    def __init__(self, language: str) -> None:
        moses = require("sacremoses", f"text in the language {language!r}")
        self._detokenizer = moses.MosesDetokenizer(lang=language)

    def prepare(self, text: str) -> str:
        """The text itself."""
        return text

    def restore(self, text: str) -> str:
        """Text of space-separated tokens."""
        return str(self._detokenizer.detokenize(text.split(" ")))
