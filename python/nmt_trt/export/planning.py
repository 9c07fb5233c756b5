"""Chooses the islands of a precision from what the weights say about the values."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from nmt_trt.export.graph import Precision
from nmt_trt.export.islands import Islands, attention_blocks, linear_layers
from nmt_trt.export.ranges import Ranges
from nmt_trt.models.config import TransformerConfig

FP16_ROOM = 32768.0
"""Bounds are kept below this: half of what fp16 holds, for what the rounding of inputs and weights adds to them."""


def plan_islands(
    config: TransformerConfig,
    weights: Mapping[str, npt.NDArray[np.float32]],
    precision: Precision,
    float32: Collection[str] = (),
) -> Islands:
    """Islands with which no value of a graph leaves the range of its type, whatever the model is given.

    In bf16, whose range is float32's, there is nothing to do. In fp16 every tensor gets the smallest power of two that
    its bound asks for.

    Args:
        config: the model.
        weights: its float32 weights.
        precision: whose islands.
        float32: blocks that are to be float32, for the sake of their digits.
    """
    if precision.compute != TensorProto.FLOAT16:
        return Islands(float32=frozenset(float32))
    bounds = dict(Ranges(config, weights).bounds)
    exponents = {key: _exponent(bound) for key, bound in bounds.items()}
    for layer in linear_layers(config):
        given = 2.0 ** exponents[layer.input]
        for key, rows in zip(layer.outputs, np.split(weights[f"{layer.name}.weight"], len(layer.outputs)), strict=True):
            bounds[key] = max(bounds[key], given * float(np.abs(rows).max()))
            exponents[key] = _exponent(bounds[key])
    for block in attention_blocks(config):
        query, key = f"{block}.q", f"{block}.k"
        exponents[query] = _balance(bounds[query], bounds[key])
        exponents[key] = -exponents[query]
    return Islands({key: exponent for key, exponent in exponents.items() if exponent}, frozenset(float32))


def _exponent(bound: float) -> int:
    """The smallest e >= 0 with bound * 2^-e within the room."""
    return max(0, math.ceil(math.log2(bound / FP16_ROOM))) if bound > 0 else 0


def _balance(query: float, key: float) -> int:
    """The exponent of queries, and minus that of keys, where one of the two leaves the room.

    The attention kernels take queries and keys whose product is the score. What both are too large for cannot be
    mended so; such scores are beyond any model that works.
    """
    if max(query, key) <= FP16_ROOM or min(query, key) == 0:
        return 0
    return round(math.log2(query / key) / 2)
