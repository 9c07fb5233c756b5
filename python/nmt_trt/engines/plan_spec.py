"""What a plan is made for: a graph, its precision, and the sizes that it accepts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nmt_trt.errors import UsageError
from nmt_trt.export.graph import PRECISIONS
from nmt_trt.export.segments import segment_names
from nmt_trt.models.config import TransformerConfig
from nmt_trt.options import MAX_BEAM_SIZE

_GRAPH = re.compile(r"(encoder|decoder)_\d+")
_LEAST_TOKENS = 16
_LEAST_ROWS = 2
"""TensorRT-RTX 1.4, told to specialise kernels for the shapes that it meets, takes those for one row for others too."""


@dataclass(frozen=True)
class Range:
    """Sizes that a dimension may have; TensorRT tunes for `opt`.

    Raises:
        UsageError: not 1 <= min <= opt <= max.
    """

    min: int
    opt: int
    max: int

    def __post_init__(self) -> None:
        if not 1 <= self.min <= self.opt <= self.max:
            raise UsageError(f"a range must have 1 <= min <= opt <= max; given {self}")

    @classmethod
    def parse(cls, text: str) -> Range:
        """A range written as "min:opt:max", or as one number for all three.

        Raises:
            UsageError: neither of the two, or the numbers are not in order.
        """
        parts = text.split(":")
        if len(parts) not in (1, 3) or not all(part.isascii() and part.isdigit() for part in parts):
            raise UsageError(f"a range is min:opt:max, or one number; given {text!r}")
        numbers = [int(part) for part in parts]
        return cls(*numbers) if len(numbers) == 3 else cls.of(numbers[0])

    @classmethod
    def of(cls, size: int) -> Range:
        """The range that has one size."""
        return cls(size, size, size)

    def up_to(self, limit: int) -> Range:
        """The range cut off at `limit`."""
        return Range(min(self.min, limit), min(self.opt, limit), min(self.max, limit))

    def __str__(self) -> str:
        return f"{self.min}:{self.opt}:{self.max}"


EngineSizes = dict[str, Range]
"""Some of the fields of EngineShapes, by name."""


@dataclass(frozen=True)
class EngineShapes:
    """Sizes that a model's engines accept.

    Attributes:
        batch: B, sentences searched together.
        source: S, tokens of a source, special ones included.
        beam: K, hypotheses a sentence.
    """

    batch: Range = Range(1, 8, 64)
    source: Range = Range(1, 64, 256)
    beam: Range = Range(1, 4, 8)

    @property
    def sizes(self) -> EngineSizes:
        """All of them by name."""
        return {"batch": self.batch, "source": self.source, "beam": self.beam}

    def __str__(self) -> str:
        return ", ".join(f"{name} {size}" for name, size in self.sizes.items())

    @property
    def tokens(self) -> Range:
        """T, source tokens of a batch: the rows of the encoder.

        They lie one after the other without padding, so that few short sentences need not have batch.min * source.min.
        The limits are sizes that the generator runs; see `padded_tokens`.
        """
        return Range(
            _LEAST_TOKENS,
            padded_tokens(self.batch.opt * self.source.opt),
            padded_tokens(self.batch.max * self.source.max),
        )

    @property
    def rows(self) -> Range:
        """R, hypotheses in a batch: the rows of a decoder step; at least 2, to which a smaller batch is padded."""
        batch, beam = self.batch, self.beam
        return Range(
            max(batch.min * beam.min, _LEAST_ROWS),
            max(batch.opt * beam.opt, _LEAST_ROWS),
            max(batch.max * beam.max, _LEAST_ROWS),
        )


def padded_tokens(count: int) -> int:
    """The rows that the encoder's plans admit for `count` source tokens: a power of two, 16 or more.

    The generator rounds sentences and source lengths up to powers of two, since each number of rows costs kernels, a
    CUDA graph and buffers of its own.
    """
    return max(_LEAST_TOKENS, 1 << (count - 1).bit_length())


def model_shapes(
    config: TransformerConfig, *, batch: Range | None = None, source: Range | None = None, beam: Range | None = None
) -> EngineShapes:
    """The sizes for a model's engines, where None takes the default.

    Those are 1:8:64 sentences, sources of 1:64:256 tokens or as many as the model has positions, and beams of 1 to 8
    (or as many as the model's own has, if more), tuned for the model's own.

    Raises:
        UsageError: sources longer than the encoder's positions, or beams larger than there are.
    """
    usual, positions = EngineShapes(), config.encoder.max_positions
    if source is None:
        source = usual.source.up_to(positions)
    elif source.max > positions:
        raise UsageError(f"source must not exceed the model's {positions} positions; given {source}")
    if beam is None:
        own = config.generation.beam_size
        beam = Range(1, own, max(own, usual.beam.max))
    elif beam.max > MAX_BEAM_SIZE:
        raise UsageError(f"a beam must not exceed {MAX_BEAM_SIZE}; given {beam}")
    return EngineShapes(batch or usual.batch, source, beam)


def common_shapes(models: Sequence[EngineShapes]) -> EngineShapes:
    """The sizes that the engines of all models accept.

    Raises:
        UsageError: there are none.
    """
    return EngineShapes(**{name: _common(name, [shapes.sizes[name] for shapes in models]) for name in models[0].sizes})


def _common(name: str, ranges: Sequence[Range]) -> Range:
    least, most = max(size.min for size in ranges), min(size.max for size in ranges)
    if least > most:
        raise UsageError(f"the models' engines have no {name} size in common: they take {', '.join(map(str, ranges))}")
    return Range(least, min(max(min(size.opt for size in ranges), least), most), most)


@dataclass(frozen=True)
class PlanSpec:
    """One plan.

    Attributes:
        graph: a segment of the encoder or the decoder: "encoder_0".
        precision: fp32, fp16 or bf16.
        shapes: sizes that it accepts.

    Raises:
        UsageError: no such graph or precision.
    """

    graph: str
    precision: str
    shapes: EngineShapes = EngineShapes()

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"precision must be one of {', '.join(PRECISIONS)}; given {self.precision!r}")
        if not _GRAPH.fullmatch(self.graph):
            raise UsageError(f"graph must be encoder_0, encoder_1, ... or decoder_0, ...; given {self.graph!r}")

    @property
    def side(self) -> str:
        """encoder or decoder."""
        return self.graph.partition("_")[0]

    @property
    def dimensions(self) -> dict[str, Range]:
        """The graph's open dimension by name: T of the encoder's segments, R of the decoder's."""
        return {"T": self.shapes.tokens} if self.side == "encoder" else {"R": self.shapes.rows}

    def key(self) -> str:
        """The whole in one word, fit for a file name: decoder_3-fp16-r2.32.512."""
        sizes = [f"{name.lower()}{str(size).replace(':', '.')}" for name, size in self.dimensions.items()]
        return "-".join([self.graph, self.precision, *sizes])


def model_plans(config: TransformerConfig, precision: str, shapes: EngineShapes) -> list[PlanSpec]:
    """Every plan that a model needs: one for each segment of its encoder, then of its decoder.

    Raises:
        UsageError: no such precision.
    """
    return [PlanSpec(graph, precision, shapes) for graph in segment_names(config)]
