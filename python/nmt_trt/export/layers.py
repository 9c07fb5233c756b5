"""The blocks that the encoder and the decoder graphs share. Hidden states are [rows, hidden], rows = batch x time.

The tensor that a layer gives has the layer's name: `decoder.layers.0.ffn.in_`, `encoder.layers.1.self_attention.norm`,
and `decoder.layers.0.cross_attention.context` for an attention before its output projection.
"""

from __future__ import annotations

from collections.abc import Callable

from onnx import TensorProto

from nmt_trt.export.graph import GraphBuilder
from nmt_trt.models.config import StackConfig

MASKED = -10000.0
"""What is added to masked attention scores: NeMo's value, which fp16 can hold."""


def linear(g: GraphBuilder, x: str, name: str, output: str | None = None) -> str:
    """[rows, in] -> [rows, out] with weights [out, in], in the compute type."""
    return g.op("Gemm", x, g.weight(f"{name}.weight"), g.weight(f"{name}.bias"), output=output or name, transB=1)


def linear_to_island(g: GraphBuilder, x: str, name: str) -> str:
    """What `linear` gives, but as an island's value."""
    return product_to_island(g, x, f"{name}.weight", f"{name}.bias", name)


def product_to_island(g: GraphBuilder, x: str, weight: str, bias: str, output: str | None) -> str:
    """x @ weight^T + bias as an island's value, `bias` being one.

    TensorRT-RTX 1.4 fuses the operators: its kernel for the logits adds the bias to the product's sums as it has them,
    in float32 (docs/performance.md), so that no digit is lost to the compute type.
    """
    if g.compute == g.precision.island:
        return g.op("Gemm", x, g.weight(weight), g.weight(bias), output=output, transB=1)
    product = g.op("Gemm", x, g.weight(weight), transB=1)
    return g.op("Add", g.to_type(product, g.compute, g.precision.island), g.weight(bias), output=output)


def linear_in_parts(g: GraphBuilder, x: str, name: str, parts: int, sizes: tuple[int, int]) -> str:
    """What linear_to_island gives: the sum of `parts` products, each of a part of x's columns.

    A product of few rows has too few tiles for a GPU, which `parts` products at once have not. Left to itself
    TensorRT-RTX 1.4 splits it too, but clears memory before.

    Args:
        sizes: the columns of x, which `parts` divides, and of the result.
    """
    width, height = sizes[0] // parts, sizes[1]
    rows = g.op("Transpose", g.op("Reshape", x, g.int64s(-1, parts, width)), perm=[1, 0, 2])
    weight = g.op("Reshape", g.weight(f"{name}.weight"), g.int64s(height, parts, width))
    products = g.op("MatMul", rows, g.op("Transpose", weight, perm=[1, 2, 0]))
    bias = g.times(g.weight(f"{name}.bias"), 1.0 / parts)  # to each part, as product_to_island() adds it
    sums = g.op("Add", g.to_type(products, g.compute, g.precision.island), bias)
    return g.op("ReduceSum", sums, g.int64s(0), output=name, keepdims=0)


def layer_norm(g: GraphBuilder, x: str, name: str, epsilon: float, output: str | None = None) -> str:
    """LayerNorm over the last axis of an island's value."""
    scale, bias = g.weight(f"{name}.weight"), g.weight(f"{name}.bias")
    return g.op("LayerNormalization", x, scale, bias, output=output or name, axis=-1, epsilon=epsilon)


def residual_block(
    g: GraphBuilder, x: str, name: str, stack: StackConfig, epsilon: float, body: Callable[[str], str]
) -> str:
    """x + f(norm(x)), or norm(x + f(x)) in a post-norm model; x, f's and the result are islands' values."""
    with g.block(name):
        return leave_block(g, x, body(enter_block(g, x, name, stack, epsilon)), name, stack, epsilon)


def enter_block(g: GraphBuilder, x: str, name: str, stack: StackConfig, epsilon: float) -> str:
    """What the first linear layer of a residual block reads."""
    given = layer_norm(g, x, f"{name}.norm", epsilon) if stack.pre_norm else x
    return g.enter(given, f"{name}.input")


def leave_block(
    g: GraphBuilder, x: str, inner: str, name: str, stack: StackConfig, epsilon: float, output: str | None = None
) -> str:
    """The residual sum of two islands' values, x and what a block's last linear layer gave, normalized if post-norm."""
    inner = g.times(inner, 2.0 ** g.islands.exponent(f"{name}.out"))
    if stack.pre_norm:
        return g.op("Add", x, inner, output=output)
    return layer_norm(g, g.op("Add", x, inner), f"{name}.norm", epsilon, output)


def feed_forward(g: GraphBuilder, x: str, name: str, stack: StackConfig) -> str:
    """Two linear layers with the activation between them, to an island's value."""
    return linear_to_island(g, feed_forward_hidden(g, x, name, stack), f"{name}.out")


def feed_forward_hidden(g: GraphBuilder, x: str, name: str, stack: StackConfig) -> str:
    """The first linear layer and the activation: [rows, inner_size]."""
    hidden = linear(g, x, f"{name}.in_")
    if g.islands.exponent(f"{name}.in_") and stack.activation != "relu":
        return g.enter(_activation(g, g.leave(hidden, f"{name}.in_"), stack), f"{name}.in_")
    return _activation(g, hidden, stack)  # relu of values times a power of two is that power times relu


def _activation(g: GraphBuilder, x: str, stack: StackConfig) -> str:
    """relu, the exact (erf) gelu, or swish (x * sigmoid(x), arXiv:1710.05941 with beta = 1)."""
    match stack.activation:
        case "relu":
            return g.op("Relu", x)
        case "gelu":
            return g.op("Gelu", x, approximate="none")
        case "swish":
            return g.op("Mul", x, g.op("Sigmoid", x))


def split_heads(g: GraphBuilder, x: str, parts: int, stack: StackConfig, batch_and_time: str) -> list[str]:
    """[rows, parts*hidden] -> `parts` tensors [batch, heads, time, head_size].

    `batch_and_time` names an int64 [2] tensor holding the batch and time that rows is made of.
    """
    width = g.int64s(parts * stack.num_heads, stack.head_size)
    shaped = g.op("Reshape", x, g.op("Concat", batch_and_time, width, axis=0))
    heads = g.op("Transpose", shaped, perm=[0, 2, 1, 3])
    if parts == 1:
        return [heads]
    return g.multi("Split", [heads], parts, axis=1, num_outputs=parts)


def attention(g: GraphBuilder, name: str, query: str, key: str, value: str, bias: str, stack: StackConfig) -> str:
    """Attention of query [B,H,Q,dh] over key and value [B,H,N,dh] -> [B*Q, hidden], all of the compute type.

    In between all is float32, as in the kernels that run between segments.

    Args:
        bias: float32 [B or 1,1,1 or Q,N], added to the scores.
    """
    weights = attention_weights(g, query, key, bias, stack)
    mixed = g.op("MatMul", weights, g.to_type(value, g.compute, TensorProto.FLOAT))
    merged = g.op("Transpose", g.to_type(mixed, TensorProto.FLOAT, g.compute), perm=[0, 2, 1, 3])
    return g.op("Reshape", merged, g.int64s(-1, stack.hidden_size), output=f"{name}.context")


def attention_weights(g: GraphBuilder, query: str, key: str, bias: str, stack: StackConfig) -> str:
    """The weights with which `attention` mixes values: float32 [B,H,Q,N], each row a distribution."""
    query, key = (g.to_type(x, g.compute, TensorProto.FLOAT) for x in (query, key))
    scores = g.op("MatMul", query, g.op("Transpose", key, perm=[0, 1, 3, 2]))
    scores = g.op("Mul", scores, g.constant(stack.head_size**-0.5, TensorProto.FLOAT))
    return g.op("Softmax", g.op("Add", scores, bias), axis=-1)


def embed(
    g: GraphBuilder, ids: str, positions: str, side: str, token_table: str, stack: StackConfig, epsilon: float
) -> str:
    """The embedding of ids [batch,time] -> an island's value [rows, hidden]."""
    summed = embedding_sum(g, ids, positions, side, token_table, stack)
    flat = g.op(
        "Reshape", summed, g.int64s(-1, stack.hidden_size), output=None if stack.embedding_norm else f"{side}.embedding"
    )
    return layer_norm(g, flat, f"{side}.embedding.norm", epsilon) if stack.embedding_norm else flat


def embedding_sum(
    g: GraphBuilder,
    ids: str,
    positions: str,
    side: str,
    token_table: str,
    stack: StackConfig,
    output: str | None = None,
) -> str:
    """token + position, tokens scaled where the model does -> an island's value [..., hidden], not yet normalized.

    `positions` broadcasts against `ids`.
    """
    token, position = (
        g.to_type(g.op("Gather", g.weight(table), rows, axis=0), g.weight_type(table), g.precision.island)
        for table, rows in ((token_table, ids), (f"{side}.embedding.position.weight", positions))
    )
    scale = stack.hidden_size**0.5 if stack.scale_embeddings else 1.0
    return g.op("Add", g.times(token, scale), position, output=output)


def range_positions(g: GraphBuilder, length: str) -> str:
    """0 .. length-1 as int64, from a scalar int64 tensor."""
    return g.op("Range", g.constant(0, TensorProto.INT64), length, g.constant(1, TensorProto.INT64))


def causal_bias(g: GraphBuilder, positions: str) -> str:
    """[1,1,T,T]: 0 where the key's position is at most the query's, else MASKED."""
    rows = g.op("Unsqueeze", positions, g.int64s(1))
    columns = g.op("Unsqueeze", positions, g.int64s(0))
    bias = g.op(
        "Where",
        g.op("LessOrEqual", columns, rows),
        g.constant(0.0, TensorProto.FLOAT),
        g.constant(MASKED, TensorProto.FLOAT),
    )
    return g.op("Unsqueeze", bias, g.int64s(0, 1))


def dimension(g: GraphBuilder, x: str, axis: int) -> str:
    """The size of one axis as int64 [1]."""
    return g.op("Shape", x, start=axis, end=axis + 1)


def scalar(g: GraphBuilder, x: str) -> str:
    """int64 [1] -> int64 scalar."""
    return g.op("Squeeze", x, g.int64s(0))
