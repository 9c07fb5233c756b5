"""The training corpus on the training device: padded buckets and token-sized, length-homogeneous batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

PAD, BOS, EOS = 0, 2, 3
WIDTHS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 104, 136)
"""Padded lengths, special tokens included; few, so that few shapes are compiled."""


@dataclass(frozen=True)
class Batch:
    """One batch: source int64 [B,W] framed by BOS and EOS, its lengths [B], target int64 [B,W+1] likewise framed."""

    source: Tensor
    source_lengths: Tensor
    target: Tensor
    tokens: int
    """Real target tokens to predict, EOS included."""


@dataclass(frozen=True)
class Bucket:
    """All pairs of one padded width; tensors int16 on the training device, arrays on the host."""

    width: int
    source: Tensor
    source_lengths: Tensor
    target: Tensor
    tokens: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.uint8]

    def batch(self, rows: npt.NDArray[np.int64]) -> Batch:
        """Gather `rows`."""
        index = torch.from_numpy(rows).to(self.source.device, non_blocking=True)
        return Batch(
            self.source[index].long(),
            self.source_lengths[index].long(),
            self.target[index].long(),
            int(self.tokens[rows].sum()),
        )


def frame(
    flat: npt.NDArray[np.int16], lengths: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], width: int
) -> npt.NDArray[np.int16]:
    """Return BOS + ids + EOS of `rows`, right-padded to [rows, width]."""
    starts = np.cumsum(lengths) - lengths
    column = np.arange(width)
    inside = (column[None] >= 1) & (column[None] <= lengths[rows, None])
    position = np.clip(starts[rows, None] + column[None] - 1, 0, len(flat) - 1)
    framed = np.where(inside, flat[position], PAD).astype(np.int16)
    framed[:, 0] = BOS
    framed[np.arange(len(rows)), lengths[rows] + 1] = EOS
    return framed


def load_buckets(path: Path, device: torch.device) -> list[Bucket]:
    """Read a token file of prepare.py into buckets on `device`."""
    with np.load(path) as arrays:
        source, target, kinds = arrays["source"], arrays["target"], arrays["kind"]
        source_length = arrays["source_length"].astype(np.int64)
        target_length = arrays["target_length"].astype(np.int64)
    needed = np.maximum(source_length + 2, target_length + 1)
    chosen = np.searchsorted(WIDTHS, needed)
    buckets = []
    for number, width in enumerate(WIDTHS):
        rows = np.flatnonzero(chosen == number)
        if not len(rows):
            continue
        buckets.append(
            Bucket(
                width,
                torch.from_numpy(frame(source, source_length, rows, width)).to(device),
                torch.from_numpy((source_length[rows] + 2).astype(np.int16)).to(device),
                torch.from_numpy(frame(target, target_length, rows, width + 1)).to(device),
                target_length[rows] + 1,
                kinds[rows],
            )
        )
    return buckets


class Sampler:
    """Endless batches; in one round a pair of kind k appears weights[k] times on average."""

    def __init__(self, buckets: list[Bucket], batch_tokens: int, weights: tuple[float, ...], seed: int) -> None:
        self._buckets = buckets
        self._batch_tokens = batch_tokens
        self._weights = np.array(weights)
        self._random = np.random.default_rng(seed)
        self._left = [np.empty(0, dtype=np.int64) for _ in buckets]
        self.rounds = 0

    def __iter__(self) -> Iterator[Batch]:
        while True:
            plan = [(bucket, rows) for number, bucket in enumerate(self._buckets) for rows in self._cut(number)]
            for choice in self._random.permutation(len(plan)):
                bucket, rows = plan[choice]
                yield bucket.batch(rows)
            self.rounds += 1

    def one_of_each(self) -> Iterator[Batch]:
        """Yield one full batch of every width."""
        for bucket in self._buckets:
            size = max(1, self._batch_tokens // bucket.width)
            yield bucket.batch(np.resize(np.arange(len(bucket.tokens)), size))

    def _cut(self, number: int) -> list[npt.NDArray[np.int64]]:
        # Rows that do not fill a batch wait for the next round: every batch of a width has the same shape.
        bucket = self._buckets[number]
        weight = self._weights[bucket.kinds]
        copies = np.floor(weight + self._random.random(len(weight))).astype(np.int64)
        drawn = self._random.permutation(np.repeat(np.arange(len(weight)), copies))
        rows = np.concatenate([self._left[number], drawn])
        size = max(1, self._batch_tokens // bucket.width)
        full = len(rows) // size * size
        self._left[number] = rows[full:]
        return list(rows[:full].reshape(-1, size))
