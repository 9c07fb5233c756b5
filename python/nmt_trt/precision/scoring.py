"""The decoder over whole translations, for comparing precisions."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import TensorProto

from nmt_trt.export import layers
from nmt_trt.export.decoder import decoder_body, write_logits
from nmt_trt.export.graph import GraphBuilder, Precision
from nmt_trt.export.islands import Islands
from nmt_trt.export.weights_file import WeightLocation
from nmt_trt.models.config import TransformerConfig


def scoring_graph(
    config: TransformerConfig, weights: Mapping[str, WeightLocation], precision: Precision, islands: Islands
) -> onnx.ModelProto:
    """The decoder at every position of given targets.

    Inputs: token int32 [B,T], and the encoder's outputs. Outputs: logits [B*T,V] of what follows each token.
    Keys and values are rounded as a cache rounds them.
    """
    g = GraphBuilder("scoring", weights, precision, islands)
    token = g.input("token", TensorProto.INT32, ["B", "T"])
    positions = layers.range_positions(g, layers.scalar(g, layers.dimension(g, token, 1)))

    def cached(index: int, key: str, value: str) -> tuple[str, str]:
        del index
        stored = (g.to_type(x, g.compute, precision.compute) for x in (key, value))
        keys, values = (g.to_type(x, precision.compute, g.compute) for x in stored)
        return keys, values

    x = decoder_body(g, config, token, positions, layers.causal_bias(g, positions), cached)
    write_logits(g, config, x, "B*T")
    return g.build("Transformer decoder over whole targets")
