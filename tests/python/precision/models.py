"""Models whose values leave fp16's range, and low-precision models that run on the CPU."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from nmt_trt.export.graph import FP16, Precision
from nmt_trt.export.islands import Islands
from nmt_trt.model_directory import (
    CONFIG_FILE,
    GRAPH_NAMES,
    WEIGHTS_FILE,
    export_graphs,
    graph_file,
    weights_file,
    write_model_directory,
)
from nmt_trt.models.config import StackConfig, TransformerConfig
from nmt_trt.precision.emulation import emulated
from random_models import random_config, random_weights


def post_norm_config(seed: int, activation: str, **fixed: Any) -> TransformerConfig:
    """A small model whose sides are alike."""
    fields: dict[str, Any] = {
        "hidden_size": 32,
        "num_layers": 2,
        "inner_size": 48,
        "num_heads": 2,
        "vocab_size": 50,
        "max_positions": 64,
        "activation": activation,
    }
    stack = StackConfig(**{**fields, **fixed})
    return random_config(seed, encoder=stack, decoder=stack, causal_encoder=False, tied_output=False)


def overflowing_weights(config: TransformerConfig, seed: int) -> dict[str, np.ndarray]:
    """Weights with which values reach hundreds of thousands that LayerNorm then brings back.

    Feed-forward blocks have units of every size that matter alike, so that small ones must not get lost; values and
    their projections in the encoder are large; queries are beyond 65504 and keys as small.
    """
    weights, rng = random_weights(config, seed), np.random.default_rng(seed)
    size = config.decoder.hidden_size
    for name, array in weights.items():
        if name.endswith(".ffn.in_.weight"):
            block = name.removesuffix(".in_.weight")
            sizes = (10 ** rng.uniform(0, 4.5, len(array))).astype(np.float32)
            array *= sizes[:, None]
            weights[f"{block}.in_.bias"] *= sizes
            weights[f"{block}.out.weight"] *= 5e4 / sizes
        elif ".cross_attention.q." in name:
            array *= 3e4
        elif ".cross_attention.kv." in name:
            array[:size] /= 3e4
        elif ".qkv." in name:
            array[:size] *= 3e4
            array[size : 2 * size] /= 3e4
            array[2 * size :] *= 3e4 if name.startswith("encoder") else 1
        elif name.startswith("encoder") and "_attention.out." in name:
            array *= 1e2
    return weights


def write_overflowing_model(path: Path, config: TransformerConfig, seed: int) -> Path:
    """A model directory of it."""
    write_model_directory(path, config, overflowing_weights(config, seed), {})
    return path


def write_emulated_model(
    path: Path, source: Path, config: TransformerConfig, precision: Precision = FP16, islands: Islands | None = None
) -> Path:
    """A model directory that runs a low precision of another one on the CPU, emulated."""
    export_graphs(source, config, precision, islands)
    path.mkdir()
    shutil.copy(source / CONFIG_FILE, path)
    shutil.copy(source / weights_file(precision), path)
    shutil.copy(source / weights_file(precision), path / WEIGHTS_FILE)
    for name in GRAPH_NAMES:
        graph = onnx.load(source / graph_file(name, precision), load_external_data=False)
        onnx.save(emulated(graph, precision.compute), path / graph_file(name))
    return path
