"""Random cases: a tiny Marian model, a batch of sources and search options."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hf_reference.recording import REAL, Beams, Recorder
from nmt_trt.score_options import LEFT_ALONE
from random_marian import random_marian_model, random_marian_sources
from search.cases import Found

LONG = os.environ.get("NMT_TRT_TEST_ALL") == "1"
SEEDS = range(200 if LONG else 40)
MARGIN = 1e-5
"""What is closer than this may be decided either way: sums in another order differ as much."""

Options = dict[str, Any]
"""Keyword arguments of ours: GenerationOptions."""

NAMES = {
    "beam_size": "num_beams",
    "num_hypotheses": "num_return_sequences",
    "max_length": "max_new_tokens",
    "min_length": "min_new_tokens",
    "no_repeat_ngram": "no_repeat_ngram_size",
    "forced_bos": "forced_bos_token_id",
    "forced_eos": "forced_eos_token_id",
    "bad_words": "bad_words_ids",
}
"""transformers' names of our options, where they differ."""


@dataclass(frozen=True)
class Case:
    """A model, sources and options.

    Attributes:
        sources: rows of source ids, EOS included, without padding.
        options: ours, `beam_size`, `max_length`, `num_hypotheses` and `length_penalty` among them.
    """

    model: Recorder
    sources: tuple[np.ndarray, ...]
    options: Options

    @property
    def eos(self) -> int:
        """The token that ends a hypothesis."""
        return self.model.eos

    @property
    def pad(self) -> int:
        """The padding token, in Marian's models also the start token."""
        return self.model.pad

    @cached_property
    def source_ids(self) -> Tensor:
        """The sources as int64 [B,S], padded on the right."""
        length = max(map(len, self.sources))
        return torch.tensor([[*row, *[self.pad] * (length - len(row))] for row in self.sources])

    @cached_property
    def attention_mask(self) -> Tensor:
        """int64 [B,S]: 1 for a source token, 0 for padding."""
        length = max(map(len, self.sources))
        return torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in self.sources])

    @property
    def arguments(self) -> dict[str, Any]:
        """The options as generate() takes them."""
        arguments = {NAMES.get(name, name): value for name, value in self.options.items()}
        if "allowed_tokens" in arguments:  # transformers has only the opposite
            allowed = {self.eos, *arguments.pop("allowed_tokens")}
            others = [token for token in range(self.model.vocab_size) if token not in allowed]
            arguments["suppress_tokens"] = [*arguments.get("suppress_tokens", []), *others]
        return arguments

    @cached_property
    def beams(self) -> Beams:
        """What transformers finds for the whole batch."""
        arguments = self.arguments
        if self.options["beam_size"] == 1:  # transformers warns of options of beam search that have no effect
            arguments = {name: arguments[name] for name in arguments.keys() - {"length_penalty", "early_stopping"}}
        return self.model.generate(self.source_ids, self.attention_mask, arguments)

    @property
    def decided(self) -> bool:
        """Whether nothing that mattered was closer than MARGIN, or out of the running."""
        return self.beams.margin > MARGIN and bool((self.beams.scores > REAL).all())

    @cached_property
    def expected(self) -> list[list[Found]]:
        """transformers' hypotheses of each sentence, best first."""
        return [
            [self._hypothesis(row.tolist()[1:], float(score)) for row, score in zip(*sentence, strict=True)]
            for sentence in zip(self.beams.sequences, self.beams.scores, strict=True)
        ]

    def _hypothesis(self, generated: list[int], score: float) -> Found:
        if self.eos in generated:
            generated = generated[: generated.index(self.eos) + 1]
        power = len(generated) ** self.options["length_penalty"]
        words = tuple(token for token in generated if token not in (self.eos, self.pad))
        if self.options["beam_size"] == 1:
            return Found(words, score / power, score)
        return Found(words, score, score * power)


@cache
def model_of(seed: int) -> Recorder:
    """The model of a seed."""
    return Recorder(random_marian_model(seed))


def decided_case(seed: int, *changed: str) -> Case:
    """The first case drawn from a seed that does not hang on rounding; `changed` names the optional options."""
    return next(case for case in (draw_case(seed, attempt, changed) for attempt in count()) if case.decided)


@cache
def random_case(seed: int) -> Case:
    """A decided case with each of the optional options at random."""
    draw = np.random.default_rng([seed, 1])
    return decided_case(seed, *(name for name in OPTIONAL if draw.random() < 0.3))


def draw_case(seed: int, attempt: int, changed: tuple[str, ...]) -> Case:
    """A case with a value for each of the `changed` options; the beam size is 1 to 8, by seed."""
    draw = np.random.default_rng([seed, attempt])
    model = model_of(seed)
    beam = 1 + seed % 8
    longest = int(draw.integers(1, 24))
    options: Options = {
        "beam_size": beam,
        "max_length": longest,
        "num_hypotheses": int(draw.integers(1, beam + 1)),
        "length_penalty": float(draw.choice([-1.5, -0.4, 0, 0.6, 1, 2])),
        "early_stopping": [False, True, "never"][draw.integers(3)],
    }
    words = [token for token in range(model.vocab_size) if token not in (model.eos, model.start)]

    def token() -> int:
        return int(draw.choice(words))

    values: dict[str, Callable[[], Any]] = {
        "min_length": lambda: int(draw.integers(1, longest + 1)),
        "repetition_penalty": lambda: float(draw.choice([0.7, 1.2, 2.0])),
        "no_repeat_ngram": lambda: int(draw.integers(2, 5)),
        "forced_bos": token,
        "forced_eos": lambda: model.eos if draw.random() < 0.7 else token(),
        "bad_words": lambda: [
            [model.eos],
            [model.start],
            *([token() for _ in range(draw.integers(1, 3))] for _ in range(draw.integers(30))),
        ],
        "suppress_tokens": lambda: [int(one) for one in draw.choice(words, 6, replace=False)],
        "allowed_tokens": lambda: [int(one) for one in draw.choice(words, 2 * len(words) // 3, replace=False)],
    }
    options |= {name: values[name]() for name in changed}
    suppressed = options.get("suppress_tokens", [])
    for forced in ("forced_bos", "forced_eos"):
        if options.get(forced) in suppressed:
            suppressed.remove(options[forced])
        if forced in options and "allowed_tokens" in options:
            options["allowed_tokens"].append(options[forced])
    sources = random_marian_sources(model.model.config, int(draw.integers(1, 5)), 12, int(draw.integers(1 << 30)))
    return Case(model, tuple(sources), options)


OPTIONAL = tuple(LEFT_ALONE)
"""Options that a case may or may not have."""
