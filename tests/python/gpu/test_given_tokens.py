"""Target prefixes, log-probabilities of tokens, and scores of given translations: the GPU against the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nmt_trt
from gpu.conftest import Load
from gpu.gpu_models import SCORE_TOLERANCE, assert_equal, write_model
from nmt_trt.models.config import TransformerConfig
from nmt_trt.results import Hypothesis
from random_models import EOS, random_sources

SEEDS = range(12)


def random_prefixes(config: TransformerConfig, count: int, seed: int) -> list[list[int]]:
    """Of 0 to 5 tokens; some end with EOS."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(0, 6, count)
    prefixes = [draw.integers(EOS + 1, config.decoder.vocab_size, length).tolist() for length in lengths]
    return [prefix + [EOS] * int(draw.integers(0, 5) == 0) for prefix in prefixes]


def assert_equal_token_scores(found: list[Hypothesis], wanted: list[Hypothesis]) -> None:
    assert_equal(found, wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.token_scores is not None and other.token_scores is not None
        if one.tokens.tolist() == other.tokens.tolist():
            np.testing.assert_allclose(one.token_scores, other.token_scores, rtol=SCORE_TOLERANCE, atol=SCORE_TOLERANCE)


@pytest.mark.parametrize("policy", ["gnmt", "nemo", "hf"])
@pytest.mark.parametrize("seed", SEEDS[::3])
def test_token_scores_equal_the_cpu(tmp_path: Path, load: Load, seed: int, policy: Any) -> None:
    config = write_model(tmp_path / "model", seed)
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model")
    options: dict[str, Any] = {"policy": policy, "beam_size": 4, "num_hypotheses": 4, "max_length_delta": 8}
    sources = random_sources(config, 6, 16, seed)
    # The CPU's policy nemo lets sentences of a batch leak into each other.
    for batch in [[source] for source in sources] if policy == "nemo" else [sources]:
        wanted = cpu.generate(batch, token_scores=True, **options).hypotheses
        found = gpu.generate(batch, token_scores=True, **options).hypotheses
        for one, other in zip(found, wanted, strict=True):
            assert_equal_token_scores(one, other)
    assert gpu.generate(sources[:1], **options).hypotheses[0][0].token_scores is None


@pytest.mark.parametrize("policy", ["gnmt", "hf"])
@pytest.mark.parametrize("seed", SEEDS[::2])
def test_target_prefixes_equal_the_cpu(tmp_path: Path, load: Load, seed: int, policy: Any) -> None:
    config = write_model(tmp_path / "model", seed)
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model")
    sources = random_sources(config, 8, 16, seed)
    options: dict[str, Any] = {"policy": policy, "beam_size": 1 + seed % 4, "max_length_delta": 8, "token_scores": True}
    cases: list[dict[str, Any]] = [{}, {"no_repeat_ngram": 2, "min_length": 4}]
    for case, more in enumerate(cases):
        prefixes = random_prefixes(config, len(sources), 10 * seed + case)
        wanted = cpu.generate(sources, target_prefix=prefixes, **options, **more).hypotheses
        found = gpu.generate(sources, target_prefix=prefixes, **options, **more).hypotheses
        for prefix, one, other in zip(prefixes, found, wanted, strict=True):
            assert_equal_token_scores(one, other)
            words = [token for token in prefix if token != EOS]
            assert one[0].tokens[: len(words)].tolist() == words


@pytest.mark.parametrize("seed", SEEDS[1::3])
def test_scores_of_given_translations_equal_the_cpu(tmp_path: Path, load: Load, seed: int) -> None:
    config = write_model(tmp_path / "model", seed)
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model")
    sources, targets = random_sources(config, 9, 16, seed), random_sources(config, 9, 16, seed + 1)
    targets = [target[1:-1] for target in targets]
    for found, wanted in zip(gpu.score(sources, targets), cpu.score(sources, targets), strict=True):
        assert found.tokens.tolist() == wanted.tokens.tolist()
        np.testing.assert_allclose(found.token_scores, wanted.token_scores, rtol=SCORE_TOLERANCE, atol=SCORE_TOLERANCE)
        assert found.log_prob == pytest.approx(wanted.log_prob, rel=SCORE_TOLERANCE)
