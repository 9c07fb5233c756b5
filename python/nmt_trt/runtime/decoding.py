"""Turns hypotheses into translations, where there are text workers while the backend searches the next ones."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from itertools import pairwise
from typing import Self

from nmt_trt.options import ResolvedOptions
from nmt_trt.results import Hypothesis
from nmt_trt.runtime.hypotheses import decoded
from nmt_trt.runtime.text_tasks import decode_packed, pack
from nmt_trt.runtime.text_workers import SMALLEST_CHUNK, TEXT_COST, TextWorkers
from nmt_trt.text.pipeline import TextPipeline

Translation = tuple[str, Hypothesis]
"""The text of a hypothesis and itself."""


class Decoding:
    """The translations of one call's sentences. A context manager: what nobody waits for any more is cancelled.

    Workers get the hypotheses of a batch as soon as they are found, but not fewer than are worth sending. Where unknown
    tokens are replaced, which takes attention and sources, all is done here.
    """

    def __init__(
        self, workers: TextWorkers, pipeline: TextPipeline, sources: Sequence[str], options: ResolvedOptions
    ) -> None:
        """`sources` are what is translated, none of them empty.

        Raises:
            BackendError: a process cannot be started.
        """
        self._pipeline, self._sources, self._options = pipeline, sources, options
        self._calls = None if options.replace_unknowns else workers.calls(pipeline, len(sources))
        self._kept: dict[int, Sequence[Hypothesis]] = {}
        self._sent: list[tuple[list[int], Future[list[str]]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._calls is not None:
            self._calls.cancel()

    def begin(self, indices: Sequence[int], found: Sequence[Sequence[Hypothesis]]) -> None:
        """Have the hypotheses of some of the sentences decoded.

        Raises:
            BackendError: a worker has ended.
        """
        if self._calls is None:
            return
        self._kept.update(zip(indices, found, strict=True))
        if sum(map(len, self._kept.values())) < SMALLEST_CHUNK:
            return
        ready = list(self._kept)
        costs = [sum(TEXT_COST + hypothesis.tokens.size for hypothesis in self._kept[index]) for index in ready]
        for start, end in pairwise(self._calls.chunk_edges(costs)):
            chunk = ready[start:end]
            rows = [hypothesis.tokens for index in chunk for hypothesis in self._kept[index]]
            self._sent.append((chunk, self._calls.submit(decode_packed, pack(rows))))
        self._kept = {}

    def finish(self, hypotheses: Sequence[Sequence[Hypothesis]]) -> list[list[Translation]]:
        """The translations of all sentences, whose hypotheses are given again.

        Raises:
            UsageError, MissingDependencyError: see TextPipeline.decode.
            BackendError: a worker has ended.
        """
        sent = {index for indices, _ in self._sent for index in indices}
        answers = [
            [] if index in sent else [decoded(h, source, self._pipeline, self._options) for h in found]
            for index, (source, found) in enumerate(zip(self._sources, hypotheses, strict=True))
        ]
        if self._calls is not None:
            for indices, future in self._sent:
                texts = self._calls.result(future)
                rest = iter(texts)
                for index in indices:
                    answers[index] = [(next(rest), hypothesis) for hypothesis in hypotheses[index]]
        return answers
