"""Makes a TensorRT plan of an ONNX graph."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt_trt.engines.exact_products import with_exact_products
from nmt_trt.engines.flavours import Flavour
from nmt_trt.engines.graph_inputs import graph_path, open_inputs, read_graph
from nmt_trt.engines.plan_spec import PlanSpec
from nmt_trt.engines.progress import Progress, make_monitor, run_interruptibly
from nmt_trt.engines.tensorrt_log import forget_errors, said_errors
from nmt_trt.errors import EngineBuildError
from nmt_trt.export.graph import PRECISIONS
from nmt_trt.export.weights_file import weight_locations
from nmt_trt.model_directory import weights_file

_LOG = logging.getLogger(__name__)
_ONE_AT_A_TIME = threading.Lock()
"""Builds share a logger, whose errors must be told apart, and each may take most of the memory."""


@dataclass(frozen=True)
class BuiltPlan:
    """A plan and how it came to be.

    Attributes:
        plan: the serialized engine.
        seconds: time spent parsing and building.
        layers: layers of the network before TensorRT fused them.
        timing_cache: what TensorRT measured, for the next build; empty where the flavour measures nothing.
    """

    plan: bytes
    seconds: float
    layers: int
    timing_cache: bytes


def build_plan(
    directory: Path,
    spec: PlanSpec,
    *,
    flavour: Flavour,
    target: str | None = None,
    workspace_bytes: int | None = None,
    timing_cache: bytes = b"",
    progress: Progress | None = None,
) -> BuiltPlan:
    """Build one plan of a model directory's graph. Ctrl-C stops it.

    Types are those of the graph, whatever the flavour; TF32 is off, so that fp32 is fp32 (see exact_products.py).

    Args:
        directory: the model directory.
        spec: which graph, and the shapes it is to accept.
        flavour: what builds it.
        target: an architecture that `flavour.targets` lists, for which no GPU is needed; None builds for this
            machine's GPU.
        workspace_bytes: most scratch memory that a layer may use; None leaves it to TensorRT.
        timing_cache: the one that an earlier build left.
        progress: is told how far the build is.

    Raises:
        ModelDirectoryError: the directory has no such graph, or its weights are cut short.
        EngineBuildError: TensorRT refuses the graph, or makes no plan of it.
        UsageError: a target that the flavour does not know.
    """
    cancelled = threading.Event()

    def work() -> BuiltPlan:
        with _ONE_AT_A_TIME:
            return _build(directory, spec, flavour, target, workspace_bytes, timing_cache, progress, cancelled)

    built = run_interruptibly(work, cancelled)
    _LOG.info("built %s: %d layers, %d bytes, %.1f s", spec.key(), built.layers, len(built.plan), built.seconds)
    return built


def _build(
    directory: Path,
    spec: PlanSpec,
    flavour: Flavour,
    target: str | None,
    workspace_bytes: int | None,
    timing_cache: bytes,
    progress: Progress | None,
    cancelled: threading.Event,
) -> BuiltPlan:
    started = time.perf_counter()
    forget_errors()
    trt = flavour.module
    path = graph_path(directory, spec)
    graph = read_graph(path)
    weight_locations(directory / weights_file(PRECISIONS[spec.precision]))  # TensorRT reads on behind a file's end
    inputs = open_inputs(graph, spec.dimensions)
    if spec.precision == "fp32" and flavour.multiplies_in_tf32:
        graph = with_exact_products(graph)
    builder = _make_builder(flavour)
    network = builder.create_network(flavour.network_flags)
    parser = trt.OnnxParser(network, flavour.logger)
    if not parser.parse(graph.SerializeToString(), str(path)):  # the path is for the weights beside it
        raise EngineBuildError(_parser_message(parser, path, flavour))

    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    flavour.set_target(config, target)
    if workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_bytes)
    if flavour.has_timing_cache:
        config.set_timing_cache(config.create_timing_cache(timing_cache), False)
    profile = builder.create_optimization_profile()
    for name, shapes in inputs.items():
        profile.set_shape(name, *shapes)
    config.add_optimization_profile(profile)
    monitor = make_monitor(trt, cancelled, progress)
    config.progress_monitor = monitor

    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineBuildError(f"{path}: {flavour.title} made no plan of {spec.key()}: {said_errors()}")
    measured = bytes(config.get_timing_cache().serialize()) if flavour.has_timing_cache else b""
    return BuiltPlan(bytes(plan), time.perf_counter() - started, network.num_layers, measured)


def _make_builder(flavour: Flavour) -> Any:
    try:
        return flavour.module.Builder(flavour.logger)
    except TypeError as error:  # how the bindings report a null pointer
        raise EngineBuildError(f"{flavour.title} cannot build here: {said_errors()}") from error


def _parser_message(parser: Any, path: Path, flavour: Flavour) -> str:
    lines = [f"{path}: {flavour.title} cannot parse the graph"]
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        lines.append(f"{error.node_operator()} node {error.node_name()!r}: {error.desc()}")
    return "\n".join(lines)
