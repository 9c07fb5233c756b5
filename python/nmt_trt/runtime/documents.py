"""Translates the lines of a document sentence by sentence."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Unpack

from nmt_trt.errors import SourceError
from nmt_trt.options import GenerationKeywords
from nmt_trt.results import Timings
from nmt_trt.runtime.inputs import source_texts
from nmt_trt.text.document import Line, split_line
from nmt_trt.text.sentences import SentenceSplitter

if TYPE_CHECKING:
    from nmt_trt.runtime.batch_search import Progress
    from nmt_trt.runtime.model import Model

_SHOWN = 40


class DocumentTranslator:
    """Translates lines that hold any number of sentences. Not for several threads at once.

    Raises:
        UsageError: the model has no tokenizer.
        MissingDependencyError: the extra `documents` is not installed.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._done = 0
        source_language, self._target_language = model.languages
        self._splitter = SentenceSplitter(source_language)

    def translate(
        self, lines: Sequence[str], *, progress: Progress | None = None, **options: Unpack[GenerationKeywords]
    ) -> tuple[list[str], Timings]:
        """The lines, their sentences translated and the rest as it was; and the time of each stage.

        Raises:
            SourceError: a sentence that is too long; its index is that of the line.
            UsageError: an option or a text that cannot be used.
        """
        started = time.perf_counter()
        cut = [split_line(line, self._splitter) for line in source_texts("lines", lines)]
        edges = list(accumulate((len(line.sentences) for line in cut), initial=0))
        sentences = [sentence for line in cut for sentence in line.sentences]
        split = time.perf_counter() - started
        try:
            hypotheses, timings = self._model.translate_hypotheses(
                sentences, first_number=self._done, progress=progress, **options
            )
        except SourceError as error:
            raise _placed(error, cut, edges) from error
        self._done += len(sentences)
        timings.preprocess += split
        best = [found[0][0] for found in hypotheses]
        translated = [
            line.filled(best[start:end], target_language=self._target_language)
            for line, (start, end) in zip(cut, pairwise(edges), strict=True)
        ]
        return translated, timings


def _placed(error: SourceError, cut: Sequence[Line], edges: Sequence[int]) -> SourceError:
    """The error of one of all sentences as one of its line."""
    line = max(index for index in range(len(cut)) if edges[index] <= error.index)
    number = error.index - edges[line]
    sentence = cut[line].sentences[number]
    shown = sentence if len(sentence) <= _SHOWN else sentence[:_SHOWN] + "..."
    return SourceError(line, f"sentence {number + 1}, {shown!r}, {error.problem}", name="lines")
