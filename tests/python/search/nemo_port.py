"""NeMo 1.23's BeamSearchSequenceGenerator in our own words: one row a hypothesis, fp32 numbers, the batch as a whole.

It keeps what the original does by accident: the start token's cache entries that land in the wrong rows, first tokens
that never end a hypothesis, penalties of parents that are multiplied back with the penalty of another row.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from search.brute_force import NEAR_TIE, NearTieError
from search.cases import Case, Found
from search.toy_model import History, Tokens

ENDED_FACTOR = np.float32(10001)


@dataclass(frozen=True)
class Row:
    """One row of the batch of B * K.

    Attributes:
        start: sentence whose entry of the start token the row's cache holds.
        tokens: generated so far, EOS and PAD included.
        score: raw sum, as far as NeMo keeps it raw.
        length: what the length penalty is computed from.
        ended: the last token is EOS or PAD, and not the first one.
    """

    start: int
    tokens: Tokens
    score: np.float32
    length: int
    ended: bool


@dataclass(frozen=True)
class NemoPort:
    """The search over the batch of a case."""

    case: Case

    def search(self) -> list[list[Found]]:
        """The hypotheses of each sentence, best first.

        Raises:
            NearTieError: the order of two hypotheses hangs on a rounding.
        """
        beams = self._first()
        for _ in range(self.case.max_lengths[0] - 1):
            beams = [self._next(sentence, beam) for sentence, beam in zip(self.case.sentences, beams, strict=True)]
            if all(row.ended for beam in beams for row in beam):
                break
        return [self._ranked(beam) for beam in beams]

    def _first(self) -> list[list[Row]]:
        count, beam_size = len(self.case.sentences), self.case.beam_size
        starts = np.tile(self.case.sentences, beam_size).reshape(count, beam_size).tolist()
        return [
            [
                Row(start, (token,), log_prob, 3, False)
                for start, (token, log_prob) in zip(of_beam, self._top(sentence, sentence, ()), strict=True)
            ]
            for sentence, of_beam in zip(self.case.sentences, starts, strict=True)
        ]

    def _top(self, sentence: int, start: int, tokens: Tokens) -> list[tuple[int, np.float32]]:
        log_probs = self.case.model.log_probs(History(sentence, start, tokens)).astype(np.float32)
        best = np.argsort(-log_probs, kind="stable")[: self.case.beam_size]
        return [(int(token), log_probs[token]) for token in best]

    def _next(self, sentence: int, beam: list[Row]) -> list[Row]:
        penalties = [self._penalty(row.length) for row in beam]
        candidates = []
        for row, penalty in zip(beam, penalties, strict=True):
            for rank, (token, log_prob) in enumerate(self._top(sentence, row.start, row.tokens)):
                factor = np.float32(1)
                if row.ended:
                    token, factor = self.case.pad, ENDED_FACTOR if rank else np.float32(0)
                candidates.append(((row.score + log_prob * factor) / penalty, row, token))
        candidates.sort(key=lambda candidate: -candidate[0])
        _refuse_near_ties([float(score) for score, _, _ in candidates[: self.case.beam_size + 1]])
        return [
            self._continued(row, token, score * penalty)
            for (score, row, token), penalty in zip(candidates, penalties, strict=False)
        ]

    def _continued(self, row: Row, token: int, score: np.float32) -> Row:
        tokens = (*row.tokens, token)
        length = 1 + sum(self._is_word(one) for one in (self.case.bos, *tokens))
        return Row(row.start, tokens, score, length, not self._is_word(token))

    def _ranked(self, beam: list[Row]) -> list[Found]:
        normalised = [float(row.score / self._penalty(row.length)) for row in beam]
        order = sorted(range(len(beam)), key=lambda k: -normalised[k])
        _refuse_near_ties([normalised[k] for k in order])
        found = [
            Found(tuple(filter(self._is_word, beam[k].tokens)), normalised[k], float(beam[k].score)) for k in order
        ]
        return found[: self.case.num_hypotheses]

    def _penalty(self, length: int) -> np.float32:
        return np.float32(np.power(np.float32(5 + length) / np.float32(6), np.float32(self.case.length_penalty)))

    def _is_word(self, token: int) -> bool:
        return token not in (self.case.eos, self.case.pad)


def _refuse_near_ties(scores: list[float]) -> None:
    for better, worse in pairwise(scores):
        if better - worse < NEAR_TIE * max(1.0, abs(worse)):
            raise NearTieError
