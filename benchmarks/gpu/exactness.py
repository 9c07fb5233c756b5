"""Do TensorRT's translations equal the CPU's, and do they depend on the batch?

    python benchmarks/gpu/exactness.py [--model DIR] [--text FILE] [--reference FILE] [--results FILE]

Compares ids with those of the ONNX Runtime backend in float32, sentence by sentence; rescores every difference of
float32 in float64 (rescoring.py); translates the same sentences shuffled and cut into other batches, also with
deterministic=True; and computes BLEU against a reference, if there is one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

import nmt_trt
from command_line import add_run_options, add_text_options, read_texts
from nmt_trt.build import build
from nmt_trt.demo import demo_archive
from nmt_trt.model_directory import read_config, read_tokenizer_files
from nmt_trt.options import ResolvedOptions, make_options
from nmt_trt.text.pipeline import TextPipeline
from recording import Recorder
from rescoring import Rescorer
from step_systems import load_ours
from synthetic import random_row

Row = npt.NDArray[np.int32]
SHUFFLES = ((1, 8), (2, 32), (3, 5))
"""Seed and batch size of each time that the sentences are shuffled and cut anew."""
RESCORED = 100
"""Differences of one comparison that are rescored, at most."""


@dataclass(frozen=True)
class Found:
    """What one run gave, by sentence: the best hypothesis's tokens, its normalised score; and the run's seconds."""

    tokens: list[tuple[int, ...]]
    scores: list[float]
    seconds: float

    def differing(self, other: Found) -> list[int]:
        """Sentences whose tokens differ."""
        return [index for index, (one, two) in enumerate(zip(self.tokens, other.tokens, strict=True)) if one != two]

    def differing_scores(self, other: Found) -> int:
        """How many sentences have scores that are not the same to the last bit."""
        return sum(one != two for one, two in zip(self.scores, other.scores, strict=True))

    def largest_score_difference(self, other: Found) -> float:
        """Over the sentences whose tokens are the same."""
        pairs = zip(self.scores, other.scores, self.tokens, other.tokens, strict=True)
        return max((abs(one - two) for one, two, first, second in pairs if first == second), default=0.0)


class Comparison:
    """The stage: sentences, their translations on the CPU, and everything that is compared with them."""

    def __init__(self, arguments: argparse.Namespace, directory: Path, recorder: Recorder) -> None:
        self._given, self._directory, self._recorder = arguments, directory, recorder
        self._deadline = time.monotonic() + arguments.time_limit
        config = read_config(directory)
        self._text = None
        if config.text is not None:
            self._text = TextPipeline(config, read_tokenizer_files(directory, config))
        self.rows, self._references = self._read()
        self._options: ResolvedOptions = make_options(beam_size=arguments.beam_size).resolve(config)
        self._rescorer: Rescorer | None = None

    def run(self) -> None:
        """Compare all precisions; what fails is recorded."""
        cpu = nmt_trt.load(self._directory, backend="onnxruntime")
        expected = self._translate(cpu, self.rows)
        self._recorder.add("reference", runs_on=cpu.backend, **self._summary(expected))
        for precision in self._given.precisions:
            with self._recorder.guard(precision):
                model = load_ours(self._directory, self._given.device, self._given.backend, precision)
                self._translate(model, self.rows)  # warm-up: engines are made, kernels compiled
                found = self._translate(model, self.rows)
                self._compare("precision", precision, expected, found, runs_on=model.backend, **self._summary(found))
                with self._recorder.guard(f"{precision}, other batches"):
                    self._compare_batches(model, precision, found, deterministic=False)
                with self._recorder.guard(f"{precision}, deterministic"):
                    alone = self._translate(model, self.rows, deterministic=True)
                    self._compare_batches(model, precision, alone, deterministic=True)

    def _compare_batches(self, model: nmt_trt.Model, precision: str, expected: Found, *, deterministic: bool) -> None:
        for seed, size in SHUFFLES:
            if time.monotonic() > self._deadline:
                raise TimeoutError(f"no time left for batches of {size}, seed {seed}")
            found = self._translate_shuffled(model, seed, size, deterministic)
            settings = {"batch_size": size, "seed": seed, "deterministic": deterministic}
            self._compare("batches", precision, expected, found, **settings, seconds=round(found.seconds, 3))

    def _compare(self, kind: str, precision: str, expected: Found, found: Found, **fields: object) -> None:
        """Record the share of identical sentences; in float32 also every difference, rescored."""
        differing = expected.differing(found)
        count = len(self.rows)
        if precision == "fp32":
            fields["near_ties"] = sum(self._rescore(index, expected, found) for index in differing[:RESCORED])
        self._recorder.add(
            kind,
            precision=precision,
            sentences=count,
            identical=count - len(differing),
            share=round((count - len(differing)) / count, 6),
            score_bits_differ=expected.differing_scores(found),
            largest_score_difference=expected.largest_score_difference(found),
            **fields,
        )

    def _rescore(self, index: int, expected: Found, found: Found) -> bool:
        """Record one difference; returns whether it is a near-tie."""
        if self._rescorer is None:
            torch.set_num_threads(1)  # products too small to be shared
            self._rescorer = Rescorer(self._directory, self._options)
        first, second = expected.tokens[index], found.tokens[index]
        difference = self._rescorer.compare(self.rows[index], first, second)
        self._recorder.add(
            "difference",
            sentence=index,
            expected=first,
            found=second,
            scores=difference.scores,
            score_difference=difference.score_difference,
            margin=difference.margin,
            near_tie=difference.near_tie,
        )
        return difference.near_tie

    def _translate(self, model: nmt_trt.Model, rows: Sequence[Row], *, deterministic: bool = False) -> Found:
        started = time.perf_counter()
        result = model.generate(
            list(rows), beam_size=self._given.beam_size, batch_size=self._given.batch_size, deterministic=deterministic
        )
        tokens = [tuple(sequence.tolist()) for sequence in result.sequences]
        return Found(tokens, [best[0].score for best in result.hypotheses], time.perf_counter() - started)

    def _translate_shuffled(self, model: nmt_trt.Model, seed: int, size: int, deterministic: bool) -> Found:
        """Batches of `size` sentences of any length, each a call of its own; results in the usual order."""
        order = np.random.default_rng(seed).permutation(len(self.rows))
        tokens: list[tuple[int, ...]] = [()] * len(order)
        scores, started = [0.0] * len(order), time.perf_counter()
        for start in range(0, len(order), size):
            chosen = [int(index) for index in order[start : start + size]]
            result = model.generate(
                [self.rows[index] for index in chosen],
                beam_size=self._given.beam_size,
                batch_size=size,
                deterministic=deterministic,
            )
            for index, best in zip(chosen, result.hypotheses, strict=True):
                tokens[index], scores[index] = tuple(best[0].tokens.tolist()), best[0].score
        return Found(tokens, scores, time.perf_counter() - started)

    def _summary(self, found: Found) -> dict[str, float]:
        """Seconds, and BLEU if there is a reference."""
        summary = {"seconds": round(found.seconds, 3)}
        if self._references is not None and self._text is not None:
            import sacrebleu

            hypotheses = [self._text.decode(tokens) for tokens in found.tokens]
            summary["bleu"] = round(sacrebleu.corpus_bleu(hypotheses, [self._references]).score, 3)
        return summary

    def _read(self) -> tuple[list[Row], list[str] | None]:
        """Sources, and references if there are any; a model without tokenizer gets random ids."""
        given = self._given
        if self._text is None:
            draw, encoder = np.random.default_rng(0), read_config(self._directory).encoder
            lengths = draw.integers(3, min(60, encoder.max_positions // 2), given.sentences)
            return [random_row(int(length), encoder.vocab_size, draw) for length in lengths], None
        texts, references = read_texts(given)
        return [np.asarray(self._text.encode(text), dtype=np.int32) for text in texts], references


def main() -> int:
    """Compare; the exit status is 1 when a comparison failed to run."""
    arguments = _parse_arguments()
    recorder = Recorder(arguments.results, "exactness")
    with tempfile.TemporaryDirectory() as folder:
        directory = arguments.model
        if directory is None:
            directory = Path(folder) / "demo"
            build(demo_archive(), directory, precision="fp16")
        comparison = Comparison(arguments, directory, recorder)
        recorder.add_environment(
            model=str(arguments.model or "demo"),
            text=arguments.text.name,
            sentences=len(comparison.rows),
            beam=arguments.beam_size,
            batch_size=arguments.batch_size,
        )
        with recorder.guard("reference"):
            comparison.run()
    return 1 if recorder.failures else 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare TensorRT's translations with the CPU's.")
    parser.add_argument("--model", type=Path, help="a model directory with fp16 graphs; the demo model by default")
    add_text_options(parser, sentences=2000)
    add_run_options(parser, on_cpu="ONNX Runtime with itself", time_limit=400)
    parser.add_argument("--precisions", type=lambda text: tuple(text.split(",")), default=("fp32", "fp16"))
    parser.add_argument("--beam-size", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32)
    arguments = parser.parse_args()
    if arguments.sentences < 1:
        parser.error(f"--sentences must be at least 1; given {arguments.sentences}")
    if arguments.device == "cpu":
        arguments.precisions = ("fp32",)
    return arguments


if __name__ == "__main__":
    raise SystemExit(main())
