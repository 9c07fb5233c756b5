"""Policy sample through a model: what its translations depend on, and what not."""

from __future__ import annotations

from typing import Any

import pytest

import nmt_trt
from nmt_trt import Model
from nmt_trt.errors import UsageError
from nmt_trt.options import make_options
from random_models import random_config, random_sources, write_random_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    directory = tmp_path_factory.mktemp("models") / "model"
    write_random_model(directory, 11)
    return nmt_trt.load(directory, backend="onnxruntime", threads=1)


def samples(model: Model, sources: list[Any], **options: Any) -> list[list[list[int]]]:
    given: Any = {"policy": "sample", "max_length": 8, "seed": 3, "deterministic": True} | options
    return [[one.tokens.tolist() for one in found] for found in model.generate(sources, **given).hypotheses]


def test_a_translation_depends_on_number_and_seed_and_not_on_the_batch(model: Model) -> None:
    sources = random_sources(model.config, 9, 12, 1)
    everything = samples(model, sources, num_hypotheses=3)
    assert everything == samples(model, sources, num_hypotheses=3)
    assert [found[:2] for found in everything] == samples(model, sources, num_hypotheses=2)
    assert everything == samples(model, sources, num_hypotheses=3, deterministic=False, batch_size=4)
    assert everything[5:] == samples(model, sources[5:], num_hypotheses=3, first_number=5)
    assert everything != samples(model, sources, num_hypotheses=3, seed=4)
    assert everything[5:] != samples(model, sources[5:], num_hypotheses=3)
    assert len({tuple(one) for found in everything for one in found}) > 20


def test_a_stream_draws_as_one_call_does() -> None:
    model = nmt_trt.load(backend="onnxruntime", threads=1)
    lines = ["It rains.", "", "Good morning.", "It rains.", "The sun is up."]
    options: Any = {"policy": "sample", "max_length": 9, "sampling_topk": 20, "deterministic": True}
    once = model.translate(lines, **options)
    assert once[0] != once[3] and once[1] == ""
    for window in (1, 2, 10):
        assert list(model.translate_iter(lines, window=window, **options)) == once


def test_samples_are_as_many_as_hypotheses() -> None:
    options = make_options(policy="sample", num_hypotheses=5).resolve(random_config(0))
    assert (options.beam_size, options.num_hypotheses) == (5, 5)
    assert make_options(policy="sample", beam_size=1).resolve(random_config(0)).beam_size == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "seed is of policy 'sample'; given policy 'gnmt'"),
        ({"policy": "hf", "sampling_topk": 5}, "sampling_topk is of policy 'sample'; given policy 'hf'"),
        ({"policy": "sample", "beam_size": 4}, "policy 'sample' has no beam: beam_size must be 1 or open; given 4"),
        ({"policy": "sample", "num_hypotheses": 33}, "num_hypotheses must be from 1 to 32"),
        ({"policy": "sample", "sampling_temperature": 0}, "sampling_temperature must be from 1e-06 to 100; given 0"),
        ({"policy": "sample", "sampling_temperature": 101}, "sampling_temperature must be from 1e-06 to 100"),
        ({"policy": "sample", "sampling_topk": 2.5}, "sampling_topk must be a whole number; given 2.5"),
        ({"policy": "sample", "sampling_topp": 0.0}, "sampling_topp must be above 0; given 0"),
        ({"policy": "sample", "sampling_topp": None}, "sampling_topp must be a number; given None"),
        ({"policy": "sample", "seed": -1}, "seed must be from 0 to 18446744073709551615; given -1"),
        ({"policy": "sample", "early_stopping": True}, "early_stopping is of policy 'hf'; given policy 'sample'"),
    ],
)
def test_what_cannot_be_is_refused(options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_options(**options).resolve(random_config(0))
