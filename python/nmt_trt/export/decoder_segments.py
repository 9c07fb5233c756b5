"""The decoder step cut around its attentions: what TensorRT runs between our own attention kernels.

A decoder of D layers has 2D + 1 segments, for R = sentences x beams rows:

- `decoder_0`: token int32 [R], position int32 [1] -> residual_out [R,hidden], qkv [R,3*hidden] of the first layer;
- `decoder_{2l+1}`, behind layer l's self-attention: attention [R,hidden], residual [R,hidden] -> residual_out, query
  [R,hidden] of its cross-attention;
- `decoder_{2l+2}`, behind layer l's cross-attention: attention, residual -> residual_out, qkv of the next layer; the
  last one -> logits [R,V] alone.

The residual and the logits are float32, the others of the precision's compute type.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from nmt_trt.export.decoder import write_logits
from nmt_trt.export.graph import Precision
from nmt_trt.export.islands import Islands
from nmt_trt.export.segment_builder import SegmentBuilder
from nmt_trt.export.weights_file import WeightLocation
from nmt_trt.models.config import TransformerConfig


def decoder_segment_names(config: TransformerConfig) -> tuple[str, ...]:
    """The graphs of the segments, in the order in which a step runs them."""
    return tuple(f"decoder_{index}" for index in range(2 * config.decoder.num_layers + 1))


def decoder_segment(
    config: TransformerConfig,
    weights: Mapping[str, WeightLocation],
    precision: Precision,
    islands: Islands,
    index: int,
) -> onnx.ModelProto:
    """Segment `index`, 0 to 2D; see above for its inputs and outputs."""
    segment = SegmentBuilder(config, weights, precision, islands, side="decoder", index=index, rows="R")
    layer, between_attentions = divmod(index, 2)
    if between_attentions:
        x = segment.add_attention(f"decoder.layers.{layer}.self_attention", ends=True)
        segment.project(x, f"decoder.layers.{layer}.cross_attention", "q", "query", 1)
    else:
        x = segment.embed([1]) if layer == 0 else segment.finish_layer(layer - 1, "cross")
        if layer < config.decoder.num_layers:
            segment.project_qkv(x, layer)
        else:
            write_logits(segment.g, config, x, "R")
    return segment.g.build("A Transformer decoder step's part between two attentions")
