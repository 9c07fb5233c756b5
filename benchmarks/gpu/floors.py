"""What a decoder step must move and compute at least, and how long a device that does nothing else needs for it.

Counted are a decoder's weights, the keys and values of both attentions, and the logits; not what passes between a
step's kernels otherwise, nor padding to the shapes that a backend rounds up to.
"""

from __future__ import annotations

from dataclasses import dataclass

from synthetic import Size

LOGIT_BYTES = 4
"""Logits are float32 in every precision."""


@dataclass(frozen=True)
class StepBytes:
    """Bytes that one decoder step must read and write.

    Attributes:
        weights: of the decoder and the output, each read once; of the position table one row.
        self_attention: keys and values of earlier steps, read, and those of this step, written.
        cross_attention: keys and values of the source, read once a sentence.
        logits: [batch * beam, vocabulary], written by the product and read by the search.
    """

    weights: int
    self_attention: int
    cross_attention: int
    logits: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.self_attention + self.cross_attention + self.logits


def step_bytes(
    size: Size, batch: int, beam: int, source: int, step: int, *, ancestors: int = 1, element_bytes: int = 2
) -> StepBytes:
    """The bytes of one step.

    Args:
        size: the model's.
        batch: sentences.
        beam: hypotheses of each.
        source: tokens of each sentence's source.
        step: the step's number, counted from 0, which feeds the start token.
        ancestors: distinct ancestors that a sentence's hypotheses have at each earlier step but the start token's, of
            which they have one: from 1, the least, to `beam`, where none share any.
        element_bytes: of a weight, a key element and a value element; 2 in fp16 and bf16.
    """
    earlier = 0 if step == 0 else 1 + (step - 1) * ancestors
    key_and_value = 2 * size.hidden * element_bytes
    return StepBytes(
        weights=_parameters(size) * element_bytes,
        self_attention=batch * size.layers * (earlier + beam) * key_and_value,
        cross_attention=batch * size.layers * source * key_and_value,
        logits=2 * batch * beam * size.vocabulary * LOGIT_BYTES,
    )


def step_flops(size: Size, batch: int, beam: int, source: int, step: int) -> int:
    """Floating-point operations of one step's matrix products, a multiplication and an addition being two.

    Arguments as in `step_bytes`. A hypothesis attends to step + 1 positions of its own and to the source.
    """
    products = _layer_products(size) * size.layers + size.vocabulary * size.hidden
    attention = 2 * size.hidden * (step + 1 + source) * size.layers
    return 2 * batch * beam * (products + attention)


def floor_us(
    size: Size,
    batch: int,
    beam: int,
    source: int,
    step: int,
    *,
    bandwidth: float,
    flops_per_second: float,
    ancestors: int = 1,
    element_bytes: int = 2,
) -> float:
    """Microseconds that one step takes at least: its bytes' or its operations', whichever are more.

    Arguments as in `step_bytes`; `bandwidth` of the memory in bytes a second, `flops_per_second` of matrix products in
    this precision.
    """
    moved = step_bytes(size, batch, beam, source, step, ancestors=ancestors, element_bytes=element_bytes).total
    computed = step_flops(size, batch, beam, source, step)
    return 1e6 * max(moved / bandwidth, computed / flops_per_second)


def _layer_products(size: Size) -> int:
    # Self-attention's q, k, v and output, cross-attention's q and output; its keys and values are the encoder's.
    return 6 * size.hidden**2 + 2 * size.hidden * size.inner


def _parameters(size: Size) -> int:
    """Of a post-LN decoder and its output, whose weight is the token table."""
    norm = 2 * size.hidden
    biases = 6 * size.hidden + size.inner + size.hidden
    layer = _layer_products(size) + biases + 3 * norm
    embedding = size.vocabulary * size.hidden + size.hidden + norm
    return embedding + size.layers * layer + size.vocabulary
