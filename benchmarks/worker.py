"""One process for each system, so that thread pools and allocators of one cannot disturb another."""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import parts
from systems import SYSTEMS, Job, Sequences, System

REST_SECONDS = 0.3
"""Pause before each run: idle OpenMP threads of the system that ran before may spin for 0.2 s."""


def timed_run(system: System) -> tuple[float, Sequences]:
    """Run once; returns the seconds and what was found."""
    started = time.perf_counter()
    system.run()
    return time.perf_counter() - started, system.sequences()


COMMANDS: dict[str, Callable[[Any], Any]] = {
    "run": timed_run,
    "parts": parts.measure_parts,
    "operators": parts.measure_operators,
}


class Worker:
    """A process that has loaded one system; use as a context manager."""

    def __init__(self, name: str, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, name, job), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.is_alive():
            self._process.terminate()
        self._process.join()

    def call(self, command: str) -> Any:
        """Have one of COMMANDS done and return its result.

        Raises:
            RuntimeError: it failed; holds the worker's traceback.
        """
        time.sleep(REST_SECONDS)
        self._connection.send(command)
        while not self._connection.poll(1.0):
            if not self._process.is_alive():
                raise RuntimeError(f"the worker ended with exit status {self._process.exitcode}")
        done, result = self._connection.recv()
        if not done:
            raise RuntimeError(result)
        return result


def _serve(connection: Connection, name: str, job: Job) -> None:
    system: System | None = None
    while True:
        command = connection.recv()
        try:
            system = system or SYSTEMS[name](job)
            connection.send((True, COMMANDS[command](system)))
        except Exception:
            connection.send((False, traceback.format_exc()))
