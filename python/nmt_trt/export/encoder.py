"""The whole encoder: source ids to the keys and values that the decoder's cross-attention reads.

The CPU runs it. TensorRT runs the segments of export/encoder_segments.py, with attention between them.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import TensorProto

from nmt_trt.export import layers
from nmt_trt.export.graph import GraphBuilder, Precision
from nmt_trt.export.islands import Islands
from nmt_trt.export.weights_file import WeightLocation
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.weights import token_table


def encoder_graph(
    config: TransformerConfig, weights: Mapping[str, WeightLocation], precision: Precision, islands: Islands
) -> onnx.ModelProto:
    """The encoder, with every decoder layer's cross-attention projections applied to its output.

    Inputs: input_ids int32 [B,S] right-padded, input_length int32 [B].
    Outputs: cross_k_{l}, cross_v_{l} [B,H,S,dh] for decoder layer l, cross_bias float32 [B,1,1,S].
    """
    stack, epsilon = config.encoder, config.norm_epsilon
    g = GraphBuilder("encoder", weights, precision, islands)
    ids = g.input("input_ids", TensorProto.INT32, ["B", "S"])
    length = g.input("input_length", TensorProto.INT32, ["B"])
    g.output("cross_bias", TensorProto.FLOAT, ["B", 1, 1, "S"])

    batch_and_time = g.op("Shape", ids)
    positions = layers.range_positions(g, layers.scalar(g, layers.dimension(g, ids, 1)))
    padding = _padding_bias(g, positions, length)
    bias = g.op("Add", padding, layers.causal_bias(g, positions)) if config.causal_encoder else padding

    x = layers.embed(g, ids, positions, "encoder", token_table(config, "encoder"), stack, epsilon)
    for index in range(stack.num_layers):
        name = f"encoder.layers.{index}"
        with g.scope(name):

            def attend(h: str, name: str = f"{name}.self_attention") -> str:
                query, key, value = layers.split_heads(g, layers.linear(g, h, f"{name}.qkv"), 3, stack, batch_and_time)
                context = layers.attention(g, name, query, key, value, bias, stack)
                return layers.linear_to_island(g, context, f"{name}.out")

            def feed(h: str, name: str = f"{name}.ffn") -> str:
                return layers.feed_forward(g, h, name, stack)

            x = layers.residual_block(g, x, f"{name}.self_attention", stack, epsilon, attend)
            x = layers.residual_block(g, x, f"{name}.ffn", stack, epsilon, feed)
    if stack.final_norm:
        x = layers.layer_norm(g, x, "encoder.norm", epsilon)
    _cross_projections(g, config, x, batch_and_time)
    return g.build("Transformer encoder with the decoder's cross-attention keys and values")


def _padding_bias(g: GraphBuilder, positions: str, length: str) -> str:
    """cross_bias [B,1,1,S]: 0 for the source's positions, MASKED for padding."""
    limit = g.op("Unsqueeze", g.op("Cast", length, to=TensorProto.INT64), g.int64s(1, 2, 3))
    return g.op(
        "Where",
        g.op("Less", positions, limit),
        g.constant(0.0, TensorProto.FLOAT),
        g.constant(layers.MASKED, TensorProto.FLOAT),
        output="cross_bias",
    )


def _cross_projections(g: GraphBuilder, config: TransformerConfig, memory: str, batch_and_time: str) -> None:
    """Every decoder layer's cross-attention keys and values as outputs [B,H,S,dh], from the memory [rows, hidden]."""
    stack = config.decoder
    for index in range(stack.num_layers):
        block = f"decoder.layers.{index}.cross_attention"
        with g.scope(f"cross.{index}"), g.block(block):
            both = layers.linear(g, g.enter(memory, "encoder.output"), f"{block}.kv")
            both = g.to_type(both, g.compute, g.precision.compute)
            width = g.int64s(2 * stack.num_heads, stack.head_size)
            shaped = g.op("Reshape", both, g.op("Concat", batch_and_time, width, axis=0))
            heads = g.op("Transpose", shaped, perm=[0, 2, 1, 3])
            names = [
                g.output(f"cross_{part}_{index}", g.precision.compute, ["B", stack.num_heads, "S", stack.head_size])
                for part in ("k", "v")
            ]
            g.multi("Split", [heads], names, axis=1, num_outputs=2)
