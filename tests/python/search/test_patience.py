"""Patience of policy hf against its definition: a pool of beam_size * patience finished hypotheses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count, pairwise

import numpy as np
import pytest

from search.brute_force import NearTieError
from search.cases import SEEDS, Case, Found, random_case
from search.driver import run
from search.toy_model import History, Tokens

NEAR_TIE = 1e-5


@dataclass(frozen=True)
class Pool:
    """The search of one sentence in float64; transformers' generate() where patience is 1."""

    case: Case
    position: int

    def search(self) -> list[Found]:
        """The finished hypotheses, best first.

        Raises:
            NearTieError: the outcome hangs on a rounding.
        """
        case, limit = self.case, self.case.max_lengths[self.position]
        places = max(int(case.beam_size * case.scores["patience"] + 0.5), 1)
        beam: list[tuple[Tokens, float]] = [((), 0.0)]
        pool: list[tuple[float, Tokens, float]] = []
        for length in range(1, limit + 1):
            candidates = sorted((new for one in beam for new in self._children(*one)), key=lambda new: -new[1])
            top = candidates[: 2 * case.beam_size]
            self._check([total for _, total in candidates[: 2 * case.beam_size + 1]])
            ends = [tokens[-1] == case.eos or length == limit for tokens, _ in top]
            for (tokens, total), ended in list(zip(top, ends, strict=True))[: case.beam_size]:
                if ended:
                    pool.append((total / length**case.length_penalty, tokens, total))
            self._check(sorted((score for score, _, _ in pool), reverse=True))
            pool = sorted(pool, reverse=True)[:places]
            beam = [new for new, ended in zip(top, ends, strict=True) if not ended][: case.beam_size]
            if not beam or self._done(pool, beam[0][1], length, places):
                break
        return [Found(self._words(tokens), score, total) for score, tokens, total in pool[: case.num_hypotheses]]

    def _children(self, tokens: Tokens, total: float) -> list[tuple[Tokens, float]]:
        sentence = self.case.sentences[self.position]
        log_probs = self.case.model.log_probs(History(sentence, sentence, tokens))
        return [((*tokens, token), total + float(score)) for token, score in enumerate(log_probs)]

    def _done(self, pool: list[tuple[float, Tokens, float]], best: float, length: int, places: int) -> bool:
        if len(pool) < places:
            return False
        stop, alpha = self.case.scores["early_stopping"], self.case.length_penalty
        if stop is True:
            return True
        judged = self.case.max_lengths[self.position] if stop == "never" and alpha > 0 else length
        self._check([pool[-1][0], best / judged**alpha])
        return bool(best / judged**alpha <= pool[-1][0])

    @staticmethod
    def _check(falling: list[float]) -> None:
        if any(abs(one - other) < NEAR_TIE for one, other in pairwise(falling)):
            raise NearTieError

    def _words(self, tokens: Tokens) -> Tokens:
        return tuple(token for token in tokens if token not in (self.case.eos, self.case.pad))


def decided(seed: int) -> tuple[Case, list[list[Found]]]:
    """The first case from `seed` on that no near-tie leaves open, and its outcome."""
    for other in count(seed, len(SEEDS)):
        draw = np.random.default_rng([other, 5])
        beam_size = int(draw.integers(2, 6))
        patience = float(draw.choice([0.5, 1.0, 1.6, 2.0, 8.0]))
        stop = (False, True, "never")[draw.integers(3)]
        case = replace(
            random_case(other, "hf"),
            beam_size=beam_size,
            num_hypotheses=min(beam_size, int(beam_size * patience + 0.5)),
            scores={"patience": patience, "early_stopping": stop},
        )
        if case.model.vocab_size <= 2 * beam_size:
            continue
        try:
            return case, [Pool(case, position).search() for position in range(len(case.sentences))]
        except NearTieError:
            continue
    raise AssertionError("count() does not end")


@pytest.mark.parametrize("seed", SEEDS)
def test_equals_its_definition(seed: int) -> None:
    case, expected = decided(seed)
    for found, wanted in zip(run(case), expected, strict=True):
        assert [one.tokens for one in found] == [one.tokens for one in wanted]
        assert [one.score for one in found] == pytest.approx([one.score for one in wanted], rel=1e-5, abs=1e-5)


def test_more_patience_finds_no_worse() -> None:
    better = 0
    for seed in range(60):
        case = replace(random_case(seed, "hf"), beam_size=3, num_hypotheses=1, length_penalty=0.6)
        scores = [
            [found[0].score for found in run(replace(case, scores={"patience": patience, "early_stopping": True}))]
            for patience in (1.0, 4.0)
        ]
        assert all(patient >= hasty - 1e-6 for hasty, patient in zip(*scores, strict=True))
        better += sum(patient > hasty + 1e-6 for hasty, patient in zip(*scores, strict=True))
    assert better > 0
