"""Cuts sentences into batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nmt_trt.options import ResolvedOptions

DEFAULT_BATCH_SIZE = 32


def plan_batches(lengths: Sequence[int], options: ResolvedOptions) -> list[list[int]]:
    """Indices of the sentences of each batch on the CPU.

    `deterministic` runs every sentence by itself: the shapes, and with them the order of every floating-point sum,
    then depend on nothing else.
    """
    if options.deterministic:
        return [[index] for index in range(len(lengths))]
    return batches_by_length(lengths, options, options.batch_size or DEFAULT_BATCH_SIZE)


def batches_by_length(lengths: Sequence[int], options: ResolvedOptions, size: int) -> list[list[int]]:
    """Batches of `size` sentences; the last may be smaller.

    Sentences of similar length go together, longest first, so that little is spent on padding. Policy "nemo" keeps
    the given order, because its results depend on who shares a batch.
    """
    order = list(range(len(lengths)))
    if options.policy != "nemo":
        order = [int(index) for index in np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")]
    return _cut(order, size)


def batches_by_bucket(lengths: Sequence[int], bucket: Callable[[int], int], size: int) -> list[list[int]]:
    """Batches of at most `size` sentences that all have the same `bucket(length)`; largest bucket first."""
    members: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        members.setdefault(bucket(length), []).append(index)
    return [batch for key in sorted(members, reverse=True) for batch in _cut(members[key], size)]


def _cut(order: list[int], size: int) -> list[list[int]]:
    return [order[start : start + size] for start in range(0, len(order), size)]
