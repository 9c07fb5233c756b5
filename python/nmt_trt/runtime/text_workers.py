"""Processes that encode and decode texts: several at a time, and while the backend searches."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from multiprocessing.util import Finalize
from typing import Any, Self, TypeVar

import numpy as np

from nmt_trt.errors import BackendError, UsageError
from nmt_trt.option_checks import check_number
from nmt_trt.runtime.in_flight import done_here
from nmt_trt.runtime.text_tasks import (
    Encode,
    Packed,
    TextRecipe,
    begin,
    encode_sources,
    encode_targets,
    packed,
    serve,
    unpack,
    warm_up,
)
from nmt_trt.text.pipeline import TextPipeline

FEWEST_TEXTS = 64
"""Fewer texts than this stay in the process that has them: to send them would take longer."""
SMALLEST_CHUNK = 16
"""Texts that are sent together, at least."""
CHUNKS_PER_WORKER = 4
"""Chunks that texts are cut into, at most, so that no worker waits long for the others."""
TEXT_COST = 32
"""About what a text costs besides its characters or tokens, as so many of them."""

_POOL_PRIORITY, _FILE_PRIORITY = 20, 0
"""At the end of a process pools go first, then their queues, to which multiprocessing gives 10, then their files."""

Answer = TypeVar("Answer")
Rows = list[np.ndarray] | list[list[int]]
_LOG = logging.getLogger(__name__)


def check_text_workers(count: int) -> None:
    """Raise UsageError unless this process can have so many text workers."""
    check_number("text_workers", count, 0, None)
    if not count:
        return
    current = multiprocessing.current_process()
    if getattr(current, "_inheriting", False):  # a worker, which runs its parent's script: multiprocessing.spawn
        raise UsageError("a script that loads a model with text_workers must do so under if __name__ == '__main__':")
    if current.daemon:
        raise UsageError(f"text_workers must be 0 in a daemonic process, which may start none; given {count}")


class TextWorkers:
    """A pool of processes for the texts of one model. Safe to use from several threads.

    They are started when they are first needed, with multiprocessing's method "spawn": this process may hold a GPU and
    threads, which a fork does not survive. Each imports the program's main module again, which must therefore keep what
    it does under `if __name__ == "__main__":`. They ignore Ctrl-C, which is this process's business, and end with
    `close`, with this process however it ends, or when nobody holds the workers any more.
    """

    def __init__(self, recipe: TextRecipe, count: int) -> None:
        """`count` processes; with none all texts stay in this one."""
        self._recipe, self._count = recipe, count
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._owner = 0
        self._starting: list[Future[None]] = []
        self._finalizer: Finalize | None = None

    def start(self) -> None:
        """Start the processes, if there are to be any, and wait until they can work.

        Raises:
            BackendError: they cannot be started, or have ended.
        """
        with self._lock:
            pool, starting = self._live_pool(), self._starting
        if pool is None:
            return
        wait(starting)
        if any(isinstance(one.exception(), BrokenProcessPool) for one in starting):
            raise self.lost(pool)

    def close(self) -> None:
        """End the processes, once they have done what they were given. From now on texts stay in this process."""
        with self._lock:
            self._count = 0
            pool = self._take_pool()
        if pool is not None:
            pool.shutdown()

    def encode(self, pipeline: TextPipeline, texts: Sequence[str]) -> Rows:
        """pipeline.encode(text) of each text; `pipeline` is the recipe's.

        Raises:
            Error: what pipeline.encode raises, for the first text for which it does.
            BackendError: a process ended, or cannot be started.
        """
        with self.encode_in_turn(pipeline, [texts]) as encoded:
            return next(encoded)

    def encode_in_turn(
        self, pipeline: TextPipeline, waves: Sequence[Sequence[str]]
    ) -> AbstractContextManager[Iterator[Rows]]:
        """A context with `encode` of the texts of each wave, one wave after the other. Work on all of them begins with
        the context, on the first of them first; what has not begun at its end is dropped.

        Raises:
            Error: as `encode`, when it is the turn of the wave.
        """
        return self._encode(pipeline, encode_sources, waves)

    def encode_targets(self, pipeline: TextPipeline, texts: Sequence[str]) -> Rows:
        """pipeline.encode_target(text) of each text.

        Raises:
            Error: as `encode`.
        """
        with self._encode(pipeline, encode_targets, [texts]) as encoded:
            return next(encoded)

    def calls(self, pipeline: TextPipeline, texts: int) -> Calls | None:
        """What sends work on so many texts to the processes; None if they are to stay here.

        Raises:
            BackendError: a process cannot be started.
        """
        if texts < FEWEST_TEXTS:
            return None
        with self._lock:
            pool = self._live_pool()
            return None if pool is None else Calls(self, pool, pipeline, self._count)

    def lost(self, pool: ProcessPoolExecutor) -> BackendError:
        """The error of a pool that has lost a process; the next call will start a new one."""
        with self._lock:
            taken = self._take_pool() if self._pool is pool else None
        if taken is not None:
            taken.shutdown()
        return BackendError(
            "a text worker has ended: it was killed, memory ran out, or the script does not keep what it does under "
            "if __name__ == '__main__'; the next call starts new ones"
        )

    @contextmanager
    def _encode(
        self, pipeline: TextPipeline, encode: Encode, waves: Sequence[Sequence[str]]
    ) -> Iterator[Iterator[Rows]]:
        calls = self.calls(pipeline, sum(map(len, waves)))
        if calls is None:
            yield iter([encode(pipeline, list(texts)) for texts in waves])
            return
        with calls:
            sent = [_send_chunks(calls, encode, list(texts)) for texts in waves]
            yield ([row for chunk in chunks for row in unpack(calls.result(chunk))] for chunks in sent)

    def _live_pool(self) -> ProcessPoolExecutor | None:
        """The pool, started if need be; None if texts stay in this process."""
        if self._owner != os.getpid():  # at first, and in a fork: the processes are its parent's
            self._take_pool()
            self._owner = os.getpid()
        if self._pool is None and self._count:
            _LOG.info("starting %d processes for text", self._count)
            try:
                self._begin_pool()
            except (OSError, RuntimeError) as error:
                failed = self._take_pool()
                if failed is not None:
                    failed.shutdown()
                if "interpreter shutdown" not in str(error):
                    raise BackendError(f"{self._count} text workers cannot be started: {error}") from error
                self._count = 0  # what still translates then does without
        return self._pool

    def _begin_pool(self) -> None:
        pool = _new_pool(self._recipe, self._count)
        self._pool, self._finalizer = pool, Finalize(self, _end, (pool,), exitpriority=_POOL_PRIORITY)
        # In a thread of its own: Ctrl-C is raised in the main thread, and must not come between.
        with ThreadPoolExecutor(1) as starter:
            self._starting = starter.submit(_start_processes, pool, self._count).result()

    def _take_pool(self) -> ProcessPoolExecutor | None:
        """The pool, which is no longer ours to end."""
        if self._finalizer is not None:
            self._finalizer.cancel()
        pool, self._pool, self._finalizer = self._pool, None, None
        return pool


class Calls:
    """Calls of functions on the pipelines of a pool. As a context manager it drops those that have not begun when
    nobody waits for them any more.
    """

    def __init__(self, workers: TextWorkers, pool: ProcessPoolExecutor, pipeline: TextPipeline, count: int) -> None:
        """`pipeline` stands in for those of the `count` processes once these are closed."""
        self._workers, self._pool, self._pipeline, self._count = workers, pool, pipeline, count
        self._futures: list[Future[Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def cancel(self) -> None:
        """Drop what has not begun."""
        for future in self._futures:
            future.cancel()

    def submit(self, call: Callable[..., Answer], *given: Any) -> Future[Answer]:
        """Begin `call(pipeline, *given)` in a process; all of it must be picklable.

        Raises:
            BackendError: a process has ended.
        """
        try:
            future = self._pool.submit(serve, call, *given)
        except BrokenProcessPool as error:
            raise self._workers.lost(self._pool) from error
        except RuntimeError:  # another thread has closed the pool
            future = done_here(lambda: call(self._pipeline, *given))
        self._futures.append(future)
        return future

    def result(self, future: Future[Answer]) -> Answer:
        """What a call returns or raises.

        Raises:
            BackendError: a process has ended.
        """
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise self._workers.lost(self._pool) from error

    def chunk_edges(self, costs: Sequence[int]) -> list[int]:
        """Cuts texts into chunks of about the same cost, each from one edge to before the next.

        `costs` are those of each text, above 0.
        """
        chunks = max(1, min(CHUNKS_PER_WORKER * self._count, len(costs) // SMALLEST_CHUNK))
        until = np.cumsum(costs)
        cuts = np.searchsorted(until, until[-1] * np.arange(1, chunks) / chunks)
        return sorted({0, *cuts.tolist(), len(costs)})


def _send_chunks(calls: Calls, encode: Encode, texts: list[str]) -> list[Future[Packed]]:
    edges = calls.chunk_edges([TEXT_COST + len(text) for text in texts])
    return [calls.submit(packed, encode, texts[start:end]) for start, end in pairwise(edges)]


def _new_pool(recipe: TextRecipe, count: int) -> ProcessPoolExecutor:
    """A pool of processes that are yet to be started. The file that they read goes with it, or with this process."""
    file = recipe.write()
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=begin, initargs=(file,))
    Finalize(pool, file.unlink, kwargs={"missing_ok": True}, exitpriority=_FILE_PRIORITY)
    return pool


def _end(pool: ProcessPoolExecutor) -> None:
    """End the pool of workers that nobody holds any more, or that multiprocessing would otherwise wait for at the end
    of a process that it has started.

    concurrent.futures would end it too, but without waiting: a thread of the pool may then close what the interpreter
    uses at its exit, which prints a traceback. That thread may also be the one that collects the garbage, so that
    another one shuts down, and only the main thread waits.
    """
    if threading.current_thread() is threading.main_thread():
        pool.shutdown()
    else:
        threading.Thread(target=pool.shutdown).start()


def _start_processes(pool: ProcessPoolExecutor, count: int) -> list[Future[None]]:
    """One task for each process, which the pool then starts. They inherit this thread's signal mask: Ctrl-C does not
    reach them before they ignore it.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    return [pool.submit(serve, warm_up) for _ in range(count)]
