"""Runs the core's search over a toy model that sees the past through `write_self_bias` alone, as a real one does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nmt_trt import _core
from search.cases import Case, Found
from search.toy_model import History, Tokens

Bias = NDArray[np.float32]


class FakeCache:
    """A decoder's cache that holds tokens in place of keys and values.

    Attributes:
        sentences: the sentence of each row.
        slots: [R][N] tokens; None where nothing was written. A start token is held as the sentence that it is of,
            before the prefix of the row and its padding.
        prefix_slots: slots before the generated tokens.
        prefix_lengths: int32 [R], slots of the prefix in use, or None for all.
    """

    def __init__(self, case: Case, prefixes: Sequence[Tokens] | None, leaks: bool) -> None:
        count = len(case.sentences)
        self.beam_size = case.beam_size
        self.sentences = list(case.sentences)
        self.prefix_lengths: NDArray[np.int32] | None = None
        if leaks:
            self.prefix_slots = case.beam_size
            starts = [[(b * case.beam_size + k) % count for k in range(case.beam_size)] for b in range(count)]
            filled: list[list[int | None]] = [[case.sentences[i] for i in row] for row in starts]
        else:
            forced = [()] * count if prefixes is None else prefixes
            self.prefix_slots = 1 + max((len(prefix) for prefix in forced), default=0)
            filled = [
                [sentence, *prefix, *[None] * (self.prefix_slots - 1 - len(prefix))]
                for sentence, prefix in zip(case.sentences, forced, strict=True)
            ]
            if prefixes is not None:
                self.prefix_lengths = np.array([1 + len(prefix) for prefix in prefixes], np.int32)
        generated = case.beam_size * max(case.max_lengths, default=0)
        self.slots = [[*row, *[None] * generated] for row in filled]

    def write(self, tokens: NDArray[np.int32], step: int) -> None:
        """Store the tokens, int32 [R,K], generated at `step`."""
        begin = self.prefix_slots + step * self.beam_size
        for row, new in zip(self.slots, tokens.tolist(), strict=True):
            row[begin : begin + self.beam_size] = new

    def keep(self, rows: NDArray[np.int32]) -> None:
        """Drop the rows that are not among `rows`."""
        self.slots = [self.slots[row] for row in rows]
        self.sentences = [self.sentences[row] for row in rows]
        if self.prefix_lengths is not None:
            self.prefix_lengths = self.prefix_lengths[rows]

    def first_histories(self) -> list[History]:
        """What the step before the first generated token sees, for each row; every row reads its own start."""
        full = np.full(len(self.slots), self.prefix_slots, np.int32)
        lengths = full if self.prefix_lengths is None else self.prefix_lengths
        forced = [row[1:length] for row, length in zip(self.slots, lengths, strict=True)]
        return [
            _history(sentence, [sentence, *tokens]) for sentence, tokens in zip(self.sentences, forced, strict=True)
        ]

    def histories(self, bias: Bias) -> list[list[History]]:
        """What each hypothesis sees by `bias`, float32 [R,1,K,N]."""
        return [
            [_history(sentence, [row[slot] for slot in np.flatnonzero(seen)]) for seen in attended]
            for sentence, row, attended in zip(self.sentences, self.slots, bias[:, 0] == 0, strict=True)
        ]


def _history(sentence: int, entries: Sequence[int | None]) -> History:
    assert None not in entries, "a slot that was never written is attended to"
    start, *tokens = (entry for entry in entries if entry is not None)
    return History(sentence, start, tuple(tokens))


def run(
    case: Case, *, prefixes: Sequence[Tokens] | None = None, compacts: Callable[[], bool] | None = None
) -> list[list[Found]]:
    """The core's hypotheses of each sentence of the case; see `searched`."""
    return [
        [Found(tuple(found.tokens.tolist()), found.score, found.log_prob) for found in sentence]
        for sentence in searched(case, prefixes=prefixes, compacts=compacts)
    ]


def searched(
    case: Case, *, prefixes: Sequence[Tokens] | None = None, compacts: Callable[[], bool] | None = None
) -> list[list[_core.Hypothesis]]:
    """What the core's search of the case gives.

    Every step also checks that bias and ancestry agree, and hands NaN where the core must not look.

    Args:
        prefixes: tokens forced after the start token, one tuple a sentence.
        compacts: asked before each step whether to take finished sentences out of the batch; None: never.
    """
    search = case.new_search()
    cache = FakeCache(case, prefixes, search.leaks)
    if search.leaks:
        first = [History(sentence, sentence, ()) for sentence in case.sentences]
    else:
        first = cache.first_histories()
    search.start(np.stack([case.model.logits(history) for history in first]))
    while not search.done:
        cache.write(search.tokens(), search.steps - 1)
        if compacts is not None and compacts():
            cache.keep(search.compact())
        search.advance(_next_logits(case, search, cache))
    return search.results()


def _next_logits(case: Case, search: _core.BeamSearch, cache: FakeCache) -> NDArray[np.float32]:
    tokens = search.tokens()
    bias = _self_bias(case, search, cache, tokens)
    histories = cache.histories(bias)
    _check_ancestry(search, cache, histories)
    logits = case.model.batch(histories)
    if case.policy == "gnmt":
        logits[(tokens == case.eos) | (tokens == case.pad)] = np.nan
    return logits


def _self_bias(case: Case, search: _core.BeamSearch, cache: FakeCache, tokens: NDArray[np.int32]) -> Bias:
    """The bias of the next step with NeMo's quirk about PAD taken back, which must have been there."""
    bias = np.full((search.rows, 1, case.beam_size, len(cache.slots[0])), np.nan, np.float32)
    search.write_self_bias(bias, cache.prefix_slots, cache.prefix_lengths)
    if case.policy == "nemo":
        bias[:, 0][tokens == case.pad] += 10000
    assert set(np.unique(bias)) <= {0, -10000}
    return bias


def _check_ancestry(search: _core.BeamSearch, cache: FakeCache, histories: list[list[History]]) -> None:
    ancestry = search.ancestry()
    assert ancestry.shape == (search.rows, cache.beam_size, search.steps)
    for row, of_row in enumerate(histories):
        for k, history in enumerate(of_row):
            path = [
                cache.slots[row][cache.prefix_slots + step * cache.beam_size + slot]
                for step, slot in enumerate(ancestry[row, k].tolist())
            ]
            assert history.tokens[-search.steps :] == tuple(path)
            assert ancestry[row, k, -1] == k
