"""Searches the batches of one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice

from nmt_trt.options import ResolvedOptions
from nmt_trt.results import Hypothesis, Timings
from nmt_trt.runtime.backend import Backend
from nmt_trt.runtime.in_flight import in_flight
from nmt_trt.runtime.inputs import Row
from nmt_trt.runtime.waves import Batch

Progress = Callable[[int], None]
"""Called with the number of sentences that have just been finished."""
Finished = Callable[[Sequence[int], Sequence[Sequence[Hypothesis]]], None]
"""Called with the indices of the sentences of a batch and their hypotheses, in the thread of the call."""


def search_batches(
    backend: Backend,
    batches: Iterator[Batch],
    options: ResolvedOptions,
    numbers: Sequence[int],
    prefixes: Sequence[Row] | None,
    timings: Timings,
    progress: Progress | None = None,
    finished: Finished | None = None,
) -> list[list[Hypothesis]]:
    """The hypotheses of all sentences.

    Args:
        backend: what searches, several batches at once if it can.
        batches: together they hold each sentence once; taken as there is room for them.
        options: of all batches.
        numbers: of each sentence, by which policy sample draws.
        prefixes: the first tokens of each sentence, if any are given.
        timings: where the time of each batch is added.
        progress: told how many sentences were finished, after each batch.
        finished: told what they are before.

    Raises:
        BackendError: see Backend.search.
    """

    def search(batch: Batch, place: int) -> tuple[list[list[Hypothesis]], Timings]:
        indices, rows = batch
        spent = Timings()
        found = backend.search(
            rows,
            options,
            spent,
            target_prefix=None if prefixes is None else [prefixes[index] for index in indices],
            sentence_numbers=[numbers[index] for index in indices],
            place=place,
        )
        return found, spent

    hypotheses: list[list[Hypothesis]] = [[] for _ in numbers]

    def take(searched: Iterator[tuple[Batch, tuple[list[list[Hypothesis]], Timings]]]) -> None:
        for (indices, _), (found, spent) in searched:
            timings.add(spent)
            for index, sentence in zip(indices, found, strict=True):
                hypotheses[index] = sentence
            if finished is not None:
                finished(indices, found)
            if progress is not None:
                progress(len(indices))

    if len(numbers) == 1 or not backend.loaded:
        take(in_flight(islice(batches, 1), search, 1))
    with closing(in_flight(batches, search, backend.batches_in_flight)) as searched:
        take(searched)
    return hypotheses
