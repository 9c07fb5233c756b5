"""Batches in flight: as many as were asked for, as they end, and nothing left running."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest

from nmt_trt.runtime import in_flight as in_flight_module
from nmt_trt.runtime.in_flight import in_flight
from runtime.processes import PATIENCE


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("items", [0, 1, 7])
def test_each_with_its_answer(count: int, items: int) -> None:
    found = dict(in_flight(iter(range(items)), lambda item, _: item * item, count))
    assert found == {item: item * item for item in range(items)}


def test_one_at_a_time_is_done_here_and_in_order() -> None:
    here = threading.get_ident()
    assert list(in_flight(iter("abc"), lambda _, place: (threading.get_ident(), place), 1)) == [
        (item, (here, 0)) for item in "abc"
    ]


def test_what_ends_first_comes_first_while_another_runs_on() -> None:
    last_may_end = threading.Event()

    def run(item: int, _: int) -> bool:
        return last_may_end.wait(PATIENCE) if item == 0 else True

    answers = in_flight(iter(range(4)), run, 2)
    assert {next(answers)[0] for _ in range(3)} == {1, 2, 3}
    last_may_end.set()
    assert list(answers) == [(0, True)]


def test_no_more_run_than_may_and_one_is_taken_ahead() -> None:
    together, taken, places = threading.Barrier(2), list[int](), list[int]()
    running, most = 0, 0
    lock = threading.Lock()

    def items() -> Iterator[int]:
        for item in range(8):
            taken.append(item)
            yield item

    def run(item: int, place: int) -> int:
        nonlocal running, most
        with lock:
            places.append(place)
            assert len(set(places)) == len(places)
            running += 1
            most = max(most, running)
        together.wait(PATIENCE)
        with lock:
            places.remove(place)
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

    def run(item: int, _: int) -> None:
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

    answers = in_flight(items(), lambda item, _: item, count)
    next(answers)
    answers.close()
    with pytest.raises(OSError, match="no more"):
        list(in_flight(items(), lambda item, _: item, count))
    assert threading.active_count() == before


def test_what_runs_is_waited_for_however_often_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    may_end, ended = threading.Event(), list[int]()
    waits = list[bool]()

    def interrupted(*arguments: Any, **options: Any) -> Any:
        waits.append(True)
        if len(waits) <= 3:  # the first ends the iteration, the others come while what runs is waited for
            raise KeyboardInterrupt
        may_end.set()
        return futures.wait(*arguments, **options)

    def run(item: int, _: int) -> None:
        assert may_end.wait(PATIENCE)
        ended.append(item)

    monkeypatch.setattr(in_flight_module, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(in_flight(iter(range(9)), run, 2))
    assert sorted(ended) == [0, 1] and len(waits) == 4


def test_a_thread_that_outlives_the_main_one_ends_its_work(tmp_path: Path) -> None:
    """The interpreter then begins no more threads."""
    script = tmp_path / "script.py"
    script.write_text("""
import threading, time
from nmt_trt.runtime.in_flight import in_flight

def work():
    time.sleep(0.5)
    print(sorted(answer for _, answer in in_flight(iter(range(5)), lambda item, _: item * 2, 2)))

threading.Thread(target=work).start()
""")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == "[0, 2, 4, 6, 8]\n" and done.stderr == ""
