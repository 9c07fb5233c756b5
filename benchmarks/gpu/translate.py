"""Text to text with the demo model: this package and CTranslate2, each with several batches in flight and with one,
generate() of Hugging Face transformers, and NeMo's own modules, side by side on the same weights, tokenizers and beam.

    python benchmarks/gpu/translate.py [--text FILE [--reference FILE]] [--batches 128,32,256,64] [--text-workers N]
        [--batches-in-flight N] [--results FILE]

Times the whole text at several batch sizes, and one sentence of 20 source tokens alone. See README.md in the folder
above for what is equal and what is not.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from command_line import add_run_options, add_text_options, add_tiny_option, names_of, positive_numbers, read_texts
from nmt_trt.build import build
from nmt_trt.demo import demo_archive
from nmt_trt.text.pipeline import TextPipeline
from processes import Worker
from race import Race
from recording import Recorder
from translate_systems import OURS, SYSTEMS, Job

LATENCY_TOKENS = 20
"""Source tokens, special ones included, of the sentence that is translated alone."""
LATENCY_ROUND = 20
"""Calls of one system before it is the next one's turn."""
WARM_CALLS = 10


def main() -> int:
    """Measure; the exit status is 1 when a measurement failed."""
    arguments = _parse_arguments()
    recorder = Recorder(arguments.results, "translate")
    deadline = time.monotonic() + arguments.time_limit
    texts, references = read_texts(arguments)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        directory = Path(folder) / "demo"
        build(demo_archive(), directory, precision="fp32" if arguments.device == "cpu" else "fp16")
        job = Job(
            directory,
            texts,
            arguments.device,
            arguments.beam_size,
            arguments.backend,
            _ranges(arguments),
            arguments.text_workers,
            arguments.batches_in_flight,
        )
        lengths = [len(row) for row in map(job.pipeline().encode, texts)]
        recorder.add_environment(
            text=arguments.text.name,
            sentences=len(texts),
            mean_source_tokens=round(float(np.mean(lengths)), 2),
            longest_source=max(lengths),
            beam=job.beam,
            device=job.device,
            ranges=job.ranges,
            text_workers=job.text_workers,
            batches_in_flight=job.batches_in_flight,
        )
        workers = {name: stack.enter_context(Worker(SYSTEMS[name], job)) for name in arguments.systems}
        race = TranslationRace(workers, recorder, deadline, job, references)
        race.wait_ready()
        race.run_latency(_text_of_length(texts, lengths), arguments.latency_calls)
        for batch in arguments.batches:
            race.run(batch, arguments.repeats, arguments.system_seconds)
    return 1 if recorder.failures else 0


class TranslationRace(Race):
    """Measures the systems by turns; one that fails is left out of that batch size."""

    def __init__(
        self,
        workers: dict[str, Worker],
        recorder: Recorder,
        deadline: float,
        job: Job,
        references: Sequence[str] | None,
    ) -> None:
        """`references` of the job's texts, for BLEU."""
        super().__init__(workers, recorder, deadline)
        self._pipeline: TextPipeline = job.pipeline()
        self._references = references
        self._ours: list[str] | None = None
        """The first translations of this package, with which all others are compared."""

    def run_latency(self, text: str, calls: int) -> None:
        """Record the time of one sentence: rounds of a few calls by turns, `calls` of each system in all."""
        what = "one sentence"
        found: dict[str, list[float]] = {}
        for name in self.workers:
            if self.call(name, what, "latency", text, min(WARM_CALLS, calls)) is not None:
                found[name] = []
        for start in range(0, calls, LATENCY_ROUND):
            if self.time_is_up(f"{what}, call {start}"):
                break
            for name in list(found):
                answer = self.call(name, what, "latency", text, min(LATENCY_ROUND, calls - start))
                if answer is None:
                    del found[name]
                else:
                    found[name] += answer
        ours = median(found[OURS]) if found.get(OURS) else None
        for name, seconds in found.items():
            if not seconds:
                continue
            middle = median(seconds)
            self.recorder.add(
                "latency",
                system=name,
                source_tokens=len(self._pipeline.encode(text)),
                calls=len(seconds),
                median_ms=round(1e3 * middle, 4),
                p90_ms=round(1e3 * float(np.quantile(seconds, 0.9)), 4),
                fastest_ms=round(1e3 * min(seconds), 4),
                ratio=None if ours is None else round(middle / ours, 3),
            )

    def run(self, batch: int, repeats: int, seconds_each: float) -> None:
        """Translate everything at one batch size, `repeats` times, but a system that took more than `seconds_each` not
        again; record the medians."""
        what = f"batch {batch}"
        if self.time_is_up(what):
            return
        described: dict[str, str] = {}
        for name in self.workers:
            answer = self.call(name, what, "prepare", batch)
            if answer is not None:
                described[name] = answer
        seconds: dict[str, list[float]] = {name: [] for name in described}
        translations: dict[str, list[str]] = {}
        for _ in range(repeats):
            for name in [name for name, taken in seconds.items() if sum(taken) <= seconds_each]:
                answer = self.call(name, what, "run", batch)
                if answer is None:
                    del seconds[name]
                else:
                    taken, translations[name] = answer
                    seconds[name].append(taken)
        if self._ours is None:
            self._ours = translations.get(OURS)
        ours = median(seconds[OURS]) if seconds.get(OURS) else None
        for name, taken in seconds.items():
            summary = self._summary(taken, translations[name], ours)
            self.recorder.add("translation", system=name, batch=batch, **summary, runs_on=described[name])

    def _summary(self, seconds: list[float], found: list[str], ours: float | None) -> dict[str, Any]:
        middle, count = median(seconds), len(found)
        tokens = sum(len(self._pipeline.encode_target(text)) for text in found)
        same = None
        if self._ours is not None:
            same = round(sum(map(str.__eq__, found, self._ours)) / count, 4)
        return {
            "seconds": round(middle, 4),
            "fastest": round(min(seconds), 4),
            "slowest": round(max(seconds), 4),
            "repeats": len(seconds),
            "sentences": count,
            "sentences_per_second": round(count / middle, 2),
            "tokens_per_second": round(tokens / middle, 1),
            "ratio": None if ours is None else round(middle / ours, 3),
            "same": same,
            "bleu": self._bleu(found),
        }

    def _bleu(self, found: list[str]) -> float | None:
        if self._references is None:
            return None
        import sacrebleu

        return round(sacrebleu.corpus_bleu(found, [self._references]).score, 3)


def _ranges(arguments: argparse.Namespace) -> dict[str, str]:
    """What nmt_trt's engines are made for: no more than the batch sizes and the beam that are asked for."""
    batch, beam = max(arguments.batches), arguments.beam_size
    return {"batch": f"1:{min(64, batch)}:{batch}", "beam": f"1:{beam}:{beam}", "source": arguments.source_range}


def _text_of_length(texts: Sequence[str], lengths: Sequence[int]) -> str:
    """The first text of LATENCY_TOKENS tokens, or of the nearest number of them."""
    return texts[min(range(len(texts)), key=lambda index: abs(lengths[index] - LATENCY_TOKENS))]


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time whole translations of several systems, side by side.")
    add_text_options(parser, sentences=1000)
    add_run_options(parser)
    parser.add_argument("--systems", type=names_of(SYSTEMS), default=tuple(SYSTEMS), help=f"of {','.join(SYSTEMS)}")
    parser.add_argument("--batches", type=positive_numbers, default=(128, 32, 256, 64), help="batch sizes, by ','")
    parser.add_argument("--beam-size", type=int, default=4)
    parser.add_argument("--source-range", default="1:64:512", help="source tokens that our engines are made for")
    parser.add_argument(
        "--text-workers",
        type=int,
        default=max(1, (os.cpu_count() or 1) // 2),
        help="processes that nmt_trt's tokenizers run in; nmt_trt-serial has none (default: half the cores)",
    )
    parser.add_argument(
        "--batches-in-flight",
        type=int,
        default=2,
        help="batches that nmt_trt and ctranslate2-parallel search at once (default: %(default)s)",
    )
    parser.add_argument("--repeats", type=int, default=5, help="runs of each system at a batch size, by turns")
    parser.add_argument("--system-seconds", type=float, default=25, help="after which a system is not run again there")
    parser.add_argument("--latency-calls", type=int, default=200, help="translations of one sentence")
    add_tiny_option(parser, "few sentences")
    arguments = parser.parse_args()
    for name in ("sentences", "beam_size", "repeats", "latency_calls", "batches_in_flight"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1; given {getattr(arguments, name)}")
    if arguments.text_workers < 0:
        parser.error(f"--text-workers must be at least 0; given {arguments.text_workers}")
    if arguments.tiny:
        arguments.sentences, arguments.batches, arguments.repeats, arguments.latency_calls = 6, (4, 2), 2, 3
    return arguments


if __name__ == "__main__":
    raise SystemExit(main())
