"""The systems that experiment.py compares: whole translations from ids to ids, with the time of each stage."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import nmt_trt
from step_systems import LENGTH_PENALTY, load_ours

Row = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Stages:
    """Seconds of one run, and what was done in them.

    Attributes:
        encoder, generator, total: seconds; the total is from lists of ids to lists of ids.
        sentences: source sentences that were translated.
        steps: decoder steps, added up over batches; 0 where the system does not tell.
        tokens: tokens of the best hypotheses.
    """

    encoder: float = 0.0
    generator: float = 0.0
    total: float = 0.0
    sentences: int = 0
    steps: int = 0
    tokens: int = 0


class Ours:
    """Model.generate over all rows at once; it cuts its batches itself."""

    def __init__(self, directory: Path, device: str, backend: str, batch: int, beam: int, delta: int) -> None:
        self._options = (batch, beam, delta)
        self._model: nmt_trt.Model = load_ours(directory, device, backend, "fp16")

    def description(self) -> str:
        """What runs it."""
        return self._model.backend

    def run(self, rows: Sequence[Row]) -> Stages:
        """Translate all rows."""
        batch, beam, delta = self._options
        started = time.perf_counter()
        result = self._model.generate(
            list(rows), batch_size=batch, beam_size=beam, max_length_delta=delta, length_penalty=LENGTH_PENALTY
        )
        sequences = [tokens.tolist() for tokens in result.sequences]
        total = time.perf_counter() - started
        for row, tokens in zip(rows, sequences, strict=True):
            if len(tokens) != row.size + delta:
                raise RuntimeError(f"a source of {row.size} gave {len(tokens)} tokens; expected {row.size + delta}")
        return Stages(
            result.timings.encoder, result.timings.generator, total, len(rows), tokens=sum(map(len, sequences))
        )


class Nemo:
    """NeMo's own modules and search, batch by batch."""

    def __init__(self, directory: Path, device: str, precision: str, beam: int, delta: int) -> None:
        import torch

        from nemo_model import NemoTranslator

        self._options = (beam, delta)
        self._torch = torch.__version__
        dtype = {"fp16": torch.half, "fp32": torch.float32}[precision]
        self._model = NemoTranslator(directory, device, dtype)

    def description(self) -> str:
        """What runs it."""
        return f"NeMo 1.23.0 on torch {self._torch}"

    def run(self, batches: Sequence[Sequence[Row]], seconds: float) -> Stages:
        """Translate batch after batch until all are done or `seconds` have passed; at least one is."""
        beam, delta = self._options
        encoder = generator = 0.0
        sentences = steps = tokens = 0
        started = time.perf_counter()
        for batch in batches:
            taken = self._model.translate(batch, beam_size=beam, length_penalty=LENGTH_PENALTY, max_length_delta=delta)
            words: list[list[int]] = taken.tokens[:, 1:].tolist()
            longest = max(row.size for row in batch)
            if taken.steps != longest + delta:
                raise RuntimeError(f"sources of up to {longest} gave {taken.steps} steps; expected {longest + delta}")
            encoder, generator = encoder + taken.encoder, generator + taken.generator
            sentences, steps, tokens = sentences + len(batch), steps + taken.steps, tokens + sum(map(len, words))
            if time.perf_counter() - started > seconds:
                break
        return Stages(encoder, generator, time.perf_counter() - started, sentences, steps, tokens)
