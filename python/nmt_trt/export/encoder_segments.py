"""The encoder cut around its self-attentions: what TensorRT runs between our own attention kernels.

An encoder of L layers has L + 1 segments, for T rows: the tokens of all sentences one after the other, without padding.

- `encoder_0`: token int32 [T], position int32 [T] -> residual_out [T,hidden], qkv [T,3*hidden] of the first layer;
- `encoder_{l}`, behind layer l-1's self-attention: attention [T,hidden], residual [T,hidden] -> residual_out, qkv of
  layer l;
- `encoder_{L}`: attention, residual -> cross_0, cross_1, ... [T,2*hidden]: keys, then values, of each decoder layer's
  cross-attention.

The residual is float32, the others of the precision's compute type.

As one engine the whole encoder took other kernels for other batches and lengths, whose roundings differ; the decoder's
segments were seen to give most rows the same bits whatever the number of rows (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from nmt_trt.export.graph import Precision
from nmt_trt.export.islands import Islands
from nmt_trt.export.segment_builder import SegmentBuilder
from nmt_trt.export.weights_file import WeightLocation
from nmt_trt.models.config import TransformerConfig


def encoder_segment_names(config: TransformerConfig) -> tuple[str, ...]:
    """The graphs of the segments, in the order in which they run."""
    return tuple(f"encoder_{index}" for index in range(config.encoder.num_layers + 1))


def encoder_segment(
    config: TransformerConfig,
    weights: Mapping[str, WeightLocation],
    precision: Precision,
    islands: Islands,
    index: int,
) -> onnx.ModelProto:
    """Segment `index`, 0 to L; see above for its inputs and outputs."""
    segment = SegmentBuilder(config, weights, precision, islands, side="encoder", index=index, rows="T")
    x = segment.embed(["T"]) if index == 0 else segment.finish_layer(index - 1, "self")
    if index < config.encoder.num_layers:
        segment.project_qkv(x, index)
    else:
        _cross_projections(segment, config, x)
    return segment.g.build("A Transformer encoder's part between two self-attentions")


def _cross_projections(segment: SegmentBuilder, config: TransformerConfig, memory: str) -> None:
    g, width = segment.g, 2 * config.decoder.hidden_size
    for index in range(config.decoder.num_layers):
        block = f"decoder.layers.{index}.cross_attention"
        with g.block(block):
            segment.linear_output(g.enter(memory, "encoder.output"), f"{block}.kv", f"cross_{index}", width)
