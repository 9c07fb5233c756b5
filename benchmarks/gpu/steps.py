"""The time of one decoder step, everything included: this package, also with TensorRT for its decoder, PyTorch eager
and in a CUDA graph, NeMo's own modules, and CTranslate2, side by side on the same random weights.

    python benchmarks/gpu/steps.py [--batches 8,1,32,128] [--results FILE] [--systems NAME,NAME]

See README.md in the folder above for what is timed and what is equal.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from command_line import add_run_options, add_tiny_option, names_of, positive_numbers
from processes import Worker
from race import Race
from recording import Recorder
from step_systems import OURS, SYSTEMS, Job, Shape
from synthetic import Size, add_size_options, size_from, write_endless_model

SIZE = Size(layers=6, hidden=512, inner=2048, heads=8, vocabulary=32000)
TINY = Size(layers=2, hidden=32, inner=64, heads=4, vocabulary=60, positions=64)
NEEDS_GPU = ("nmt_trt-engines", "torch-graph")


def main() -> int:
    """Measure; the exit status is 1 when a measurement failed."""
    arguments = _parse_arguments()
    recorder = Recorder(arguments.results, "steps")
    deadline = time.monotonic() + arguments.time_limit
    size = TINY if arguments.tiny else size_from(arguments)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        directory = Path(folder) / "model"
        write_endless_model(directory, size, precision="fp32" if arguments.device == "cpu" else "fp16")
        job = Job(
            directory,
            device=arguments.device,
            steps=arguments.steps,
            runs=arguments.runs,
            backend=arguments.backend,
            ranges={"batch": arguments.batch_range},
        )
        recorder.add_environment(
            size=vars(size),
            beam=arguments.beam_size,
            source=arguments.source,
            steps=job.steps,
            device=job.device,
            ranges=job.ranges,
        )
        workers = {name: stack.enter_context(Worker(SYSTEMS[name], job)) for name in arguments.systems}
        race = StepRace(workers, recorder, deadline)
        race.wait_ready()
        for batch in arguments.batches:
            race.run("step", Shape(batch, arguments.source, arguments.beam_size), arguments.repeats)
    return 1 if recorder.failures else 0


class StepRace(Race):
    """Measures the systems' steps by turns; one that fails is left out of that shape."""

    def run(self, kind: str, shape: Shape, repeats: int) -> None:
        """Measure one shape `repeats` times and record each system's median as a result of that kind."""
        what = f"batch {shape.batch}, source {shape.source}, beam {shape.beam}"
        if self.time_is_up(what):
            return
        described: dict[str, str] = {}
        for name in list(self.workers):
            answer = self.call(name, what, "prepare", shape)
            if answer is not None:
                described[name] = answer
        found: dict[str, list[dict[str, float]]] = {name: [] for name in described}
        for _ in range(repeats):
            for name in list(found):
                answer = self.call(name, what, "measure")
                if answer is None:
                    del found[name]
                else:
                    found[name].append(answer)
        ours = _medians(found[OURS])["step"] if OURS in found else None
        for name, measured in found.items():
            medians = _medians(measured)
            fields: dict[str, Any] = {f"{key}_us": round(1e6 * value, 2) for key, value in medians.items()}
            fields["repeats_us"] = [round(1e6 * one["step"], 2) for one in measured]
            fields["ratio"] = None if ours is None else round(medians["step"] / ours, 3)
            self.recorder.add(kind, system=name, **vars(shape), **fields, runs_on=described[name])


def _medians(measured: list[dict[str, float]]) -> dict[str, float]:
    return {key: median(one[key] for one in measured) for key in measured[0]}


def check_step_options(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse numbers of steps that do not suit; leave out systems that the device cannot run."""
    if arguments.steps < 2 or arguments.steps % 2:
        parser.error(f"--steps must be an even number of at least 2; given {arguments.steps}")
    if arguments.device == "cpu":
        arguments.systems = tuple(name for name in arguments.systems if name not in NEEDS_GPU)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time one decoder step of several systems, side by side.")
    add_run_options(parser)
    parser.add_argument("--systems", type=names_of(SYSTEMS), default=tuple(SYSTEMS), help=f"of {','.join(SYSTEMS)}")
    parser.add_argument("--batches", type=positive_numbers, default=(8, 1, 32, 128), help="batch sizes, by ','")
    parser.add_argument("--batch-range", default="1:8:128", help="of our engines; '{batch}' is the batch at hand")
    parser.add_argument("--beam-size", type=int, default=4)
    parser.add_argument("--source", type=int, default=64, help="tokens of every source")
    parser.add_argument("--steps", type=int, default=64, help="decoder steps of a run; an even number")
    parser.add_argument("--runs", type=int, default=5, help="runs of one measurement")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each system, by turns")
    add_tiny_option(parser)
    add_size_options(parser, SIZE)
    arguments = parser.parse_args()
    check_step_options(parser, arguments)
    return arguments


if __name__ == "__main__":
    raise SystemExit(main())
