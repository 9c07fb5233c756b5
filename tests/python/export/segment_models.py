"""Random models' segments and whole graphs, exported one by one, to be run and looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator
from safetensors.numpy import save_file

from nmt_trt.export.decoder import decoder_graph
from nmt_trt.export.encoder import encoder_graph
from nmt_trt.export.graph import BF16, Precision
from nmt_trt.export.islands import Islands, block_names, linear_layers
from nmt_trt.export.low_weights import low_weights
from nmt_trt.export.segments import segment_graphs
from nmt_trt.export.weights_file import weight_locations
from nmt_trt.models.config import TransformerConfig
from random_models import random_config, random_weights

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Graphs:
    """A random model's graphs of one precision, in a folder of their own."""

    config: TransformerConfig
    precision: Precision
    islands: Islands
    folder: Path
    runners: dict[str, Any] = field(default_factory=dict)

    def run(self, name: str, feeds: Arrays) -> Arrays:
        if name not in self.runners:
            path = self.folder / f"{name}.onnx"
            self.runners[name] = (
                ReferenceEvaluator(onnx.load(path))
                if self.precision is BF16
                else ort.InferenceSession(path, providers=["CPUExecutionProvider"])
            )
        runner = self.runners[name]
        names = runner.output_names if self.precision is BF16 else [output.name for output in runner.get_outputs()]
        return dict(zip(names, runner.run(names, feeds), strict=True))

    def model(self, name: str) -> onnx.ModelProto:
        return onnx.load(self.folder / f"{name}.onnx", load_external_data=False)


def segment_config(seed: int) -> TransformerConfig:
    """A random model; for most seeds feed-forward layers come in 2 or 3 parts and the sides differ in their heads."""
    config = random_config(seed)
    inner = {"inner_size": (1 + seed % 3) * config.decoder.hidden_size} if seed % 3 else {}
    heads = {"num_heads": (1 + seed % 2) * config.encoder.num_heads}
    encoder, decoder = config.encoder.model_copy(update=inner | heads), config.decoder.model_copy(update=inner)
    return config.model_copy(update={"encoder": encoder, "decoder": decoder})


def export(folder: Path, seed: int, precision: Precision, islands: Islands | None = None) -> Graphs:
    config, islands = segment_config(seed), islands or Islands()
    weights = random_weights(config, seed)
    if precision.mixed:
        weights = low_weights(config, weights, precision, islands)
    folder.mkdir()
    save_file(weights, folder / "weights.safetensors")
    places = weight_locations(folder / "weights.safetensors")
    graphs = segment_graphs(config, places, precision, islands)
    graphs["encoder"] = encoder_graph(config, places, precision, islands)
    graphs["decoder"] = decoder_graph(config, places, precision, islands)
    for name, graph in graphs.items():
        onnx.save(graph, folder / f"{name}.onnx")
    return Graphs(config, precision, islands, folder)


def random_islands(config: TransformerConfig, seed: int) -> Islands:
    """A random power of two on every tensor, and random float32 blocks."""
    rng = np.random.default_rng(seed)
    keys = {key for layer in linear_layers(config) for key in (layer.input, *layer.outputs)} | {"output"}
    exponents = {key: int(rng.integers(4)) for key in sorted(keys)}
    for key in exponents:
        if key.endswith("_attention.k"):
            exponents[key] = -exponents[f"{key[:-1]}q"]  # as the kernels need it
    return Islands(exponents, frozenset(name for name in block_names(config) if rng.integers(3) == 0))


def interface(values: Iterable[onnx.ValueInfoProto]) -> dict[str, tuple[int, list[str | int]]]:
    types = {value.name: value.type.tensor_type for value in values}
    return {name: (t.elem_type, [d.dim_param or d.dim_value for d in t.shape.dim]) for name, t in types.items()}
