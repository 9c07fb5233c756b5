"""Texts in waves: while the backend searches the sentences of one, text workers encode the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from nmt_trt.errors import SourceError
from nmt_trt.models.config import TransformerConfig
from nmt_trt.options import ResolvedOptions
from nmt_trt.results import Timings
from nmt_trt.runtime.batching import BatchLimits
from nmt_trt.runtime.inputs import Row, SourceIds, source_rows

FEWEST_IN_WAVE = 256
"""Texts of a wave, but for the last: fewer leave too little to sort by their numbers of tokens."""

Batch = tuple[list[int], list[Row]]
"""Indices of sentences that are searched together, and their tokens."""
Check = Callable[[Sequence[int], Sequence[Row]], None]
"""Refuses sentences, given their indices, by a SourceError whose index is the place among these."""


def plan_waves(texts: Sequence[str], options: ResolvedOptions, limits: BatchLimits) -> list[list[int]]:
    """Indices of the texts of each wave: those of most characters first, since most is left to do behind them.

    A wave holds whole batches. All texts are one wave where that cannot be said before they are encoded, with a limit
    in tokens, and with policy "nemo", whose batches keep the given order.
    """
    if options.policy == "nemo" or limits.tokens is not None or limits.sentences is None:
        return [list(range(len(texts)))]
    size = limits.sentences * -(-FEWEST_IN_WAVE // limits.sentences)
    order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
    return [sorted(order[start : start + size]) for start in range(0, len(order), size)]


def batches_of_waves(
    waves: Sequence[Sequence[int]],
    encoded: Iterable[SourceIds],
    config: TransformerConfig,
    plan: Callable[[Sequence[int]], list[list[int]]],
    check: Check,
    timings: Timings,
) -> Iterator[Batch]:
    """The batches of each wave as soon as it is encoded.

    Args:
        waves: what plan_waves gives.
        encoded: the ids of each wave's texts.
        config: the model, which they must suit.
        plan: cuts sentences of so many tokens into batches, as Backend.plan_batches does.
        check: what else there is to refuse.
        timings: what was waited for is added to `preprocess`.

    Raises:
        SourceError: a text that cannot be translated, the first where each of several waves has one. Once one is found
            no more batches come.
    """
    refused: SourceError | None = None
    ids = iter(encoded)
    for indices in waves:
        started = time.perf_counter()
        try:
            rows = source_rows(next(ids), config)
            check(indices, rows)
            batches = plan([row.size for row in rows])
        except SourceError as error:
            found = SourceError(indices[error.index], error.problem, name=error.name)
            refused = found if refused is None or found.index < refused.index else refused
            continue
        finally:
            timings.preprocess += time.perf_counter() - started
        if refused is None:
            for batch in batches:
                yield [indices[place] for place in batch], [rows[place] for place in batch]
    if refused is not None:
        raise refused
