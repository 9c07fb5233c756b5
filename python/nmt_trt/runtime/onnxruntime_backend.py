"""The ONNX Runtime backend: sessions driven from Python, the search advanced in C++."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime as ort

from nmt_trt import _core
from nmt_trt.errors import BackendError, Error
from nmt_trt.model_directory import attention_graph, graph_file
from nmt_trt.models.config import TransformerConfig
from nmt_trt.options import ResolvedOptions
from nmt_trt.results import Hypothesis, Timings
from nmt_trt.runtime.batching import plan_batches
from nmt_trt.runtime.decoder_state import CacheBuffers, DecoderState
from nmt_trt.runtime.hypotheses import hypotheses_of
from nmt_trt.runtime.inputs import Row, pad_rows

FIRST_CAPACITY = 16
"""Decoder steps that the caches have room for at first; doubled whenever they are full."""


class OnnxRuntimeBackend:
    """Runs a model directory's fp32 graphs on the CPU."""

    def __init__(self, directory: Path, config: TransformerConfig, *, threads: int | None, reason: str) -> None:
        self._config = config
        self._directory, self._threads = directory, threads
        self._encoder = _session(directory / graph_file("encoder"), threads)
        self._decoder = _session(directory / graph_file("decoder"), threads)
        self._buffers = CacheBuffers()
        self._encoder_outputs = [output.name for output in self._encoder.get_outputs()]
        self._reason = reason

    @property
    def description(self) -> str:
        """The backend, its device, and why it was taken, in one line."""
        return f"onnxruntime {ort.__version__} on the CPU ({self._reason})"

    @property
    def memory(self) -> dict[str, int]:
        """Empty: no GPU memory."""
        return {}

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
    ) -> list[list[Hypothesis]]:
        """The hypotheses of each sentence of one batch, best first; adds to `timings`."""
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
        outputs = self._encoder.run(self._encoder_outputs, {"input_ids": ids, "input_length": lengths})
        encoded = time.perf_counter()
        cross = dict(zip(self._encoder_outputs, outputs, strict=True))
        search = self._decode(cross, ids.shape[1], lengths, options, prefixes, numbers)
        hypotheses = hypotheses_of(search.results(), options, lengths)
        timings.encoder += encoded - started
        timings.generator += time.perf_counter() - encoded
        return hypotheses

    @cached_property
    def _attention_decoder(self) -> ort.InferenceSession:
        """The decoder that also gives attention, opened when that is first asked for."""
        return _session(attention_graph(self._directory), self._threads)

    def _decode(
        self,
        cross: dict[str, np.ndarray],
        padded: int,
        lengths: np.ndarray,
        options: ResolvedOptions,
        prefixes: Sequence[Row],
        numbers: Sequence[int],
    ) -> _core.BeamSearch:
        tokens, stack = self._config.special_tokens, self._config.decoder
        padded_lengths = [padded] * len(lengths) if options.policy == "nemo" else [int(length) for length in lengths]
        limits = np.array([options.length_limit(length) for length in padded_lengths], dtype=np.int32)
        beam = options.beam_size
        search = _core.BeamSearch(
            eos=tokens.eos,
            pad=tokens.pad,
            bos=tokens.start,
            vocab_size=stack.vocab_size,
            max_lengths=limits,
            target_prefix=[prefix.tolist() for prefix in prefixes],
            sentence_numbers=numbers,
            source_lengths=lengths.tolist() if options.keeps_attention else (),
            **options.search_keywords(),
        )
        prefix_slots = beam if search.leaks else 1
        most_slots = prefix_slots + beam * (int(limits.max()) - 1)
        slots = min(most_slots, prefix_slots + beam * FIRST_CAPACITY)
        decoder = self._attention_decoder if options.keeps_attention else self._decoder
        state = DecoderState(decoder, stack, self._buffers, cross, 1, max(slots, 1))
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


def _session(path: Path, threads: int | None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # Threads that spin between runs take the cores from the other session: 1.3 times the time on 2 cores.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own errors share no base class
        raise BackendError(f"{path}: ONNX Runtime cannot load this graph: {error}") from error
