"""How the time of a decoder step and of a whole batch grows with the batch, the sources' length and the beam: one of
them varied at a time, the others those of the base shape. The model, the systems and the clocks are those of steps.py.

    python benchmarks/gpu/scaling.py [--systems nmt_trt,ctranslate2] [--results FILE]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from command_line import add_run_options, add_tiny_option, names_of, positive_numbers
from processes import Worker
from recording import Recorder
from step_systems import SYSTEMS, Job, Shape
from steps import SIZE, TINY, StepRace, check_step_options
from synthetic import add_size_options, size_from, write_endless_model

BASE = Shape(batch=8, source=64, beam=4)
TINY_BASE = Shape(batch=2, source=8, beam=2)


def main() -> int:
    """Measure; the exit status is 1 when a measurement failed."""
    arguments = _parse_arguments()
    recorder = Recorder(arguments.results, "scaling")
    deadline = time.monotonic() + arguments.time_limit
    size = TINY if arguments.tiny else size_from(arguments)
    base = TINY_BASE if arguments.tiny else BASE
    shapes = shapes_around(base, arguments.batches, arguments.sources, arguments.beams)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        directory = Path(folder) / "model"
        write_endless_model(directory, size, precision="fp32" if arguments.device == "cpu" else "fp16")
        ranges = engine_ranges(base, shapes)
        job = Job(directory, arguments.device, arguments.steps, arguments.runs, arguments.backend, ranges)
        recorder.add_environment(
            size=vars(size), base=vars(base), steps=job.steps, device=job.device, ranges=ranges, shapes=len(shapes)
        )
        workers = {name: stack.enter_context(Worker(SYSTEMS[name], job)) for name in arguments.systems}
        race = StepRace(workers, recorder, deadline)
        race.wait_ready()
        for shape in shapes:
            race.run("point", shape, arguments.repeats)
    return 1 if recorder.failures else 0


def shapes_around(base: Shape, batches: Sequence[int], sources: Sequence[int], beams: Sequence[int]) -> list[Shape]:
    """The base shape, then those that differ from it in one number, each once."""
    shapes = [base]
    shapes += [replace(base, batch=batch) for batch in batches]
    shapes += [replace(base, source=source) for source in sources]
    shapes += [replace(base, beam=beam) for beam in beams]
    return list(dict.fromkeys(shapes))


def engine_ranges(base: Shape, shapes: Sequence[Shape]) -> dict[str, str]:
    """Ranges of nmt_trt's engines that hold all shapes, made for the base."""
    return {name: f"1:{chosen}:{max(getattr(shape, name) for shape in shapes)}" for name, chosen in vars(base).items()}


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time decoder steps and batches over batch size, source and beam.")
    add_run_options(parser)
    parser.add_argument(
        "--systems", type=names_of(SYSTEMS), default=("nmt_trt", "ctranslate2"), help=f"of {','.join(SYSTEMS)}"
    )
    powers = tuple(2**exponent for exponent in range(10))
    parser.add_argument("--batches", type=positive_numbers, default=powers, help="batch sizes, by ','")
    parser.add_argument("--sources", type=positive_numbers, default=powers[3:], help="tokens of a source, by ','")
    parser.add_argument("--beams", type=positive_numbers, default=powers[:5], help="beam sizes, by ','")
    parser.add_argument("--steps", type=int, default=64, help="decoder steps of a run; an even number")
    parser.add_argument("--runs", type=int, default=3, help="runs of one measurement")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each system, by turns")
    add_tiny_option(parser)
    add_size_options(parser, SIZE)
    arguments = parser.parse_args()
    check_step_options(parser, arguments)
    if arguments.tiny:
        arguments.batches, arguments.sources, arguments.beams, arguments.steps = (1, 4), (4, 16), (1, 4), 8
    return arguments


if __name__ == "__main__":
    raise SystemExit(main())
