"""Builds the plans of a model: into the user's cache for this machine, or ahead of time into its directory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from nmt_trt.engines.decoders import DecoderName, runs_natively
from nmt_trt.engines.directory_plans import ENGINES_FOLDER, build_directory_plans
from nmt_trt.engines.flavours import Flavour, FlavourName, find_flavours, load_flavour
from nmt_trt.engines.plan_cache import PlanCache
from nmt_trt.engines.plan_record import PlanRecord
from nmt_trt.engines.plan_spec import EngineShapes, PlanSpec, model_plans, model_shapes
from nmt_trt.engines.progress import Progress
from nmt_trt.engines.stored_sizes import read_engine_sizes
from nmt_trt.errors import EngineError, UsageError
from nmt_trt.gpu import Gpu, capability_of, find_gpus
from nmt_trt.model_directory import read_config

_AHEAD = "; TensorRT-RTX also builds engines without a GPU: name their target, such as --target sm_86"
BuilderName = Literal["auto", "tensorrt", "tensorrt-rtx", "onnxruntime"]
PlanStarted = Callable[[PlanSpec, int, int], None]
"""Called before a plan is built or found, with its number, from 1, and the number of plans."""


@dataclass(frozen=True)
class BuiltEngine:
    """A plan that is there now: its record, and whether it was built just now."""

    record: PlanRecord
    fresh: bool


@dataclass(frozen=True)
class EngineReport:
    """What was done.

    Attributes:
        engines: the plans, none if engines cannot be used here.
        place: the folder that has them; None without any.
    """

    engines: tuple[BuiltEngine, ...] = ()
    place: Path | None = None

    @property
    def has_decoder(self) -> bool:
        """Whether any of the plans is a decoder's."""
        return any(engine.record.origin.graph.startswith("decoder") for engine in self.engines)


@dataclass(frozen=True)
class EngineBuilder:
    """What builds a model's engines, and what for.

    Attributes:
        flavour: None if no engines are to be built.
        gpu: this machine's, or None to build ahead of time.
        targets: architectures to build for ahead of time.
        remark: the above in words, or why there are to be no engines.
    """

    flavour: Flavour | None
    gpu: Gpu | None
    targets: tuple[str, ...]
    remark: str


def choose_builder(
    backend: BuilderName = "auto", targets: Sequence[str] = (), *, for_others: bool = True
) -> EngineBuilder:
    """What builds engines here.

    Args:
        backend: what is to run them. "auto" takes what works here, if anything does; "onnxruntime" needs none.
        targets: architectures, "sm_86", to build for ahead of time, which needs no GPU; none for this machine's GPU.
        for_others: whether to say without a GPU that there are targets.

    Raises:
        UsageError: no such backend, or a target that it cannot build for.
        EngineError: the backend that was asked for cannot be used here; says what mends it.
    """
    if backend not in get_args(BuilderName):
        raise UsageError(f"backend must be one of {', '.join(get_args(BuilderName))}; given {backend!r}")
    if targets:
        flavour = _ahead_of_time_flavour(backend, targets)
        return EngineBuilder(flavour, None, tuple(targets), f"{flavour.title} for {', '.join(targets)}")
    if backend == "onnxruntime":
        return EngineBuilder(None, None, (), "none: ONNX Runtime needs none")
    try:
        flavour, gpu = _flavour_here(backend, _AHEAD if for_others else "")
    except EngineError as error:
        if backend == "auto":
            return EngineBuilder(None, None, (), f"none: {error}")
        raise
    return EngineBuilder(flavour, gpu, (), f"{flavour.title} for {gpu.name}")


def build_engines(
    directory: Path,
    builder: EngineBuilder,
    *,
    precision: str = "fp32",
    decoder: DecoderName = "auto",
    shapes: EngineShapes | None = None,
    workspace_bytes: int | None = None,
    started: PlanStarted | None = None,
    progress: Progress | None = None,
) -> EngineReport:
    """Build the engines that a model needs: ahead of time into its directory, or for this machine into the user's
    cache.

    Args:
        directory: the model directory.
        builder: what choose_builder chose.
        precision: fp32, fp16 or bf16; the directory must have its graphs.
        decoder: "auto" builds none of a decoder that the package's own kernels run; "engines" of any.
        shapes: the sizes that they are to accept; None takes the directory's (see read_engine_sizes and model_shapes).
        workspace_bytes: see build_plan.
        started, progress: are told how far it is.

    Raises:
        UsageError: no such precision.
        EngineBuildError: a plan cannot be built.
        ModelDirectoryError: no model directory, or one without the precision's graphs.
        EngineError: the cache cannot be used.
    """
    config = read_config(directory)
    shapes = shapes or model_shapes(config, **read_engine_sizes(directory, config))
    specs = model_plans(config, precision, shapes)
    if builder.flavour is None:
        return EngineReport()

    def needed(capability: tuple[int, int]) -> list[PlanSpec]:
        native = runs_natively(config, directory, precision, capability, decoder)
        return [spec for spec in specs if spec.side == "encoder"] if native else specs

    if builder.gpu is None:
        wanted = {target: needed(capability_of(target)) for target in builder.targets}
        return _build_ahead(directory, wanted, builder.flavour, workspace_bytes, started, progress)
    cache = PlanCache(directory, builder.flavour, builder.gpu, workspace_bytes=workspace_bytes, progress=progress)
    engines, here = [], needed(builder.gpu.capability)
    for number, spec in enumerate(here, start=1):
        if started is not None:
            started(spec, number, len(here))
        _, record, fresh = cache.find_or_build(spec)
        engines.append(BuiltEngine(record, fresh))
    return EngineReport(tuple(engines), cache.folder)


def _build_ahead(
    directory: Path,
    wanted: Mapping[str, Sequence[PlanSpec]],
    flavour: Flavour,
    workspace_bytes: int | None,
    started: PlanStarted | None,
    progress: Progress | None,
) -> EngineReport:
    numbers, count = itertools.count(1), sum(map(len, wanted.values()))

    def announce(spec: PlanSpec) -> None:
        if started is not None:
            started(spec, next(numbers), count)

    engines: list[BuiltEngine] = []
    for target, specs in wanted.items():
        records = build_directory_plans(
            directory, specs, flavour, target, workspace_bytes=workspace_bytes, started=announce, progress=progress
        )
        engines += [BuiltEngine(record, fresh=True) for record in records]
    return EngineReport(tuple(engines), directory / ENGINES_FOLDER)


def _ahead_of_time_flavour(backend: BuilderName, targets: Sequence[str]) -> Flavour:
    if backend == "onnxruntime":
        raise UsageError("ONNX Runtime needs no engines: give either a target or backend onnxruntime")
    flavour = load_flavour(_flavour_name(backend) or "tensorrt-rtx")
    for target in targets:
        flavour.check_target(target)
    if len(set(targets)) < len(targets):
        raise UsageError(f"each target may be given once; given {', '.join(targets)}")
    return flavour


def _flavour_here(backend: BuilderName, hint: str) -> tuple[Flavour, Gpu]:
    name = _flavour_name(backend)
    found = [load_flavour(name)] if name is not None else find_flavours()
    if not found:
        raise EngineError("no TensorRT Python package; install one with: pip install tensorrt, or tensorrt-rtx")
    try:
        return found[0], find_gpus()[0]
    except OSError as error:
        raise EngineError(f"{error}{hint}") from error


def trtexec_flavour(backend: BuilderName) -> FlavourName:
    """Whose command line builds engines for a backend: "auto" is what is installed, or else TensorRT."""
    if backend == "onnxruntime":
        raise UsageError("ONNX Runtime needs no engines, so there is nothing to print for it")
    name = _flavour_name(backend)
    if name is not None:
        return name
    found = find_flavours()
    return found[0].name if found else "tensorrt"


def _flavour_name(backend: BuilderName) -> FlavourName | None:
    return backend if backend == "tensorrt" or backend == "tensorrt-rtx" else None
