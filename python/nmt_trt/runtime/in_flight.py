"""Several batches on their way through the backend at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def in_flight(
    items: Iterator[Item], run: Callable[[Item], Answer], count: int
) -> Generator[tuple[Item, Answer], None, None]:
    """Each item with run(item), `count` of them at a time, each in a thread of its own; as they end.

    No more items are taken than run, but for one that waits for its turn. When the iterator is closed, or an exception
    of `items` or `run` ends it, what runs is waited for, and nothing more begins. With a `count` of 1 all is done by
    the thread that iterates.
    """
    if count == 1:
        for item in items:
            yield item, run(item)
        return
    under_way: dict[Future[Answer], Item] = {}
    with ThreadPoolExecutor(count) as threads:
        try:
            for item in items:
                under_way[threads.submit(run, item)] = item
                if len(under_way) > count:
                    yield from _ended(under_way)
            while under_way:
                yield from _ended(under_way)
        finally:
            for future in under_way:
                future.cancel()


def _ended(under_way: dict[Future[Answer], Item]) -> Iterator[tuple[Item, Answer]]:
    """Waits for one at least, and takes away what has ended."""
    for future in wait(under_way, return_when=FIRST_COMPLETED).done:
        yield under_way.pop(future), future.result()
