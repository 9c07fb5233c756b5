"""Which of a model directory's precisions to run."""

from __future__ import annotations

from pathlib import Path

from nmt_trt.engines.plan_spec import model_plans, model_shapes
from nmt_trt.errors import BackendError, EngineError, ModelDirectoryError
from nmt_trt.export.graph import PRECISIONS
from nmt_trt.model_directory import graph_file
from nmt_trt.models.config import TransformerConfig

_FASTEST_FIRST = ("fp16", "bf16", "fp32")


def gpu_precision(wanted: str, directory: Path, config: TransformerConfig) -> str:
    """The precision to run on a GPU; "auto" takes the fastest that the directory holds.

    Raises:
        EngineError: the directory has no graphs for TensorRT at all.
        ModelDirectoryError: the directory does not hold the precision that was asked for.
    """
    held = [name for name in _FASTEST_FIRST if _holds(directory, config, name)]
    again = f"nmt-trt build CHECKPOINT.nemo {directory} --force"
    if not held:
        raise EngineError(f"{directory}: no graphs for TensorRT; mend it with: {again}")
    if wanted == "auto":
        return held[0]
    if wanted not in held:
        raise ModelDirectoryError(
            f"{directory}: no {wanted} graphs, only {', '.join(held)}; make them with: {again} --precision {wanted}"
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
    plans = model_plans(config, name, model_shapes(config))
    return all((directory / graph_file(plan.graph, PRECISIONS[name])).is_file() for plan in plans)
