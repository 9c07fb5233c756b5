"""Random search problems, everything drawn from a seed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nmt_trt import _core
from nmt_trt.options import Policy
from search.toy_model import Tokens, ToyModel

LONG = os.environ.get("NMT_TRT_TEST_ALL") == "1"
SEEDS = range(2000 if LONG else 250)


@dataclass(frozen=True)
class Found:
    """One hypothesis, as the core or as a reference reports it."""

    tokens: tuple[int, ...]
    score: float
    log_prob: float


@dataclass(frozen=True)
class Case:
    """A toy model, a batch of sentences and the options of a search.

    Attributes:
        sentences: the toy model's number of each sentence of the batch.
        max_lengths: most generated tokens of each sentence.
        scores: options that change the scores of next tokens.
        target_prefix: tokens that each sentence's hypotheses begin with; empty for no prefixes.
    """

    model: ToyModel
    policy: Policy
    sentences: tuple[int, ...]
    max_lengths: tuple[int, ...]
    beam_size: int
    num_hypotheses: int
    length_penalty: float
    pad: int
    bos: int
    scores: dict[str, Any] = field(default_factory=dict, hash=False)
    target_prefix: tuple[Tokens, ...] = ()

    @property
    def eos(self) -> int:
        """The token that ends a hypothesis."""
        return self.model.eos

    def new_search(self) -> _core.BeamSearch:
        """A search of the core with these options."""
        return _core.BeamSearch(
            policy=self.policy,
            beam_size=self.beam_size,
            num_hypotheses=self.num_hypotheses,
            length_penalty=self.length_penalty,
            eos=self.eos,
            pad=self.pad,
            bos=self.bos,
            vocab_size=self.model.vocab_size,
            max_lengths=np.array(self.max_lengths, np.int32),
            target_prefix=self.target_prefix,
            **self.scores,
        )

    def select(self, positions: list[int]) -> Case:
        """The same search over these sentences of the batch, in this order."""
        return replace(
            self,
            sentences=tuple(self.sentences[i] for i in positions),
            max_lengths=tuple(self.max_lengths[i] for i in positions),
            target_prefix=tuple(self.target_prefix[i] for i in positions) if self.target_prefix else (),
        )


def random_case(seed: int, policy: Policy) -> Case:
    """The case of a seed: small vocabularies, so that hypotheses end, repeat and run out of candidates."""
    draw = np.random.default_rng([seed, policy == "nemo"])
    beam_size = int(draw.choice([1, 2, 3, 4, 5, 8, 32], p=[0.2, 0.15, 0.15, 0.2, 0.15, 0.1, 0.05]))
    smallest = max(4, beam_size) if policy == "nemo" else 4
    vocab_size = int(draw.integers(smallest, smallest + 40))
    eos, pad, bos = (int(token) for token in draw.choice(vocab_size, 3, replace=False))
    sentences = int(draw.integers(1, 6))
    limits = draw.integers(1, 12, sentences)
    if policy == "nemo":
        limits[:] = limits[0]
    return Case(
        model=ToyModel(seed, vocab_size, eos, scale=float(draw.uniform(0.5, 4))),
        policy=policy,
        sentences=tuple(range(sentences)),
        max_lengths=tuple(int(limit) for limit in limits),
        beam_size=beam_size,
        num_hypotheses=int(draw.integers(1, beam_size + 1)),
        length_penalty=float(draw.choice([0, 0.6, 1, 2.5])),
        pad=pad,
        bos=pad if draw.random() < 0.2 else bos,
    )


def with_score_options(case: Case, seed: int) -> Case:
    """The case with each of the options that change scores at random."""
    draw = np.random.default_rng([seed, 2])

    def token() -> int:
        return int(draw.integers(case.model.vocab_size))

    scores: dict[str, Any] = {
        "min_length": int(draw.integers(1, 5)),
        "repetition_penalty": float(draw.choice([0.7, 1.3])),
        "no_repeat_ngram": int(draw.integers(1, 4)),
        "forced_bos": token(),
        "forced_eos": token(),
        "bad_words": [[token() for _ in range(draw.integers(1, 3))] for _ in range(3)],
        "suppress_tokens": [token()],
        "allowed_tokens": [token() for _ in range(draw.integers(1, case.model.vocab_size))],
    }
    kept = {name: value for name, value in scores.items() if draw.random() < 0.3}
    for name in ("forced_bos", "forced_eos"):
        allowed = kept.get("allowed_tokens")
        if kept.get(name) in (case.pad, *kept.get("suppress_tokens", [])):
            kept.pop(name)
        elif name in kept and allowed is not None:
            allowed.append(kept[name])
    return replace(case, scores=kept)


def with_target_prefix(case: Case, seed: int) -> Case:
    """The case with prefixes of no token to as many as a sentence may have; EOS ends some of them."""
    draw = np.random.default_rng([seed, 3])
    words = [token for token in range(case.model.vocab_size) if token not in (case.eos, case.pad)]

    def prefix(limit: int) -> Tokens:
        tokens = tuple(int(token) for token in draw.choice(words, draw.integers(0, min(limit, 4) + 1)))
        return (*tokens[:-1], case.eos) if tokens and draw.random() < 0.1 else tokens

    return replace(case, target_prefix=tuple(prefix(limit) for limit in case.max_lengths))
