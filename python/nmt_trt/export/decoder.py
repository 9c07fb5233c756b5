"""The decoder graphs: `decoder` makes one step for every beam, `prefill` reads a forced target prefix."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx
from onnx import TensorProto

from nmt_trt.export import layers
from nmt_trt.export.graph import GraphBuilder, Precision
from nmt_trt.export.weights_file import WeightLocation
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.weights import output_table, token_table


def decoder_graph(
    config: TransformerConfig, weights: Mapping[str, WeightLocation], precision: Precision
) -> onnx.ModelProto:
    """One decoder step for K hypotheses of each of B sentences.

    Inputs: token int32 [B,K], position int32 [B], write_index int64 [B] (the first of the K slots to write),
    self_k_{l} and self_v_{l} [B,H,N,dh], self_bias float32 [B,1,K,N], cross_k_{l} and cross_v_{l} [B,H,S,dh],
    cross_bias float32 [B,1,1,S].
    Outputs: logits [B*K,V], self_k_{l}_out and self_v_{l}_out (bind the inputs' buffers: written in place).
    """
    g = GraphBuilder("decoder", weights, precision)
    token = g.input("token", TensorProto.INT32, ["B", "K"])
    position = g.input("position", TensorProto.INT32, ["B"])
    write_index = g.input("write_index", TensorProto.INT64, ["B"])
    bias = g.input("self_bias", TensorProto.FLOAT, ["B", 1, "K", "N"])

    def cached(index: int, key: str, value: str) -> tuple[str, str]:
        return tuple(_scatter(g, config, index, part, x, write_index) for part, x in (("k", key), ("v", value)))  # type: ignore[return-value]

    x = _decoder_body(g, config, token, g.op("Unsqueeze", position, g.int64s(1)), bias, cached)
    _logits(g, config, x, "B*K")
    return g.build("One Transformer decoder step over cached keys and values")


def prefill_graph(
    config: TransformerConfig, weights: Mapping[str, WeightLocation], precision: Precision
) -> onnx.ModelProto:
    """The decoder over a target prefix (the start token alone, usually), filling cache slots 0 to P-1.

    Inputs: token int32 [B,P] right-padded, prefix_length int32 [B], self_k_{l} and self_v_{l} [B,H,N,dh],
    cross_k_{l} and cross_v_{l} [B,H,S,dh], cross_bias float32 [B,1,1,S].
    Outputs: logits [B,V] after each prefix's last token, self_k_{l}_out and self_v_{l}_out.
    """
    g = GraphBuilder("prefill", weights, precision)
    token = g.input("token", TensorProto.INT32, ["B", "P"])
    length = g.input("prefix_length", TensorProto.INT32, ["B"])
    batch_and_time = g.op("Shape", token)
    positions = layers.range_positions(g, layers.scalar(g, layers.dimension(g, token, 1)))
    start = g.op(
        "ConstantOfShape",
        layers.dimension(g, token, 0),
        value=onnx.helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
    )

    def fresh(index: int, key: str, value: str) -> tuple[str, str]:
        for part, x in (("k", key), ("v", value)):
            _scatter(g, config, index, part, x, start)
        return key, value

    x = _decoder_body(g, config, token, positions, layers.causal_bias(g, positions), fresh)
    shaped = g.op("Reshape", x, g.op("Concat", batch_and_time, g.int64s(config.decoder.hidden_size), axis=0))
    last = g.op("Sub", g.op("Cast", length, to=TensorProto.INT64), g.constant(1, TensorProto.INT64))
    picked = g.op("GatherND", shaped, g.op("Unsqueeze", last, g.int64s(1)), batch_dims=1)
    _logits(g, config, picked, "B")
    return g.build("Transformer decoder over a target prefix")


def _decoder_body(
    g: GraphBuilder,
    config: TransformerConfig,
    token: str,
    positions: str,
    self_bias: str,
    cache: Callable[[int, str, str], tuple[str, str]],
) -> str:
    """Embedding and layers -> float32 [rows, hidden].

    `cache(layer, key, value)` stores new keys and values and returns those to attend to.
    """
    stack, epsilon = config.decoder, config.norm_epsilon
    batch_and_time = g.op("Shape", token)
    cross_bias = g.input("cross_bias", TensorProto.FLOAT, ["B", 1, 1, "S"])
    x = layers.embed(g, token, positions, "decoder", token_table(config, "decoder"), stack, epsilon)
    for index in range(stack.num_layers):
        name = f"decoder.layers.{index}"
        with g.scope(name):
            cross = [
                g.input(f"cross_{part}_{index}", g.precision.compute, ["B", stack.num_heads, "S", stack.head_size])
                for part in ("k", "v")
            ]

            def attend(h: str, name: str = f"{name}.self_attention", index: int = index) -> str:
                query, key, value = layers.split_heads(g, layers.linear(g, h, f"{name}.qkv"), 3, stack, batch_and_time)
                keys, values = cache(index, key, value)
                return layers.linear(g, layers.attention(g, query, keys, values, self_bias, stack), f"{name}.out")

            def attend_source(h: str, name: str = f"{name}.cross_attention", cross: list[str] = cross) -> str:
                (query,) = layers.split_heads(g, layers.linear(g, h, f"{name}.q"), 1, stack, batch_and_time)
                return layers.linear(
                    g, layers.attention(g, query, cross[0], cross[1], cross_bias, stack), f"{name}.out"
                )

            def feed(h: str, name: str = f"{name}.ffn") -> str:
                return layers.feed_forward(g, h, name, stack)

            x = layers.residual_block(g, x, f"{name}.self_attention", stack, epsilon, attend)
            x = layers.residual_block(g, x, f"{name}.cross_attention", stack, epsilon, attend_source)
            x = layers.residual_block(g, x, f"{name}.ffn", stack, epsilon, feed)
    return layers.layer_norm(g, x, "decoder.norm", epsilon) if stack.final_norm else x


def _scatter(g: GraphBuilder, config: TransformerConfig, index: int, part: str, update: str, write_index: str) -> str:
    """Write `update` [B,H,T,dh] into the cache from slot `write_index` [B] on."""
    stack = config.decoder
    shape: list[str | int] = ["B", stack.num_heads, "N", stack.head_size]
    cache = g.input(f"self_{part}_{index}", g.precision.compute, shape)
    output = g.output(f"self_{part}_{index}_out", g.precision.compute, shape)
    return g.op("TensorScatter", cache, update, write_index, output=output, axis=2, mode="linear")


def _logits(g: GraphBuilder, config: TransformerConfig, x: str, rows: str) -> None:
    """The output projection: [rows, hidden] -> logits [rows,V] in the compute type.

    No batch axis: a Reshape behind the Gemm would copy the largest tensor of a step.
    """
    g.output("logits", g.precision.compute, [rows, config.decoder.vocab_size])
    weights = g.weight(output_table(config)), g.weight("output.bias")
    g.op("Gemm", g.to_compute(x), *weights, output="logits", transB=1)
