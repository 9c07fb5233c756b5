"""Decides whether the package's own kernels run a model's decoder, and describes it for them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from nmt_trt import _core
from nmt_trt.errors import ModelDirectoryError
from nmt_trt.export.graph import PRECISIONS, Precision
from nmt_trt.export.islands import linear_layers
from nmt_trt.export.weights_file import WeightLocation, read_tensor_bytes, weight_locations
from nmt_trt.gpu import Gpu
from nmt_trt.model_directory import read_weight_exponents, weights_file
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.weights import output_table, token_table

_TYPES: dict[str, Literal["float16", "bfloat16"]] = {"fp16": "float16", "bf16": "bfloat16"}
_LEAST_CAPABILITY = (8, 0)
"""Ampere's, whose tensor cores multiply both types."""
_COLUMNS, _MOST_HIDDEN = 32, 1024
"""kLinearColumns and kMaxNormalized of csrc/cuda/linear.h."""


def native_decoder(
    config: TransformerConfig, directory: Path, precision: str, gpu: Gpu, max_rows: int
) -> _core.NativeDecoder | None:
    """The decoder of a model directory for the package's own kernels; None where TensorRT has to run it.

    The kernels take fp16 and bf16 without float32 blocks in the decoder, a hidden and an inner size that are multiples
    of 32, hidden sizes up to 1024, and GPUs from compute capability 8.0 on. Weights are read when first needed.

    Args:
        config: the model's.
        directory: where its weights lie.
        precision: which of them.
        gpu: what it is to run on.
        max_rows: most rows of a batch, sentences times beam size.

    Raises:
        ModelDirectoryError: the weights file of the precision cannot be read.
    """
    if precision not in _TYPES or gpu.capability < _LEAST_CAPABILITY or not _fits(config):
        return None
    chosen = PRECISIONS[precision]
    path = directory / weights_file(chosen)
    locations = weight_locations(path)
    if not _is_of_one_type(config, locations, chosen):
        return None
    stack = config.decoder
    return _core.NativeDecoder(
        weight_provider=partial(_read, path, locations),
        exponent_provider=partial(read_weight_exponents, directory, config, chosen),
        type=_TYPES[precision],
        inner_size=stack.inner_size,
        activation=stack.activation,
        pre_norm=stack.pre_norm,
        final_norm=stack.final_norm,
        embedding_norm=stack.embedding_norm,
        embedding_scale=stack.hidden_size**0.5 if stack.scale_embeddings else 1.0,
        norm_epsilon=config.norm_epsilon,
        token_table=token_table(config, "decoder"),
        output_table=output_table(config),
        max_rows=max_rows,
    )


def _fits(config: TransformerConfig) -> bool:
    hidden, inner = config.decoder.hidden_size, config.decoder.inner_size
    return hidden % _COLUMNS == 0 and inner % _COLUMNS == 0 and hidden <= _MOST_HIDDEN


def _is_of_one_type(config: TransformerConfig, locations: Mapping[str, WeightLocation], precision: Precision) -> bool:
    """Whether neither a block of the decoder nor the output projection is a float32 island."""
    layers = [f"{layer.name}.weight" for layer in linear_layers(config) if layer.block.startswith("decoder.")]
    return all(
        name in locations and locations[name].dtype == precision.compute for name in [*layers, output_table(config)]
    )


def _read(path: Path, locations: Mapping[str, WeightLocation], name: str) -> bytes:
    if name not in locations:
        raise ModelDirectoryError(f"{path}: no tensor {name}")
    return read_tensor_bytes(path, locations[name])
