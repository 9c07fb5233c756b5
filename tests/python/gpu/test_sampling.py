"""Policy sample on the GPU: against the CPU draw for draw, and its distribution against transformers' warpers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nmt_trt
from gpu.conftest import Load
from gpu.gpu_models import write_model
from nmt_trt.models.config import TransformerConfig
from random_models import EOS, random_sources
from search.test_sample import FILTERS, assert_drawn_by, warped_probabilities

SEEDS = range(12)
DRAWS = 20000
SAMPLES = 32
Options = dict[str, Any]


def drawn(model: nmt_trt.Model, sources: list[Any], **options: Any) -> list[list[list[int]]]:
    given: Options = {"policy": "sample", "num_hypotheses": 6, "max_length_delta": 8, "seed": 5} | options
    return [[one.tokens.tolist() for one in found] for found in model.generate(sources, **given).hypotheses]


@pytest.mark.parametrize("seed", SEEDS[::2])
def test_draws_are_the_cpus(tmp_path: Path, load: Load, seed: int) -> None:
    """A draw whose place is within rounding of the border of two tokens may differ: one in 100,000."""
    config = write_model(tmp_path / "model", seed)
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model")
    sources = random_sources(config, 8, 16, seed)
    prefixes = [[EOS + 1 + seed, EOS + 2]] * 4 + [[]] * 4
    cases: list[Options] = [
        *FILTERS,
        {"seed": 2**64 - 1, "first_number": 2**40},
        {"repetition_penalty": 1.5, "no_repeat_ngram": 2, "min_length": 3, "sampling_topk": 9},
        {"suppress_tokens": [EOS + 5, EOS + 6], "forced_bos": EOS + 7, "target_prefix": prefixes},
    ]
    pairs = [
        pair for case in cases for pair in zip(drawn(gpu, sources, **case), drawn(cpu, sources, **case), strict=True)
    ]
    others = [one != other for found, wanted in pairs for one, other in zip(found, wanted, strict=True)]
    assert len(others) > 500
    assert sum(others) <= 1


def test_scores_are_the_cpus(tmp_path: Path, load: Load) -> None:
    config = write_model(tmp_path / "model", 2)
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model")
    options: Options = {"policy": "sample", "num_hypotheses": 4, "max_length_delta": 8, "token_scores": True, "seed": 1}
    options |= {"sampling_temperature": 2.0, "repetition_penalty": 1.3}
    sources = random_sources(config, 6, 16, 2)
    equal = 0
    for found, wanted in zip(
        gpu.generate(sources, **options).hypotheses, cpu.generate(sources, **options).hypotheses, strict=True
    ):
        for one, other in zip(found, wanted, strict=True):
            if one.tokens.tolist() != other.tokens.tolist():
                continue
            equal += 1
            assert one.score == pytest.approx(other.score, rel=1e-4, abs=1e-4)
            np.testing.assert_allclose(one.token_scores, other.token_scores, rtol=1e-4, atol=1e-4)  # type: ignore[arg-type]
    assert equal >= 23


def first_step(model: nmt_trt.Model, config: TransformerConfig) -> tuple[np.ndarray, np.ndarray]:
    """A source, and the logits (less a constant) of what may come first behind it, by the CPU."""
    source = random_sources(config, 1, 12, 3)[0]
    vocabulary = config.decoder.vocab_size
    tokens = [[token] for token in range(vocabulary) if token != config.special_tokens.pad]
    scored = model.score([source] * len(tokens), tokens)
    logits = np.full(vocabulary, -50.0, np.float32)
    for (token,), score in zip(tokens, scored, strict=True):
        logits[token] = score.token_scores[0]
    return source, logits


@pytest.mark.parametrize("options", FILTERS)
def test_draws_follow_transformers_warpers(tmp_path: Path, load: Load, options: Options) -> None:
    config = write_model(tmp_path / "model", 7)
    cpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    gpu = load(tmp_path / "model", batch="1:64:64", beam="1:4:32")
    source, logits = first_step(cpu, config)
    found = gpu.generate(
        [source] * (DRAWS // SAMPLES), policy="sample", num_hypotheses=SAMPLES, max_length=1, seed=11, **options
    )
    tokens = [(one.tokens.tolist() or [EOS])[0] for sentence in found.hypotheses for one in sentence]
    assert len(tokens) == DRAWS
    probabilities = warped_probabilities(logits, options, pad=config.special_tokens.pad)
    assert_drawn_by(tokens, dict(enumerate(probabilities.tolist())))


def test_a_draw_does_not_depend_on_the_batch(tmp_path: Path, load: Load) -> None:
    config = write_model(tmp_path / "model", 5)
    gpu = load(tmp_path / "model")
    sources = random_sources(config, 20, 16, 5)
    together = drawn(gpu, sources, deterministic=True, sampling_topk=20)
    assert together == drawn(gpu, sources, deterministic=True, sampling_topk=20)
    assert together[13:] == drawn(gpu, sources[13:], deterministic=True, sampling_topk=20, first_number=13)
    assert [found[:2] for found in together] == drawn(
        gpu, sources, deterministic=True, sampling_topk=20, num_hypotheses=2
    )
    assert together != drawn(gpu, sources, deterministic=True, sampling_topk=20, seed=6)
