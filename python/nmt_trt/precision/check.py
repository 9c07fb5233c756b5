"""`nmt-trt precision` as a function: compare a low precision with fp32, mend it, write it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nmt_trt.errors import UsageError
from nmt_trt.export.graph import PRECISIONS, Precision
from nmt_trt.export.planning import plan_islands
from nmt_trt.export.stored_islands import read_float32_blocks
from nmt_trt.model_directory import add_precision, read_config, read_weights
from nmt_trt.precision.comparison import Advance, Comparison, Layer, Pair, compare
from nmt_trt.precision.mending import mend, problems

DEFAULT_THRESHOLD = 0.02
"""Relative error above which a layer drifts: some twenty times what fp16's digits cost, some three times bf16's."""


@dataclass(frozen=True)
class Report:
    """What was measured, and what was done about it.

    Attributes:
        precision: the low precision.
        sentences: how many were compared.
        threshold: largest relative error of a layer that is no drift.
        comparison: of every layer, as the graphs are now, or would be after mending.
        float32: the blocks that are computed in float32.
        mended: those among them that were not before.
    """

    precision: str
    sentences: int
    threshold: float
    comparison: Comparison
    float32: tuple[str, ...]
    mended: tuple[str, ...]

    @property
    def problems(self) -> list[Layer]:
        """The layers that overflow or drift."""
        return problems(self.comparison, self.threshold)


def low_precision(name: str) -> Precision:
    """A precision that can be compared with fp32.

    Raises:
        UsageError: there is none of this name.
    """
    names = [known for known, precision in PRECISIONS.items() if precision.mixed]
    if name not in names:
        raise UsageError(f"precision must be one of {', '.join(names)}; given {name!r}")
    return PRECISIONS[name]


def check_precision(
    directory: Path,
    pairs: Sequence[Pair],
    precision: Precision,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    write: bool = False,
    advance: Advance = lambda count: None,
) -> Report:
    """Compare every layer's output with fp32's; with `write`, also mend what is wrong and export the graphs.

    Args:
        directory: the model directory.
        pairs: what to compare on; at least one.
        precision: fp16 or bf16.
        threshold: largest relative error of a layer that is no drift.
        write: make those blocks float32 that bring the error below the threshold, keep them in precision.json, and
            write the precision's graphs.
        advance: told of each pair that is done, once in every round.

    Raises:
        ModelDirectoryError: not a complete model directory, or one that cannot be written.
    """
    config = read_config(directory)
    before = read_float32_blocks(directory, config, precision)
    planned = plan_islands(config, read_weights(directory), precision)

    def measure(float32: frozenset[str]) -> Comparison:
        return compare(directory, config, pairs, precision, replace(planned, float32=float32), advance)

    after, comparison = mend(measure, config, before, threshold) if write else (before, measure(before))
    if write:
        add_precision(directory, precision, after)
    return Report(
        precision=precision.name,
        sentences=len(pairs),
        threshold=threshold,
        comparison=comparison,
        float32=tuple(sorted(after)),
        mended=tuple(sorted(after - before)),
    )
