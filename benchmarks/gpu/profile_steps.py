"""Where the time of a decoder step goes: torch.profiler around Model.generate, by kernel, with the model of steps.py.

    python benchmarks/gpu/profile_steps.py [--batches 1,8,32,128] [--results FILE]

A step's kernels are those of a run of 64 steps less those of a run of one, divided by 63. Under the profiler a step
takes longer than without: read the shares.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from command_line import add_run_options, add_tiny_option, positive_numbers
from kernel_trace import Trace, family, mean_step, read_trace
from recording import Recorder
from step_systems import Job, Ours, Shape
from steps import SIZE, TINY
from synthetic import add_size_options, size_from, write_endless_model
from table import profile_table

NAME_LENGTH = 400
"""Characters of a kernel's name that are recorded."""


class Profiled(Ours):
    """Model.generate under the profiler."""

    def profile(self) -> Trace:
        """One step of the prepared shape.

        Raises:
            RuntimeError: the profiler saw no kernels on the GPU.
        """
        self._traces(1)  # what the profiler does only once
        step = mean_step(self._traces(self._job.steps), self._traces(1), self._job.steps - 1)
        if not step.kernels and self._job.device != "cpu":
            raise RuntimeError("the profiler's trace shows no kernels of decoder steps")
        return step

    def _traces(self, steps: int) -> list[Trace]:
        self._run(steps)
        return [self._trace(steps) for _ in range(self._job.runs)]

    def _trace(self, steps: int) -> Trace:
        activities = [torch.profiler.ProfilerActivity.CPU]
        if self._job.device != "cpu":
            torch.cuda.synchronize()
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        with torch.profiler.profile(activities=activities) as profile:
            self._run(steps)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "trace.json"
            profile.export_chrome_trace(str(file))
            return read_trace(file)


def main() -> int:
    """Measure; the exit status is 1 when a measurement failed."""
    arguments = _parse_arguments()
    recorder = Recorder(arguments.results, "profile")
    deadline = time.monotonic() + arguments.time_limit
    size = TINY if arguments.tiny else size_from(arguments)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "model"
        write_endless_model(directory, size, precision="fp32" if arguments.device == "cpu" else "fp16")
        ranges = {"batch": arguments.batch_range}
        job = Job(directory, arguments.device, arguments.steps, arguments.runs, arguments.backend, ranges)
        recorder.add_environment(
            size=vars(size), beam=arguments.beam_size, source=arguments.source, steps=job.steps, ranges=ranges
        )
        system = Profiled(job)
        for batch in arguments.batches:
            with recorder.guard(f"batch {batch}"):
                if time.monotonic() > deadline:
                    raise TimeoutError("no time left")
                record_step(recorder, system, Shape(batch, arguments.source, arguments.beam_size))
    print(profile_table(recorder.added))
    return 1 if recorder.failures else 0


def record_step(recorder: Recorder, system: Profiled, shape: Shape) -> None:
    """Profile one shape, and record the step as a whole and each of its kernels."""
    described = system.prepare(shape)
    unprofiled = system.measure()["step"]
    step = system.profile()
    recorder.add(
        "profile",
        **vars(shape),
        step_us=round(step.span_us, 2),
        busy_us=round(step.busy_us, 2),
        gaps_us=round(step.span_us - step.busy_us, 2),
        kernels=round(sum(kernel.count for kernel in step.kernels.values()), 2),
        unprofiled_us=round(1e6 * unprofiled, 2),
        runs_on=described,
    )
    for name, kernel in step.kernels.items():
        recorder.add(
            "kernel",
            **vars(shape),
            name=name[:NAME_LENGTH],
            family=family(name),
            count=round(kernel.count, 3),
            us=round(kernel.us, 3),
            share=round(kernel.us / step.span_us, 4),
        )


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="List the kernels of a decoder step and their times.")
    add_run_options(parser, on_cpu="no kernels, to try the script")
    parser.add_argument("--batches", type=positive_numbers, default=(1, 8, 32, 128), help="batch sizes, by ','")
    parser.add_argument("--batch-range", default="1:8:128", help="of our engines; '{batch}' is the batch at hand")
    parser.add_argument("--beam-size", type=int, default=4)
    parser.add_argument("--source", type=int, default=64, help="tokens of every source")
    parser.add_argument("--steps", type=int, default=64, help="decoder steps of a run")
    parser.add_argument("--runs", type=int, default=3, help="runs that are profiled, and averaged")
    add_tiny_option(parser)
    add_size_options(parser, SIZE)
    arguments = parser.parse_args()
    if arguments.steps < 2:
        parser.error(f"--steps must be at least 2; given {arguments.steps}")
    if arguments.tiny:
        arguments.batches, arguments.source, arguments.steps = (1, 2), 8, 8
    return arguments


if __name__ == "__main__":
    raise SystemExit(main())
