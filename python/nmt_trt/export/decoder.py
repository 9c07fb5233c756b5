"""The whole decoder: `decoder` makes one step for every beam, `prefill` reads a forced target prefix.

The CPU runs these. TensorRT runs the segments of export/decoder_segments.py, with attention between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx
from onnx import TensorProto

from nmt_trt.export import layers
from nmt_trt.export.graph import GraphBuilder, Precision
from nmt_trt.export.islands import Islands
from nmt_trt.export.weights_file import WeightLocation
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.weights import output_table, token_table

Cache = Callable[[int, str, str], tuple[str, str]]
"""(layer, key, value), new ones of the compute type [B,H,T,dh], to those to attend to, of the compute type."""


def decoder_graph(
    config: TransformerConfig, weights: Mapping[str, WeightLocation], precision: Precision, islands: Islands
) -> onnx.ModelProto:
    """One decoder step for K hypotheses of each of B sentences.

    Inputs: token int32 [B,K], position int32 [B], write_index int64 [B] (the first of the K slots to write),
    self_k_{l} and self_v_{l} [B,H,N,dh], self_bias float32 [B,1,K,N], cross_k_{l} and cross_v_{l} [B,H,S,dh],
    cross_bias float32 [B,1,1,S].
    Outputs: logits [B*K,V], self_k_{l}_out and self_v_{l}_out (bind the inputs' buffers: written in place).
    """
    return _step_graph(GraphBuilder("decoder", weights, precision, islands), config, None)


def decoder_attention_graph(
    config: TransformerConfig, weights: Mapping[str, WeightLocation], precision: Precision, islands: Islands
) -> onnx.ModelProto:
    """The graph of `decoder_graph` with one more output.

    attention float32 [B,K,S]: the cross-attention weights of layer `decoder.attention_layer`, averaged over the heads.
    """
    g = GraphBuilder("decoder_attention", weights, precision, islands)
    return _step_graph(g, config, config.decoder.attention_layer)


def _step_graph(g: GraphBuilder, config: TransformerConfig, attention_layer: int | None) -> onnx.ModelProto:
    token = g.input("token", TensorProto.INT32, ["B", "K"])
    position = g.input("position", TensorProto.INT32, ["B"])
    write_index = g.input("write_index", TensorProto.INT64, ["B"])
    bias = g.input("self_bias", TensorProto.FLOAT, ["B", 1, "K", "N"])

    def cached(index: int, key: str, value: str) -> tuple[str, str]:
        keys, values = (_scatter(g, config, index, part, x, write_index) for part, x in (("k", key), ("v", value)))
        return _from_cache(g, keys), _from_cache(g, values)

    x = decoder_body(g, config, token, g.op("Unsqueeze", position, g.int64s(1)), bias, cached, attention_layer)
    write_logits(g, config, x, "B*K")
    return g.build("One Transformer decoder step over cached keys and values")


def prefill_graph(
    config: TransformerConfig, weights: Mapping[str, WeightLocation], precision: Precision, islands: Islands
) -> onnx.ModelProto:
    """The decoder over a target prefix (the start token alone, usually), filling cache slots 0 to P-1.

    Inputs: token int32 [B,P] right-padded, prefix_length int32 [B], self_k_{l} and self_v_{l} [B,H,N,dh],
    cross_k_{l} and cross_v_{l} [B,H,S,dh], cross_bias float32 [B,1,1,S].
    Outputs: logits [B,V] after each prefix's last token, self_k_{l}_out and self_v_{l}_out.
    """
    g = GraphBuilder("prefill", weights, precision, islands)
    token = g.input("token", TensorProto.INT32, ["B", "P"])
    length = g.input("prefix_length", TensorProto.INT32, ["B"])
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

    x = decoder_body(g, config, token, positions, layers.causal_bias(g, positions), fresh)
    shape = g.op("Concat", g.op("Shape", token), g.int64s(config.decoder.hidden_size), axis=0)
    last = g.op("Sub", g.op("Cast", length, to=TensorProto.INT64), g.constant(1, TensorProto.INT64))
    picked = g.op("GatherND", g.op("Reshape", x, shape), g.op("Unsqueeze", last, g.int64s(1)), batch_dims=1)
    write_logits(g, config, picked, "B")
    return g.build("Transformer decoder over a target prefix")


def decoder_body(
    g: GraphBuilder,
    config: TransformerConfig,
    token: str,
    positions: str,
    self_bias: str,
    cache: Cache,
    attention_layer: int | None = None,
) -> str:
    """Embedding and layers of token [B,T] -> an island's value [B*T, hidden]; adds the inputs made by the encoder.

    With `attention_layer` also the output `attention` [B,K,S], K being T: the cross-attention weights of that layer,
    averaged over the heads.
    """
    stack, epsilon = config.decoder, config.norm_epsilon
    batch_and_time = g.op("Shape", token)
    cross_bias = g.input("cross_bias", TensorProto.FLOAT, ["B", 1, 1, "S"])
    x = layers.embed(g, token, positions, "decoder", token_table(config, "decoder"), stack, epsilon)
    for index in range(stack.num_layers):
        layer = f"decoder.layers.{index}"
        with g.scope(layer):
            cross = [
                g.input(f"cross_{part}_{index}", g.precision.compute, ["B", stack.num_heads, "S", stack.head_size])
                for part in ("k", "v")
            ]

            def attend(h: str, name: str = f"{layer}.self_attention", index: int = index) -> str:
                query, key, value = layers.split_heads(g, layers.linear(g, h, f"{name}.qkv"), 3, stack, batch_and_time)
                keys, values = cache(index, key, value)
                context = layers.attention(g, name, query, keys, values, self_bias, stack)
                return layers.linear_to_island(g, context, f"{name}.out")

            def attend_source(
                h: str, name: str = f"{layer}.cross_attention", cross: list[str] = cross, index: int = index
            ) -> str:
                (query,) = layers.split_heads(g, layers.linear(g, h, f"{name}.q"), 1, stack, batch_and_time)
                key, value = (_from_cache(g, x) for x in cross)
                if index == attention_layer:
                    weights = layers.attention_weights(g, query, key, cross_bias, stack)
                    mean = g.output("attention", TensorProto.FLOAT, ["B", "K", "S"])
                    g.op("ReduceMean", weights, g.int64s(1), output=mean, keepdims=0)
                context = layers.attention(g, name, query, key, value, cross_bias, stack)
                return layers.linear_to_island(g, context, f"{name}.out")

            def feed(h: str, name: str = f"{layer}.ffn") -> str:
                return layers.feed_forward(g, h, name, stack)

            x = layers.residual_block(g, x, f"{layer}.self_attention", stack, epsilon, attend)
            x = layers.residual_block(g, x, f"{layer}.cross_attention", stack, epsilon, attend_source)
            x = layers.residual_block(g, x, f"{layer}.ffn", stack, epsilon, feed)
    return layers.layer_norm(g, x, "decoder.norm", epsilon) if stack.final_norm else x


def write_logits(g: GraphBuilder, config: TransformerConfig, x: str, rows: str) -> None:
    """The output projection of an island's value [rows, hidden]: the output `logits` [rows,V].

    Logits are an island's value: in fp16 the largest ones, which decide, would lose more to rounding than to all that
    comes before them. No batch axis: a Reshape behind the Gemm would copy the largest tensor of a step.
    """
    exponent = g.islands.exponent("output")
    logits = g.output("logits", g.precision.island, [rows, config.decoder.vocab_size])
    with g.block("output"):
        hidden, output = g.enter(x, "output"), None if exponent else logits
        sums = layers.product_to_island(g, hidden, output_table(config), "output.bias", output)
        if exponent:
            g.op("Mul", sums, g.constant(2.0**exponent, g.precision.island), output=logits)


def _scatter(g: GraphBuilder, config: TransformerConfig, index: int, part: str, update: str, write_index: str) -> str:
    """Write `update` [B,H,T,dh] into the cache from slot `write_index` [B] on."""
    stack = config.decoder
    shape: list[str | int] = ["B", stack.num_heads, "N", stack.head_size]
    cache = g.input(f"self_{part}_{index}", g.precision.compute, shape)
    output = g.output(f"self_{part}_{index}_out", g.precision.compute, shape)
    update = g.to_type(update, g.compute, g.precision.compute)
    return g.op("TensorScatter", cache, update, write_index, output=output, axis=2, mode="linear")


def _from_cache(g: GraphBuilder, x: str) -> str:
    """What an input or a cache holds, in the compute type of the block under way."""
    return g.to_type(x, g.precision.compute, g.compute)
