"""Which decoders need no engines, since the package's own kernels run them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from nmt_trt.export.graph import PRECISIONS, Precision
from nmt_trt.export.islands import linear_layers
from nmt_trt.export.weights_file import WeightLocation, weight_locations
from nmt_trt.model_directory import weights_file
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.weights import output_table

DecoderName = Literal["auto", "engines"]
"""What runs a decoder: the package's own kernels where they take it, or engines in any case."""
_PRECISIONS = ("fp16", "bf16")
_LEAST_CAPABILITY = (8, 0)
"""Ampere's, whose tensor cores multiply both types."""
_COLUMNS, _MOST_HIDDEN = 32, 1024
"""kLinearColumns and kMaxNormalized of csrc/cuda/linear.h."""


def runs_natively(
    config: TransformerConfig, directory: Path, precision: str, capability: tuple[int, int], decoder: str = "auto"
) -> bool:
    """Whether the package's own kernels run the decoder of a model directory.

    They take fp16 and bf16 without float32 blocks in the decoder, a hidden and an inner size that are multiples of 32,
    hidden sizes up to 1024, and GPUs from compute capability 8.0 on.

    Args:
        config: the model's.
        directory: where its weights lie.
        precision: which of them.
        capability: the compute capability of the GPU.
        decoder: a DecoderName.

    Raises:
        ModelDirectoryError: the weights file of the precision cannot be read.
    """
    if decoder == "engines" or precision not in _PRECISIONS or capability < _LEAST_CAPABILITY or not _fits(config):
        return False
    chosen = PRECISIONS[precision]
    return _is_of_one_type(config, weight_locations(directory / weights_file(chosen)), chosen)


def _fits(config: TransformerConfig) -> bool:
    hidden, inner = config.decoder.hidden_size, config.decoder.inner_size
    return hidden % _COLUMNS == 0 and inner % _COLUMNS == 0 and hidden <= _MOST_HIDDEN


def _is_of_one_type(config: TransformerConfig, locations: Mapping[str, WeightLocation], precision: Precision) -> bool:
    """Whether neither a block of the decoder nor the output projection is a float32 island."""
    layers = [f"{layer.name}.weight" for layer in linear_layers(config) if layer.block.startswith("decoder.")]
    return all(
        name in locations and locations[name].dtype == precision.compute for name in [*layers, output_table(config)]
    )
