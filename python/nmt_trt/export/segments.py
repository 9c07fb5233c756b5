"""The graphs that TensorRT runs: the segments of the encoder and of the decoder."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from nmt_trt.export.decoder_segments import decoder_segment, decoder_segment_names
from nmt_trt.export.encoder_segments import encoder_segment, encoder_segment_names
from nmt_trt.export.graph import Precision
from nmt_trt.export.islands import Islands
from nmt_trt.export.weights_file import WeightLocation
from nmt_trt.models.config import TransformerConfig


def segment_names(config: TransformerConfig) -> tuple[str, ...]:
    """All segments, the encoder's first."""
    return encoder_segment_names(config) + decoder_segment_names(config)


def segment_graphs(
    config: TransformerConfig, weights: Mapping[str, WeightLocation], precision: Precision, islands: Islands
) -> dict[str, onnx.ModelProto]:
    """All segments by name."""
    sides = ((encoder_segment_names, encoder_segment), (decoder_segment_names, decoder_segment))
    return {
        name: make(config, weights, precision, islands, index)
        for names, make in sides
        for index, name in enumerate(names(config))
    }
