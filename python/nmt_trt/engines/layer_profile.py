"""Runs a plan under TensorRT's profiler: the time of each of its layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from nmt_trt.engines.device_memory import Device
from nmt_trt.engines.flavours import Flavour
from nmt_trt.engines.graph_inputs import Shape, graph_path, open_inputs, read_graph
from nmt_trt.engines.plan_spec import PlanSpec, Range
from nmt_trt.engines.run_context import make_context
from nmt_trt.engines.tensorrt_log import forget_errors, said_errors
from nmt_trt.errors import EngineError, UsageError

WARMUP_RUNS = 5


@dataclass(frozen=True)
class LayerTime:
    """A layer of an engine.

    Attributes:
        name: as TensorRT calls it; fused layers have long names.
        calls: how often it ran and was timed.
        mean_us, median_us: microseconds a run.
        share: of the time of all layers, 0 to 1.
    """

    name: str
    calls: int
    mean_us: float
    median_us: float
    share: float


def run_shapes(directory: Path, spec: PlanSpec, sizes: Mapping[str, int]) -> dict[str, Shape]:
    """The shapes of a plan's inputs for given sizes of its graph's open dimensions (see PlanSpec.dimensions).

    Raises:
        UsageError: a size that the plan does not accept.
        ModelDirectoryError: the directory has no such graph.
    """
    for name, accepted in spec.dimensions.items():
        if not accepted.min <= sizes[name] <= accepted.max:
            raise UsageError(f"{spec.graph} accepts {name} from {accepted.min} to {accepted.max}; given {sizes[name]}")
    inputs = open_inputs(read_graph(graph_path(directory, spec)), {n: Range.of(size) for n, size in sizes.items()})
    return {name: usual for name, (_, usual, _) in inputs.items()}


def profile_plan(
    plan: bytes, flavour: Flavour, shapes: Mapping[str, Shape], *, runs: int, kernels: bytes = b""
) -> list[LayerTime]:
    """Run a plan on zeros, with the kernels that the generator runs, and time its layers, the slowest first.

    Args:
        plan: a plan for this machine's GPU.
        flavour: what built it.
        shapes: of its inputs (see run_shapes).
        runs: how many runs to time, after a few that are not.
        kernels: the runtime cache that the generator left; what it lacks is compiled.

    Raises:
        CudaError: no GPU, or a run failed.
        OutOfMemoryError: the tensors do not fit.
        EngineError: TensorRT refuses the plan, or cannot profile.
    """
    trt = flavour.module
    with Device() as device:
        forget_errors()
        runtime = trt.Runtime(flavour.logger)
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise EngineError(f"{flavour.title} refuses the plan: {said_errors()}")
        context, configuration = make_context(engine, flavour, kernels)
        if context is None:
            raise EngineError(f"{flavour.title} cannot run the plan: {said_errors()}")
        if not hasattr(context, "profiler"):
            raise EngineError(f"{flavour.title} cannot profile layers")
        for name, shape in shapes.items():
            context.set_input_shape(name, shape)
        _bind(trt, engine, context, device)
        for _ in range(WARMUP_RUNS):
            _run(context, device, flavour)
        profiler = _make_profiler(trt)
        context.profiler = profiler
        for _ in range(runs):
            _run(context, device, flavour)
        del context, configuration, engine, runtime  # before the memory that they use
    if not profiler.times:
        raise EngineError(f"{flavour.title} reported no layer times")
    return _summary(profiler.times)


def _bind(trt: Any, engine: Any, context: Any, device: Device) -> None:
    """Give every tensor a buffer of zeros."""
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        size = math.prod(context.get_tensor_shape(name)) * _element_bytes(trt, engine.get_tensor_dtype(name))
        context.set_tensor_address(name, device.zeros(size))


def _element_bytes(trt: Any, dtype: Any) -> int:
    wide, half = (trt.DataType.INT64,), (trt.DataType.HALF, trt.DataType.BF16)
    return 8 if dtype in wide else 2 if dtype in half else 4


def _run(context: Any, device: Device, flavour: Flavour) -> None:
    if not context.execute_async_v3(device.stream):
        raise EngineError(f"{flavour.title} failed to run the plan: {said_errors()}")
    device.synchronize()


def _make_profiler(trt: Any) -> Any:
    class Profiler(trt.IProfiler):  # type: ignore[misc]  # its base is known only once the package is imported
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.times: dict[str, list[float]] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.times.setdefault(layer_name, []).append(1000 * ms)

    return Profiler()


def _summary(times: Mapping[str, list[float]]) -> list[LayerTime]:
    total = sum(map(sum, times.values())) or 1.0
    layers = [LayerTime(name, len(us), sum(us) / len(us), median(us), sum(us) / total) for name, us in times.items()]
    return sorted(layers, key=lambda layer: layer.share, reverse=True)
