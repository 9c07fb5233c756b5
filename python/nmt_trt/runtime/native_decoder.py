"""Describes a model's decoder to the package's own kernels."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from nmt_trt import _core
from nmt_trt.errors import ModelDirectoryError
from nmt_trt.export.graph import PRECISIONS
from nmt_trt.export.weights_file import WeightLocation, read_tensor_bytes, weight_locations
from nmt_trt.model_directory import read_weight_exponents, weights_file
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.weights import output_table, token_table

_TYPES: dict[str, Literal["float16", "bfloat16"]] = {"fp16": "float16", "bf16": "bfloat16"}


def native_decoder(config: TransformerConfig, directory: Path, precision: str, max_rows: int) -> _core.NativeDecoder:
    """The decoder of a model directory that runs natively; see engines.decoders.

    Weights are read when first needed.

    Args:
        config: the model's.
        directory: where its weights lie.
        precision: which of them: fp16 or bf16.
        max_rows: most rows of a batch, sentences times beam size.

    Raises:
        ModelDirectoryError: the weights file of the precision cannot be read.
    """
    chosen = PRECISIONS[precision]
    path = directory / weights_file(chosen)
    locations = weight_locations(path)
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


def _read(path: Path, locations: Mapping[str, WeightLocation], name: str) -> bytes:
    if name not in locations:
        raise ModelDirectoryError(f"{path}: no tensor {name}")
    return read_tensor_bytes(path, locations[name])
