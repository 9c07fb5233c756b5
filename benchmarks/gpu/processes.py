"""A process for each system that is measured: what one does to the GPU's context, threads or memory leaves the others
alone, and one that hangs or dies is given up."""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

LOADING = "loading"
GRACE = 3
"""Seconds that a process has to end by itself."""


class WorkerError(Exception):
    """The call failed in the worker (holds its traceback), took too long, or the worker has ended."""


class Worker:
    """A process that makes one object and then calls its methods; use as a context manager."""

    def __init__(self, make: Callable[..., Any], *arguments: Any) -> None:
        """`make(*arguments)` is called in the process, which starts at once and may start others; both must be
        picklable.
        """
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments))
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def wait_ready(self, timeout: float) -> None:
        """Wait until the object is made.

        Raises:
            WorkerError: making it failed, or takes more than `timeout` seconds.
        """
        self._receive(LOADING, timeout)

    def call(self, method: str, *arguments: Any, timeout: float) -> Any:
        """Call a method of the object and return its result.

        Raises:
            WorkerError: it failed, or takes more than `timeout` seconds; the worker is then ended.
        """
        try:
            self._connection.send((method, arguments))
        except OSError as error:
            raise WorkerError(f"{method}: the worker has ended") from error
        return self._receive(method, timeout)

    def end(self) -> None:
        """End the process: it gets a moment to end those that it has started."""
        self._connection.close()
        self._process.join(GRACE)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()

    def _receive(self, what: str, timeout: float) -> Any:
        deadline = time.monotonic() + timeout
        while not self._connection.poll(0.1):
            if not self._process.is_alive() and not self._connection.poll(0):
                raise WorkerError(f"{what}: the worker ended with exit status {self._process.exitcode}")
            if time.monotonic() > deadline:
                self.end()
                raise WorkerError(f"{what}: took more than {timeout:.1f} s")
        try:
            done, result = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join(5)
            raise WorkerError(f"{what}: the worker ended with exit status {self._process.exitcode}") from error
        if not done:
            raise WorkerError(f"{what}: {result}")
        return result


def _serve(connection: Connection, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        target = make(*arguments)
    except Exception:
        connection.send((False, traceback.format_exc()))
        return
    connection.send((True, None))
    while True:
        try:
            method, given = connection.recv()
        except EOFError:
            return
        try:
            connection.send((True, getattr(target, method)(*given)))
        except Exception:
            connection.send((False, traceback.format_exc()))
