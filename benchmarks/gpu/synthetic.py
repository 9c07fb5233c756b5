"""Model directories of any size with random weights whose sentences never end: EOS and PAD have no chance, so that
every system generates exactly as many tokens as it is allowed."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmt_trt.export.graph import PRECISIONS
from nmt_trt.model_directory import write_model_directory
from nmt_trt.models.config import SourceTokens, SpecialTokens, StackConfig, TransformerConfig
from nmt_trt.models.positions import sinusoidal_positions
from nmt_trt.models.weights import weight_shapes

PAD, BOS, EOS = 0, 2, 3
FIRST_WORD = 4
NEVER = -10000.0
"""The output bias of EOS and PAD; representable in fp16."""


@dataclass(frozen=True)
class Size:
    """A post-LN model's size; encoder and decoder are alike."""

    layers: int
    hidden: int
    inner: int
    heads: int
    vocabulary: int
    positions: int = 512

    def config(self) -> TransformerConfig:
        """The configuration: NeMo's defaults, tables not shared between the sides, output tied to the decoder's."""
        stack = StackConfig(
            hidden_size=self.hidden,
            num_layers=self.layers,
            inner_size=self.inner,
            num_heads=self.heads,
            vocab_size=self.vocabulary,
            max_positions=self.positions,
        )
        return TransformerConfig(
            encoder=stack,
            decoder=stack,
            special_tokens=SpecialTokens(pad=PAD, eos=EOS, start=BOS),
            source_tokens=SourceTokens(pad=PAD, bos=BOS, eos=EOS),
        )


def add_size_options(parser: argparse.ArgumentParser, default: Size) -> None:
    """Options --layers, --hidden, --inner, --heads and --vocabulary."""
    for name in ("layers", "hidden", "inner", "heads", "vocabulary"):
        parser.add_argument(f"--{name}", type=int, default=getattr(default, name), help="(default: %(default)s)")


def size_from(arguments: argparse.Namespace) -> Size:
    """The size that the options say."""
    return Size(arguments.layers, arguments.hidden, arguments.inner, arguments.heads, arguments.vocabulary)


def endless_weights(config: TransformerConfig, seed: int) -> dict[str, npt.NDArray[np.float32]]:
    """Random weights by canonical name: activations of about unit size, logits of standard deviation 2."""
    draw = np.random.default_rng(seed)
    weights: dict[str, npt.NDArray[np.float32]] = {}
    for name, shape in weight_shapes(config).items():
        if name.endswith("position.weight"):
            weights[name] = sinusoidal_positions(*shape)
        elif name.endswith("norm.weight"):
            weights[name] = np.ones(shape, dtype=np.float32)
        elif name.endswith(".bias"):
            weights[name] = np.zeros(shape, dtype=np.float32)
        else:
            gain = 2.0 if "embedding" in name else 1.0
            weights[name] = draw.standard_normal(shape, dtype=np.float32) * np.float32(gain / np.sqrt(shape[1]))
    weights["output.bias"][[EOS, PAD]] = NEVER
    return weights


def write_endless_model(directory: Path, size: Size, *, precision: str, seed: int = 0) -> TransformerConfig:
    """Write a whole model directory and return its configuration."""
    config = size.config()
    weights = endless_weights(config, seed)
    write_model_directory(directory, config, weights, {}, precision=PRECISIONS[precision])
    return config


def random_row(length: int, vocabulary: int, draw: np.random.Generator) -> npt.NDArray[np.int32]:
    """A source of `length` tokens, BOS and EOS included."""
    row = draw.integers(FIRST_WORD, vocabulary, length, dtype=np.int32)
    row[0], row[-1] = BOS, EOS
    return row
