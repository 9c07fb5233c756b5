"""A thread that serves a model's requests one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from nmt_trt.errors import UsageError

Answer = TypeVar("Answer")


class Worker:
    """Runs calls in the order in which they come. Its thread begins with the first and ends with close(), or when
    nobody holds the worker any more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._closed = False
        self._thread = threading.local()

    def submit(self, call: Callable[[], Answer]) -> Future[Answer]:
        """Run the call when its turn comes; the future gets what it returns or raises.

        Raises:
            UsageError: the worker is closed.
        """
        with self._lock:
            if self._closed:
                raise UsageError("this model is closed; it takes no more asynchronous requests")
            if self._executor is None:
                serve = partial(setattr, self._thread, "serves", True)
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="nmt-trt", initializer=serve)
            return self._executor.submit(call)

    def close(self, *, cancel: bool) -> None:
        """Take no more calls, and wait for those that were taken; `cancel` drops the ones that have not begun.

        What one of these calls does, or a callback of its future, cannot wait for them.
        """
        with self._lock:
            self._closed = True
            executor = self._executor
        if executor is not None:
            executor.shutdown(wait=not hasattr(self._thread, "serves"), cancel_futures=cancel)
