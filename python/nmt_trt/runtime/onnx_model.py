"""One model's ONNX Runtime sessions."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from nmt_trt.errors import BackendError
from nmt_trt.model_directory import attention_graph, graph_file
from nmt_trt.models.config import StackConfig
from nmt_trt.runtime.decoder_state import Array, CacheBuffers, DecoderState


class OnnxModel:
    """The fp32 encoder and decoder of a model directory, with memory for the decoder's caches."""

    def __init__(self, directory: Path, stack: StackConfig, threads: int | None) -> None:
        """Open both graphs; `stack` is the decoder's.

        Raises:
            BackendError: ONNX Runtime cannot load a graph.
        """
        self._directory, self._threads = directory, threads
        self._encoder = _session(directory / graph_file("encoder"), threads)
        self._decoder = _session(directory / graph_file("decoder"), threads)
        self._stack = stack
        self._buffers = CacheBuffers()
        self._outputs = [output.name for output in self._encoder.get_outputs()]

    def encode(self, ids: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32]) -> dict[str, Array]:
        """What the decoder's cross-attention looks at, by the graph's names; ids: [B,S] padded, lengths: [B]."""
        outputs = self._encoder.run(self._outputs, {"input_ids": ids, "input_length": lengths})
        return dict(zip(self._outputs, outputs, strict=True))

    def start(self, cross: dict[str, Array], beam_size: int, slots: int, *, attention: bool) -> DecoderState:
        """The state of a batch whose sources encode() made `cross` of; it takes the place of the last batch's.

        Args:
            cross: of [B] sources.
            beam_size: K of the first step.
            slots: N of the first step.
            attention: its steps also give that.

        Raises:
            BackendError: ONNX Runtime cannot load the graph that gives attention.
        """
        decoder = self._attention_decoder if attention else self._decoder
        return DecoderState(decoder, self._stack, self._buffers, cross, beam_size, slots)

    @cached_property
    def _attention_decoder(self) -> ort.InferenceSession:
        """The decoder that also gives attention, opened when that is first asked for."""
        return _session(attention_graph(self._directory), self._threads)


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
