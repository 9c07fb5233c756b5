"""Cuts sentences into batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nmt_trt.errors import SourceError
from nmt_trt.options import ResolvedOptions

DEFAULT_BATCH_SIZE = 32


@dataclass(frozen=True)
class BatchLimits:
    """The most that a batch may hold; None for no such limit.

    Attributes:
        sentences: their number.
        tokens: source tokens with padding: the number of sentences times the length of the longest.
    """

    sentences: int | None = None
    tokens: int | None = None

    def admit(self, sentences: int, longest: int) -> bool:
        """Whether a batch of so many sentences, padded to `longest` tokens, is within the limits."""
        if self.sentences is not None and sentences > self.sentences:
            return False
        return self.tokens is None or sentences * longest <= self.tokens


def batch_limits(options: ResolvedOptions, *, usual: int, most: int | None = None) -> BatchLimits:
    """The limits that the options ask for.

    Args:
        options: `batch_size` and `batch_type`.
        usual: sentences where no batch size is given.
        most: sentences that a batch can hold, whatever is asked for; None for any number.
    """
    if options.batch_type == "tokens":
        return BatchLimits(sentences=most, tokens=options.batch_size)
    sentences = usual if options.batch_size is None else options.batch_size
    return BatchLimits(sentences=sentences if most is None else min(sentences, most))


def plan_batches(lengths: Sequence[int], options: ResolvedOptions) -> list[list[int]]:
    """Indices of the sentences of each batch on the CPU.

    `deterministic` runs every sentence by itself: the shapes, and with them the order of every floating-point sum,
    then depend on nothing else.

    Raises:
        SourceError: a source of more tokens than a batch may hold.
    """
    if options.deterministic:
        return [[index] for index in range(len(lengths))]
    return batches_by_length(lengths, options, batch_limits(options, usual=DEFAULT_BATCH_SIZE))


def batches_by_length(lengths: Sequence[int], options: ResolvedOptions, limits: BatchLimits) -> list[list[int]]:
    """Batches as large as the limits allow.

    Sentences of similar length go together, longest first, so that little is spent on padding. Policy "nemo" keeps
    the given order, because its results depend on who shares a batch.

    Raises:
        SourceError: a source of more tokens than a batch may hold.
    """
    for index, length in enumerate(lengths):
        if not limits.admit(1, length):
            raise SourceError(
                index, f"has {length} tokens; with batch_type='tokens' a batch holds batch_size={limits.tokens} at most"
            )
    order = list(range(len(lengths)))
    if options.policy != "nemo":
        order = [int(index) for index in np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")]
    return _cut(order, lengths, limits)


def batches_by_bucket(lengths: Sequence[int], bucket: Callable[[int], int], limits: BatchLimits) -> list[list[int]]:
    """Batches within the limits of sentences that all have the same `bucket(length)`; largest bucket first."""
    members: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        members.setdefault(bucket(length), []).append(index)
    return [batch for key in sorted(members, reverse=True) for batch in _cut(members[key], lengths, limits)]


def _cut(order: Sequence[int], lengths: Sequence[int], limits: BatchLimits) -> list[list[int]]:
    batches: list[list[int]] = []
    longest = 0
    for index in order:
        longest = max(longest, lengths[index])
        if not batches or not limits.admit(len(batches[-1]) + 1, longest):
            batches.append([])
            longest = lengths[index]
        batches[-1].append(index)
    return batches
