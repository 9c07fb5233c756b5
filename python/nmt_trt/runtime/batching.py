"""Cuts sentences into batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nmt_trt.options import ResolvedOptions


def plan_batches(lengths: Sequence[int], options: ResolvedOptions) -> list[list[int]]:
    """Indices of the sentences of each batch.

    Sentences of similar length go together, longest first, so that little is spent on padding. Policy "nemo" keeps
    the given order, because its results depend on who shares a batch. `deterministic` runs every sentence by itself:
    the shapes, and with them the order of every floating-point sum, then depend on nothing else.
    """
    if options.deterministic:
        return [[index] for index in range(len(lengths))]
    order = list(range(len(lengths)))
    if options.policy != "nemo":
        order = [int(index) for index in np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")]
    size = options.batch_size
    return [order[start : start + size] for start in range(0, len(order), size)]
