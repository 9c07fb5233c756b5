"""Policy gnmt from its definition: whole hypotheses, float64, nothing shared with the C++ core.

Scores are sum / ((5 + len) / 6)^alpha (Wu et al. 2016, arXiv:1609.08144, equation 14) with len = generated tokens
other than EOS + 2, as NeMo counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from search.cases import Case, Found
from search.score_rules import changed_scores
from search.toy_model import History, Tokens

NEAR_TIE = 1e-5


class NearTieError(Exception):
    """Two candidates too close for fp32 and float64 to have to agree on their order."""


@dataclass(frozen=True)
class Partial:
    """A hypothesis: its generated tokens, EOS included, and the sum of their log-probabilities."""

    tokens: Tokens
    log_prob: float


@dataclass(frozen=True)
class BruteForce:
    """The search of one sentence of a case.

    Attributes:
        position: of the sentence in the batch.
        prefix: tokens forced after the start token.
    """

    case: Case
    position: int
    prefix: Tokens = ()

    def search(self) -> list[Found]:
        """The hypotheses, best first.

        Raises:
            NearTieError: the order of two hypotheses hangs on a rounding.
        """
        beam = [Partial((), 0.0)]
        for _ in range(self.case.max_lengths[self.position]):
            if all(self._ended(hypothesis) for hypothesis in beam):
                break
            beam = self._best([new for hypothesis in beam for new in self._continuations(hypothesis)])
        return [
            Found(self._words(hypothesis), self._score(hypothesis), hypothesis.log_prob)
            for hypothesis in beam[: self.case.num_hypotheses]
        ]

    def everything(self) -> list[Found]:
        """Every sequence that the length allows, best first, with no beam at all."""
        found = [Found(self._words(end), self._score(end), end.log_prob) for end in self._ends(Partial((), 0.0))]
        return sorted(found, key=lambda one: -one.score)

    def _ends(self, hypothesis: Partial) -> Iterator[Partial]:
        if self._ended(hypothesis) or len(hypothesis.tokens) == self.case.max_lengths[self.position]:
            yield hypothesis
            return
        for new in self._children(hypothesis):
            yield from self._ends(new)

    def _children(self, hypothesis: Partial) -> list[Partial]:
        sentence = self.case.sentences[self.position]
        log_probs = self.case.model.log_probs(History(sentence, sentence, self.prefix + hypothesis.tokens))
        scores = changed_scores(self.case, hypothesis.tokens, log_probs, self.case.max_lengths[self.position])
        if (token := self._forced(len(hypothesis.tokens))) is not None:
            scores = np.full_like(log_probs, -np.inf)
            scores[token] = log_probs[token]
        return [
            Partial((*hypothesis.tokens, token), hypothesis.log_prob + float(score))
            for token, score in enumerate(scores)
            if token != self.case.pad and score > -np.inf
        ]

    def _forced(self, step: int) -> int | None:
        """The token that the case's target prefix has at this step."""
        prefix = self.case.target_prefix[self.position] if self.case.target_prefix else ()
        return prefix[step] if step < len(prefix) else None

    def _continuations(self, hypothesis: Partial) -> list[Partial]:
        if self._ended(hypothesis):
            return [hypothesis]
        children = sorted(self._children(hypothesis), key=lambda new: -new.log_prob)
        return children[: self.case.beam_size]

    def _best(self, candidates: list[Partial]) -> list[Partial]:
        ranked = sorted(candidates, key=self._score, reverse=True)
        for better, worse in pairwise(ranked[: self.case.beam_size + 1]):
            if self._score(better) - self._score(worse) < NEAR_TIE:
                raise NearTieError
        return ranked[: self.case.beam_size]

    def _ended(self, hypothesis: Partial) -> bool:
        return hypothesis.tokens[-1:] == (self.case.eos,)

    def _words(self, hypothesis: Partial) -> Tokens:
        return tuple(token for token in hypothesis.tokens if token != self.case.eos)

    def _score(self, hypothesis: Partial) -> float:
        length = len(self._words(hypothesis)) + 2
        return hypothesis.log_prob / float(np.power((5 + length) / 6, self.case.length_penalty))
