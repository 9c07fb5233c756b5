"""The encoder cut around its self-attentions, against the whole encoder in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from export.segment_models import Graphs, export, interface, random_islands, segment_config
from nmt_trt.export.encoder_segments import encoder_segment_names
from nmt_trt.export.graph import BF16, FP16, FP32, PRECISIONS, Precision
from nmt_trt.export.islands import Islands, block_names
from nmt_trt.models.config import StackConfig
from nmt_trt.runtime.inputs import pad_rows
from random_models import PAD, random_sources

Rows = list[np.ndarray]


def whole_cross(graphs: Graphs, sources: Rows) -> np.ndarray:
    """float32 [D,T,2d] by encoder.onnx: each decoder layer's keys and values at the tokens of all sentences."""
    ids, lengths = pad_rows(sources, PAD)
    outputs = graphs.run("encoder", {"input_ids": ids, "input_length": lengths})

    def at_tokens(cross: np.ndarray) -> np.ndarray:
        """[B,H,S,dh] -> [T,d]"""
        sentences = [own[:, :length] for own, length in zip(cross, lengths, strict=True)]
        return np.concatenate([own.transpose(1, 0, 2).reshape(own.shape[1], -1) for own in sentences])

    return np.stack(
        [
            np.concatenate([at_tokens(outputs[f"cross_{part}_{index}"]) for part in "kv"], axis=1).astype(np.float32)
            for index in range(graphs.config.decoder.num_layers)
        ]
    )


def segment_cross(graphs: Graphs, sources: Rows) -> np.ndarray:
    """What whole_cross() gives, by the segments over tokens without padding, with attention in numpy."""
    first, *others = encoder_segment_names(graphs.config)
    positions = np.concatenate([np.arange(len(source), dtype=np.int32) for source in sources])
    outputs = graphs.run(first, {"token": np.concatenate(sources), "position": positions})
    for name in others:
        feeds = {"attention": attend(graphs, outputs["qkv"], sources), "residual": outputs["residual_out"]}
        outputs = graphs.run(name, feeds)
    return np.stack([outputs[f"cross_{index}"].astype(np.float32) for index in range(graphs.config.decoder.num_layers)])


def attend(graphs: Graphs, qkv: np.ndarray, sources: Rows) -> np.ndarray:
    """What the CUDA kernel does: [T,3h] -> [T,h] of the same type, each sentence by itself, in float32."""
    edges = np.cumsum([len(source) for source in sources])[:-1]
    mixed = [attend_sentence(own, graphs.config.encoder, graphs.config.causal_encoder) for own in np.split(qkv, edges)]
    return np.concatenate(mixed)


def attend_sentence(qkv: np.ndarray, stack: StackConfig, causal: bool) -> np.ndarray:
    length = len(qkv)
    heads = qkv.astype(np.float32).reshape(length, 3, stack.num_heads, stack.head_size)
    query, key, value = heads.transpose(1, 2, 0, 3)  # each [H,S,dh]
    scores = query @ key.transpose(0, 2, 1) * np.float32(stack.head_size**-0.5)
    if causal:
        scores += np.triu(np.full((length, length), -np.inf, np.float32), 1)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed: np.ndarray = (weights @ value).transpose(1, 0, 2).reshape(length, -1)
    return mixed.astype(qkv.dtype)


def sources_of(graphs: Graphs, seed: int) -> Rows:
    return random_sources(graphs.config, 1 + seed % 4, 9, seed)


@pytest.mark.parametrize("seed", range(40))
def test_segments_give_the_whole_encoders_keys_and_values(tmp_path: Path, seed: int) -> None:
    graphs = export(tmp_path / "model", seed, FP32)
    sources = sources_of(graphs, seed)
    np.testing.assert_allclose(segment_cross(graphs, sources), whole_cross(graphs, sources), atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_half_precision_segments_are_close(tmp_path: Path, seed: int) -> None:
    """To the whole encoder in fp16, which rounds at the same places, and to fp32's keys and values."""
    wide, half = (export(tmp_path / precision.name, seed, precision) for precision in (FP32, FP16))
    sources = sources_of(wide, seed)
    cross, wanted = segment_cross(half, sources), whole_cross(wide, sources)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(cross, wanted, atol=0.005 * scale, rtol=0)
    np.testing.assert_allclose(cross, whole_cross(half, sources), atol=0.001 * scale, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_bf16_segments_are_close(tmp_path: Path, seed: int) -> None:
    """In ONNX's reference implementation: ONNX Runtime has no bf16 on the CPU."""
    wide, low = (export(tmp_path / precision.name, seed, precision) for precision in (FP32, BF16))
    sources = sources_of(wide, seed)
    wanted = whole_cross(wide, sources)
    np.testing.assert_allclose(segment_cross(low, sources), wanted, atol=0.03 * np.abs(wanted).max(), rtol=0)


@pytest.mark.parametrize("seed", range(20))
def test_islands_apply_to_the_segments(tmp_path: Path, seed: int) -> None:
    """Keys and values leave the encoder times 2^-exponent; random islands change nothing else."""
    wide = export(tmp_path / "fp32", seed, FP32)
    islands = random_islands(wide.config, seed)
    half = export(tmp_path / "fp16", seed, FP16, islands)
    sources = sources_of(wide, seed)
    powers = [
        [islands.exponent(f"decoder.layers.{index}.cross_attention.{part}") for part in "kv"]
        for index in range(wide.config.decoder.num_layers)
    ]
    factors = np.repeat(2.0 ** np.array(powers, np.float32), wide.config.decoder.hidden_size, axis=1)[:, None]
    wanted = whole_cross(wide, sources)
    given = segment_cross(half, sources) * factors
    np.testing.assert_allclose(given, wanted, atol=0.005 * np.abs(wanted).max(), rtol=0)


@pytest.mark.parametrize("precision", PRECISIONS.values(), ids=list(PRECISIONS))
@pytest.mark.parametrize("wide_blocks", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_names_types_and_shapes(tmp_path: Path, seed: int, wide_blocks: bool, precision: Precision) -> None:
    """float32 blocks do not change what goes in and out."""
    islands = Islands(float32=frozenset(block_names(segment_config(seed)) if wide_blocks else ()))
    graphs = export(tmp_path / "model", seed, precision, islands)
    stack, decoder, number = graphs.config.encoder, graphs.config.decoder, precision.compute
    width, last = stack.hidden_size, stack.num_layers
    assert encoder_segment_names(graphs.config) == tuple(f"encoder_{index}" for index in range(last + 1))
    for index, name in enumerate(encoder_segment_names(graphs.config)):
        graph = graphs.model(name).graph
        assert interface(graph.input) == (
            {"token": (TensorProto.INT32, ["T"]), "position": (TensorProto.INT32, ["T"])}
            if index == 0
            else {"attention": (number, ["T", width]), "residual": (TensorProto.FLOAT, ["T", width])}
        )
        assert interface(graph.output) == (
            {f"cross_{layer}": (number, ["T", 2 * decoder.hidden_size]) for layer in range(decoder.num_layers)}
            if index == last
            else {"residual_out": (TensorProto.FLOAT, ["T", width]), "qkv": (number, ["T", 3 * width])}
        )
