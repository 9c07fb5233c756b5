"""Asynchronous requests: order, exceptions, cancellation, and the end of the thread."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nmt_trt
from importing.nemo_archives import write_random_nemo
from nmt_trt.errors import BackendError, SourceError, UsageError
from random_models import BOS, EOS, random_sources

PATIENCE = 60


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    nmt_trt.build(write_random_nemo(path / "tiny.nemo", seed=3).path, path / "model")
    return path / "model"


@pytest.fixture
def model(directory: Path) -> Iterator[nmt_trt.Model]:
    with nmt_trt.load(directory, backend="onnxruntime", threads=1) as model:
        yield model
    assert threads() == []


class Gate:
    """Holds up every search until it is opened.

    Attributes:
        reached: set when a search has come to it.
        searched: the number of sentences of each search that has come through.
    """

    def __init__(self, model: nmt_trt.Model, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.searched: list[int] = []
        self._open = threading.Event()
        self._search: Any = model._backend.search
        monkeypatch.setattr(model._backend, "search", self._wait)

    def open(self) -> None:
        self._open.set()

    def _wait(self, rows: Any, *arguments: Any, **more: Any) -> Any:
        self.reached.set()
        assert self._open.wait(PATIENCE)
        self.searched.append(len(rows))
        return self._search(rows, *arguments, **more)


@pytest.fixture
def gate(model: nmt_trt.Model, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(model, monkeypatch)
    yield gate
    gate.open()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("nmt-trt")]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_same_as_without(model: nmt_trt.Model) -> None:
    sources = random_sources(model.config, 5, 9, 1)
    texts = ["one two", "", "three"]
    generated, translated = model.generate_async(sources, beam_size=2), model.translate_async(texts, max_length=5)
    one = model.translate_async("one two", max_length=5)
    for found, wanted in zip(generated.result().sequences, model.generate(sources, beam_size=2).sequences, strict=True):
        assert found.tolist() == wanted.tolist()
    assert translated.result() == model.translate(texts, max_length=5)
    assert one.result() == model.translate("one two", max_length=5)


def test_nothing_asked_nothing_answered(model: nmt_trt.Model) -> None:
    assert model.generate_async([]).result().hypotheses == []
    assert model.translate_async([]).result() == []
    assert model.translate_async("").result() == ""
    assert model.translate_async([" ", ""]).result() == ["", ""]


def test_first_come_first_served_by_one_thread_and_never_merged(model: nmt_trt.Model, gate: Gate) -> None:
    sources = random_sources(model.config, 6, 9, 1)
    futures = [model.generate_async(sources[:count], max_length=4) for count in (3, 1, 4, 1, 5)]
    assert len(threads()) == 1
    gate.open()
    wait(futures, PATIENCE)
    assert gate.searched == [3, 1, 4, 1, 5]


def test_no_thread_before_the_first_request(model: nmt_trt.Model) -> None:
    model.generate([[BOS, 5, EOS]])
    assert threads() == []


def test_exceptions_arrive_in_the_future_and_the_next_request_is_served(
    model: nmt_trt.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [BackendError("out of order")]
    search: Any = model._backend.search

    def fail_once(*arguments: Any, **more: Any) -> Any:
        if failures:
            raise failures.pop()
        return search(*arguments, **more)

    monkeypatch.setattr(model._backend, "search", fail_once)
    options: Any = {"beams": 3}
    asked: list[tuple[Future[Any], type[Exception], str]] = [
        (model.generate_async([[BOS, 5, EOS]]), BackendError, "out of order"),
        (model.generate_async([[BOS, 5, EOS], []]), SourceError, r"src_ids\[1\] is empty"),
        (model.generate_async("text"), UsageError, "given text"),
        (model.generate_async([[BOS, 5, EOS]], **options), UsageError, "unknown generation option beams"),
        (model.translate_async(["fine", "word " * 500]), SourceError, r"texts\[1\] has"),
        (model.translate_async(["a"], beam_size=0), UsageError, "beam_size must be"),
    ]
    last = model.generate_async([[BOS, 5, EOS]])
    for future, kind, message in asked:
        with pytest.raises(kind, match=message):
            future.result(PATIENCE)
    assert len(last.result(PATIENCE).hypotheses) == 1


def test_what_has_not_begun_can_be_cancelled(model: nmt_trt.Model, gate: Gate) -> None:
    sources = random_sources(model.config, 3, 9, 1)
    running, dropped, kept = [model.generate_async(sources[:count], max_length=4) for count in (1, 2, 3)]
    assert gate.reached.wait(PATIENCE)
    assert not running.cancel()
    assert dropped.cancel()
    gate.open()
    assert len(kept.result(PATIENCE).hypotheses) == 3
    assert gate.searched == [1, 3]
    with pytest.raises(CancelledError):
        dropped.result()


def test_what_was_given_may_be_changed_afterwards(model: nmt_trt.Model, gate: Gate) -> None:
    ids, texts = np.array([[BOS, 5, 6, EOS]]), ["one", "two"]
    wanted_ids, wanted_texts = ids.copy(), list(texts)
    futures = model.generate_async(ids, max_length=5), model.translate_async(texts, max_length=5)
    ids[:], texts[:] = 7, ["three"]
    gate.open()
    found = futures[0].result(PATIENCE).sequences[0].tolist()
    assert found == model.generate(wanted_ids, max_length=5).sequences[0].tolist()
    assert futures[1].result(PATIENCE) == model.translate(wanted_texts, max_length=5)


def test_close_waits_for_what_was_asked(model: nmt_trt.Model, gate: Gate) -> None:
    futures = [model.generate_async([[BOS, 5, EOS]], max_length=4) for _ in range(3)]
    closing = threading.Thread(target=model.close)
    closing.start()
    assert gate.reached.wait(PATIENCE)
    gate.open()
    closing.join(PATIENCE)
    assert all(len(future.result(0).hypotheses) == 1 for future in futures)
    assert threads() == []


def test_close_drops_what_has_not_begun(model: nmt_trt.Model, gate: Gate) -> None:
    running, *dropped = [model.generate_async([[BOS, 5, EOS]], max_length=4) for _ in range(4)]
    assert gate.reached.wait(PATIENCE)
    closing = threading.Thread(target=lambda: model.close(cancel=True))
    closing.start()
    until(lambda: all(future.cancelled() for future in dropped))
    gate.open()
    closing.join(PATIENCE)
    assert len(running.result(0).hypotheses) == 1 and len(gate.searched) == 1


def test_a_closed_model(directory: Path) -> None:
    model = nmt_trt.load(directory, backend="onnxruntime")
    model.close()
    model.close(cancel=True)
    with pytest.raises(UsageError, match="this model is closed"):
        model.generate_async([[BOS, 5, EOS]])
    with pytest.raises(UsageError, match="this model is closed"):
        model.generate_async("wrong")
    with pytest.raises(UsageError, match="this model is closed"):
        model.translate_async(["a"])
    assert len(model.generate([[BOS, 5, EOS]]).hypotheses) == 1


def test_a_block_that_ends_finishes_and_one_that_fails_drops(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with nmt_trt.load(directory, backend="onnxruntime") as model:
        futures = [model.generate_async([[BOS, 5, EOS]], max_length=4) for _ in range(3)]
    assert all(future.done() and not future.cancelled() for future in futures)
    with pytest.raises(KeyboardInterrupt), nmt_trt.load(directory, backend="onnxruntime") as model:
        gate = Gate(model, monkeypatch)
        futures = [model.generate_async([[BOS, 5, EOS]], max_length=4) for _ in range(3)]
        assert gate.reached.wait(PATIENCE)
        threading.Timer(0.05, gate.open).start()
        raise KeyboardInterrupt
    assert [future.cancelled() for future in futures] == [False, True, True]
    until(lambda: threading.active_count() == 1)


def test_a_model_that_nobody_holds_any_more_leaves_no_thread(directory: Path) -> None:
    model = nmt_trt.load(directory, backend="onnxruntime")
    model.generate_async([[BOS, 5, EOS]]).result(PATIENCE)
    assert len(threads()) == 1
    del model
    gc.collect()
    until(lambda: threads() == [])


def test_asyncio(model: nmt_trt.Model) -> None:
    async def both() -> list[str]:
        return await asyncio.gather(*(asyncio.wrap_future(model.translate_async(text)) for text in ("one", "two")))

    assert asyncio.run(both()) == [model.translate("one"), model.translate("two")]


def test_a_callback_may_close_the_model(directory: Path) -> None:
    model = nmt_trt.load(directory, backend="onnxruntime")
    closed: Future[None] = Future()

    def close(_: Future[str]) -> None:
        try:
            model.close()
            closed.set_result(None)
        except RuntimeError as error:
            closed.set_exception(error)

    model.translate_async("one two three").add_done_callback(close)
    closed.result(PATIENCE)
    with pytest.raises(UsageError, match="closed"):
        model.translate_async("one")


def test_one_prefix_of_several_texts(model: nmt_trt.Model) -> None:
    one: Any = "ab"
    with pytest.raises(UsageError, match="target_prefix must be a list of texts; given str"):
        model.translate_async(["one", "two"], target_prefix=one).result(PATIENCE)


def test_ctrl_c_drops_what_has_not_begun(directory: Path) -> None:
    program = """
import sys
import nmt_trt
with nmt_trt.load(sys.argv[1], backend="onnxruntime") as model:
    futures = [model.translate_async(["one two three"] * 20) for _ in range(5000)]
    futures[0].result()
    print("ready", flush=True)
    futures[-1].result()
"""
    command = [sys.executable, "-c", program, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert errors.decode().rstrip().endswith("KeyboardInterrupt")
