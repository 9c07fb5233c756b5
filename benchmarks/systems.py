"""The systems that cpu.py compares: each makes the same translations from the same weights and the same token ids."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

import nmt_trt
from nmt_trt.model_directory import read_config, read_weights
from nmt_trt.options import ResolvedOptions, make_options
from nmt_trt.runtime.batching import plan_batches

Sequences = list[list[int]]


@dataclass(frozen=True)
class Job:
    """What every system is asked to do.

    Attributes:
        directory: the model directory.
        rows: the encoder's input of each sentence, int32, special tokens included.
        options: names and values of GenerationOptions.
        threads: CPU threads to use.
    """

    directory: Path
    rows: list[npt.NDArray[np.int32]]
    options: dict[str, Any]
    threads: int

    def resolved(self) -> ResolvedOptions:
        """The options with the model's defaults filled in."""
        return make_options(**self.options).resolve(read_config(self.directory))

    def batches(self) -> list[list[int]]:
        """The sentences of each batch: what Model.generate plans, given to all systems."""
        return plan_batches([row.size for row in self.rows], self.resolved())


class System(Protocol):
    """Loads its model once; `run` is what is timed."""

    def __init__(self, job: Job) -> None: ...

    def run(self) -> None:
        """Translate every sentence."""

    def sequences(self) -> Sequences:
        """The best hypotheses of the last run without special tokens, in the input's order."""


class Ours:
    """Model.generate on ONNX Runtime."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.model = nmt_trt.load(job.directory, backend="onnxruntime", threads=job.threads)
        self._found: list[npt.NDArray[np.int32]] = []

    def run(self) -> None:
        """Translate every sentence."""
        self._found = self.model.generate(self.job.rows, **self.job.options).sequences

    def sequences(self) -> Sequences:
        """The best hypotheses of the last run."""
        return [tokens.tolist() for tokens in self._found]


class PyTorchNemoCaching:
    """Eager PyTorch with NeMo's caching: nemo_caching.py."""

    def __init__(self, job: Job) -> None:
        import torch

        from nemo_caching import CachingTransformer, beam_search

        torch.set_num_threads(job.threads)
        self._model = CachingTransformer(read_config(job.directory), read_weights(job.directory))
        self._search = beam_search
        self._job = job
        self._options = job.resolved()
        self._found: Sequences = []

    def run(self) -> None:
        """Translate every sentence."""
        rows, found = self._job.rows, dict[int, list[int]]()
        for batch in self._job.batches():
            sequences = self._search(self._model, [rows[index] for index in batch], self._options)
            found.update(zip(batch, sequences, strict=True))
        self._found = [found[index] for index in range(len(rows))]

    def sequences(self) -> Sequences:
        """The best hypotheses of the last run."""
        return self._found


class CTranslate2:
    """CTranslate2 with the converted weights; ids become its token strings before the clock starts."""

    def __init__(self, job: Job) -> None:
        import ctranslate2

        from ctranslate2_model import token_string, write_ctranslate2_model

        with tempfile.TemporaryDirectory() as folder:
            write_ctranslate2_model(job.directory, Path(folder))
            self._translator = ctranslate2.Translator(
                folder, device="cpu", compute_type="float32", inter_threads=1, intra_threads=job.threads
            )
        self._options = job.resolved()
        self._batches = [
            (
                batch,
                [[token_string(token) for token in job.rows[index]] for index in batch],
                max(self._options.length_limit(job.rows[index].size) for index in batch),
            )
            for batch in job.batches()
        ]
        self._found: dict[int, list[str]] = {}

    def run(self) -> None:
        """Translate every sentence."""
        for batch, sources, limit in self._batches:
            results = self._translator.translate_batch(
                sources,
                beam_size=self._options.beam_size,
                length_penalty=self._options.length_penalty,
                min_decoding_length=0,
                max_decoding_length=limit,
                max_input_length=0,
            )
            self._found.update(zip(batch, (result.hypotheses[0] for result in results), strict=True))

    def sequences(self) -> Sequences:
        """The best hypotheses of the last run."""
        from ctranslate2_model import token_id

        return [[token_id(token) for token in self._found[index]] for index in range(len(self._found))]


class HuggingFace:
    """generate() of transformers with the converted weights."""

    def __init__(self, job: Job) -> None:
        import torch

        from huggingface_model import HuggingFaceTranslator

        torch.set_num_threads(job.threads)
        self._model = HuggingFaceTranslator(job.directory, "cpu", torch.float32)
        self._job = job
        self._options = job.resolved()
        self._found: dict[int, list[int]] = {}

    def run(self) -> None:
        """Translate every sentence."""
        for batch in self._job.batches():
            rows = [self._job.rows[index] for index in batch]
            sequences = self._model.translate(
                rows,
                beam_size=self._options.beam_size,
                length_penalty=self._options.length_penalty,
                max_length=max(self._options.length_limit(row.size) for row in rows),
            )
            self._found.update(zip(batch, sequences, strict=True))

    def sequences(self) -> Sequences:
        """The best hypotheses of the last run."""
        return [self._found[index] for index in range(len(self._found))]


SYSTEMS: dict[str, type[System]] = {
    "nmt_trt": Ours,
    "PyTorch, NeMo cache": PyTorchNemoCaching,
    "Hugging Face": HuggingFace,
    "CTranslate2": CTranslate2,
}
OURS = next(iter(SYSTEMS))
