"""Systems that are measured by turns, each in its own process; one that fails is recorded and the others go on."""

from __future__ import annotations

import time
from typing import Any

from processes import Worker, WorkerError
from recording import Recorder


class Race:
    """The systems of one stage by name."""

    def __init__(self, workers: dict[str, Worker], recorder: Recorder, deadline: float) -> None:
        """`deadline` in time.monotonic()'s seconds: after it nothing new is begun, and no answer is waited for."""
        self.workers, self.recorder = workers, recorder
        self._deadline = deadline

    def wait_ready(self) -> None:
        """Wait until all are loaded and forget those that cannot be."""
        for name, worker in list(self.workers.items()):
            try:
                worker.wait_ready(self._left())
            except WorkerError as error:
                self._fail(name, str(error))
                del self.workers[name]

    def call(self, name: str, what: str, method: str, *arguments: Any) -> Any:
        """The answer of a system, or None when it fails, which is recorded with `what` was measured."""
        try:
            return self.workers[name].call(method, *arguments, timeout=self._left())
        except WorkerError as error:
            self._fail(name, f"{what}: {error}")
            return None

    def time_is_up(self, what: str) -> bool:
        """Whether the deadline has passed; then it is recorded that `what` was not begun."""
        if time.monotonic() <= self._deadline:
            return False
        self._fail("all", f"{what}: no time left")
        return True

    def _fail(self, name: str, problem: str) -> None:
        self.recorder.failures += 1
        self.recorder.add("error", what=name, error=problem[-6000:])

    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 1.0)
