"""Batches in flight: as many as were asked for, as they end, and nothing left running."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from nmt_trt.runtime.in_flight import in_flight
from runtime.processes import PATIENCE


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("items", [0, 1, 7])
def test_each_with_its_answer(count: int, items: int) -> None:
    found = dict(in_flight(iter(range(items)), lambda item: item * item, count))
    assert found == {item: item * item for item in range(items)}


def test_one_at_a_time_is_done_here_and_in_order() -> None:
    here = threading.get_ident()
    assert list(in_flight(iter("abc"), lambda _: threading.get_ident(), 1)) == [(item, here) for item in "abc"]


def test_what_ends_first_comes_first_while_another_runs_on() -> None:
    last_may_end = threading.Event()

    def run(item: int) -> bool:
        return last_may_end.wait(PATIENCE) if item == 0 else True

    answers = in_flight(iter(range(4)), run, 2)
    assert {next(answers)[0] for _ in range(3)} == {1, 2, 3}
    last_may_end.set()
    assert list(answers) == [(0, True)]


def test_no_more_run_than_may_and_one_is_taken_ahead() -> None:
    together, taken = threading.Barrier(2), list[int]()
    running, most = 0, 0
    lock = threading.Lock()

    def items() -> Iterator[int]:
        for item in range(8):
            taken.append(item)
            yield item

    def run(item: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(PATIENCE)
        with lock:
            running -= 1
        return item

    answers = in_flight(items(), run, 2)
    next(answers)
    assert len(taken) == 3
    list(answers)
    assert most == 2


def test_what_runs_is_waited_for_when_one_fails_and_the_rest_does_not_begin() -> None:
    begun, ended = list[int](), list[int]()
    other_runs = threading.Event()

    def run(item: int) -> None:
        begun.append(item)
        if item == 0:
            assert other_runs.wait(PATIENCE)
            raise ValueError("no such item")
        other_runs.set()
        ended.append(item)

    with pytest.raises(ValueError, match="no such item"):
        list(in_flight(iter(range(50)), run, 2))
    assert sorted(begun) == [0, *ended] and len(begun) < 50


@pytest.mark.parametrize("count", [1, 2])
def test_closed_or_at_an_error_of_the_items_nothing_runs_on(count: int) -> None:
    before = threading.active_count()

    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("no more")

    answers = in_flight(items(), abs, count)
    next(answers)
    answers.close()
    with pytest.raises(OSError, match="no more"):
        list(in_flight(items(), abs, count))
    assert threading.active_count() == before
