"""Text workers: the results of none, what is worked on where and when, and the end of the processes."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import nmt_trt
from nmt_trt.errors import BackendError, LineError, MissingDependencyError, SourceError, UsageError
from nmt_trt.model_directory import read_tokenizer_files
from nmt_trt.runtime import text_workers
from nmt_trt.runtime.text_tasks import TextRecipe, encode_sources, pack, unpack
from nmt_trt.runtime.text_workers import CHUNKS_PER_WORKER, FEWEST_TEXTS, SMALLEST_CHUNK, Calls, TextWorkers
from nmt_trt.text.pipeline import TextPipeline
from random_models import write_random_model
from runtime.processes import PATIENCE, alive, until, write_translator

WORKERS = 2
WORDS = ("one", "two,", "three", "(four)", "harbour's", "漢字", "“five”", "the", "sun.")
MANY = 3 * FEWEST_TEXTS
QUICK: dict[str, Any] = {"max_length": 6, "beam_size": 2}


def kill_this_process(pipeline: TextPipeline) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def texts(count: int = MANY) -> list[str]:
    """Texts of all lengths in no order, blank ones among them."""
    draw = np.random.default_rng(count)
    drawn = [" ".join(draw.choice(WORDS, draw.integers(1, 7))) for _ in range(count)]
    return [text if number % 11 else " " * (number % 2) for number, text in enumerate(drawn)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_translator(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def here(directory: Path) -> nmt_trt.Model:
    """Without text workers."""
    return nmt_trt.load(directory, backend="onnxruntime", threads=1)


@pytest.fixture(scope="module")
def shared(directory: Path) -> Iterator[nmt_trt.Model]:
    """With them; for tests that leave them alive."""
    with nmt_trt.load(directory, backend="onnxruntime", threads=1, text_workers=WORKERS) as model:
        yield model


@pytest.fixture
def model(directory: Path) -> Iterator[nmt_trt.Model]:
    """With one, not yet begun."""
    with nmt_trt.load(directory, backend="onnxruntime", threads=1, text_workers=1) as model:
        yield model


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Future[Any]]:
    """What has been given to workers so far."""
    made: list[Future[Any]] = []
    submit: Callable[..., Future[Any]] = Calls.submit

    def recorded(self: Calls, *arguments: Any) -> Future[Any]:
        made.append(submit(self, *arguments))
        return made[-1]

    monkeypatch.setattr(Calls, "submit", recorded)
    return made


def pids(model: nmt_trt.Model) -> list[int]:
    pool = model._text_workers._pool
    return [] if pool is None else list(pool._processes)


def outcome(call: Callable[[], Any]) -> tuple[type[Exception], str]:
    with pytest.raises(Exception) as caught:
        call()
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_hypotheses": 2, "token_scores": True},
        {"batch_size": 1},
        {"batch_size": SMALLEST_CHUNK + 3},
        {"batch_size": 1000, "beam_size": 1},
        {"policy": "sample", "num_hypotheses": 3, "beam_size": None, "seed": 5},
        {"target_prefix": [" ", "two", "one three"] * FEWEST_TEXTS},
    ],
)
def test_the_same_as_without(
    here: nmt_trt.Model, shared: nmt_trt.Model, calls: list[Future[Any]], options: dict[str, Any]
) -> None:
    asked: dict[str, Any] = {**QUICK, **options}
    expected, _ = here.translate_hypotheses(texts(), **asked)
    assert calls == []
    found, timings = shared.translate_hypotheses(texts(), **asked)
    assert calls != [] and timings.preprocess > 0 and timings.postprocess > 0
    for these, those in zip(found, expected, strict=True):
        assert [text for text, _ in these] == [text for text, _ in those]
        for (_, one), (_, other) in zip(these, those, strict=True):
            assert one.tokens.tolist() == other.tokens.tolist() and one.score == pytest.approx(other.score)


def test_unknown_tokens_are_replaced_as_without(here: nmt_trt.Model, shared: nmt_trt.Model) -> None:
    unknown: dict[str, Any] = {**QUICK, "forced_bos": here._pipeline()._target.unk}
    expected = here.translate(texts(), replace_unknowns=True, **unknown)
    assert expected != here.translate(texts(), **unknown)
    assert shared.translate(texts(), replace_unknowns=True, **unknown) == expected


def test_every_way_to_translate(here: nmt_trt.Model, shared: nmt_trt.Model, calls: list[Future[Any]]) -> None:
    document = "\n".join(f"One two. {text}!" for text in texts())
    for ask in (
        lambda model: model.translate(texts(), **QUICK),
        lambda model: list(model.translate_iter(iter(texts()), window=MANY // 2, **QUICK)),
        lambda model: model.translate_document(document, **QUICK),
        lambda model: model.translate_async(texts(), **QUICK).result(PATIENCE),
        lambda model: [score.token_scores.tolist() for score in model.score_text(texts(), texts(MANY)[::-1])],
    ):
        expected = ask(here)
        del calls[:]
        assert ask(shared) == expected
        assert calls != []


def test_the_same_errors_of_the_same_texts(here: nmt_trt.Model, shared: nmt_trt.Model) -> None:
    def with_two(bad: Any) -> Any:
        given: list[Any] = texts()
        given[MANY // 3] = given[MANY - 5] = bad
        return given

    failures: dict[type[Exception], int] = {}
    for ask in (
        lambda model: model.translate(with_two("word " * 500)),
        lambda model: model.translate(with_two("half a pair: \udc80")),
        lambda model: model.translate(texts(), target_prefix=with_two("word " * 500)),
        lambda model: model.translate(texts(), target_prefix=["one"]),
        lambda model: model.translate(with_two(None)),
        lambda model: model.score_text(with_two("word " * 500), texts()),
        lambda model: model.score_text(texts(), with_two(lambda: "not to be pickled")),
        lambda model: model.score_text(texts(), with_two(7)),
        lambda model: model.score_text(texts(), texts(), batch_type="tokens", batch_size=1),
        lambda model: list(model.translate_iter(with_two("word " * 500))),
    ):
        kind, message = outcome(lambda ask=ask: ask(here))  # type: ignore[misc]
        assert outcome(lambda ask=ask: ask(shared)) == (kind, message)  # type: ignore[misc]
        failures[kind] = failures.get(kind, 0) + 1
    assert failures == {SourceError: 8, UsageError: 1, LineError: 1}
    assert outcome(lambda: shared.translate(with_two("word " * 500)))[1].startswith(f"texts[{MANY // 3}] has ")


def test_strings_of_other_classes(here: nmt_trt.Model, shared: nmt_trt.Model) -> None:
    class Marked(str):
        """Cannot be sent to a process: it is of this function, and its making takes two."""

        def __new__(cls, text: str, mark: int) -> Marked:
            return super().__new__(cls, text)

    given = [Marked(text, number) for number, text in enumerate(texts())]
    assert shared.translate(given, **QUICK) == here.translate(texts(), **QUICK)


def test_languages_reach_the_workers(directory: Path, here: nmt_trt.Model) -> None:
    given = [text[:20] + " “." for text in texts()]
    languages: dict[str, Any] = {"source_language": "ignore", "target_language": "ignore"}
    expected = nmt_trt.load(directory, backend="onnxruntime", threads=1, **languages).translate(given, **QUICK)
    assert expected != here.translate(given, **QUICK)
    with nmt_trt.load(directory, backend="onnxruntime", threads=1, text_workers=1, **languages) as model:
        assert model.translate(given, **QUICK) == expected


def test_an_error_of_a_language_is_the_same(directory: Path) -> None:
    """One that each worker finds out for itself."""
    config = nmt_trt.load(directory, backend="onnxruntime").config
    assert config.text is not None
    several = config.text.model_copy(update={"source_languages": ("en", "fr"), "source_language": None})
    files = read_tokenizer_files(directory, config)
    recipe = TextRecipe(config.model_copy(update={"text": several}), files)
    workers, pipeline = TextWorkers(recipe, 1), recipe.make()
    try:
        expected = outcome(lambda: [pipeline.encode(text) for text in texts()])
        assert expected[0] is UsageError and "choose one of en, fr" in expected[1]
        assert outcome(lambda: workers.encode(pipeline, texts())) == expected
    finally:
        workers.close()


def test_errors_travel() -> None:
    for error in (UsageError("wrong"), MissingDependencyError("missing"), BackendError("broken")):
        back = pickle.loads(pickle.dumps(error))
        assert (type(back), str(back)) == (type(error), str(error))


def test_few_texts_stay_in_this_process(model: nmt_trt.Model, here: nmt_trt.Model) -> None:
    few = ["one two"] * (FEWEST_TEXTS - 1)
    assert model.translate(few, **QUICK) == here.translate(few, **QUICK)
    blank = [*few, *[" "] * FEWEST_TEXTS]
    assert model.translate(blank, **QUICK) == here.translate(blank, **QUICK)
    assert pids(model) == []


def test_a_batch_is_decoded_while_the_next_is_searched(
    shared: nmt_trt.Model, calls: list[Future[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    search: Any = shared._backend.search
    given = ["one two three"] * MANY
    decoded: list[int] = []

    def watched(*arguments: Any, **more: Any) -> Any:
        """Waits until all that was given to the workers before is done."""
        assert not wait(calls, PATIENCE).not_done
        answers = [future.result() for future in calls]
        decoded.append(sum(len(answer) for answer in answers if isinstance(answer, list)))
        return search(*arguments, **more)

    monkeypatch.setattr(shared._backend, "search", watched)
    shared.translate(given, batch_size=MANY // 4, **QUICK)
    assert decoded == [MANY // 4 * batch for batch in range(4)]


def test_small_batches_are_sent_together(shared: nmt_trt.Model, calls: list[Future[Any]]) -> None:
    shared.translate(["one two"] * (FEWEST_TEXTS + 5), batch_size=1, **QUICK)
    sent = [answer for answer in (future.result() for future in calls) if isinstance(answer, list)]
    assert [len(answer) for answer in sent] == [SMALLEST_CHUNK] * (FEWEST_TEXTS // SMALLEST_CHUNK)


@pytest.mark.parametrize("count", [1, 3, 50])
@pytest.mark.parametrize("costs", [[1] * 64, list(range(1, 1000)), [1] * 300 + [10**9] + [1] * 300, [5]])
def test_chunks_hold_all_texts_in_order_and_about_the_same_cost(count: int, costs: list[int]) -> None:
    edges = Calls(None, None, None, count).chunk_edges(costs)  # type: ignore[arg-type]
    assert edges[0] == 0 and edges[-1] == len(costs) and edges == sorted(set(edges))
    chunks = min(CHUNKS_PER_WORKER * count, max(1, len(costs) // SMALLEST_CHUNK))
    assert len(edges) - 1 <= chunks
    for start, end in pairwise(edges):
        assert sum(costs[start:end]) <= sum(costs) / chunks + max(costs)


def test_packed_rows_come_out_as_they_were() -> None:
    rows = [np.array(row, dtype=np.int32) for row in ([3, 1, 4], [], [2**31 - 1], [])]
    assert [row.tolist() for row in unpack(pack(rows))] == [row.tolist() for row in rows]


def test_a_worker_that_has_ended(model: nmt_trt.Model, here: nmt_trt.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = here.translate(texts(), **QUICK)
    assert model.translate(texts(), **QUICK) == expected
    (first,) = pids(model)
    pool = model._text_workers._pool
    os.kill(first, signal.SIGKILL)
    until(lambda: bool(pool and pool._broken))
    with pytest.raises(BackendError, match="a text worker has ended: it was killed, .*; the next call starts new ones"):
        model.translate(texts(), **QUICK)
    assert model.translate(texts(), **QUICK) == expected
    (second,) = pids(model)
    search: Any = model._backend.search
    searched: list[int] = []

    def killing(rows: Sequence[Any], *arguments: Any, **more: Any) -> Any:
        if not searched:
            os.kill(second, signal.SIGKILL)
            until(lambda: not alive(second))
        searched.append(len(rows))
        return search(rows, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(model._backend, "search", killing)
        with pytest.raises(BackendError, match="a text worker has ended"):
            model.translate(texts(), **QUICK)
    assert sum(searched) < MANY, "the search should not go on for nothing"
    assert model.translate(texts(), **QUICK) == expected
    assert first != second != pids(model)[0] and not alive(first) and not alive(second)


def test_close_ends_the_processes_and_texts_stay_here_from_then_on(
    directory: Path, here: nmt_trt.Model, calls: list[Future[Any]]
) -> None:
    with nmt_trt.load(directory, backend="onnxruntime", threads=1, text_workers=WORKERS) as model:
        model.warmup()
        begun = pids(model)
        assert len(begun) == WORKERS and all(map(alive, begun))
        future = model.translate_async(texts(), **QUICK)
    assert not any(map(alive, begun))
    assert future.result() == here.translate(texts(), **QUICK)
    del calls[:]
    assert model.translate(texts(), **QUICK) == future.result()
    model.warmup()
    model.close()
    assert calls == [] and pids(model) == []


def test_closed_in_the_middle_of_a_call(
    model: nmt_trt.Model, here: nmt_trt.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    search: Any = model._backend.search

    def closing(*arguments: Any, **more: Any) -> Any:
        model.close()
        return search(*arguments, **more)

    monkeypatch.setattr(model._backend, "search", closing)
    assert model.translate(texts(), **QUICK) == here.translate(texts(), **QUICK)


def test_a_failed_search_drops_what_was_to_be_decoded(shared: nmt_trt.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled: list[Calls] = []
    search: Any = shared._backend.search
    given = iter(range(2))

    def interrupted(*arguments: Any, **more: Any) -> Any:
        if next(given, None) is None:
            raise KeyboardInterrupt
        return search(*arguments, **more)

    monkeypatch.setattr(Calls, "cancel", lambda calls: cancelled.append(calls))
    monkeypatch.setattr(shared._backend, "search", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shared.translate(texts(), batch_size=20, **QUICK)
    encoding, decoding = cancelled
    assert len(encoding._futures) > 2 and len(decoding._futures) == 2


def test_what_has_not_begun_is_dropped(shared: nmt_trt.Model) -> None:
    calls = shared._text_workers.calls(shared._pipeline(), FEWEST_TEXTS)
    assert calls is not None
    with pytest.raises(KeyboardInterrupt), calls:
        futures = [calls.submit(encode_sources, ["word " * 5000] * 20) for _ in range(30)]
        until(lambda: futures[0].running() or futures[0].done())
        raise KeyboardInterrupt
    assert futures[-1].cancelled() and not futures[0].cancelled()


def test_a_model_that_nobody_holds_any_more_leaves_no_process(directory: Path) -> None:
    model = nmt_trt.load(directory, backend="onnxruntime", text_workers=1)
    model.warmup()
    begun = pids(model)
    assert begun and all(map(alive, begun))
    del model
    gc.collect()
    until(lambda: not any(map(alive, begun)))


def test_workers_that_end_at_their_start(model: nmt_trt.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(text_workers, "warm_up", kill_this_process)
        with pytest.raises(BackendError, match="a text worker has ended"):
            model.warmup()
    model.warmup()
    assert len(pids(model)) == 1


def test_processes_that_cannot_be_started(model: nmt_trt.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError("no more processes")

    with monkeypatch.context() as patch:
        patch.setattr(text_workers, "_start_processes", refuse)
        with pytest.raises(BackendError, match="1 text workers cannot be started: no more processes"):
            model.translate(texts())
    assert len(model.translate(texts(), **QUICK)) == MANY


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (-1, "text_workers must be at least 0; given -1"),
        (1.5, "text_workers must be a whole number; given 1.5"),
        (True, "text_workers must be a number; given True"),
        ("2", "text_workers must be a number; given '2'"),
        (None, "text_workers must be a number; given None"),
    ],
)
def test_numbers_that_cannot_be_used(directory: Path, count: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}$"):
        nmt_trt.load(directory, text_workers=count)


def test_a_model_without_tokenizer(tmp_path: Path) -> None:
    write_random_model(tmp_path / "model", 1)
    nmt_trt.load(tmp_path / "model", backend="onnxruntime", text_workers=0)
    with pytest.raises(UsageError, match="this model has no tokenizer, so it has no work for text_workers"):
        nmt_trt.load(tmp_path / "model", backend="onnxruntime", text_workers=1)


def test_processes_that_may_have_none(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for current, message in (
        (SimpleNamespace(daemon=True), "text_workers must be 0 in a daemonic process"),
        (SimpleNamespace(daemon=False, _inheriting=True), "under if __name__ == '__main__':"),
    ):
        monkeypatch.setattr(multiprocessing, "current_process", lambda current=current: current)
        nmt_trt.load(directory, backend="onnxruntime")
        with pytest.raises(UsageError, match=message):
            nmt_trt.load(directory, backend="onnxruntime", text_workers=1)


def test_what_a_worker_imports() -> None:
    """Neither a backend nor torch; of the command line, which a worker of it imports again, no command."""
    program = "import sys, nmt_trt.cli, nmt_trt.runtime.text_tasks; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"numpy", "nmt_trt"} < {*run.stdout.split()}
    assert not {"onnxruntime", "torch", "typer", "rich", "sacrebleu", "transformers"} & {*run.stdout.split()}
