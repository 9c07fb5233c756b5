"""What a backend is, and which one to take."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, Protocol, cast, get_args

from nmt_trt.engines.flavours import FlavourName
from nmt_trt.errors import BackendError, UsageError
from nmt_trt.models.config import TransformerConfig
from nmt_trt.options import ResolvedOptions
from nmt_trt.results import Hypothesis, Timings
from nmt_trt.runtime.batching import BatchLimits
from nmt_trt.runtime.engine_options import EngineOptions
from nmt_trt.runtime.ensemble import Member
from nmt_trt.runtime.inputs import Row
from nmt_trt.runtime.precision import check_cpu_precision

BackendName = Literal["auto", "tensorrt", "tensorrt-rtx", "onnxruntime"]


class Backend(Protocol):
    """Runs batches of sentences through encoder and search."""

    @property
    def description(self) -> str:
        """The backend, its device, and why it was taken, in one line."""

    @property
    def memory(self) -> dict[str, int]:
        """Bytes of GPU memory in use, by what they are for."""

    @property
    def batches_in_flight(self) -> int:
        """Batches that `search` takes at once, each from a thread of its own."""

    @property
    def loaded(self) -> bool:
        """Whether a search has nothing to build first, which only the calling thread should do: it gets Ctrl-C."""

    def limits(self, options: ResolvedOptions) -> BatchLimits:
        """Of a batch with these options; a large beam may leave room for fewer sentences."""

    def plan_batches(self, lengths: Sequence[int], options: ResolvedOptions) -> list[list[int]]:
        """Indices of the sentences of each batch, given the number of tokens of every source.

        Raises:
            SourceError: a source for which this backend has no room.
        """

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
        """The hypotheses of each sentence of one batch, best first; adds to `timings`.

        `target_prefix`, if any, has the first tokens of each sentence; by `sentence_numbers` policy sample draws. No
        two searches at the same time have the same `place`, of 0 to batches_in_flight - 1.

        Raises:
            BackendError: it failed; the next batch may succeed.
        """

    def warmup(self, sentences: int, source_length: int, options: ResolvedOptions) -> None:
        """Do now what the first batch of this size would wait for."""


def open_backend(
    name: str, members: Sequence[Member], config: TransformerConfig, threads: int | None, options: EngineOptions
) -> Backend:
    """The backend of this name; "auto" takes TensorRT where it can be used, else ONNX Runtime.

    `members` are the models that it runs, `config` what they are together.

    Raises:
        UsageError: no backend has this name.
        BackendError: the backend cannot be used in this installation; says what is missing and what mends it.
        ModelDirectoryError: a directory lacks the precision that was asked for.
    """
    if name not in get_args(BackendName):
        raise UsageError(f"backend must be one of {', '.join(get_args(BackendName))}; given {name!r}")
    if name == "onnxruntime":
        return _open_onnxruntime(members, config, threads, options, "asked for")
    if name != "auto":
        return _open_tensorrt(cast(FlavourName, name), members, config, options, "asked for")
    try:
        return _open_tensorrt(None, members, config, options, "the fastest that works here")
    except BackendError as error:
        if options.precision not in ("auto", "fp32"):
            raise
        why = re.sub("; mend it with: [^;]*", "", str(error))  # nobody asked for it; `nmt-trt doctor` tells
        return _open_onnxruntime(members, config, threads, options, why)


def _open_tensorrt(
    name: FlavourName | None, members: Sequence[Member], config: TransformerConfig, options: EngineOptions, reason: str
) -> Backend:
    from nmt_trt.runtime.tensorrt import open_tensorrt

    return open_tensorrt(name, members, config, options, reason)


def _open_onnxruntime(
    members: Sequence[Member], config: TransformerConfig, threads: int | None, options: EngineOptions, reason: str
) -> Backend:
    from nmt_trt.runtime.onnxruntime_backend import OnnxRuntimeBackend

    check_cpu_precision(options.precision)
    return OnnxRuntimeBackend(members, config, threads=threads, reason=reason)
