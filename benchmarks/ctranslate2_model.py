"""Writes a model directory's weights as a CTranslate2 model, so that both run the same network.

CTranslate2's Transformer has every part that these models need: a LayerNorm after the embedding (as BART has), an
explicit table of positions, token embeddings that are not scaled, pre- or post-norm, relu or the exact gelu. Its
vocabulary is a list of strings; here the string of id 17 is "<17>", which makes ids and tokens interchangeable. The
bias of PAD is lowered so far that CTranslate2 never generates it, as this package's search never does.

    python benchmarks/ctranslate2_model.py MODEL_DIRECTORY OUTPUT_DIRECTORY
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import common_spec, transformer_spec

from nmt_trt.errors import UnsupportedModelError
from nmt_trt.model_directory import read_config, read_weights
from nmt_trt.models.config import StackConfig, TransformerConfig
from nmt_trt.models.weights import output_table, token_table

Weights = Mapping[str, np.ndarray]
ACTIVATIONS = {
    "relu": common_spec.Activation.RELU,
    "gelu": common_spec.Activation.GELU,
    "swish": common_spec.Activation.SWISH,
}


def token_string(token: int) -> str:
    """The vocabulary entry of an id."""
    return f"<{token}>"


def token_id(string: str) -> int:
    """The id of a vocabulary entry."""
    return int(string[1:-1])


def write_ctranslate2_model(directory: Path, output: Path) -> None:
    """Convert a model directory; `output` is made and must not hold a model yet.

    Raises:
        ModelDirectoryError: `directory` is not a complete model directory.
        UnsupportedModelError: the encoder is causal, which CTranslate2's never is.
    """
    config, weights = read_config(directory), read_weights(directory)
    if config.causal_encoder:
        raise UnsupportedModelError("CTranslate2 has no causal encoder (causal_encoder is true)")
    spec = transformer_spec.TransformerSpec(_encoder(config, weights), _decoder(config, weights))
    tokens = config.special_tokens
    spec.config.layer_norm_epsilon = config.norm_epsilon
    spec.config.unk_token = token_string(tokens.pad)
    spec.config.bos_token = spec.config.decoder_start_token = token_string(tokens.start)
    spec.config.eos_token = token_string(tokens.eos)
    spec.register_source_vocabulary([token_string(token) for token in range(config.encoder.vocab_size)])
    spec.register_target_vocabulary([token_string(token) for token in range(config.decoder.vocab_size)])
    spec.validate()
    spec.optimize(quantization="float32")
    output.mkdir(parents=True, exist_ok=True)
    spec.save(str(output))


def _encoder(config: TransformerConfig, weights: Weights) -> transformer_spec.TransformerEncoderSpec:
    stack = config.encoder
    spec = transformer_spec.TransformerEncoderSpec(
        stack.num_layers,
        stack.num_heads,
        pre_norm=stack.pre_norm,
        no_final_norm=not stack.final_norm,
        activation=ACTIVATIONS[stack.activation],
        layernorm_embedding=stack.embedding_norm,
    )
    spec.embeddings[0].weight = weights[token_table(config, "encoder")]
    _fill_stack(spec, weights, "encoder", stack)
    return spec


def _decoder(config: TransformerConfig, weights: Weights) -> transformer_spec.TransformerDecoderSpec:
    stack = config.decoder
    spec = transformer_spec.TransformerDecoderSpec(
        stack.num_layers,
        stack.num_heads,
        pre_norm=stack.pre_norm,
        no_final_norm=not stack.final_norm,
        activation=ACTIVATIONS[stack.activation],
        layernorm_embedding=stack.embedding_norm,
    )
    spec.embeddings.weight = weights[token_table(config, "decoder")]
    spec.projection.weight = weights[output_table(config)]
    spec.projection.bias = _without_pad(weights["output.bias"], config.special_tokens.pad)
    _fill_stack(spec, weights, "decoder", stack)
    for index, layer in enumerate(spec.layer):
        name = f"decoder.layers.{index}.cross_attention"
        _fill_norm(layer.attention.layer_norm, weights, f"{name}.norm")
        for linear, part in zip(layer.attention.linear, ("q", "kv", "out"), strict=True):
            _fill_linear(linear, weights, f"{name}.{part}")
    return spec


def _without_pad(bias: np.ndarray, pad: int) -> np.ndarray:
    lowered = bias.copy()
    lowered[pad] = -1e9
    return lowered


def _fill_stack(spec: Any, weights: Weights, side: str, stack: StackConfig) -> None:
    spec.scale_embeddings = stack.scale_embeddings
    spec.position_encodings.encodings = weights[f"{side}.embedding.position.weight"]
    if stack.embedding_norm:
        _fill_norm(spec.layernorm_embedding, weights, f"{side}.embedding.norm")
    if stack.final_norm:
        _fill_norm(spec.layer_norm, weights, f"{side}.norm")
    for index, layer in enumerate(spec.layer):
        name = f"{side}.layers.{index}"
        _fill_norm(layer.self_attention.layer_norm, weights, f"{name}.self_attention.norm")
        for linear, part in zip(layer.self_attention.linear, ("qkv", "out"), strict=True):
            _fill_linear(linear, weights, f"{name}.self_attention.{part}")
        _fill_norm(layer.ffn.layer_norm, weights, f"{name}.ffn.norm")
        _fill_linear(layer.ffn.linear_0, weights, f"{name}.ffn.in_")
        _fill_linear(layer.ffn.linear_1, weights, f"{name}.ffn.out")


def _fill_norm(spec: Any, weights: Weights, name: str) -> None:
    spec.gamma, spec.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]


def _fill_linear(spec: Any, weights: Weights, name: str) -> None:
    spec.weight, spec.bias = weights[f"{name}.weight"], weights[f"{name}.bias"]


def main() -> None:
    """Convert from the command line."""
    parser = argparse.ArgumentParser(description="Write a model directory as a CTranslate2 model.")
    parser.add_argument("model", type=Path, help="a directory that nmt-trt build made")
    parser.add_argument("output", type=Path, help="the directory to make")
    arguments = parser.parse_args()
    write_ctranslate2_model(arguments.model, arguments.output)


if __name__ == "__main__":
    main()
