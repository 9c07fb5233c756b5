"""Shows how far a build of engines is."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from nmt_trt.cli.console import can_show_progress
from nmt_trt.engines.plan_spec import PlanSpec


class EngineProgress:
    """A bar over the plans of a build, which names the plan and the phase that it is in."""

    def __init__(self, *, quiet: bool) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not can_show_progress(quiet=quiet),
        )
        self._task = self._bar.add_task("building engines", total=None)
        self._plan = ""

    def started(self, spec: PlanSpec, number: int, count: int) -> None:
        """A plan is looked for, and built if need be."""
        self._plan = spec.key()
        self._bar.update(self._task, description=self._plan, completed=number - 1, total=count)

    def step(self, phase: str, done: int, steps: int) -> None:
        """TensorRT has done a step of a phase of its build."""
        self._bar.update(self._task, description=f"{self._plan}: {phase.lower()} {done}/{steps}")

    def __enter__(self) -> EngineProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
