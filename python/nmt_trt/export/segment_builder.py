"""What the segments of the encoder and of the decoder have in common: a stack of layers, cut around its attentions.

Each row is a token: all tensors but weights are [rows, ...], and no row is computed from another. The residual stream
is float32, what an attention reads and gives is of the precision's compute type. Queries are not yet multiplied by
head_size^-0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from onnx import TensorProto

from nmt_trt.export import layers
from nmt_trt.export.graph import Dimension, GraphBuilder, Precision
from nmt_trt.export.islands import Islands
from nmt_trt.export.weights_file import WeightLocation
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.weights import token_table

OPSET, IR_VERSION = 20, 10
"""All that the segments need, so that the parsers of older TensorRT releases take them too."""


class SegmentBuilder:
    """Writes one segment.

    Attributes:
        g: its graph, named `{side}_{index}`.
        stack: the side's.
    """

    def __init__(
        self,
        config: TransformerConfig,
        weights: Mapping[str, WeightLocation],
        precision: Precision,
        islands: Islands,
        *,
        side: Literal["encoder", "decoder"],
        index: int,
        rows: str,
    ) -> None:
        self.g = GraphBuilder(f"{side}_{index}", weights, precision, islands, opset=OPSET, ir_version=IR_VERSION)
        self.stack = config.encoder if side == "encoder" else config.decoder
        self._epsilon = config.norm_epsilon
        self._side = side
        self._table = token_table(config, side)
        self._rows = rows

    def embed(self, position_shape: Sequence[Dimension]) -> str:
        """Inputs `token` and `position`, int32, to the residual stream that the first layer reads."""
        token = self.g.input("token", TensorProto.INT32, [self._rows])
        position = self.g.input("position", TensorProto.INT32, position_shape)
        output = self._residual_out()
        if not self.stack.embedding_norm:
            return layers.embedding_sum(self.g, token, position, self._side, self._table, self.stack, output)
        summed = layers.embedding_sum(self.g, token, position, self._side, self._table, self.stack)
        return layers.layer_norm(self.g, summed, f"{self._side}.embedding.norm", self._epsilon, output)

    def add_attention(self, block: str, *, ends: bool) -> str:
        """Inputs `attention` and `residual` to the residual stream behind an attention block.

        Args:
            block: the block, whose output projection and norm are here.
            ends: whether this is the output `residual_out`.
        """
        g, width = self.g, self.stack.hidden_size
        context = g.input("attention", g.precision.compute, [self._rows, width])
        residual = g.input("residual", g.precision.island, [self._rows, width])
        output = self._residual_out() if ends else None
        with g.block(block):
            inner = layers.linear_to_island(g, g.to_type(context, g.precision.compute, g.compute), f"{block}.out")
            return layers.leave_block(g, residual, inner, block, self.stack, self._epsilon, output)

    def finish_layer(self, index: int, attention: str) -> str:
        """Everything behind a layer's last attention: the residual stream that the next layer reads.

        Behind the last layer it is what the stack gives, and no output.

        Args:
            index: the layer.
            attention: the kind of its last attention: "self" or "cross".
        """
        g, layer = self.g, f"{self._side}.layers.{index}"
        block, last = f"{layer}.ffn", index == self.stack.num_layers - 1
        x = self.add_attention(f"{layer}.{attention}_attention", ends=False)
        output = None if last else self._residual_out()
        with g.block(block):
            inner = self._feed_forward(layers.enter_block(g, x, block, self.stack, self._epsilon), block)
            x = layers.leave_block(g, x, inner, block, self.stack, self._epsilon, output)
        if last and self.stack.final_norm:
            return layers.layer_norm(g, x, f"{self._side}.norm", self._epsilon)
        return x

    def project_qkv(self, x: str, index: int) -> None:
        """The output `qkv` [rows, 3*hidden] of a layer's self-attention."""
        self.project(x, f"{self._side}.layers.{index}.self_attention", "qkv", "qkv", 3)

    def project(self, x: str, block: str, layer: str, output: str, parts: int) -> None:
        """A linear layer of the next attention block as an output [rows, parts*hidden]."""
        with self.g.block(block):
            given = layers.enter_block(self.g, x, block, self.stack, self._epsilon)
            self.linear_output(given, f"{block}.{layer}", output, parts * self.stack.hidden_size)

    def linear_output(self, given: str, name: str, output: str, width: int) -> None:
        """A linear layer of the block under way as an output [rows, width] of the precision's compute type."""
        g = self.g
        g.output(output, g.precision.compute, [self._rows, width])
        if g.compute == g.precision.compute:
            layers.linear(g, given, name, output)
        else:
            g.op("Cast", layers.linear(g, given, name), to=g.precision.compute, output=output)

    def _feed_forward(self, x: str, name: str) -> str:
        """The feed-forward block as an island's value."""
        g, stack = self.g, self.stack
        parts, rest = divmod(stack.inner_size, stack.hidden_size)
        if rest or parts == 1 or g.compute == g.precision.island:
            return layers.feed_forward(g, x, name, stack)
        hidden = layers.feed_forward_hidden(g, x, name, stack)
        return layers.linear_in_parts(g, hidden, f"{name}.out", parts, (stack.inner_size, stack.hidden_size))

    def _residual_out(self) -> str:
        return self.g.output("residual_out", self.g.precision.island, [self._rows, self.stack.hidden_size])
