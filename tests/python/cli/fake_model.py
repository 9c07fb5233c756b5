"""A model that answers at once, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from nmt_trt import GenerationResult, Hypothesis, Model, Timings
from nmt_trt.errors import SourceError
from nmt_trt.models.config import TextConfig, TokenizerConfig
from nmt_trt.options import GenerationKeywords, make_options
from nmt_trt.runtime.batch_search import Progress
from nmt_trt.runtime.inputs import SourceIds
from nmt_trt.text.pipeline import TextPipeline
from random_models import random_config

TEXT = TextConfig(
    source_language="en",
    target_language="de",
    source_tokenizer=TokenizerConfig(kind="byte-level"),
    target_tokenizer=TokenizerConfig(kind="byte-level"),
)


class FakeModel(Model):
    """Translates by writing in capitals and generates by reversing.

    Attributes:
        asked: each call's inputs.
        limit: a longer input is refused, before anything is answered.
    """

    def __init__(self, *, limit: int = 100, text: TextConfig | None = TEXT) -> None:
        self.config = random_config(0, text=text)
        self.directory = Path("fake")
        self.limit = limit
        self.asked: list[list[object]] = []
        self.options: Any = {}
        self._text = None if text is None else TextPipeline(self.config, {})

    @property
    def backend(self) -> str:
        return "fake backend (for tests)"

    def translate_hypotheses(
        self,
        texts: Sequence[str],
        *,
        target_prefix: Sequence[str] | None = None,
        first_number: int = 0,
        progress: Progress | None = None,
        **options: Unpack[GenerationKeywords],
    ) -> tuple[list[list[tuple[str, Hypothesis]]], Timings]:
        self._check(texts)
        self.options = options
        count = make_options(**options).num_hypotheses
        if progress is not None:
            progress(len(texts))
        prefixes = target_prefix or [""] * len(texts)
        answers = [
            [(prefix + text.upper() + "+" * n, _hypothesis([n, len(text)])) for n in range(count)]
            for prefix, text in zip(prefixes, texts, strict=True)
        ]
        return answers, Timings(preprocess=1, encoder=2, generator=3, postprocess=4)

    def generate(
        self,
        src_ids: SourceIds,
        *,
        target_prefix: SourceIds | None = None,
        first_number: int = 0,
        progress: Progress | None = None,
        **options: Unpack[GenerationKeywords],
    ) -> GenerationResult:
        rows = [list(map(int, row)) for row in src_ids]
        if [] in rows:
            raise SourceError(rows.index([]), "is empty")
        self._check(rows)
        asked = make_options(**options)
        prefixes = [list(map(int, row)) for row in target_prefix] if target_prefix is not None else [[]] * len(rows)
        answers = [
            [
                _hypothesis([*prefix, *row[::-1], *[7] * n], scored=asked.token_scores, attends=asked.attention)
                for n in range(asked.num_hypotheses)
            ]
            for prefix, row in zip(prefixes, rows, strict=True)
        ]
        return GenerationResult(answers, Timings(encoder=2, generator=3))

    def _check(self, inputs: Sequence[Sequence[object]]) -> None:
        for index, given in enumerate(inputs):
            if len(given) > self.limit:
                raise SourceError(index, f"has {len(given)} tokens; the model's limit is {self.limit}")
        self.asked.append(list(inputs))


def _hypothesis(tokens: list[int], *, scored: bool = False, attends: bool = False) -> Hypothesis:
    scores = np.array([-1.0, -0.5], dtype=np.float32) if scored else None
    attention = np.eye(len(tokens), dtype=np.float32)[::-1] if attends else None
    return Hypothesis(np.array(tokens, dtype=np.int32), -0.5, -1.5, scores, attention)
