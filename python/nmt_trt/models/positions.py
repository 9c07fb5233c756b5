"""The sinusoidal position tables of NeMo's, of Marian's and of fairseq's Transformers, without torch."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from nmt_trt.errors import UsageError


def split_sinusoidal_positions(length: int, hidden: int) -> npt.NDArray[np.float32]:
    """Return Marian's position table, float32 [length, hidden]: sines in the first half, cosines in the second.

    Section 3.5 of "Attention Is All You Need" (arXiv:1706.03762) but for the order of the columns. Computed in
    float64 and rounded once.

    Raises:
        UsageError: `hidden` is odd, or one of the two is not positive.
    """
    _check_sizes(length, hidden)
    angle = np.arange(length)[:, None] / np.power(10000.0, np.arange(0, hidden, 2) / hidden)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)


def fairseq_sinusoidal_positions(length: int, hidden: int, first: int) -> npt.NDArray[np.float32]:
    """Return fairseq's position table, float32 [length, hidden], whose first row is of the position `first`.

    As tensor2tensor has it: sines in the first half, cosines in the second, and the lowest frequency 1 / 10000 itself.
    Computed in float64 and rounded once.

    Raises:
        UsageError: `hidden` is odd or 2, or one of the sizes is not positive.
    """
    _check_sizes(length, hidden)
    if hidden == 2:
        raise UsageError("expected a hidden size >= 4, got 2")
    frequency = np.power(10000.0, -np.arange(hidden // 2) / (hidden // 2 - 1))
    angle = np.arange(first, first + length)[:, None] * frequency
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)


def sinusoidal_positions(length: int, hidden: int) -> npt.NDArray[np.float32]:
    """Return the position table, float32 [length, hidden].

    Section 3.5 of "Attention Is All You Need" (arXiv:1706.03762), sine in the even columns and cosine in the odd ones,
    then divided by sqrt(hidden) as NeMo does because its token embeddings are not multiplied by it. Computed
    in float32, in NeMo's order of operations, so that a rebuilt table agrees with a saved one to the last bits.

    Raises:
        UsageError: `hidden` is odd, or one of the two is not positive.
    """
    _check_sizes(length, hidden)
    frequency = np.exp(np.float32(-math.log(10000.0) / hidden) * np.arange(0, hidden, 2, dtype=np.float32))
    angle = np.arange(length, dtype=np.float32)[:, None] * frequency
    table = np.empty((length, hidden), dtype=np.float32)
    table[:, 0::2] = np.sin(angle)
    table[:, 1::2] = np.cos(angle)
    return table / np.float32(math.sqrt(hidden))


def _check_sizes(length: int, hidden: int) -> None:
    if length < 1 or hidden < 2 or hidden % 2:
        raise UsageError(f"expected length >= 1 and an even hidden size >= 2, got length {length}, hidden {hidden}")
