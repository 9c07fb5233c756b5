"""Waves of texts: the longest first, searched as soon as they are encoded, and the first text that is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nmt_trt
from nmt_trt.errors import LineError, SourceError
from nmt_trt.options import ResolvedOptions
from nmt_trt.results import Timings
from nmt_trt.runtime.batching import BatchLimits, batch_limits
from nmt_trt.runtime.inputs import Row
from nmt_trt.runtime.text_workers import Calls
from nmt_trt.runtime.waves import FEWEST_IN_WAVE, Batch, batches_of_waves, plan_waves
from random_models import random_config
from runtime.processes import write_translator
from runtime.test_batching import resolved

CONFIG = random_config(0)
MANY = 2 * FEWEST_IN_WAVE + 20
USUAL = 96
"""Sentences of a batch where nothing else is asked for."""
QUICK: dict[str, Any] = {"max_length": 4, "beam_size": 2}
WORD = 7
"""An id that CONFIG's vocabulary has, and no special one."""


def asked(**options: Any) -> tuple[ResolvedOptions, BatchLimits]:
    """Options, and the limits of a batch that they give."""
    given = resolved(**options)
    return given, batch_limits(given, usual=USUAL)


@given(lengths=st.lists(st.integers(1, 9), max_size=900), batch_size=st.one_of(st.none(), st.integers(1, 400)))
def test_each_text_is_in_one_wave_of_whole_batches_longest_first(lengths: list[int], batch_size: int | None) -> None:
    waves = plan_waves(["x" * length for length in lengths], *asked(batch_size=batch_size))
    assert sorted(index for wave in waves for index in wave) == list(range(len(lengths)))
    assert all(wave == sorted(wave) for wave in waves)
    for wave, after in pairwise(waves):
        assert min(lengths[index] for index in wave) >= max(lengths[index] for index in after)
        assert len(wave) >= FEWEST_IN_WAVE and len(wave) % (batch_size or USUAL) == 0 and len(wave) >= len(after)


@pytest.mark.parametrize("options", [{"policy": "nemo"}, {"batch_type": "tokens", "batch_size": 4000}])
def test_one_wave_in_the_given_order_where_batches_take_that(options: dict[str, Any]) -> None:
    assert plan_waves(["a", "bb"] * MANY, *asked(**options)) == [list(range(2 * MANY))]


def search_order(waves: Sequence[Sequence[int]], encoded: Sequence[Any], limit: int = 99) -> Iterator[Batch]:
    def plan(lengths: Sequence[int]) -> list[list[int]]:
        return [[place] for place in reversed(range(len(lengths)))]

    def check(indices: Sequence[int], rows: Sequence[Row]) -> None:
        for place, row in enumerate(rows):
            if row.size > limit:
                raise SourceError(place, "is too long", name="target_prefix")

    return batches_of_waves(waves, encoded, CONFIG, plan, check, Timings())


def test_batches_of_a_wave_come_before_the_next_is_waited_for() -> None:
    waited: list[int] = []

    def encoded() -> Iterator[list[list[int]]]:
        for number in range(2):
            waited.append(number)
            yield [[WORD] * (number + 1), [WORD]]

    timings = Timings()
    batches = batches_of_waves([[1, 3], [0, 2]], encoded(), CONFIG, lambda _: [[1, 0]], lambda *_: None, timings)
    indices, rows = next(batches)
    assert indices == [3, 1] and [row.tolist() for row in rows] == [[WORD], [WORD]]
    assert waited == [0] and timings.preprocess > 0
    assert next(batches)[0] == [2, 0] and waited == [0, 1]
    assert next(batches, None) is None


def test_the_first_of_all_that_are_refused_is_named() -> None:
    good, bad, long = [WORD], [CONFIG.encoder.vocab_size], [WORD] * 5
    batches = search_order([[4, 6], [2, 5], [0, 1]], [[good, good], [good, bad], [good, long]], limit=4)
    assert [next(batches)[0], next(batches)[0]] == [[6], [4]]
    with pytest.raises(SourceError, match=r"^target_prefix\[1\] is too long$"):
        next(batches)
    with pytest.raises(SourceError, match=r"^src_ids\[5\] has an id outside"):
        list(search_order([[4, 6], [2, 5], [7, 8]], [[good, good], [good, bad], [long, good]], limit=4))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nmt_trt.Model]:
    directory = write_translator(tmp_path_factory.mktemp("models"))
    with nmt_trt.load(directory, backend="onnxruntime", threads=1, text_workers=1) as model:
        yield model


def texts() -> list[str]:
    draw = np.random.default_rng(5)
    return [" ".join(draw.choice(["one", "two", "three"], draw.integers(1, 7))) for _ in range(MANY)]


def test_all_waves_are_with_the_workers_before_the_first_is_searched(
    model: nmt_trt.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Future[Any]] = []
    counts: list[int] = []
    submit: Any = Calls.submit
    search: Any = model._backend.search

    def submitted(self: Calls, *arguments: Any) -> Future[Any]:
        sent.append(submit(self, *arguments))
        return sent[-1]

    def counted(rows: Sequence[Row], *arguments: Any, **more: Any) -> Any:
        counts.append(len(sent))
        return search(rows, *arguments, **more)

    monkeypatch.setattr(Calls, "submit", submitted)
    monkeypatch.setattr(model._backend, "search", counted)
    given = texts()
    translations = model.translate(given, batch_size=100, **QUICK)
    waves = plan_waves(given, *asked(batch_size=100))
    assert len(waves) == 2 and counts[0] >= len(waves) and len(counts) == 6 and counts[-1] < len(sent)
    alone = {text: model.translate(text, **QUICK) for text in set(given[:40])}
    assert [alone[text] for text in given[:40]] == translations[:40]


def test_lines_before_one_that_is_refused_in_a_later_wave_are_translated(model: nmt_trt.Model) -> None:
    """A short text that becomes many tokens, among long ones that become fewer."""
    lines = ["漢字" * 25 if number == 300 else "a " * 40 for number in range(MANY)]
    assert 300 in plan_waves(lines, *asked())[-1] and MANY > FEWEST_IN_WAVE
    with pytest.raises(SourceError, match=r"^texts\[300\] has \d+ tokens"):
        model.translate(lines, **QUICK)
    found: list[str] = []
    with pytest.raises(LineError, match=r"^line 301: has \d+ tokens"):
        found.extend(model.translate_iter(lines, **QUICK))
    assert len(found) == 300


def test_a_prefix_that_is_refused_is_named_by_its_text(model: nmt_trt.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    eos = model.config.special_tokens.eos
    pipeline = model._pipeline()
    monkeypatch.setattr(pipeline, "encode_target", lambda text: [eos, WORD] if text == "bad" else [WORD])
    with pytest.raises(SourceError, match=rf"^target_prefix\[3\] has EOS \({eos}\) before its end"):
        model.translate(["", " ", "one", "two"], target_prefix=["", "", "good", "bad"], **QUICK)


def test_batches_in_flight_give_each_sentence_its_own(model: nmt_trt.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a backend that has a second place from when it is loaded: the first batch is searched here."""
    here, alone, searches = threading.get_ident(), threading.Lock(), list[tuple[bool, int]]()
    given = [text if number % 9 else "" for number, text in enumerate(texts())]
    wanted = model.translate(given, batch_size=40, **QUICK)
    search: Any = model._backend.search

    def searched(*arguments: Any, place: int, **more: Any) -> Any:
        with alone:
            searches.append((threading.get_ident() == here, place))
            return search(*arguments, **more)

    backend = type("Two", (), {})()
    for name in ("plan_batches", "limits"):
        setattr(backend, name, getattr(model._backend, name))
    backend.search, backend.batches_in_flight, backend.loaded = searched, 2, False
    monkeypatch.setattr(model, "_backend", backend)
    assert model.translate(given, batch_size=40, **QUICK) == wanted
    assert searches[0] == (True, 0) and len(searches) > 10
    assert {place for was_here, place in searches[1:] if not was_here} == {0, 1}
    backend.loaded = True
    del searches[:]
    assert model.translate(given, batch_size=40, **QUICK) == wanted
    assert not any(was_here for was_here, _ in searches)
    assert model.translate("one", **QUICK) == model.translate(["one", ""], **QUICK)[0]
    assert searches[-1] == searches[-2] == (True, 0)
