"""How large a model's values can become, whatever it is given: proved from its weights.

Every linear layer reads a LayerNorm's output, and that is bounded: before gain and shift its n components z have
|z|_2 <= sqrt(n). So a row w of the layer gives at most sqrt(n) |w * gain|_2 + |w . shift + bias|. An embedding without
a norm is bounded by the tables that it is a sum of. An attention's output is a mean of values, and what else follows
is bounded by its inputs' bounds. Parts of sums keep to the bounds too, for hardware may accumulate in the low
precision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt_trt.models.config import StackConfig, TransformerConfig
from nmt_trt.models.weights import output_table, token_table

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reach:
    """The vectors gain * z + shift with |z|_2 <= sqrt(n), n being their size: all that a LayerNorm can give.

    Other sets of vectors are described by one that contains them.
    """

    gain: Vector
    shift: Vector

    def bound(self) -> Vector:
        """The largest absolute value of each component."""
        return math.sqrt(self.gain.size) * np.abs(self.gain) + np.abs(self.shift)

    def through(self, weight: Matrix, bias: Vector) -> Vector:
        """The largest absolute value of each component of weight @ x + bias, and of any part of that sum."""
        spread: Vector = math.sqrt(self.gain.size) * np.linalg.norm(weight * self.gain, axis=1)
        # The larger of what shift and bias give with a plus sign and what they give with a minus sign.
        offset = np.abs(weight) @ np.abs(self.shift) + np.abs(bias) + np.abs(weight @ self.shift + bias)
        return spread + offset / 2


class Ranges:
    """Bounds of a model's values.

    Attributes:
        bounds: the largest absolute value by the keys of LinearLayer, and of "output", the logits and what they are
            made of.
    """

    def __init__(self, config: TransformerConfig, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self.bounds: dict[str, float] = {}
        self._weights = weights
        memory = self._stack("encoder", config.encoder, token_table(config, "encoder"), None)
        self._note("encoder.output", memory.bound())
        states = self._stack("decoder", config.decoder, token_table(config, "decoder"), memory)
        logits = states.through(self._wide(output_table(config)), self._wide("output.bias"))
        self._note("output", np.concatenate([states.bound(), logits]))

    def _stack(self, side: str, stack: StackConfig, table: str, memory: Reach | None) -> Reach:
        """Go through one side; returns what it gives."""
        states = self._norm(f"{side}.embedding.norm") if stack.embedding_norm else self._embedding(side, stack, table)
        largest = states.bound()  # of the residual stream that a pre-norm model adds to
        for index in range(stack.num_layers):
            kinds = ["self_attention", "ffn"] if memory is None else ["self_attention", "cross_attention", "ffn"]
            for kind in kinds:
                block = f"{side}.layers.{index}.{kind}"
                norm = self._norm(f"{block}.norm")
                given = norm if stack.pre_norm else states
                self._note(f"{block}.input", given.bound())
                if kind == "ffn":
                    inner = given.through(self._wide(f"{block}.in_.weight"), self._wide(f"{block}.in_.bias"))
                    self._note(f"{block}.in_", inner)
                else:
                    inner = self._attention(block, given, memory if kind == "cross_attention" else None)
                weight, bias = self._wide(f"{block}.out.weight"), self._wide(f"{block}.out.bias")
                added = np.abs(weight) @ inner + np.abs(bias)
                self._note(f"{block}.out", added)
                largest = largest + added
                states = Reach(largest, np.zeros_like(largest)) if stack.pre_norm else norm
        return self._norm(f"{side}.norm") if stack.final_norm else states

    def _attention(self, block: str, given: Reach, memory: Reach | None) -> Vector:
        """Note queries, keys and values of a block; returns the bounds of its values."""
        source = given if memory is None else memory
        names = ["qkv"] if memory is None else ["q", "kv"]
        weight, bias = (
            np.concatenate([self._wide(f"{block}.{name}.{part}") for name in names]) for part in ("weight", "bias")
        )
        query, key, value = zip(np.split(weight, 3), np.split(bias, 3), strict=True)
        values = source.through(*value)
        for part, bound in (("q", given.through(*query)), ("k", source.through(*key)), ("v", values)):
            self._note(f"{block}.{part}", bound)
        return values

    def _embedding(self, side: str, stack: StackConfig, table: str) -> Reach:
        """A ball around 0: token and position are as long as the longest of each together, at most."""
        token, position = (
            float(np.linalg.norm(self._wide(name), axis=1).max())
            for name in (table, f"{side}.embedding.position.weight")
        )
        size = stack.hidden_size
        radius = token * (math.sqrt(size) if stack.scale_embeddings else 1.0) + position
        return Reach(np.full(size, radius / math.sqrt(size)), np.zeros(size))

    def _norm(self, name: str) -> Reach:
        return Reach(self._wide(f"{name}.weight"), self._wide(f"{name}.bias"))

    def _note(self, key: str, bound: Vector) -> None:
        self.bounds[key] = float(bound.max())

    def _wide(self, name: str) -> npt.NDArray[np.float64]:
        return self._weights[name].astype(np.float64)
