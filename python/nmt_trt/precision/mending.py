"""Finds the blocks that must be float32 so that a low precision stays close to fp32."""

from __future__ import annotations

from collections.abc import Callable

from nmt_trt.export.islands import block_names
from nmt_trt.models.config import TransformerConfig
from nmt_trt.precision.comparison import Comparison, Layer

Compare = Callable[[frozenset[str]], Comparison]
"""From the float32 blocks to how the rest then compares."""

WORTH = 0.9
"""A block stays float32 if that brings the error of the first bad layer below this part of what it was."""


def problems(comparison: Comparison, threshold: float) -> list[Layer]:
    """The layers that overflow, or whose relative error is above the threshold, in the order of computation."""
    return [layer for layer in comparison.layers if layer.relative_error > threshold]


def mend(
    compare: Compare, config: TransformerConfig, float32: frozenset[str], threshold: float
) -> tuple[frozenset[str], Comparison]:
    """Make one block after the other float32 until no layer overflows or drifts, or nothing helps any more.

    Errors travel: the block tried first is not that of the first bad layer, but the one among those up to it that adds
    most to the error.

    Args:
        compare: measures.
        config: the model's.
        float32: blocks that are float32 already.
        threshold: largest relative error of a layer that is no drift.

    Returns:
        The float32 blocks, and how the rest compares.
    """
    comparison, tried = compare(float32), float32
    while bad := problems(comparison, threshold):
        growth = {block: added for block, added in _growth(comparison, bad[0], config).items() if block not in tried}
        if not growth:
            break
        block = max(growth, key=lambda name: growth[name])
        tried |= {block}
        attempt = compare(float32 | {block})
        if _error(attempt, bad[0].name) < WORTH * bad[0].relative_error:
            float32, comparison = float32 | {block}, attempt
    return float32, comparison


def _error(comparison: Comparison, name: str) -> float:
    return next(layer.relative_error for layer in comparison.layers if layer.name == name)


def _growth(comparison: Comparison, bad: Layer, config: TransformerConfig) -> dict[str, float]:
    """What each block up to that of the layer `bad` adds to the error of what it reads."""
    known, growth, stream = block_names(config), dict[str, float](), 0.0
    for layer in comparison.layers:
        block = "output" if layer.name == "logits" else layer.name.rpartition(".")[0]
        of_encoder = layer.name.endswith(".cross_attention.kv")  # computed behind the encoder, for all decoder layers
        if layer.name.endswith((".norm", ".embedding")):  # an embedding without a norm
            stream = layer.relative_error
        elif block in known and (layer is bad or not of_encoder):
            growth[block] = layer.relative_error - stream
        if layer is bad:
            break
    return growth
