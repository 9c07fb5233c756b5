"""The systems that translate.py compares: each is loaded in a process of its own, and translates texts to texts."""

from __future__ import annotations

import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import locations  # noqa: F401  (makes ctranslate2_model and huggingface_model importable)
from nmt_trt.model_directory import read_config, read_tokenizer_files
from nmt_trt.options import make_options
from nmt_trt.runtime.batching import plan_batches
from nmt_trt.text.pipeline import TextPipeline
from step_systems import load_ours

Row = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Job:
    """What every system is asked to do.

    Attributes:
        directory: a model directory with tokenizers.
        texts: the sources, none of them blank.
        device: "cuda" in half precision, or "cpu" in float32.
        beam: hypotheses a sentence.
        backend: nmt_trt's backend on the GPU.
        ranges: what nmt_trt's engines are made for: options of `load`.
        text_workers: processes that nmt_trt's tokenizers run in; 0: its own.
        batches_in_flight: batches that nmt_trt and ctranslate2-parallel search at once.
    """

    directory: Path
    texts: list[str]
    device: str
    beam: int
    backend: str = "auto"
    ranges: dict[str, str] = field(default_factory=dict)
    text_workers: int = 0
    batches_in_flight: int = 1

    def pipeline(self) -> TextPipeline:
        """The model's text handling."""
        config = read_config(self.directory)
        return TextPipeline(config, read_tokenizer_files(self.directory, config))


class System(ABC):
    """Loads its model once; what `run` and `latency` time begins and ends with text."""

    description: str

    def __init__(self, job: Job) -> None:
        self.job = job

    @abstractmethod
    def translate(self, texts: Sequence[str], batch_size: int) -> list[str]:
        """Translate texts, `batch_size` of them together at most."""

    def prepare(self, batch_size: int) -> str:
        """Warm up with one whole run, so that every shape is met; returns what runs it."""
        self.translate(self.job.texts, batch_size)
        return self.description

    def run(self, batch_size: int) -> tuple[float, list[str]]:
        """Seconds for all texts, and their translations."""
        started = time.perf_counter()
        translations = self.translate(self.job.texts, batch_size)
        return time.perf_counter() - started, translations

    def latency(self, text: str, calls: int) -> list[float]:
        """Seconds of each of `calls` translations of one text."""
        seconds = []
        for _ in range(calls):
            started = time.perf_counter()
            self.translate([text], 1)
            seconds.append(time.perf_counter() - started)
        return seconds


class Ours(System):
    """Model.translate, its texts in `text_workers` processes of their own, with `batches_in_flight`."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        parallel = {"text_workers": job.text_workers, "batches_in_flight": job.batches_in_flight}
        self._model = load_ours(job.directory, job.device, job.backend, "fp16", **parallel, **job.ranges)
        self.description = f"{self._model.backend}, text_workers={job.text_workers}"

    def translate(self, texts: Sequence[str], batch_size: int) -> list[str]:
        """Translate texts; batches are cut by the model."""
        return self._model.translate(texts, beam_size=self.job.beam, batch_size=batch_size)


class OursSerially(Ours):
    """Model.translate, its texts one after the other in its own process, as all other systems have them, and batches
    one after the other.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(replace(job, text_workers=0, batches_in_flight=1))


class IdSystem(System):
    """A system that takes and gives ids: around it the model's own tokenizers, and batches sorted by length."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._pipeline = job.pipeline()
        self.config = read_config(job.directory)
        self.length_penalty = self.config.generation.length_penalty

    @abstractmethod
    def search(self, rows: Sequence[Row], max_length: int) -> list[list[int]]:
        """The best hypotheses of one batch, of at most `max_length` tokens with EOS, without special tokens."""

    def search_all(self, batches: Sequence[tuple[Sequence[Row], int]]) -> list[list[list[int]]]:
        """`search` of each batch and length."""
        return [self.search(rows, max_length) for rows, max_length in batches]

    def translate(self, texts: Sequence[str], batch_size: int) -> list[str]:
        """Tokenize, search batch after batch, detokenize."""
        options = make_options(beam_size=self.job.beam, batch_size=batch_size).resolve(self.config)
        rows = [np.asarray(self._pipeline.encode(text), dtype=np.int32) for text in texts]
        found: list[str] = [""] * len(rows)
        planned = plan_batches([row.size for row in rows], options)
        batches = [[rows[index] for index in batch] for batch in planned]
        limits = [max(options.length_limit(row.size) for row in batch) for batch in batches]
        for batch, hypotheses in zip(planned, self.search_all(list(zip(batches, limits, strict=True))), strict=True):
            for index, tokens in zip(batch, hypotheses, strict=True):
                found[index] = self._pipeline.decode(tokens)
        return found


class CTranslate2(IdSystem):
    """CTranslate2 with the converted weights."""

    def __init__(self, job: Job, replicas: int = 1) -> None:
        super().__init__(job)
        import ctranslate2

        from ctranslate2_model import token_id, token_string, write_ctranslate2_model

        with tempfile.TemporaryDirectory() as folder:
            write_ctranslate2_model(job.directory, Path(folder))
            compute_type = "float32" if job.device == "cpu" else "float16"
            self._translator = ctranslate2.Translator(
                folder, device=job.device, compute_type=compute_type, inter_threads=replicas
            )
        self._id, self._string = token_id, token_string
        self.description = f"CTranslate2 {ctranslate2.__version__}, {self._translator.compute_type}"

    def search(self, rows: Sequence[Row], max_length: int) -> list[list[int]]:
        """translate_batch."""
        return self._ids(self._translate_batch(rows, max_length, asynchronous=False))

    def _translate_batch(self, rows: Sequence[Row], max_length: int, *, asynchronous: bool) -> Any:
        return self._translator.translate_batch(
            [[self._string(token) for token in row] for row in rows],
            beam_size=self.job.beam,
            length_penalty=self.length_penalty,
            min_decoding_length=0,
            max_decoding_length=max_length,
            max_input_length=0,
            asynchronous=asynchronous,
        )

    def _ids(self, results: Iterable[Any]) -> list[list[int]]:
        return [[self._id(token) for token in result.hypotheses[0]] for result in results]


class CTranslate2Parallel(CTranslate2):
    """The same with `batches_in_flight` replicas of the model, which take all batches at once."""

    def __init__(self, job: Job) -> None:
        super().__init__(job, job.batches_in_flight)
        self.description += f", inter_threads={job.batches_in_flight}"

    def search_all(self, batches: Sequence[tuple[Sequence[Row], int]]) -> list[list[list[int]]]:
        """translate_batch of all, and then what each of them gave."""
        begun = [self._translate_batch(rows, max_length, asynchronous=True) for rows, max_length in batches]
        return [self._ids(result.result() for result in results) for results in begun]


class EagerSystem(IdSystem):
    """PyTorch without graphs or compilation, which has little to make for a shape."""

    def prepare(self, batch_size: int) -> str:
        """Warm up with the longest batch and the shortest; returns what runs it."""
        by_length = sorted(self.job.texts, key=len)
        for part in (by_length[-batch_size:], by_length[:batch_size]):
            self.translate(part, batch_size)
        return self.description


class HuggingFace(EagerSystem):
    """generate() of transformers with the converted weights."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        import torch
        import transformers

        from huggingface_model import HuggingFaceTranslator

        dtype = torch.float32 if job.device == "cpu" else torch.half
        self._model = HuggingFaceTranslator(job.directory, job.device, dtype)
        self.description = f"transformers {transformers.__version__} on torch {torch.__version__}, {dtype}"

    def search(self, rows: Sequence[Row], max_length: int) -> list[list[int]]:
        """generate()."""
        return self._model.translate(
            rows, beam_size=self.job.beam, length_penalty=self.length_penalty, max_length=max_length
        )


class Nemo(EagerSystem):
    """NeMo's own modules and beam search."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        import torch

        from nemo_model import NemoTranslator

        dtype = torch.float32 if job.device == "cpu" else torch.half
        self._model = NemoTranslator(job.directory, job.device, dtype)
        self.description = f"NeMo 1.23.0 on torch {torch.__version__}, {dtype}"

    def search(self, rows: Sequence[Row], max_length: int) -> list[list[int]]:
        """BeamSearchSequenceGenerator; it limits the length by the longest source of the batch itself."""
        taken = self._model.translate(
            rows,
            beam_size=self.job.beam,
            length_penalty=self.length_penalty,
            max_length_delta=max_length - max(row.size for row in rows),
        )
        tokens = self.config.special_tokens
        ends = (tokens.pad, tokens.eos)
        return [[token for token in row if token not in ends] for row in taken.tokens[:, 1:].tolist()]


SYSTEMS: dict[str, type[System]] = {
    "nmt_trt": Ours,
    "nmt_trt-serial": OursSerially,
    "ctranslate2": CTranslate2,
    "ctranslate2-parallel": CTranslate2Parallel,
    "huggingface": HuggingFace,
    "nemo": Nemo,
}
OURS = next(iter(SYSTEMS))
