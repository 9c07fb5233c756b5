"""Streams: order, bounded memory, and errors that lose nothing."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from cli.fake_model import FakeModel
from nmt_trt import Timings
from nmt_trt.errors import Error, LineError, UsageError
from nmt_trt.runtime import stream
from nmt_trt.runtime.stream import generate_windows, translate_stream, translate_windows


class CountedLines:
    """Lines made one by one; `alive` of them are still referenced by somebody."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.made = 0
        self.alive = 0
        self.most_alive = 0

    def __iter__(self) -> Iterator[str]:
        for _ in range(self.count):
            line = _Line(f"line {self.made}")
            weakref.finalize(line, self._forget)
            self.made += 1
            self.alive += 1
            self.most_alive = max(self.most_alive, self.alive)
            yield line
            del line

    def _forget(self) -> None:
        self.alive -= 1


class _Line(str):
    """A string that can be referred to weakly."""


class ForgetfulModel(FakeModel):
    """Keeps no record, which would keep the lines alive."""

    def _check(self, inputs: object) -> None:
        pass


@pytest.mark.parametrize("window", [1, 3, 4, 100])
def test_order_and_windows(window: int) -> None:
    model = FakeModel()
    lines = [f"line {number}" for number in range(10)]
    answers = list(translate_stream(model, iter(lines), window=window))
    assert [answer.source for answer in answers] == lines
    assert [answer.text for answer in answers] == [line.upper() for line in lines]
    assert [len(asked) for asked in model.asked] == [min(window, 10 - start) for start in range(0, 10, window)]


def test_no_lines() -> None:
    model = FakeModel()
    assert list(translate_stream(model, [])) == []
    assert model.asked == []


def test_reads_no_further_than_the_window() -> None:
    lines = CountedLines(100)
    answers = translate_stream(ForgetfulModel(), lines, window=8)
    assert lines.made == 0
    next(answers)
    assert lines.made == 8


def test_memory_is_bounded_by_the_window() -> None:
    lines = CountedLines(1000)
    assert sum(1 for _ in translate_stream(ForgetfulModel(), lines, window=8)) == 1000
    assert lines.most_alive <= 8 + 1  # the last answer may be held while the next window is read
    assert lines.alive == 0


def test_a_window_is_bounded_in_characters_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "WINDOW_SIZE", 25)
    model = FakeModel()
    list(translate_stream(model, ["x" * 10] * 7, window=100))
    assert [len(asked) for asked in model.asked] == [3, 3, 1]


@pytest.mark.parametrize("bad", range(9))
@pytest.mark.parametrize("window", [1, 4, 100])
def test_a_refused_line_is_named_and_what_precedes_it_is_answered(bad: int, window: int) -> None:
    model = FakeModel(limit=5)
    lines = ["short"] * 9
    lines[bad] = "too long"
    answers = []
    with pytest.raises(LineError, match=rf"^line {bad + 1}: has 8 tokens") as error:
        for answer in translate_stream(model, lines, window=window):
            answers.append(answer.source)
    assert error.value.line == bad + 1
    assert answers == lines[:bad]
    assert sum(map(len, model.asked)) == bad, "something was translated twice"


def test_an_error_of_the_source_comes_after_what_preceded_it() -> None:
    def lines() -> Iterator[str]:
        yield from ("a", "b", "c")
        raise LineError(4, "unreadable")

    answers = []
    with pytest.raises(LineError, match="line 4: unreadable"):
        for window in translate_windows(FakeModel(), lines(), window=2):
            answers.append([answer.text for answer in window])
    assert answers == [["A", "B"], ["C"]]


def test_other_errors_pass_through() -> None:
    class Broken(FakeModel):
        def _check(self, inputs: object) -> None:
            raise Error("out of order")

    with pytest.raises(Error, match="^out of order$"):
        list(translate_stream(Broken(), ["a"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size must be"),
        ({"beams": 3}, "unknown generation option beams"),
        ({"num_hypotheses": 3, "beam_size": 2}, "at most beam_size 2"),
        ({"window": 0}, "window must be at least 1; given 0"),
    ],
)
def test_options_are_checked_before_anything_is_read(options: dict[str, Any], message: str) -> None:
    lines = CountedLines(5)
    with pytest.raises(UsageError, match=message):
        translate_stream(FakeModel(), lines, **options)
    assert lines.made == 0


def test_a_model_without_tokenizer() -> None:
    with pytest.raises(UsageError, match="no tokenizer"):
        translate_stream(FakeModel(text=None), ["a"])


def test_timings_add_up_and_progress_is_told() -> None:
    spent, told = Timings(preprocess=1), list[int]()
    list(translate_stream(FakeModel(), ["a", "b", "c"], window=2, timings=spent, progress=told.append))
    assert spent == Timings(preprocess=3, encoder=4, generator=6, postprocess=8)
    assert told == [2, 1]


def test_generate_windows() -> None:
    spent = Timings()
    windows = list(generate_windows(FakeModel(), [[1, 2], [3], [4, 5]], window=2, timings=spent))
    assert [[(source, best[0].tokens.tolist()) for source, best in window] for window in windows] == [
        [([1, 2], [2, 1]), ([3], [3])],
        [([4, 5], [5, 4])],
    ]
    assert spent.generator == 6


def test_generate_names_the_refused_row() -> None:
    with pytest.raises(LineError, match=r"^line 3: is empty"):
        list(generate_windows(FakeModel(), [[1], [2], [], [3]]))
