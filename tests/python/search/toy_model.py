"""A language model without weights: logits drawn from a generator seeded with everything that the model sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Tokens = tuple[int, ...]
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class History:
    """What one decoder step attends to.

    Attributes:
        sentence: whose source the cross-attention reads.
        start: whose entry of the start token the self-attention reads; another sentence's with NeMo's leak.
        tokens: everything after the start token: a forced prefix, then what was generated.
    """

    sentence: int
    start: int
    tokens: Tokens


@dataclass(frozen=True)
class ToyModel:
    """Random logits, EOS growing likelier with every token.

    Attributes:
        scale: standard deviation of the logits.
    """

    seed: int
    vocab_size: int
    eos: int
    scale: float = 2.0

    def logits(self, history: History) -> Logits:
        """float32 [V], a function of the model and of `history` alone."""
        return _logits(self, history)

    def log_probs(self, history: History) -> NDArray[np.float64]:
        """float64 [V]: log-softmax of the logits."""
        logits = self.logits(history).astype(np.float64)
        shifted = logits - logits.max()
        log_probs: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
        return log_probs

    def batch(self, histories: Sequence[Sequence[History]]) -> Logits:
        """float32 [R,K,V] for the histories of R rows of K hypotheses."""
        rows = [[self.logits(history) for history in row] for row in histories]
        beam_size = len(histories[0]) if histories else 0
        return np.array(rows, np.float32).reshape(len(rows), beam_size, self.vocab_size)


@lru_cache(maxsize=50_000)
def _logits(model: ToyModel, history: History) -> Logits:
    draw = np.random.default_rng([model.seed, history.sentence, history.start, *history.tokens])
    logits = draw.standard_normal(model.vocab_size) * model.scale
    logits[model.eos] += 0.5 * len(history.tokens) - 1
    return logits.astype(np.float32)
