"""Compares every layer of a low precision with fp32, on real sentences and fp32's own translations of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from safetensors.numpy import save_file

from nmt_trt.export.encoder import encoder_graph
from nmt_trt.export.graph import FP32, Precision
from nmt_trt.export.islands import Islands, linear_layers
from nmt_trt.export.low_weights import low_weights
from nmt_trt.export.weights_file import weight_locations
from nmt_trt.model_directory import WEIGHTS_FILE, read_weights
from nmt_trt.models.config import TransformerConfig
from nmt_trt.precision.emulation import emulated, exposing, layer_tensors
from nmt_trt.precision.scoring import scoring_graph
from nmt_trt.runtime.inputs import Row

Arrays = dict[str, npt.NDArray[np.float32]]
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Pair:
    """A source as the encoder reads it, and the tokens that the decoder is fed, start token first."""

    source: Row
    target: Row


@dataclass
class Layer:
    """How a layer's output in the low precision compares with fp32's.

    Attributes:
        name: the layer; "logits" last.
        exponent: the low precision keeps the values times 2^-exponent.
        largest: the largest absolute value in fp32.
        not_finite: how many values are infinite or NaN in the low precision.
    """

    name: str
    exponent: int
    largest: float = 0.0
    not_finite: int = 0
    _squared_error: float = field(default=0.0, repr=False)
    _squared: float = field(default=0.0, repr=False)

    @property
    def relative_error(self) -> float:
        """|low - fp32| / |fp32| over all values in the Euclidean norm; infinite if a value is not finite."""
        if self.not_finite:
            return float("inf")
        return float(np.sqrt(self._squared_error / self._squared)) if self._squared else 0.0

    def add(self, wanted: npt.NDArray[np.float32], given: npt.NDArray[np.float32]) -> None:
        """Count one sentence's values, `given` without its power of two."""
        finite = np.isfinite(given)
        self.largest = max(self.largest, float(np.abs(wanted).max()))
        self.not_finite += int(given.size - finite.sum())
        difference = np.subtract(given, wanted, where=finite, out=np.zeros_like(wanted)).astype(np.float64)
        self._squared_error += float(np.square(difference).sum())
        self._squared += float(np.square(wanted, dtype=np.float64).sum())


@dataclass(frozen=True)
class Comparison:
    """What was found.

    Attributes:
        layers: in the order of computation.
        positions: tokens predicted.
        different_tokens: those whose best token differs from fp32's.
    """

    layers: tuple[Layer, ...]
    positions: int
    different_tokens: int


def compare(
    directory: Path,
    config: TransformerConfig,
    pairs: Sequence[Pair],
    precision: Precision,
    islands: Islands,
    advance: Advance = lambda count: None,
) -> Comparison:
    """Run all pairs in fp32 and in the emulated low precision.

    Args:
        directory: the model directory; its low-precision files are not read.
        config: its configuration.
        pairs: at least one.
        precision: the low precision.
        islands: its islands.
        advance: told of each pair that is done.
    """
    weights = read_weights(directory)
    exact = _Runner(config, directory / WEIGHTS_FILE, FP32, Islands())
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / WEIGHTS_FILE
        save_file(low_weights(config, weights, precision, islands), converted)
        low = _Runner(config, converted, precision, islands)
    powers = _powers(config, islands)
    layers = {name: Layer(name, max(powers.get(name, (0,)))) for name in exact.names}
    positions = different = 0
    for pair in pairs:
        wanted, given = exact.run(pair), low.run(pair)
        for name, layer in layers.items():
            layer.add(wanted[name], _times_columns(given[name], powers.get(name, (0,))))
        best = wanted["logits"].argmax(axis=1)
        positions += best.size
        different += int((best != given["logits"].argmax(axis=1)).sum())
        advance(1)
    return Comparison(tuple(layers.values()), positions, different)


class _Runner:
    """Encoder and decoder of one precision with every layer's output."""

    def __init__(self, config: TransformerConfig, weights: Path, precision: Precision, islands: Islands) -> None:
        locations = weight_locations(weights)
        graphs = [make(config, locations, precision, islands) for make in (encoder_graph, scoring_graph)]
        tensors = [layer_tensors(graph) for graph in graphs]
        if precision.mixed:
            graphs = [emulated(graph, precision.compute) for graph in graphs]
        self.names = [name for names in tensors for name in names]
        self._encoder, self._decoder = (
            _session(exposing(graph, names), weights.parent) for graph, names in zip(graphs, tensors, strict=True)
        )

    def run(self, pair: Pair) -> Arrays:
        """Every layer's output [rows, width] by its name."""
        encoded = _run(
            self._encoder,
            {"input_ids": pair.source[None], "input_length": np.array([pair.source.size], np.int32)},
        )
        cross = {name: array for name, array in encoded.items() if name.startswith("cross_")}
        return encoded | _run(self._decoder, {"token": pair.target[None], **cross})


def _session(model: onnx.ModelProto, weights_folder: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(weights_folder))
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _run(session: ort.InferenceSession, feeds: dict[str, npt.NDArray[np.generic]]) -> Arrays:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def _powers(config: TransformerConfig, islands: Islands) -> dict[str, tuple[int, ...]]:
    """The exponents of the equal parts of a tensor's columns, by its name."""
    powers = {}
    for layer in linear_layers(config):
        powers[layer.name] = tuple(islands.exponent(key) for key in layer.outputs)
        if layer.input.endswith(".v"):
            powers[f"{layer.block}.context"] = (islands.exponent(layer.input),)
    return powers


def _times_columns(array: npt.NDArray[np.float32], powers: Iterable[int]) -> npt.NDArray[np.float32]:
    """An array with each of the equal parts of its columns multiplied by a power of two."""
    factors = np.array([2.0**power for power in powers], np.float32)
    return array * np.repeat(factors, array.shape[1] // factors.size)
