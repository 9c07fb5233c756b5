"""A thread that serves a model's requests one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
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

    def submit(self, call: Callable[[], Answer]) -> Future[Answer]:
        """Run the call when its turn comes; the future gets what it returns or raises.

        Raises:
            UsageError: the worker is closed.
        """
        with self._lock:
            if self._closed:
                raise UsageError("this model is closed; it takes no more asynchronous requests")
            if self._executor is None:
                self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nmt-trt")
            return self._executor.submit(call)

    def close(self, *, cancel: bool) -> None:
        """Take no more calls, and wait for those that were taken; `cancel` drops the ones that have not begun."""
        with self._lock:
            self._closed = True
            executor = self._executor
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=cancel)
