"""Chinese: simplified by OpenCC, split into words by jieba, spaced by pangu."""

from __future__ import annotations

from functools import cache
from typing import Any

from nmt_trt.text.dependencies import require
from nmt_trt.text.wide_spacing import wide_joiner

_EXTRA = "zh"


class ChineseProcessor:
    """NeMo's processing of "zh"."""

    def __init__(self) -> None:
        self._convert = require("opencc", "Chinese text", _EXTRA).OpenCC("t2s.json").convert
        self._cut = _word_cutter().cut
        self._join = wide_joiner(_EXTRA)

    def prepare(self, text: str) -> str:
        """Simplified characters in words, joined by spaces."""
        return " ".join(self._cut(self._convert(text)))

    def restore(self, text: str) -> str:
        """Text without spaces between Chinese characters."""
        return self._join(text)


@cache
def _word_cutter() -> Any:
    """A jieba tokenizer, filled from the package's own dictionary (half a second).

    jieba's own initialisation would load a cache from a fixed name in the shared temporary directory, where
    anybody could have put it.
    """
    jieba = require("jieba", "Chinese text", _EXTRA)
    cutter = jieba.Tokenizer()
    cutter.FREQ, cutter.total = cutter.gen_pfdict(cutter.get_dict_file())
    cutter.initialized = True
    return cutter
