"""Opens the TensorRT backend, or says what is missing and what mends it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from nmt_trt import _core
from nmt_trt.engines.decoders import runs_natively
from nmt_trt.engines.directory_plans import DirectoryPlans, engines_command
from nmt_trt.engines.flavours import Flavour, FlavourName, load_flavour
from nmt_trt.engines.library import find_library, find_shims
from nmt_trt.engines.plan_cache import PlanCache, open_plan_folder
from nmt_trt.engines.plan_spec import EngineShapes, model_shapes
from nmt_trt.engines.stored_sizes import read_engine_sizes
from nmt_trt.engines.tensorrt_log import TENSORRT_LOG
from nmt_trt.errors import BackendError, EngineError
from nmt_trt.gpu import Gpu, find_gpus
from nmt_trt.models.config import TransformerConfig
from nmt_trt.runtime.engine_options import EngineOptions
from nmt_trt.runtime.ensemble import Member, described
from nmt_trt.runtime.native_decoder import native_decoder
from nmt_trt.runtime.plan_source import Plans, PlanSource
from nmt_trt.runtime.precision import gpu_precision
from nmt_trt.runtime.runtime_cache import RuntimeCache
from nmt_trt.runtime.tensorrt_backend import EngineModel, TensorRTBackend

BUILD_WITH_CUDA = "pip install --force-reinstall --no-cache-dir . -C cmake.define.NMT_TRT_CUDA=ON"
_LEVELS = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
"""By TensorRT's severity."""


def open_tensorrt(
    flavour: FlavourName | None,
    members: Sequence[Member],
    config: TransformerConfig,
    options: EngineOptions,
    reason: str,
) -> TensorRTBackend:
    """The backend on this machine's first GPU, with one flavour of TensorRT or with the first that works.

    Args:
        flavour: which; None for any.
        members: the models to run.
        config: what they are together.
        options: how to run it.
        reason: why TensorRT is taken, for people.

    Raises:
        BackendError: it cannot be used here; says what is missing and the command that mends it.
        ModelDirectoryError: a directory lacks the precision that was asked for.
        UsageError: more models than can be run, or engines that take no common sizes.
    """
    gpu = usable_gpu()
    precisions = [gpu_precision(options.precision, member.directory, member.config) for member in members]
    problems: list[BackendError] = []
    for name in get_args(FlavourName) if flavour is None else (flavour,):
        try:
            return _open(name, members, config, options, precisions, gpu, reason)
        except BackendError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    raise BackendError("; ".join(dict.fromkeys(map(str, problems))))


def usable_gpu() -> Gpu:
    """The GPU that engines run on.

    Raises:
        BackendError: this build of the package has no CUDA part, or there is no GPU.
    """
    if not _core.has_cuda:
        raise BackendError(
            "this nmt_trt was built without CUDA, which takes its sources and a CUDA toolkit; "
            f"mend it with: {BUILD_WITH_CUDA}"
        )
    try:
        return find_gpus()[0]
    except OSError as error:
        raise BackendError(f"no CUDA device: {error}") from error


def open_library(flavour: FlavourName, given: str | Path | None = None) -> _core.EngineLibrary:
    """The TensorRT library of a flavour, or the given one.

    Raises:
        EngineError: there is none, or none that this build of the package fits; says what mends it.
    """
    found = find_library(flavour, None if given is None else str(given))
    library = _core.open_engine_library(shims=find_shims(), library=found, log=_log)
    if library.flavour != flavour:
        raise EngineError(f"{found} is {library.flavour} {library.version}, not {flavour}")
    return library


def _open(
    flavour: FlavourName,
    members: Sequence[Member],
    config: TransformerConfig,
    options: EngineOptions,
    precisions: Sequence[str],
    gpu: Gpu,
    reason: str,
) -> TensorRTBackend:
    library = open_library(flavour, options.tensorrt_library)
    builder, no_builder = _builder(flavour, library)
    caches = [None if builder is None else PlanCache(member.directory, builder, gpu) for member in members]
    kernels = None if caches[0] is None else RuntimeCache(caches[0].runtime_cache_path)
    models = []
    for member, precision, cache in zip(members, precisions, caches, strict=True):
        trusted = _trusted_plans(member.directory, library, gpu, precision) if options.trust_engines else None
        if cache is None and (trusted is None or trusted.shapes is None):
            raise EngineError(no_builder)
        places: list[Plans] = [place for place in (trusted, cache) if place is not None]
        shapes = _shapes(member, options, trusted)
        plans = PlanSource(precision, shapes, places)
        native = _native_decoder(member, options, precision, gpu, shapes)
        command = _build_command(member.directory, trusted, precision, options.decoder)
        models.append(EngineModel(member.config, plans, command, native))
    used = " and ".join(dict.fromkeys(precisions)) + _described_decoders(models)
    if options.batches_in_flight > 1:
        used += f", {options.batches_in_flight} batches in flight"
    return TensorRTBackend(
        config,
        library,
        models,
        kernels,
        memory_limit=options.memory_limit,
        batches_in_flight=options.batches_in_flight,
        description=f"{flavour} {library.version} on {gpu.name}, {used}{described(members)} ({reason})",
    )


def _shapes(member: Member, options: EngineOptions, trusted: DirectoryPlans | None) -> EngineShapes:
    """What engines are to take: what was asked for, else trusted ones take, else `nmt-trt build` was given."""
    sizes = read_engine_sizes(member.directory, member.config)
    if trusted is not None and trusted.shapes is not None:
        sizes = trusted.shapes.sizes
    return model_shapes(member.config, **{**sizes, **options.sizes})


def _native_decoder(
    member: Member, options: EngineOptions, precision: str, gpu: Gpu, shapes: EngineShapes
) -> _core.NativeDecoder | None:
    if not runs_natively(member.config, member.directory, precision, gpu.capability, options.decoder):
        return None
    return native_decoder(member.config, member.directory, precision, shapes.rows.max)


def _described_decoders(models: Sequence[EngineModel]) -> str:
    """What `Model.backend` tells of native decoders: how many there are where not all of several are."""
    count = sum(model.native_decoder is not None for model in models)
    if count == len(models):
        return ", native decoder"
    return f", {count} native decoder{'s' if count > 1 else ''}" if count else ""


def _build_command(directory: Path, trusted: DirectoryPlans | None, precision: str, decoder: str) -> str:
    """The command that builds engines like these, with other sizes behind it."""
    if trusted is None or trusted.shapes is None:
        return f"nmt-trt build {directory}"
    with_decoder = "" if decoder == "auto" else f" --decoder {decoder}"
    return engines_command(directory, trusted.target, precision) + with_decoder


def _trusted_plans(directory: Path, library: _core.EngineLibrary, gpu: Gpu, precision: str) -> DirectoryPlans:
    hashes = open_plan_folder() / "file-hashes.json"
    return DirectoryPlans(directory, library.flavour, library.version, gpu, precision, memory_of_hashes=hashes)


def _builder(flavour: FlavourName, library: _core.EngineLibrary) -> tuple[Flavour | None, str]:
    """What builds plans for this library; or None, and why."""
    try:
        builder = load_flavour(flavour)
    except EngineError as error:
        return None, f"no plans can be built: {error}"
    if builder.version != library.version:
        return None, (
            f"no plans can be built: the {flavour} library is {library.version}, the Python package {builder.build}; "
            "install them in the same version"
        )
    return builder, ""


def _log(severity: int, message: bytes) -> None:
    logging.getLogger(TENSORRT_LOG).log(_LEVELS[severity], "%s", message.decode(errors="replace"))
