"""What a backend is, and which one to take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, get_args

from nmt_trt.errors import BackendError, UsageError
from nmt_trt.models.config import TransformerConfig
from nmt_trt.options import ResolvedOptions
from nmt_trt.results import Hypothesis, Timings
from nmt_trt.runtime.inputs import Row

BackendName = Literal["auto", "tensorrt", "tensorrt-rtx", "onnxruntime"]


class Backend(Protocol):
    """Runs one batch of sentences through encoder and search."""

    @property
    def description(self) -> str:
        """The backend, its device, and why it was taken, in one line."""

    def search(self, rows: Sequence[Row], options: ResolvedOptions, timings: Timings) -> list[list[Hypothesis]]:
        """The hypotheses of each sentence of one batch, best first; adds to `timings`."""


def open_backend(name: str, directory: Path, config: TransformerConfig, threads: int | None) -> Backend:
    """The backend of this name; "auto" takes the best that works here.

    Raises:
        UsageError: no backend has this name.
        BackendError: the backend cannot be used in this installation.
    """
    if name not in get_args(BackendName):
        raise UsageError(f"backend must be one of {', '.join(get_args(BackendName))}; given {name!r}")
    if name in ("tensorrt", "tensorrt-rtx"):
        raise BackendError(f"backend {name!r} is not part of this build; use backend='onnxruntime' or 'auto'")
    from nmt_trt.runtime.onnxruntime_backend import OnnxRuntimeBackend

    reason = "asked for" if name == "onnxruntime" else "this build has no TensorRT backend"
    return OnnxRuntimeBackend(directory, config, threads=threads, reason=reason)
