"""The experiment of NVIDIA's original TensorRT NMT project: a 6+6-layer model of width 1024 with random weights,
every sentence generated to its length limit, batches of 8, beam 4. The time of encoder, generator and the whole for
PyTorch (the real NeMo modules and beam search) and for this package, in one run.

    python benchmarks/gpu/experiment.py [--sentences 1000] [--results FILE]

A system that would take too long is stopped after some batches, taken in random order, and its time is scaled up to
all sentences (encoder by sentences, generator by decoder steps); the result says so.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from command_line import add_run_options, add_tiny_option
from experiment_systems import Nemo, Ours, Row, Stages
from processes import Worker
from recording import Recorder
from synthetic import Size, add_size_options, random_row, size_from, write_endless_model

LENGTHS = Path(__file__).with_name("lengths.json")
SIZE = Size(layers=6, hidden=1024, inner=4096, heads=16, vocabulary=32000)
TINY = Size(layers=2, hidden=32, inner=64, heads=4, vocabulary=60)


def main() -> int:
    """Measure; the exit status is 1 when a measurement failed."""
    arguments = _parse_arguments()
    recorder = Recorder(arguments.results, "experiment")
    deadline = time.monotonic() + arguments.time_limit
    size = TINY if arguments.tiny else size_from(arguments)
    lengths = _spread(_text_lengths(arguments.text) if arguments.text else _dev_lengths(), arguments.sentences)
    draw = np.random.default_rng(0)
    rows = [random_row(int(length), size.vocabulary, draw) for length in lengths]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        directory = Path(folder) / "model"
        write_endless_model(directory, size, precision="fp32" if arguments.device == "cpu" else "fp16")
        settings = {name: getattr(arguments, name) for name in ("batch_size", "beam_size", "delta", "device")}
        length = round(float(lengths.mean()), 2)
        recorder.add_environment(size=vars(size), sentences=len(rows), mean_length=length, **settings)
        race = Race(arguments, directory, rows, recorder, deadline)
        race.run(stack)
    return 1 if recorder.failures else 0


class Race:
    """Runs ours, NeMo in half precision, ours again, NeMo in float32, ours again, and records the stage table."""

    def __init__(
        self, arguments: argparse.Namespace, directory: Path, rows: list[Row], recorder: Recorder, deadline: float
    ) -> None:
        """`deadline` in time.monotonic()'s seconds."""
        self._given, self._directory, self._rows = arguments, directory, rows
        self._recorder, self._deadline = recorder, deadline

    def run(self, stack: ExitStack) -> None:
        """Measure everything; what fails is recorded. Workers end with `stack`."""
        given = self._given
        options = (given.batch_size, given.beam_size, given.delta)
        ours = stack.enter_context(Worker(Ours, self._directory, given.device, given.backend, *options))
        runs: list[Stages] = []
        described = ""
        with self._recorder.guard("nmt_trt"):
            ours.wait_ready(self._left())
            described = ours.call("description", timeout=60)
            ours.call("run", self._rows, timeout=self._left())  # warm-up: every shape is met
            runs.append(ours.call("run", self._rows, timeout=self._left()))
        for precision in given.nemo:
            with self._recorder.guard(f"NeMo, {precision}"):
                self._run_nemo(precision)
            if runs:
                with self._recorder.guard("nmt_trt"):
                    runs.append(ours.call("run", self._rows, timeout=self._left()))
        if runs:
            names = ("encoder", "generator", "total")
            medians = {name: median(getattr(one, name) for one in runs) for name in names}
            precision = "fp32" if given.device == "cpu" else "fp16"
            self._record("nmt_trt", precision, replace(runs[0], **medians), described, runs)

    def _run_nemo(self, precision: str) -> None:
        given = self._given
        batches = _batches(self._rows, given.batch_size)
        shuffled = [batches[index] for index in np.random.default_rng(1).permutation(len(batches))]
        seconds = given.fp16_seconds if precision == "fp16" else given.fp32_seconds
        with Worker(Nemo, self._directory, given.device, precision, given.beam_size, given.delta) as nemo:
            nemo.wait_ready(self._left())
            nemo.call("run", shuffled[:3], 30.0, timeout=self._left())  # warm-up
            measured: Stages = nemo.call("run", shuffled, seconds, timeout=self._left())
            described = nemo.call("description", timeout=60)
        steps = sum(_longest(batch) + given.delta for batch in batches)
        self._record("NeMo", precision, _scaled(measured, len(self._rows), steps), described, [measured])

    def _record(self, system: str, precision: str, stages: Stages, described: str, runs: list[Stages]) -> None:
        self._recorder.add(
            "stages",
            system=system,
            precision=precision,
            **asdict(stages),
            measured_sentences=runs[0].sentences,
            runs=[asdict(one) for one in runs],
            runs_on=described,
        )

    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 1.0)


def _scaled(measured: Stages, sentences: int, steps: int) -> Stages:
    """The time of all sentences and decoder steps from that of some: the encoder's and what belongs to no stage by
    sentences, the generator's by steps."""
    by_sentences, by_steps = sentences / measured.sentences, steps / measured.steps
    encoder, generator = measured.encoder * by_sentences, measured.generator * by_steps
    rest = (measured.total - measured.encoder - measured.generator) * by_sentences
    tokens = round(measured.tokens * by_steps)
    return Stages(encoder, generator, encoder + generator + rest, sentences, steps, tokens)


def _batches(rows: Sequence[Row], size: int) -> list[list[Row]]:
    """Batches of sources of similar length."""
    longest_first = sorted(rows, key=lambda row: -row.size)
    return [longest_first[start : start + size] for start in range(0, len(rows), size)]


def _longest(batch: Sequence[Row]) -> int:
    return max(row.size for row in batch)


def _dev_lengths() -> npt.NDArray[np.int64]:
    """The lengths of lengths.json, ascending."""
    counts = json.loads(LENGTHS.read_text())["count_by_length"]
    lengths: npt.NDArray[np.int64] = np.repeat([int(length) for length in counts], list(counts.values()))
    return lengths


def _text_lengths(text: Path) -> npt.NDArray[np.int64]:
    """The lengths of a text's lines for the demo model, ascending."""
    from nmt_trt.demo import demo_directory
    from nmt_trt.model_directory import read_config, read_tokenizer_files
    from nmt_trt.text.pipeline import TextPipeline

    directory = demo_directory()
    config = read_config(directory)
    pipeline = TextPipeline(config, read_tokenizer_files(directory, config))
    lines = [line for line in text.read_text(encoding="utf-8").splitlines() if line.strip()]
    return np.sort(np.array([len(pipeline.encode(line)) for line in lines], dtype=np.int64))


def _spread(lengths: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """`count` of the ascending lengths at equal distances: the same mix."""
    chosen: npt.NDArray[np.int64] = lengths[((np.arange(count) + 0.5) * len(lengths) / count).astype(int)]
    return chosen


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Repeat the experiment of the original TensorRT NMT project.")
    add_run_options(parser, time_limit=460, until="everything is given up")
    parser.add_argument("--text", type=Path, help="take the length mix of its lines instead of lengths.json's")
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--beam-size", type=int, default=4)
    parser.add_argument("--delta", type=int, default=50, help="tokens generated beyond the source's length")
    parser.add_argument("--fp16-seconds", type=float, default=200, help="NeMo in half precision is stopped after these")
    parser.add_argument("--fp32-seconds", type=float, default=45, help="NeMo in float32 is stopped after these")
    add_tiny_option(parser)
    add_size_options(parser, SIZE)
    arguments = parser.parse_args()
    if arguments.sentences < 1:
        parser.error(f"--sentences must be at least 1; given {arguments.sentences}")
    arguments.nemo = ("fp32",) if arguments.device == "cpu" else ("fp16", "fp32")
    return arguments


if __name__ == "__main__":
    raise SystemExit(main())
