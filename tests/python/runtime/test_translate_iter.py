"""Model.translate_iter: lazy, in order, bounded, and nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nmt_trt
from cli.fake_model import FakeModel
from importing.nemo_archives import write_random_nemo
from nmt_trt.errors import LineError, UsageError
from nmt_trt.runtime.stream import document_windows
from runtime.processes import write_translator


def test_the_same_as_all_at_once_whatever_the_window(tmp_path: Path) -> None:
    nmt_trt.build(write_random_nemo(tmp_path / "tiny.nemo", seed=3).path, tmp_path / "model")
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    lines = ["one " * (1 + 7 * number % 5) if number % 4 else "" for number in range(15)]
    wanted = model.translate(lines, max_length=6)
    for window in (1, 4, 15, 100):
        assert list(model.translate_iter(iter(lines), window=window, max_length=6)) == wanted


def test_target_prefixes_whatever_the_window(tmp_path: Path) -> None:
    nmt_trt.build(write_random_nemo(tmp_path / "tiny.nemo", seed=3).path, tmp_path / "model")
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    lines = ["one " * (1 + number) if number != 2 else "" for number in range(6)]
    prefixes = ["two", "", "three", "one two", "", "two"]
    wanted = model.translate(lines, target_prefix=prefixes, max_length=9)
    assert wanted[3].startswith("one two") and wanted != model.translate(lines, max_length=9)
    for window in (1, 4, 100):
        found = model.translate_iter(iter(lines), target_prefix=iter(prefixes), window=window, max_length=9)
        assert list(found) == wanted


@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_more_or_fewer_prefixes_than_lines(window: int) -> None:
    model, found = FakeModel(), list[str]()
    fewer = model.translate_iter(["a", "b", "c"], target_prefix=["x ", "y "], window=window)
    with pytest.raises(UsageError, match="one for each line; it ends after 2, the lines go on"):
        found.extend(fewer)
    assert found == ["x A", "y B"][: 2 // window * window]
    more = model.translate_iter(["a", "b"], target_prefix=["", "y ", "z"], window=window)
    with pytest.raises(UsageError, match="one for each line; it goes on, the lines have ended"):
        found.extend(more)
    assert found[-2:] == ["A", "y B"]


def test_a_prefix_that_is_too_long_is_named_by_its_line(tmp_path: Path) -> None:
    nmt_trt.build(write_random_nemo(tmp_path / "tiny.nemo", seed=3).path, tmp_path / "model")
    model, found = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), list[str]()
    prefixes = ["one", "", "two " * 9]
    with pytest.raises(LineError, match=r"line 3: target_prefix has \d+ tokens; its translation may have 2"):
        found.extend(model.translate_iter(["one", "", "one"], target_prefix=prefixes, max_length=2))
    assert len(found) == 2
    with pytest.raises(UsageError, match=r"target_prefix\[2\] has \d+ tokens"):
        model.translate(["one", "", "one"], target_prefix=prefixes, max_length=2)


def test_no_lines() -> None:
    model = FakeModel()
    assert list(model.translate_iter([])) == []
    assert list(model.translate_iter(["", " "])) == ["", " "]  # the fake model keeps what it is given


def test_reads_a_window_ahead_and_no_more() -> None:
    read: list[str] = []

    def lines() -> Iterator[str]:
        for number in range(100):
            read.append(f"line {number}")
            yield read[-1]

    answers = FakeModel().translate_iter(lines(), window=8)
    assert read == []
    assert [next(answers) for _ in range(8)] == [f"LINE {number}" for number in range(8)]
    assert len(read) == 8
    next(answers)
    assert len(read) == 16


def test_one_that_is_abandoned_closes_its_source_and_leaves_no_thread() -> None:
    before, closed = threading.active_count(), list[bool]()

    def lines() -> Iterator[str]:
        try:
            while True:
                yield "endless"
        finally:
            closed.append(True)

    answers = FakeModel().translate_iter(lines(), window=2)
    assert next(answers) == "ENDLESS"
    assert threading.active_count() == before
    del answers
    assert closed == [True]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"beam_size": 0}, "beam_size must be"), ({"window": 0}, "window must be"), ({"beams": 1}, "unknown generation")],
)
def test_options_are_checked_before_anything_is_read(options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FakeModel().translate_iter(iter(["a"]), **options)


def test_a_model_without_tokenizer() -> None:
    with pytest.raises(UsageError, match="no tokenizer"):
        FakeModel(text=None).translate_iter([])


def test_a_refused_line_is_named_after_what_precedes_it() -> None:
    answers = FakeModel(limit=5).translate_iter(["one", "two", "three", "too long", "five"], window=10)
    assert [next(answers) for _ in range(3)] == ["ONE", "TWO", "THREE"]
    with pytest.raises(LineError, match="^line 4: has 8 tokens"):
        next(answers)


@pytest.mark.parametrize(
    ("bad", "problem"),
    [("half \udc80", "must be valid Unicode; found a"), (None, "must be a string"), (7, "must")],
)
def test_what_is_no_text_is_a_refused_line(tmp_path: Path, bad: Any, problem: str) -> None:
    model = nmt_trt.load(write_translator(tmp_path), backend="onnxruntime", threads=1)
    lines: list[Any] = ["one", "two", bad, "four"]
    for ways in (model.translate_iter(lines, max_length=3), document_windows(model, lines, max_length=3)):
        answers = iter(ways)
        assert next(answers)
        with pytest.raises(LineError, match=f"^line 3: {problem}"):
            for _ in answers:
                pass


@pytest.mark.parametrize("error", [OSError("the disk is gone"), ValueError("no such line")])
def test_an_exception_of_the_source_comes_after_what_preceded_it(error: Exception) -> None:
    def lines() -> Iterator[str]:
        yield from ("a", "b", "c")
        raise error

    answers = FakeModel().translate_iter(lines(), window=2)
    assert [next(answers) for _ in range(3)] == ["A", "B", "C"]
    with pytest.raises(type(error)) as raised:
        next(answers)
    assert raised.value is error


def test_ctrl_c_while_reading_waits_for_nothing() -> None:
    model = FakeModel()

    def lines() -> Iterator[str]:
        yield "a"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(model.translate_iter(lines()))
    assert model.asked == []


def test_prefixes_behind_blank_lines_keep_their_places(tmp_path: Path) -> None:
    model = nmt_trt.load(write_translator(tmp_path), backend="onnxruntime", threads=1)
    texts, prefixes = ["one", "", "two", "three"], ["", "", 5, ""]
    given: Any = {"target_prefix": prefixes, "max_length": 3}
    with pytest.raises(UsageError, match=r"^target_prefix\[2\] must be a string; given int"):
        model.translate(texts, **given)
    answers = model.translate_iter(texts, **given)
    assert next(answers) and next(answers) == ""
    with pytest.raises(LineError, match="^line 3: target_prefix must be a string"):
        next(answers)


def test_one_text_is_no_list_of_them() -> None:
    one: Any = "ab"
    with pytest.raises(UsageError, match="^lines must be a list or an iterator of texts; given one text"):
        FakeModel().translate_iter(one)
    with pytest.raises(UsageError, match="^target_prefix must be a list or an iterator of texts"):
        FakeModel().translate_iter(["a"], target_prefix=one)
