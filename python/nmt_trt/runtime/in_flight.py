"""Several batches on their way through the backend at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def in_flight(
    items: Iterator[Item], run: Callable[[Item, int], Answer], count: int
) -> Generator[tuple[Item, Answer], None, None]:
    """Each item with run(item, place), `count` of them at a time, each in a thread of its own; as they end.

    No two runs at the same time have the same place, of 0 to count - 1. No more items are taken than run, but for one
    that waits for its turn. When the iterator is closed, or an exception of `items` or `run` ends it, what runs is
    waited for, and nothing more begins. With a `count` of 1 all is done by the thread that iterates.
    """
    if count == 1:
        for item in items:
            yield item, run(item, 0)
        return
    places, own = iter(range(count)), threading.local()

    def take_place() -> None:
        own.place = next(places)

    under_way: dict[Future[Answer], Item] = {}
    with ThreadPoolExecutor(count, initializer=take_place) as threads:

        def begin(item: Item) -> Future[Answer]:
            try:
                return threads.submit(lambda: run(item, own.place))
            except RuntimeError:  # at the end of the interpreter, which begins no thread any more
                wait(under_way)
                return done_here(lambda: run(item, 0))

        try:
            for item in items:
                under_way[begin(item)] = item
                if len(under_way) > count:
                    yield from _ended(under_way)
            while under_way:
                yield from _ended(under_way)
        finally:
            for future in under_way:
                future.cancel()
            _wait_through_interrupts(under_way)


def done_here(call: Callable[[], Answer]) -> Future[Answer]:
    """What becomes of a call that this thread makes."""
    future: Future[Answer] = Future()
    try:
        future.set_result(call())
    except Exception as error:
        future.set_exception(error)
    return future


def _ended(under_way: dict[Future[Answer], Item]) -> Iterator[tuple[Item, Answer]]:
    """Waits for one at least, and takes away what has ended."""
    for future in wait(under_way, return_when=FIRST_COMPLETED).done:
        yield under_way.pop(future), future.result()


def _wait_through_interrupts(futures: Collection[Future[Any]]) -> None:
    """However often Ctrl-C is pressed: what runs uses what another call will use."""
    while True:
        try:
            wait(futures)
            return
        except KeyboardInterrupt:
            continue
