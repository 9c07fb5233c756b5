"""Which of a model directory's precisions to run."""

from __future__ import annotations

from pathlib import Path

from nmt_trt.engines.graph_inputs import graphs_command
from nmt_trt.errors import BackendError, EngineError, ModelDirectoryError
from nmt_trt.export.graph import PRECISIONS
from nmt_trt.export.segments import segment_names
from nmt_trt.model_directory import graph_file
from nmt_trt.models.config import TransformerConfig

_FASTEST_FIRST = ("fp16", "bf16", "fp32")


def held_precisions(directory: Path, config: TransformerConfig) -> list[str]:
    """The precisions of which a model directory has every graph that TensorRT runs, the fastest first."""
    return [name for name in _FASTEST_FIRST if _holds(directory, config, name)]


def gpu_precision(wanted: str, directory: Path, config: TransformerConfig) -> str:
    """The precision to run on a GPU; "auto" takes the fastest that the directory holds.

    Raises:
        EngineError: the directory has no graphs for TensorRT at all.
        ModelDirectoryError: the directory does not hold the precision that was asked for.
    """
    held = held_precisions(directory, config)
    if not held:
        raise EngineError(f"{directory}: no graphs for TensorRT; mend it with: {graphs_command(directory, 'fp32')}")
    if wanted == "auto":
        return held[0]
    if wanted not in held:
        raise ModelDirectoryError(
            f"{directory}: no {wanted} graphs, only {', '.join(held)}; "
            f"make them with: {graphs_command(directory, wanted)}"
        )
    return wanted


def check_cpu_precision(wanted: str) -> None:
    """Refuse what ONNX Runtime does not run here.

    Raises:
        BackendError: neither "auto" nor "fp32" was asked for.
    """
    if wanted not in ("auto", "fp32"):
        raise BackendError(f"precision {wanted!r} needs TensorRT; backend 'onnxruntime' runs fp32")


def _holds(directory: Path, config: TransformerConfig, name: str) -> bool:
    return all((directory / graph_file(graph, PRECISIONS[name])).is_file() for graph in segment_names(config))
