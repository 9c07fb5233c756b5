"""The ONNX Runtime backend: sessions driven from Python, the search advanced in C++."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import onnxruntime as ort

from nmt_trt import _core
from nmt_trt.errors import BackendError, Error
from nmt_trt.models.config import TransformerConfig
from nmt_trt.options import ResolvedOptions
from nmt_trt.results import Hypothesis, Timings
from nmt_trt.runtime.batching import DEFAULT_BATCH_SIZE, BatchLimits, batch_limits, plan_batches
from nmt_trt.runtime.decoder_state import Array, DecoderState
from nmt_trt.runtime.ensemble import Member, described
from nmt_trt.runtime.ensemble_state import EnsembleState
from nmt_trt.runtime.hypotheses import hypotheses_of
from nmt_trt.runtime.inputs import Row, pad_rows
from nmt_trt.runtime.onnx_model import OnnxModel

FIRST_CAPACITY = 16
"""Decoder steps that the caches have room for at first; doubled whenever they are full."""


class OnnxRuntimeBackend:
    """Runs the fp32 graphs of a model directory, or of an ensemble of them, on the CPU."""

    def __init__(
        self, members: Sequence[Member], config: TransformerConfig, *, threads: int | None, reason: str
    ) -> None:
        """Open the graphs of all members; `config` is that of all of them together."""
        self._config = config
        self._models = [OnnxModel(member.directory, member.config.decoder, threads) for member in members]
        self._description = f"onnxruntime {ort.__version__} on the CPU{described(members)} ({reason})"

    @property
    def description(self) -> str:
        """The backend, its device, and why it was taken, in one line."""
        return self._description

    @property
    def memory(self) -> dict[str, int]:
        """Empty: no GPU memory."""
        return {}

    @property
    def batches_in_flight(self) -> int:
        """One: it has all threads."""
        return 1

    @property
    def loaded(self) -> bool:
        """Whether a search has nothing to build first."""
        return True

    def limits(self, options: ResolvedOptions) -> BatchLimits:
        """Of a batch with these options."""
        return batch_limits(options, usual=DEFAULT_BATCH_SIZE)

    def plan_batches(self, lengths: Sequence[int], options: ResolvedOptions) -> list[list[int]]:
        """Indices of the sentences of each batch; see batching.plan_batches."""
        return plan_batches(lengths, options)

    def warmup(self, sentences: int, source_length: int, options: ResolvedOptions) -> None:
        """Nothing: the first sentences wait for nothing here."""

    def search(
        self,
        rows: Sequence[Row],
        options: ResolvedOptions,
        timings: Timings,
        *,
        target_prefix: Sequence[Row] | None = None,
        sentence_numbers: Sequence[int] | None = None,
        place: int = 0,
    ) -> list[list[Hypothesis]]:
        """The hypotheses of each sentence of one batch, best first; adds to `timings`. There is one place."""
        try:
            return self._search(rows, options, timings, target_prefix or (), sentence_numbers or ())
        except Error:
            raise
        except Exception as error:  # ONNX Runtime's own errors share no base class
            raise BackendError(f"ONNX Runtime failed on a batch of {len(rows)} sentences: {error}") from error

    def _search(
        self,
        rows: Sequence[Row],
        options: ResolvedOptions,
        timings: Timings,
        prefixes: Sequence[Row],
        numbers: Sequence[int],
    ) -> list[list[Hypothesis]]:
        started = time.perf_counter()
        ids, lengths = pad_rows(rows, self._config.source_tokens.pad)
        cross = [model.encode(ids, lengths) for model in self._models]
        encoded = time.perf_counter()
        search = self._decode(cross, ids.shape[1], lengths, options, prefixes, numbers)
        hypotheses = hypotheses_of(search.results(), options, lengths)
        timings.encoder += encoded - started
        timings.generator += time.perf_counter() - encoded
        return hypotheses

    def _decode(
        self,
        cross: Sequence[dict[str, Array]],
        padded: int,
        lengths: np.ndarray,
        options: ResolvedOptions,
        prefixes: Sequence[Row],
        numbers: Sequence[int],
    ) -> _core.BeamSearch:
        tokens = self._config.special_tokens
        padded_lengths = [padded] * len(lengths) if options.policy == "nemo" else [int(length) for length in lengths]
        limits = np.array([options.length_limit(length) for length in padded_lengths], dtype=np.int32)
        beam = options.beam_size
        search = _core.BeamSearch(
            eos=tokens.eos,
            pad=tokens.pad,
            bos=tokens.start,
            vocab_size=self._config.decoder.vocab_size,
            max_lengths=limits,
            target_prefix=[prefix.tolist() for prefix in prefixes],
            sentence_numbers=numbers,
            source_lengths=lengths.tolist() if options.keeps_attention else (),
            **options.search_keywords(),
        )
        prefix_slots = beam if search.leaks else 1
        most_slots = prefix_slots + beam * (int(limits.max()) - 1)
        slots = min(most_slots, prefix_slots + beam * FIRST_CAPACITY)
        state = self._start(cross, max(slots, 1), attention=options.keeps_attention)
        state.self_bias[:, :, :, 1:] = -10000.0
        start = np.full((len(lengths), 1), tokens.start, dtype=np.int32)
        search.start(state.step(start, 0, 0)[:, 0], state.attention[:, 0])
        if search.leaks:
            state.spread_start(beam)
        state.reshape(beam, slots)
        while not search.done:
            if search.finished_rows > 0:
                state.keep_rows(search.compact())
            write_index = prefix_slots + (search.steps - 1) * beam
            if write_index + beam > state.slots:
                state.reshape(beam, min(most_slots, prefix_slots + 2 * (state.slots - prefix_slots)))
            search.write_self_bias(state.self_bias, prefix_slots)
            search.advance(state.step(search.tokens(), search.steps, write_index), state.attention)
        return search

    def _start(self, cross: Sequence[dict[str, Array]], slots: int, *, attention: bool) -> DecoderState | EnsembleState:
        """The state before the start token, of one hypothesis a sentence; the first model gives attention."""
        states = [
            model.start(of_model, 1, slots, attention=attention and number == 0)
            for number, (model, of_model) in enumerate(zip(self._models, cross, strict=True))
        ]
        return states[0] if len(states) == 1 else EnsembleState(states)
