"""Says of two translations of one sentence whether they differ by a rounding only.

Two backends may differ legitimately where two hypotheses are almost equally good: at the end, when the best two are,
or in the middle, when the last hypothesis that stays in the beam and the first that drops out are. Both are measured
here in float64 with the torch modules, without any cache, by a search of policy "gnmt" written for the purpose. Scores
are sum / ((5 + len) / 6)^alpha (Wu et al. 2016, arXiv:1609.08144) with len = generated tokens other than EOS + 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmt_trt.model_directory import read_config, read_weights
from nmt_trt.models.transformer import Transformer
from nmt_trt.options import ResolvedOptions

NEAR_TIE = 1e-5


@dataclass(frozen=True)
class Difference:
    """Two hypotheses of one sentence, rescored in float64.

    Attributes:
        scores: the normalised score of either.
        margin: the least distance between the last candidate kept and the first dropped in any step of the search,
            or between the best two at its end, in normalised scores.
    """

    scores: tuple[float, float]
    margin: float

    @property
    def score_difference(self) -> float:
        """How far the two scores are apart."""
        return abs(self.scores[0] - self.scores[1])

    @property
    def near_tie(self) -> bool:
        """Whether a rounding may decide: the scores, or two candidates somewhere in the search, are that close."""
        return min(self.score_difference, self.margin) < NEAR_TIE


@dataclass(frozen=True)
class _Partial:
    tokens: tuple[int, ...]
    log_prob: float
    ended: bool


class Rescorer:
    """A model directory's network in float64 on the CPU."""

    def __init__(self, directory: Path, options: ResolvedOptions) -> None:
        self._config = read_config(directory)
        self._options = options
        self._model = Transformer(self._config)
        self._model.load_state_dict({name: torch.from_numpy(array) for name, array in read_weights(directory).items()})
        self._model.double().requires_grad_(False).eval()

    def compare(self, row: npt.NDArray[np.int32], first: Sequence[int], second: Sequence[int]) -> Difference:
        """Two hypotheses, tokens without EOS, of the source `row`."""
        return Difference((self.score(row, first), self.score(row, second)), self.margin(row))

    def score(self, row: npt.NDArray[np.int32], tokens: Sequence[int]) -> float:
        """The normalised score of a hypothesis; EOS follows its tokens unless they fill the length limit."""
        whole = list(tokens)
        if len(whole) < self._options.length_limit(row.size):
            whole.append(self._config.special_tokens.eos)
        memory, length = self._encode(row)
        inputs = torch.tensor([[self._config.special_tokens.start, *whole[:-1]]])
        log_probs = self._model.decode(inputs, memory, length).log_softmax(-1)[0]
        log_prob = float(log_probs[torch.arange(len(whole)), torch.tensor(whole)].sum())
        return log_prob / self._penalty(len(tokens))

    def margin(self, row: npt.NDArray[np.int32]) -> float:
        """Difference.margin of the whole search for `row`."""
        memory, length = self._encode(row)
        size, least = self._options.beam_size, float("inf")
        beam = [_Partial((), 0.0, False)]
        for _ in range(self._options.length_limit(row.size)):
            if all(hypothesis.ended for hypothesis in beam):
                break
            ranked = sorted(self._continuations(beam, memory, length), key=self._rank, reverse=True)
            if len(ranked) > size:
                least = min(least, self._rank(ranked[size - 1]) - self._rank(ranked[size]))
            beam = ranked[:size]
        ranks = sorted(map(self._rank, beam), reverse=True)
        return min([least, *(ranks[0] - rank for rank in ranks[1:2])])

    def _continuations(self, beam: Sequence[_Partial], memory: Tensor, length: Tensor) -> list[_Partial]:
        """The ended hypotheses, and of each of the others one continuation more than the beam can hold."""
        special, kept = self._config.special_tokens, [hypothesis for hypothesis in beam if hypothesis.ended]
        alive = [hypothesis for hypothesis in beam if not hypothesis.ended]
        inputs = torch.tensor([[special.start, *hypothesis.tokens] for hypothesis in alive])
        states = self._model.decode_states(inputs, memory.expand(len(alive), -1, -1), length.expand(len(alive)))
        log_probs = self._model.project(states[:, -1]).log_softmax(-1)
        log_probs[:, special.pad] = -torch.inf
        values, tokens = log_probs.topk(min(self._options.beam_size + 1, log_probs.shape[1]))
        for hypothesis, gains, words in zip(alive, values.tolist(), tokens.tolist(), strict=True):
            for gain, word in zip(gains, words, strict=True):
                kept.append(_Partial((*hypothesis.tokens, word), hypothesis.log_prob + gain, word == special.eos))
        return kept

    def _rank(self, hypothesis: _Partial) -> float:
        return hypothesis.log_prob / self._penalty(len(hypothesis.tokens) - hypothesis.ended)

    def _penalty(self, words: int) -> float:
        return float(((5 + words + 2) / 6) ** self._options.length_penalty)

    def _encode(self, row: npt.NDArray[np.int32]) -> tuple[Tensor, Tensor]:
        length = torch.tensor([row.size])
        return self._model.encode(torch.from_numpy(row).long()[None], length), length
