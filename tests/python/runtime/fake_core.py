"""Stand-ins for the C++ side of the TensorRT backend: the same calls, answered by ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmt_trt.model_directory import read_config
from nmt_trt.options import ResolvedOptions
from nmt_trt.results import Hypothesis, Timings
from nmt_trt.runtime.ensemble import Member
from nmt_trt.runtime.onnxruntime_backend import OnnxRuntimeBackend

ENCODER_SECONDS, GENERATOR_SECONDS = 0.25, 0.5
GRAPHS = ("encoder_0", "encoder_1", "decoder_0", "decoder_1", "decoder_2")
MAX_BATCH, MAX_ROWS = 8, 32
PER_SENTENCE = ("max_lengths", "target_prefix", "sentence_numbers")
"""What differs from sentence to sentence."""


class FakeLibrary:
    """An opened TensorRT library.

    Attributes:
        given_cache: what load_runtime_cache() got.
        kernels: what runtime_cache() answers.
    """

    def __init__(self, flavour: str = "tensorrt-rtx", version: str = "1.4.0") -> None:
        self.flavour = flavour
        self.version = version
        self.given_cache: bytes | None = None
        self.kernels = b"kernels"

    def runtime_cache(self) -> bytes:
        return self.kernels

    def load_runtime_cache(self, content: bytes) -> None:
        self.given_cache = content


class CoreHypothesis:
    """A hypothesis as the core tells it."""

    def __init__(self, found: Hypothesis, source: int) -> None:
        self.tokens, self.score, self.log_prob = found.tokens, found.score, found.log_prob
        self.token_scores = found.token_scores
        self._attention, self._source = found.attention, source

    def attention(self, source: int) -> NDArray[np.float32] | None:
        assert source == self._source
        return self._attention


class FakeGenerator:
    """Translates with the model in `directory`, whatever the models, asking for plans as the real one does.

    Attributes:
        arguments: what it was made with.
        models: the keyword arguments of each of its models.
        calls: the keyword arguments of each generate(), with `shape` and `lengths` of its batch.
        warmups: those of each warmup().
        failures: raised by the next calls of generate(), one each.
    """

    def __init__(self, directory: Path, library: FakeLibrary, **arguments: Any) -> None:
        self.library = library
        self.arguments = arguments
        self.calls: list[dict[str, Any]] = []
        self.warmups: list[dict[str, Any]] = []
        self.failures: list[Exception] = []
        self.models: list[dict[str, Any]] = arguments["models"]
        self._plans: dict[tuple[int, str], bytes] = {}
        self._stages: set[tuple[int, int]] = set()
        config = read_config(directory)
        self._cpu = OnnxRuntimeBackend([Member(directory, config)], config, threads=1, reason="fake")

    def generate(
        self, ids: NDArray[np.int32], lengths: NDArray[np.int32], **options: Any
    ) -> tuple[list[list[CoreHypothesis]], float, float]:
        assert {array.dtype for array in (ids, lengths, options["max_lengths"])} == {np.dtype(np.int32)}
        self.calls.append({"shape": ids.shape, "lengths": lengths.tolist(), **options})
        if self.failures:
            raise self.failures.pop(0)
        self._load_plans()
        self._stages.add((len(ids), options["beam_size"]))
        rows = [row[:length] for row, length in zip(ids, lengths, strict=True)]
        prefixes = options["target_prefix"] or [None] * len(rows)
        found = [
            self._alone(row, int(limit), prefix, options)
            for row, limit, prefix in zip(rows, options["max_lengths"], prefixes, strict=True)
        ]
        return found, ENCODER_SECONDS, GENERATOR_SECONDS

    def warmup(self, **sizes: Any) -> None:
        self.warmups.append(sizes)
        self._load_plans()
        self._stages.add((sizes["batch"], sizes["beam_size"]))

    def max_batch(self, beam_size: int) -> int:
        return min(MAX_BATCH, MAX_ROWS // beam_size)

    def source_bucket(self, length: int) -> int:
        return max(16, 1 << (length - 1).bit_length())

    def deterministic_rows(self, beam_size: int) -> int:
        return min(4, self.max_batch(beam_size))

    @property
    def memory(self) -> dict[str, int]:
        return {"plans": 1000 * len(self._plans), "stages": 10 * len(self._stages)}

    def _load_plans(self) -> None:
        for number, model in enumerate(self.models):
            for graph in GRAPHS:
                if model["native_decoder"] is not None and graph.startswith("decoder"):
                    continue
                if (number, graph) not in self._plans:
                    self._plans[number, graph] = model["plan_provider"](graph)

    def _alone(
        self, row: NDArray[np.int32], limit: int, prefix: list[int] | None, options: dict[str, Any]
    ) -> list[CoreHypothesis]:
        resolved = ResolvedOptions(
            max_length=limit,
            max_length_delta=-1,
            batch_size=None,
            batch_type="sentences",
            **{name: value for name, value in options.items() if name not in PER_SENTENCE},
        )
        prefixes = None if prefix is None else [np.array(prefix, np.int32)]
        found = self._cpu.search([row], resolved, Timings(), target_prefix=prefixes)[0]
        return [CoreHypothesis(h, row.size) for h in found]


class FakeCore:
    """What the backend looks up in `nmt_trt._core`.

    Attributes:
        generators: those made so far.
        libraries: the keyword arguments of each open_engine_library().
    """

    has_cuda = True

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.generators: list[FakeGenerator] = []
        self.libraries: list[dict[str, Any]] = []

    def NativeDecoder(self, **arguments: Any) -> dict[str, Any]:  # noqa: N802  (a class's name)
        return arguments

    def GeneratorModel(self, **arguments: Any) -> dict[str, Any]:  # noqa: N802  (a class's name)
        return arguments

    def Generator(self, library: FakeLibrary, **arguments: Any) -> FakeGenerator:  # noqa: N802  (a class's name)
        self.generators.append(FakeGenerator(self._directory, library, **arguments))
        return self.generators[-1]

    def open_engine_library(self, **arguments: Any) -> FakeLibrary:
        self.libraries.append(arguments)
        return FakeLibrary()

    @property
    def namespace(self) -> SimpleNamespace:
        """The module."""
        return SimpleNamespace(
            has_cuda=self.has_cuda,
            Generator=self.Generator,
            GeneratorModel=self.GeneratorModel,
            NativeDecoder=self.NativeDecoder,
            open_engine_library=self.open_engine_library,
        )
