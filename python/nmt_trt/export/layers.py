"""The blocks that the encoder and the decoder graphs share. Hidden states are [rows, hidden], rows = batch x time."""

from __future__ import annotations

from collections.abc import Callable

from onnx import TensorProto

from nmt_trt.export.graph import GraphBuilder
from nmt_trt.models.config import StackConfig

MASKED = -10000.0
"""What is added to masked attention scores: NeMo's value, which fp16 can hold."""


def linear(g: GraphBuilder, x: str, name: str) -> str:
    """[rows, in] -> [rows, out] with weights [out, in]."""
    return g.op("Gemm", x, g.weight(f"{name}.weight"), g.weight(f"{name}.bias"), transB=1)


def layer_norm(g: GraphBuilder, x: str, name: str, epsilon: float) -> str:
    """LayerNorm over the last axis, in float32."""
    scale, bias = (g.to_float(g.weight(f"{name}.{part}")) for part in ("weight", "bias"))
    return g.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=epsilon)


def residual_block(
    g: GraphBuilder, x: str, name: str, stack: StackConfig, epsilon: float, body: Callable[[str], str]
) -> str:
    """x + f(norm(x)), or norm(x + f(x)) in a post-norm model; the sum is a float32 island."""
    if stack.pre_norm:
        inner = body(g.to_compute(layer_norm(g, x, f"{name}.norm", epsilon)))
        return g.op("Add", x, g.to_float(inner))
    inner = body(g.to_compute(x))
    return layer_norm(g, g.op("Add", x, g.to_float(inner)), f"{name}.norm", epsilon)


def feed_forward(g: GraphBuilder, x: str, name: str, stack: StackConfig) -> str:
    """Two linear layers with relu, or the exact (erf) gelu, between them."""
    hidden = linear(g, x, f"{name}.in_")
    hidden = g.op("Relu", hidden) if stack.activation == "relu" else g.op("Gelu", hidden, approximate="none")
    return linear(g, hidden, f"{name}.out")


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


def attention(g: GraphBuilder, query: str, key: str, value: str, bias: str, stack: StackConfig) -> str:
    """Attention of query [B,H,Q,dh] over key and value [B,H,N,dh] with an additive float32 bias -> [B*Q, hidden].

    In fp32 it is written out as MatMul and Softmax, which every TensorRT flavour builds; in fp16 it is one
    opset-24 Attention node whose softmax runs in float32.
    """
    scale = stack.head_size**-0.5
    if g.precision.mixed:
        # ONNX Runtime does not broadcast the mask over the queries.
        full = g.op("Concat", g.int64s(1, 1), dimension(g, query, 2), g.int64s(1), axis=0)
        mask = g.op("Expand", g.to_compute(bias), full)
        mixed = g.op("Attention", query, key, value, mask, scale=scale, softmax_precision=TensorProto.FLOAT)
    else:
        scores = g.op("MatMul", query, g.op("Transpose", key, perm=[0, 1, 3, 2]))
        scores = g.op("Mul", scores, g.constant(scale, TensorProto.FLOAT))
        weights = g.op("Softmax", g.op("Add", scores, bias), axis=-1)
        mixed = g.op("MatMul", weights, value)
    merged = g.op("Transpose", mixed, perm=[0, 2, 1, 3])
    return g.op("Reshape", merged, g.int64s(-1, stack.hidden_size))


def embed(
    g: GraphBuilder, ids: str, positions: str, side: str, token_table: str, stack: StackConfig, epsilon: float
) -> str:
    """norm(token + position) -> float32 [rows, hidden]; `positions` broadcasts against `ids` [batch, time]."""
    token = g.to_float(g.op("Gather", g.weight(token_table), ids, axis=0))
    position = g.to_float(g.op("Gather", g.weight(f"{side}.embedding.position.weight"), positions, axis=0))
    flat = g.op("Reshape", g.op("Add", token, position), g.int64s(-1, stack.hidden_size))
    return layer_norm(g, flat, f"{side}.embedding.norm", epsilon)


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
