"""Follows a plan's build, and stops it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

Progress = Callable[[str, int, int], None]
"""Called with a phase of a build, the steps done and the steps there are; from another thread."""
Result = TypeVar("Result")


def make_monitor(module: Any, cancelled: threading.Event, progress: Progress | None) -> Any:
    """An IProgressMonitor that reports every step and ends the build once `cancelled` is set."""

    class Monitor(module.IProgressMonitor):  # type: ignore[misc]  # its base is known only once the package is imported
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            if progress is not None:
                progress(phase_name, step + 1, self._steps.get(phase_name, step + 1))
            return not cancelled.is_set()

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()


def run_interruptibly(work: Callable[[], Result], cancelled: threading.Event) -> Result:
    """Run `work` in a thread and wait for it, so that Ctrl-C arrives while native code runs.

    On an interrupt `cancelled` is set and the interrupt is raised again once `work` has ended.
    """
    results: list[Result] = []
    failures: list[BaseException] = []
    ended = threading.Event()  # an interrupted Thread.join() of Python 3.11 takes the thread for ended

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            failures.append(error)
        finally:
            ended.set()

    threading.Thread(target=run, name="nmt_trt plan builder").start()
    try:
        ended.wait()
    except BaseException:
        cancelled.set()
        ended.wait()
        raise
    if failures:
        raise failures[0]
    return results[0]
