"""The decoder states of an ensemble's models, stepped together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nmt_trt import _core
from nmt_trt.runtime.decoder_state import DecoderState, FloatArray


class EnsembleState:
    """What a DecoderState is for one model: its steps give the logarithm of the models' mean probability."""

    def __init__(self, states: Sequence[DecoderState]) -> None:
        self._states = tuple(states)
        self._average = np.empty(0, dtype=np.float32)

    @property
    def slots(self) -> int:
        """N, the number of cache slots a sentence has."""
        return self._states[0].slots

    @property
    def self_bias(self) -> FloatArray:
        """As DecoderState's, for all models."""
        return self._states[0].self_bias

    def step(self, token: npt.NDArray[np.int32], position: int, write_index: int) -> FloatArray:
        """Run one step of every model, as DecoderState.step. Returns log-probabilities float32 [R,K,V]."""
        for state in self._states[1:]:
            np.copyto(state.self_bias, self.self_bias)
        logits = [state.step(token, position, write_index) for state in self._states]
        if self._average.shape != logits[0].shape:
            self._average = np.empty_like(logits[0])
        _core.average_log_probs(logits, out=self._average)
        return self._average

    @property
    def attention(self) -> FloatArray:
        """As DecoderState's, of the first model."""
        return self._states[0].attention

    def keep_rows(self, kept: npt.NDArray[np.int32]) -> None:
        """As DecoderState.keep_rows."""
        for state in self._states:
            state.keep_rows(kept)

    def reshape(self, beam_size: int, slots: int) -> None:
        """As DecoderState.reshape."""
        for state in self._states:
            state.reshape(beam_size, slots)

    def spread_start(self, beam_size: int) -> None:
        """As DecoderState.spread_start."""
        for state in self._states:
            state.spread_start(beam_size)
