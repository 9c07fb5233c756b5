"""A model's weights as its low-precision graphs hold them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from nmt_trt.errors import ModelDirectoryError
from nmt_trt.export.graph import Precision
from nmt_trt.export.islands import Islands, LinearLayer, linear_layers
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.weights import output_table

Weights = dict[str, np.ndarray]


def low_weights(
    config: TransformerConfig, weights: Mapping[str, np.ndarray], precision: Precision, islands: Islands
) -> Weights:
    """The weights in the types that the graphs of `precision` read them in.

    Linear layers carry the powers of two of `islands`. That is exact but for weights that become subnormal, which lose
    little: a row of n weights is scaled by no more than its outputs can exceed its inputs, n times its mean weight, so
    that the error, 2^-25, is at most some n * 2^-24 of that mean. LayerNorms, positions, the biases of layers that give
    an island's value, and the blocks of `islands.float32` stay float32.

    Raises:
        ModelDirectoryError: a weight is too large for the type.
    """
    scaled = {name: array.astype(np.float32, copy=False) for name, array in weights.items()}
    for layer in linear_layers(config):
        for part in ("weight", "bias"):
            factors = _row_factors(layer, islands, of_bias=part == "bias")
            name = f"{layer.name}.{part}"
            scaled[name] = _times_rows(scaled[name], factors)
    scaled["output.bias"] = scaled["output.bias"] * np.float32(2.0 ** -islands.exponent("output"))

    kept = {layer.name for layer in linear_layers(config) if layer.block in islands.float32}
    kept_tables = {output_table(config), "output.bias"} if "output" in islands.float32 else set()
    return {
        name: array
        if name.rpartition(".")[0] in kept or name in kept_tables
        else _converted(name, array, precision.island if _belongs_to_island(name) else precision.compute)
        for name, array in scaled.items()
    }


def _belongs_to_island(name: str) -> bool:
    return name.endswith((".norm.weight", ".norm.bias", ".position.weight", ".out.bias")) or name == "output.bias"


def _row_factors(layer: LinearLayer, islands: Islands, *, of_bias: bool) -> list[float]:
    """What each of the equal parts of a layer's rows is multiplied by."""
    given = 0 if of_bias else islands.exponent(layer.input)
    return [2.0 ** (given - islands.exponent(key)) for key in layer.outputs]


def _times_rows(array: np.ndarray, factors: list[float]) -> np.ndarray:
    rows = np.repeat(np.array(factors, np.float32), len(array) // len(factors))
    return array * rows.reshape(-1, *[1] * (array.ndim - 1))


def _converted(name: str, array: np.ndarray, dtype: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        converted = array.astype(onnx.helper.tensor_dtype_to_np_dtype(dtype))
    if not np.isfinite(converted).all():
        largest = np.abs(array).max()
        raise ModelDirectoryError(
            f"{name}: values up to {largest:g} do not fit {converted.dtype}; build with --precision bf16"
        )
    return converted
