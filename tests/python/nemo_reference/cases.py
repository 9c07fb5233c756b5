"""Random cases: a model over every architecture option, a batch of sources and search options."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import count

import numpy as np
import torch
from torch import Tensor

from nemo_reference.modules import Architecture, NemoBeams, NemoModel, random_nemo_model

LONG = os.environ.get("NMT_TRT_TEST_ALL") == "1"
SEEDS = range(200 if LONG else 40)
MARGIN = 1e-5
"""Candidates closer than this may be ranked either way: sums in another order differ as much."""

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Hypothesis:
    """As `policy="nemo"` reports it: tokens without start, EOS and PAD; normalised and raw score."""

    tokens: Tokens
    score: float
    log_prob: float


@dataclass(frozen=True)
class Case:
    """One seed's model, sources and options; everything is drawn from the seed.

    Attributes:
        sources: rows of source ids, BOS and EOS included, without padding.
    """

    seed: int
    architecture: Architecture
    sources: tuple[Tokens, ...]
    beam_size: int
    length_penalty: float
    max_length_delta: int

    @cached_property
    def model(self) -> NemoModel:
        """The case's model, of the real NeMo's modules."""
        return random_nemo_model(self.seed, self.architecture)

    @cached_property
    def source_ids(self) -> Tensor:
        """The sources as int64 [B,S], padded on the right."""
        length = max(map(len, self.sources))
        return torch.tensor([[*row, *[self.architecture.pad] * (length - len(row))] for row in self.sources])

    @cached_property
    def beams(self) -> NemoBeams:
        """What the real NeMo finds for the whole batch."""
        return self.search(self.source_ids)

    def search(self, source_ids: Tensor) -> NemoBeams:
        """What the real NeMo finds with the case's options."""
        return self.model.beam_search(
            source_ids,
            beam_size=self.beam_size,
            length_penalty=self.length_penalty,
            max_length_delta=self.max_length_delta,
        )

    @property
    def decided(self) -> bool:
        """Whether no two candidates that mattered were closer than MARGIN."""
        last = [-np.diff([hypothesis.score for hypothesis in sentence]) for sentence in self.expected]
        return self.beams.margin > MARGIN and bool((np.concatenate(last) > MARGIN).all())

    @cached_property
    def expected(self) -> list[list[Hypothesis]]:
        """NeMo's hypotheses of each sentence, best first."""
        return [self._ranked(*sentence) for sentence in zip(self.beams.tokens, self.beams.scores, strict=True)]

    def _ranked(self, tokens: Tensor, scores: Tensor) -> list[Hypothesis]:
        ends = torch.tensor([self.architecture.eos, self.architecture.pad])
        is_end = torch.isin(tokens, ends)
        # NeMo counts BOS and adds one; before its first loop step every length is 3.
        lengths = 1.0 + (~is_end).sum(dim=1) if tokens.shape[1] > 2 else torch.full((len(tokens),), 3.0)
        normalised = scores / ((5 + lengths) / 6).pow(self.length_penalty)
        order = torch.argsort(normalised, descending=True, stable=True)
        return [
            Hypothesis(tuple(tokens[k, 1:][~is_end[k, 1:]].tolist()), float(normalised[k]), float(scores[k]))
            for k in order
        ]


@cache
def case(seed: int) -> Case:
    """The case of a seed: the first of those drawn from it whose search does not hang on rounding."""
    return next(drawn for drawn in (_draw(seed, attempt) for attempt in count()) if drawn.decided)


def _draw(seed: int, attempt: int) -> Case:
    """One case; a third of the seeds have a single sentence, the others leak between sentences."""
    draw = np.random.default_rng([seed, attempt])
    architecture = random_architecture(seed)
    batch = 1 if seed % 3 == 0 else int(draw.integers(2, 6))
    return Case(
        seed=seed,
        architecture=architecture,
        sources=tuple(_source(draw, architecture) for _ in range(batch)),
        beam_size=1 + seed % 6,
        length_penalty=float(draw.choice([0.0, 0.6, 1.0, 2.0])),
        max_length_delta=int(draw.choice([-1, 0, 3, 10, 50])),
    )


def random_architecture(seed: int) -> Architecture:
    """An architecture drawn from every option."""
    draw = np.random.default_rng([seed, 1])

    def flag() -> bool:
        return bool(draw.integers(2))

    heads, shared = int(draw.choice([1, 2, 4])), flag()
    target_vocabulary = int(draw.integers(16, 60))
    others = draw.permutation(16)[:4]
    return Architecture(
        hidden_size=heads * int(draw.choice([8, 12, 16])),
        num_attention_heads=heads,
        encoder_layers=int(draw.integers(1, 4)),
        decoder_layers=int(draw.integers(1, 4)),
        encoder_inner_size=int(draw.integers(8, 80)),
        decoder_inner_size=int(draw.integers(8, 80)),
        source_vocab_size=target_vocabulary if shared else int(draw.integers(16, 60)),
        target_vocab_size=target_vocabulary,
        max_sequence_length=int(draw.choice([20, 32])),
        pre_ln=flag(),
        pre_ln_final_layer_norm=flag(),
        learn_positional_encodings=flag(),
        hidden_act="gelu" if flag() else "relu",
        mask_future=flag(),
        shared_embeddings=shared,
        special_tokens=tuple(map(int, others)) if flag() else (1, 0, 2, 3),  # type: ignore[arg-type]
    )


def _source(draw: np.random.Generator, architecture: Architecture) -> Tokens:
    ordinary = [token for token in range(architecture.source_vocab_size) if token != architecture.pad]
    length = int(draw.integers(1, 16))
    return (architecture.bos, *map(int, draw.choice(ordinary, length)), architecture.eos)
