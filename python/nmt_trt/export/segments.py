"""The decoder step cut around its attentions: what TensorRT runs between our own attention kernels.

A model of L layers has 2L + 1 segments, for R = sentences x beams rows:

- `decoder_0`: token int32 [R], position int32 [1] -> residual_out [R,hidden], qkv [R,3*hidden] of the first layer;
- `decoder_{2l+1}`, behind layer l's self-attention: attention [R,hidden], residual [R,hidden] -> residual_out, query
  [R,hidden] of its cross-attention;
- `decoder_{2l+2}`, behind layer l's cross-attention: attention, residual -> residual_out, qkv of the next layer; the
  last one -> logits [R,V] alone.

The residual and the logits are float32, the others of the precision's compute type. Queries are not yet
multiplied by head_size^-0.5.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import TensorProto

from nmt_trt.export import layers
from nmt_trt.export.decoder import write_logits
from nmt_trt.export.graph import GraphBuilder, Precision
from nmt_trt.export.islands import Islands
from nmt_trt.export.weights_file import WeightLocation
from nmt_trt.models.config import StackConfig, TransformerConfig
from nmt_trt.models.weights import token_table

OPSET, IR_VERSION = 20, 10
"""All that the segments need, so that the parsers of older TensorRT releases take them too."""


def segment_names(config: TransformerConfig) -> tuple[str, ...]:
    """The graphs of the segments, in the order in which a step runs them."""
    return tuple(f"decoder_{index}" for index in range(2 * config.decoder.num_layers + 1))


def segment_graph(
    config: TransformerConfig,
    weights: Mapping[str, WeightLocation],
    precision: Precision,
    islands: Islands,
    index: int,
) -> onnx.ModelProto:
    """Segment `index`, 0 to 2L; see above for its inputs and outputs."""
    name = segment_names(config)[index]
    g = GraphBuilder(name, weights, precision, islands, opset=OPSET, ir_version=IR_VERSION)
    if index == 0:
        _begin(g, config)
    elif index % 2 == 1:
        _between_attentions(g, config, index // 2)
    else:
        _behind_attentions(g, config, index // 2 - 1)
    return g.build("A Transformer decoder step's part between two attentions")


def _begin(g: GraphBuilder, config: TransformerConfig) -> None:
    token = g.input("token", TensorProto.INT32, ["R"])
    position = g.input("position", TensorProto.INT32, [1])
    stack, table, output = config.decoder, token_table(config, "decoder"), _residual_out(g, config)
    if stack.embedding_norm:
        summed = layers.embedding_sum(g, token, position, "decoder", table, stack)
        x = layers.layer_norm(g, summed, "decoder.embedding.norm", config.norm_epsilon, output)
    else:
        x = layers.embedding_sum(g, token, position, "decoder", table, stack, output)
    _project(g, config, x, "decoder.layers.0.self_attention", "qkv", "qkv", 3)


def _between_attentions(g: GraphBuilder, config: TransformerConfig, layer: int) -> None:
    name = f"decoder.layers.{layer}"
    x = _add_attention(g, config, f"{name}.self_attention", output=_residual_out(g, config))
    _project(g, config, x, f"{name}.cross_attention", "q", "query", 1)


def _behind_attentions(g: GraphBuilder, config: TransformerConfig, layer: int) -> None:
    stack, epsilon, name = config.decoder, config.norm_epsilon, f"decoder.layers.{layer}.ffn"
    last = layer == stack.num_layers - 1
    x = _add_attention(g, config, f"decoder.layers.{layer}.cross_attention", output=None)
    with g.block(name):
        inner = _feed_forward(g, layers.enter_block(g, x, name, stack, epsilon), name, stack)
        output = None if last else _residual_out(g, config)
        x = layers.leave_block(g, x, inner, name, stack, epsilon, output)
    if not last:
        _project(g, config, x, f"decoder.layers.{layer + 1}.self_attention", "qkv", "qkv", 3)
        return
    if stack.final_norm:
        x = layers.layer_norm(g, x, "decoder.norm", epsilon)
    write_logits(g, config, x, "R")


def _feed_forward(g: GraphBuilder, x: str, name: str, stack: StackConfig) -> str:
    """The feed-forward block as an island's value."""
    parts, rest = divmod(stack.inner_size, stack.hidden_size)
    if rest or parts == 1 or g.compute == g.precision.island:
        return layers.feed_forward(g, x, name, stack)
    hidden = layers.feed_forward_hidden(g, x, name, stack)
    return layers.linear_in_parts(g, hidden, f"{name}.out", parts, (stack.inner_size, stack.hidden_size))


def _add_attention(g: GraphBuilder, config: TransformerConfig, block: str, output: str | None) -> str:
    """Inputs `attention` and `residual` to the residual stream behind an attention block."""
    stack, epsilon = config.decoder, config.norm_epsilon
    context = g.input("attention", g.precision.compute, ["R", stack.hidden_size])
    residual = g.input("residual", g.precision.island, ["R", stack.hidden_size])
    with g.block(block):
        inner = layers.linear_to_island(g, g.to_type(context, g.precision.compute, g.compute), f"{block}.out")
        return layers.leave_block(g, residual, inner, block, stack, epsilon, output)


def _project(
    g: GraphBuilder, config: TransformerConfig, x: str, block: str, layer: str, output: str, parts: int
) -> None:
    """The output `output` [R, parts*hidden]: a linear layer of the next attention block."""
    stack = config.decoder
    g.output(output, g.precision.compute, ["R", parts * stack.hidden_size])
    with g.block(block):
        given = layers.enter_block(g, x, block, stack, config.norm_epsilon)
        if g.compute == g.precision.compute:
            layers.linear(g, given, f"{block}.{layer}", output)
        else:
            g.op("Cast", layers.linear(g, given, f"{block}.{layer}"), to=g.precision.compute, output=output)


def _residual_out(g: GraphBuilder, config: TransformerConfig) -> str:
    return g.output("residual_out", g.precision.island, ["R", config.decoder.hidden_size])
