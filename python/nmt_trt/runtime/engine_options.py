"""How a model is run on TensorRT: the options of `load` beyond the backend's name."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, TypedDict, Unpack, get_args

from nmt_trt.engines.decoders import DecoderName
from nmt_trt.engines.plan_spec import EngineSizes, Range
from nmt_trt.errors import UsageError
from nmt_trt.option_checks import check_number

PrecisionName = Literal["auto", "fp32", "fp16", "bf16"]
MOST_IN_FLIGHT = 8
_SIZES = ("batch", "source", "beam")


class EngineKeywords(TypedDict, total=False):
    """EngineOptions as keyword arguments."""

    precision: str
    decoder: str
    batch: str | Range | None
    source: str | Range | None
    beam: str | Range | None
    trust_engines: bool
    memory_limit: int | None
    batches_in_flight: int
    tensorrt_library: str | Path | None


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How to run on TensorRT. On the CPU only `precision` means anything, and it must be "auto" or "fp32".

    Attributes:
        precision: fp32, fp16 or bf16, which the model directory must hold; "auto" takes the fastest that it holds.
        decoder: what runs the decoder. "auto": the package's own kernels where they take the model (docs/engines.md);
            "engines": TensorRT in any case.
        batch: sentences searched together that engines are made for, "min:opt:max", or one number for all three; by
            default those of trusted engines in the directory, else what `nmt-trt build` was given, else 1:8:64.
        source: the same for the tokens of a source, special ones included; the last resort is 1:64:256, or as many as
            the model has positions.
        beam: the same for the beam size; the last resort is up to 8, or the model's own if that is more. A larger beam
            takes smaller batches.
        trust_engines: also take engines that lie in the model directory. They are native code: say so only of a
            directory whose origin you trust.
        memory_limit: most bytes of GPU memory to use; None for no limit.
        batches_in_flight: batches that are searched at once, each with a copy of the model on the GPU. With 2 the GPU
            has something to do while few sentences of one are left (docs/batching.md).
        tensorrt_library: the TensorRT library to open, in place of one that is looked for.

    Raises:
        UsageError: a value that cannot be used.
    """

    precision: str = "auto"
    decoder: str = "auto"
    batch: str | Range | None = None
    source: str | Range | None = None
    beam: str | Range | None = None
    trust_engines: bool = False
    memory_limit: int | None = None
    batches_in_flight: int = 1
    tensorrt_library: str | Path | None = None

    def __post_init__(self) -> None:
        _check_choice("precision", self.precision, get_args(PrecisionName))
        _check_choice("decoder", self.decoder, get_args(DecoderName))
        if self.memory_limit is not None and not _is_size(self.memory_limit):
            raise UsageError(f"memory_limit must be a whole number of bytes, at least 1; given {self.memory_limit!r}")
        check_number("batches_in_flight", self.batches_in_flight, 1, MOST_IN_FLIGHT)
        for name in _SIZES:
            object.__setattr__(self, name, _range(name, getattr(self, name)))

    @property
    def sizes(self) -> EngineSizes:
        """The sizes that were asked for."""
        given = {name: getattr(self, name) for name in _SIZES}
        return {name: size for name, size in given.items() if size is not None}


def make_engine_options(**given: Unpack[EngineKeywords]) -> EngineOptions:
    """EngineOptions from keyword arguments.

    Raises:
        UsageError: an unknown name, or a value that cannot be used.
    """
    known = {field.name for field in fields(EngineOptions)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise UsageError(f"unknown option {', '.join(unknown)} of load; known: {', '.join(sorted(known))}")
    return EngineOptions(**given)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{name} must be one of {', '.join(choices)}; given {value!r}")


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 1 << 63


def _range(name: str, value: str | Range | None) -> Range | None:
    if value is None or isinstance(value, Range):
        return value
    if not isinstance(value, str):
        raise UsageError(f"{name} must be written as 'min:opt:max'; given {value!r}")
    try:
        return Range.parse(value)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error
