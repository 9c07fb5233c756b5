"""Ensembles on the GPU against the CPU backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nmt_trt
from gpu.conftest import Load
from gpu.gpu_models import assert_equal
from nmt_trt.errors import BackendError, UsageError
from nmt_trt.export.graph import PRECISIONS
from nmt_trt.model_directory import export_graphs, write_model_directory
from random_ensembles import member_config, write_members
from random_models import BOS, EOS, random_sources, random_weights

SEEDS = ((1, 2), (3, 8), (5, 0, 9))
POLICIES: list[dict[str, Any]] = [
    {},
    {"beam_size": 1},
    {"policy": "hf", "max_length": 20, "repetition_penalty": 1.3, "no_repeat_ngram": 2},
    {"min_length": 4, "suppress_tokens": [5, 6]},
]


def both(load: Load, paths: list[Path], **options: Any) -> tuple[nmt_trt.Model, nmt_trt.Model]:
    """The ensemble on the CPU and on the GPU."""
    cpu = nmt_trt.load(paths[0], ensemble=paths[1:], backend="onnxruntime")
    return cpu, load(paths[0], ensemble=paths[1:], **options)


def assert_all_equal(found: nmt_trt.GenerationResult, wanted: nmt_trt.GenerationResult) -> None:
    for one, other in zip(found.hypotheses, wanted.hypotheses, strict=True):
        assert_equal(one, other)


@pytest.mark.parametrize("seeds", SEEDS)
def test_fp32_equals_the_cpu(tmp_path: Path, load: Load, seeds: tuple[int, ...]) -> None:
    cpu, gpu = both(load, write_members(tmp_path, seeds))
    assert f", fp32, {len(seeds)} models (" in gpu.backend
    sources = random_sources(cpu.config, 6, 20, seeds[0])
    for given in POLICIES:
        options = {"beam_size": 4, "max_length_delta": 10, **given}
        options["num_hypotheses"] = options["beam_size"]
        assert_all_equal(gpu.generate(sources, **options), cpu.generate(sources, **options))


def test_attention_is_the_first_models(tmp_path: Path, load: Load) -> None:
    cpu, gpu = both(load, write_members(tmp_path, (3, 8)))
    sources = random_sources(cpu.config, 6, 20, 3)
    options: Any = {"beam_size": 2, "max_length_delta": 10, "attention": True, "coverage_penalty": 0.3}
    compared = 0
    for (one,), (other,) in zip(
        gpu.generate(sources, **options).hypotheses, cpu.generate(sources, **options).hypotheses, strict=True
    ):
        assert_equal([one], [other])
        assert one.attention is not None and other.attention is not None
        if one.tokens.tolist() == other.tokens.tolist():
            np.testing.assert_allclose(one.attention, other.attention, atol=1e-4)
            compared += 1
    assert compared >= 5


@pytest.mark.parametrize("seeds", SEEDS[:2])
def test_policy_nemo_equals_the_cpu(tmp_path: Path, load: Load, seeds: tuple[int, ...]) -> None:
    cpu, gpu = both(load, write_members(tmp_path, seeds))
    options: Any = {"policy": "nemo", "beam_size": 4, "num_hypotheses": 4, "max_length_delta": 10}
    for source in random_sources(cpu.config, 3, 14, seeds[0]):
        assert_all_equal(gpu.generate([source], **options), cpu.generate([source], **options))


def test_scores_of_given_translations(tmp_path: Path, load: Load) -> None:
    cpu, gpu = both(load, write_members(tmp_path, (1, 2)))
    sources = random_sources(cpu.config, 4, 12, 1)
    targets = [[5, 9, 11], [7], [20, 21, 22, 23, 24], []]
    for found, wanted in zip(gpu.score(sources, targets), cpu.score(sources, targets), strict=True):
        np.testing.assert_allclose(found.token_scores, wanted.token_scores, rtol=1e-4, atol=1e-4)


def test_caches_of_all_models_grow_and_give_up_rows(tmp_path: Path, load: Load) -> None:
    cpu, gpu = both(load, write_members(tmp_path, (3, 8)), batch="1:4:32")
    sources = random_sources(cpu.config, 32, 20, 3)
    options: Any = {"beam_size": 2, "max_length_delta": -1}
    assert_all_equal(gpu.generate(sources, **options), cpu.generate(sources, **options))


def test_a_model_with_itself_is_that_model(tmp_path: Path, load: Load) -> None:
    (path,) = write_members(tmp_path, (5,))
    alone, together = load(path), load(path, ensemble=[path, path])
    sources = random_sources(alone.config, 6, 20, 5)
    options: Any = {"beam_size": 4, "num_hypotheses": 4, "max_length_delta": 10}
    assert_all_equal(together.generate(sources, **options), alone.generate(sources, **options))
    assert together.memory["plans"] == 3 * alone.memory["plans"]
    assert together.memory["search"] == alone.memory["search"]


def test_deterministic_gives_the_same_bits(tmp_path: Path, load: Load) -> None:
    paths = write_members(tmp_path, (1, 2))
    model = load(paths[0], ensemble=paths[1:])
    sources = random_sources(model.config, 6, 20, 1)
    together = model.generate(sources, beam_size=4, deterministic=True)
    for source, (wanted, *_) in zip(sources, together.hypotheses, strict=True):
        (found, *_), *_ = model.generate([source], beam_size=4, deterministic=True).hypotheses
        assert found.tokens.tolist() == wanted.tokens.tolist() and found.score == wanted.score


def test_models_may_have_different_precisions(tmp_path: Path, load: Load) -> None:
    paths = write_members(tmp_path, (0, 2))
    export_graphs(paths[1], member_config(2), PRECISIONS["fp16"])
    cpu, gpu = both(load, paths, precision="auto")
    assert ", fp32 and fp16, 2 models (" in gpu.backend
    sources, targets = random_sources(cpu.config, 4, 12, 1), [[5, 9, 11], [7], [20, 21], []]
    for found, wanted in zip(gpu.score(sources, targets), cpu.score(sources, targets), strict=True):
        np.testing.assert_allclose(found.token_scores, wanted.token_scores, atol=0.05)


def test_overflow_in_any_model_is_reported(tmp_path: Path, load: Load) -> None:
    (path,) = write_members(tmp_path, (1,))
    config = member_config(2).model_copy(update={"tied_output": False})
    weights = random_weights(config, 2)
    weights["output.weight"][7], weights["output.weight"][8] = 3e38, -3e38
    write_model_directory(tmp_path / "bad", config, weights, {})
    for order in ([path, tmp_path / "bad"], [tmp_path / "bad", path]):
        with pytest.raises(BackendError, match="NaN"):
            load(order[0], ensemble=order[1:]).generate([[BOS, 5, EOS]])


def test_too_many_models(tmp_path: Path, load: Load) -> None:
    (path,) = write_members(tmp_path, (1,))
    with pytest.raises(UsageError, match="the number of models must be from 1 to 16; given 17"):
        load(path, ensemble=[path] * 16)
