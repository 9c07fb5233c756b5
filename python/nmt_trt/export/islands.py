"""What keeps a low-precision graph within its type's range: powers of two on its tensors, and float32 blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nmt_trt.models.config import TransformerConfig


@dataclass(frozen=True)
class Islands:
    """How a low-precision graph departs from one that computes everything plainly in its type.

    The residual stream, LayerNorm and softmax are float32 in any case.

    Attributes:
        exponents: a tensor t of this key is kept as t * 2^-e; 0 for a key that is absent. Keys are those of
            LinearLayer, and "output": the logits and what they are made of. Those of an attention's queries and keys
            add up to 0: its scores are what they were.
        float32: blocks that are computed in float32, by the names of `block_names`. Their weights are float32 as well.
    """

    exponents: Mapping[str, int] = field(default_factory=dict)
    float32: frozenset[str] = frozenset()

    def exponent(self, key: str) -> int:
        """The exponent of a tensor."""
        return self.exponents.get(key, 0)


@dataclass(frozen=True)
class LinearLayer:
    """A linear layer, its block, and the keys of what it reads and of what its rows give, in equal parts."""

    name: str
    block: str
    input: str
    outputs: tuple[str, ...]


def attention_blocks(config: TransformerConfig) -> list[str]:
    """The attention blocks."""
    blocks = [f"encoder.layers.{index}.self_attention" for index in range(config.encoder.num_layers)]
    for index in range(config.decoder.num_layers):
        blocks += [f"decoder.layers.{index}.{kind}_attention" for kind in ("self", "cross")]
    return blocks


def feed_forward_blocks(config: TransformerConfig) -> list[str]:
    """The feed-forward blocks."""
    return [
        f"{side}.layers.{index}.ffn"
        for side, stack in (("encoder", config.encoder), ("decoder", config.decoder))
        for index in range(stack.num_layers)
    ]


def block_names(config: TransformerConfig) -> list[str]:
    """Every block that can be float32: attention and feed-forward blocks, and "output", the projection to logits."""
    return attention_blocks(config) + feed_forward_blocks(config) + ["output"]


def linear_layers(config: TransformerConfig) -> list[LinearLayer]:
    """Every linear layer but the output projection, whose weights may be the embedding's and are never scaled."""
    layers = []
    for block in attention_blocks(config):
        query, key, value = (f"{block}.{part}" for part in "qkv")
        if block.endswith(".cross_attention"):
            layers.append(LinearLayer(f"{block}.q", block, f"{block}.input", (query,)))
            layers.append(LinearLayer(f"{block}.kv", block, "encoder.output", (key, value)))
        else:
            layers.append(LinearLayer(f"{block}.qkv", block, f"{block}.input", (query, key, value)))
        layers.append(LinearLayer(f"{block}.out", block, value, (f"{block}.out",)))
    for block in feed_forward_blocks(config):
        layers.append(LinearLayer(f"{block}.in_", block, f"{block}.input", (f"{block}.in_",)))
        layers.append(LinearLayer(f"{block}.out", block, f"{block}.in_", (f"{block}.out",)))
    return layers
