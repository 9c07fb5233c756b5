"""The systems that steps.py compares. Each is loaded in a process of its own and timed by `measure`, which returns
seconds for one decoder step of a batch, the search included and the encoder not."""

from __future__ import annotations

import tempfile
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

import locations  # noqa: F401  (makes ctranslate2_model importable)
import nmt_trt
from nmt_trt.model_directory import read_config
from synthetic import random_row

LENGTH_PENALTY = 0.6


@dataclass(frozen=True)
class Shape:
    """What is searched together.

    Attributes:
        batch: sentences.
        source: tokens of every source.
        beam: hypotheses a sentence.
    """

    batch: int
    source: int
    beam: int


@dataclass(frozen=True)
class Job:
    """What every system is asked to do.

    Attributes:
        directory: a model directory whose sentences never end (synthetic.py).
        device: "cuda" in half precision, or "cpu" in float32.
        steps: decoder steps: the start token's and those of the tokens 1 to steps - 1.
        runs: timed runs of one measurement, whose median it returns.
        backend: nmt_trt's backend on the GPU.
        ranges: what nmt_trt's engines are made for: options of `load`; "{batch}" stands for the batch at hand.
    """

    directory: Path
    device: str
    steps: int
    runs: int
    backend: str = "auto"
    ranges: dict[str, str] = field(default_factory=dict)

    def rows(self, shape: Shape) -> list[npt.NDArray[np.int32]]:
        """The sources of a batch, the same for every system."""
        draw, vocabulary = np.random.default_rng(shape.batch), read_config(self.directory).encoder.vocab_size
        return [random_row(shape.source, vocabulary, draw) for _ in range(shape.batch)]


def load_ours(directory: Path, device: str, backend: str, precision: str, **options: Any) -> nmt_trt.Model:
    """Load with nmt_trt: TensorRT on the GPU, ONNX Runtime in float32 on the CPU.

    Raises:
        RuntimeError: a GPU was asked for, and the backend that `backend` gave runs on the CPU.
    """
    if device == "cpu":
        return nmt_trt.load(directory, backend="onnxruntime", text_workers=options.get("text_workers", 0))
    model = nmt_trt.load(directory, backend=backend, precision=precision, **options)
    if "onnxruntime" in model.backend.split("(")[0]:
        raise RuntimeError(f"expected a TensorRT backend on the GPU; load gave: {model.backend}")
    return model


class StepSystem(ABC):
    """Loads its model once; `measure` is of the shape that was prepared last."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._shape = Shape(1, 1, 1)

    @abstractmethod
    def prepare(self, shape: Shape) -> str:
        """Make what this shape needs and warm up; returns what runs it."""

    @abstractmethod
    def measure(self) -> dict[str, float]:
        """Seconds of one decoder step (`step`), and what else a system tells."""


class Ours(StepSystem):
    """Model.generate; the time that it reports for its generator, divided by all steps."""

    options: ClassVar[dict[str, str]] = {}

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._ranges: dict[str, str] = {}
        self._model: nmt_trt.Model | None = None

    def prepare(self, shape: Shape) -> str:
        """Load for this batch size and warm up; returns what runs it."""
        self._shape = shape
        wanted = {name: sizes.format(batch=shape.batch) for name, sizes in self._job.ranges.items()}
        if self._model is None or wanted != self._ranges:
            job = self._job
            self._model = load_ours(job.directory, job.device, job.backend, "fp16", **wanted, **self.options)
            self._ranges = wanted
        for _ in range(2):
            self._run(self._job.steps)
        return self._model.backend

    def measure(self) -> dict[str, float]:
        """Seconds a step, the same by difference with a run of one step (`by_difference`), and those of everything from
        ids to ids (`whole`)."""
        self._run(self._job.steps)
        runs = [self._run(self._job.steps) for _ in range(self._job.runs)]
        self._run(1)
        short = median(self._run(1)[1] for _ in range(self._job.runs))
        whole = median(whole for _, whole in runs)
        return {
            "step": median(generator for generator, _ in runs) / self._job.steps,
            "by_difference": (whole - short) / (self._job.steps - 1),
            "whole": whole,
        }

    def _run(self, steps: int) -> tuple[float, float]:
        assert self._model is not None
        rows = self._job.rows(self._shape)
        started = time.perf_counter()
        result = self._model.generate(
            rows,
            beam_size=self._shape.beam,
            batch_size=self._shape.batch,
            max_length=steps,
            max_length_delta=-1,
            length_penalty=LENGTH_PENALTY,
        )
        whole = time.perf_counter() - started
        _check_lengths([len(tokens) for tokens in result.sequences], steps)
        return result.timings.generator, whole


class OursOnEngines(Ours):
    """The same with TensorRT's engines for the decoder."""

    options: ClassVar[dict[str, str]] = {"decoder": "engines"}


class PyTorchEager(StepSystem):
    """torch_decoder.py, one operator after the other."""

    captured = False

    def __init__(self, job: Job) -> None:
        import torch

        from torch_decoder import load_transformer

        super().__init__(job)
        self._torch = torch
        self._model = load_transformer(job.directory, job.device, torch.float32 if job.device == "cpu" else torch.half)
        self._search: Any = None

    def prepare(self, shape: Shape) -> str:
        """Make the search's tensors for this shape, and the graph if there is one; warm up."""
        from torch_decoder import StaticSearch

        self._shape, self._search = shape, None
        with self._torch.inference_mode():
            self._search = StaticSearch(
                self._model,
                batch=shape.batch,
                beam=shape.beam,
                steps=self._job.steps,
                length_penalty=LENGTH_PENALTY,
            )
            ids = self._torch.from_numpy(np.stack(self._job.rows(self._shape))).long().to(self._job.device)
            lengths = self._torch.full((shape.batch,), shape.source, device=self._job.device)
            self._search.encode(ids, lengths)
            if self.captured:
                self._search.capture()
            self._run()
        _check_lengths([len(row) for row in self._search.sequences()], self._job.steps)
        return f"torch {self._torch.__version__}"

    def measure(self) -> dict[str, float]:
        """Seconds a step: the whole search, divided by all steps."""
        with self._torch.inference_mode():
            self._run()
            return {"step": median(self._run() for _ in range(self._job.runs)) / self._job.steps}

    def _run(self) -> float:
        self._synchronize()
        started = time.perf_counter()
        self._search.run()
        self._synchronize()
        return time.perf_counter() - started

    def _synchronize(self) -> None:
        if self._job.device != "cpu":
            self._torch.cuda.synchronize()


class PyTorchGraph(PyTorchEager):
    """torch_decoder.py, captured in a CUDA graph of two steps."""

    captured = True


class Nemo(StepSystem):
    """NeMo's own modules and beam search."""

    def __init__(self, job: Job) -> None:
        import torch

        from nemo_model import NemoTranslator

        super().__init__(job)
        self._model = NemoTranslator(job.directory, job.device, torch.float32 if job.device == "cpu" else torch.half)
        self._version = torch.__version__

    def prepare(self, shape: Shape) -> str:
        """Warm up."""
        self._shape = shape
        self._run()
        return f"NeMo 1.23.0 on torch {self._version}"

    def measure(self) -> dict[str, float]:
        """Seconds a step: the whole search, divided by all steps."""
        return {"step": median(self._run() for _ in range(self._job.runs))}

    def _run(self) -> float:
        taken = self._model.translate(
            self._job.rows(self._shape),
            beam_size=self._shape.beam,
            length_penalty=LENGTH_PENALTY,
            max_length_delta=-1,
            max_length=self._job.steps,
        )
        _check_lengths([taken.steps], self._job.steps)
        return taken.generator / taken.steps


class CTranslate2(StepSystem):
    """CTranslate2 on the same weights; by difference, for it does not tell its encoder's time."""

    def __init__(self, job: Job) -> None:
        import ctranslate2

        from ctranslate2_model import token_string, write_ctranslate2_model

        self._job, self._string = job, token_string
        with tempfile.TemporaryDirectory() as folder:
            write_ctranslate2_model(job.directory, Path(folder))
            compute_type = "float32" if job.device == "cpu" else "float16"
            self._translator = ctranslate2.Translator(folder, device=job.device, compute_type=compute_type)
        self._version = f"CTranslate2 {ctranslate2.__version__}, {self._translator.compute_type}"

    def prepare(self, shape: Shape) -> str:
        """Warm up."""
        self._shape = shape
        for steps in (1, self._job.steps):
            self._run(steps)
        return self._version

    def measure(self) -> dict[str, float]:
        """Seconds a step: all steps but the first, by difference with a run of one step; and those of everything
        (`whole`)."""
        self._run(self._job.steps)
        whole, short = (median(self._run(steps) for _ in range(self._job.runs)) for steps in (self._job.steps, 1))
        return {"step": (whole - short) / (self._job.steps - 1), "whole": whole}

    def _run(self, steps: int) -> float:
        sources = [[self._string(token) for token in row] for row in self._job.rows(self._shape)]
        started = time.perf_counter()
        results = self._translator.translate_batch(
            sources,
            beam_size=self._shape.beam,
            length_penalty=LENGTH_PENALTY,
            min_decoding_length=steps,
            max_decoding_length=steps,
            max_input_length=0,
        )
        taken = time.perf_counter() - started
        _check_lengths([len(result.hypotheses[0]) for result in results], steps)
        return taken


def _check_lengths(lengths: list[int], steps: int) -> None:
    """Every sentence must have run to its limit, or the time of a step is wrong."""
    if set(lengths) != {steps}:
        raise RuntimeError(f"expected {steps} tokens of every sentence; found {sorted(set(lengths))}")


SYSTEMS: dict[str, type[StepSystem]] = {
    "nmt_trt": Ours,
    "nmt_trt-engines": OursOnEngines,
    "torch-graph": PyTorchGraph,
    "torch-eager": PyTorchEager,
    "nemo": Nemo,
    "ctranslate2": CTranslate2,
}
OURS = next(iter(SYSTEMS))
