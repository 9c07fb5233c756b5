"""Attention and what is made of it on a GPU against the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import nmt_trt
from gpu.conftest import Load
from gpu.gpu_models import SCORE_TOLERANCE, write_model
from nmt_trt.options import Policy
from nmt_trt.results import Hypothesis
from random_models import random_sources

TOLERANCE = 1e-4
LOW_TOLERANCE = 0.1
"""In fp16, of models without training, whose attention is far from flat."""
BETA = 0.5


def compare(found: list[Hypothesis], wanted: list[Hypothesis], tolerance: float) -> int:
    """How many hypotheses had the same tokens, and close attention."""
    compared = 0
    for one, other in zip(found, wanted, strict=True):
        assert one.attention is not None and other.attention is not None
        np.testing.assert_allclose(one.attention.sum(axis=1), 1, atol=1e-4)
        if one.tokens.tolist() == other.tokens.tolist():
            np.testing.assert_allclose(one.attention, other.attention, atol=tolerance)
            compared += 1
    return compared


@pytest.mark.parametrize("policy", get_args(Policy))
@pytest.mark.parametrize("seed", range(6))
def test_is_that_of_the_cpu(tmp_path: Path, load: Load, seed: int, policy: Policy) -> None:
    config = write_model(tmp_path / "model", seed)
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model")
    sources = random_sources(config, 1 if policy == "nemo" else 7, 20, seed)  # whose sentences leak on the CPU
    number = 1 + seed % 5
    options: Any = {"policy": policy, "num_hypotheses": number, "max_length": 40, "attention": True}
    options |= {} if policy == "sample" else {"beam_size": number}
    compared = 0
    wanted = cpu.generate(sources, **options).hypotheses
    for found, hypotheses in zip(gpu.generate(sources, **options).hypotheses, wanted, strict=True):
        compared += compare(found, hypotheses, TOLERANCE)
    assert compared >= 0.9 * number * len(sources)


@pytest.mark.parametrize("policy", ["gnmt", "hf"])
@pytest.mark.parametrize("seed", range(6))
def test_coverage_ranks_as_on_the_cpu(tmp_path: Path, load: Load, seed: int, policy: Policy) -> None:
    config = write_model(tmp_path / "model", seed)
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model")
    sources = random_sources(config, 6, 20, seed)
    options: Any = {"policy": policy, "beam_size": 4, "num_hypotheses": 4, "max_length": 30, "coverage_penalty": BETA}
    compared = 0
    wanted = cpu.generate(sources, **options).hypotheses
    for found, hypotheses in zip(gpu.generate(sources, **options).hypotheses, wanted, strict=True):
        assert all(h.attention is None for h in found)
        if sorted(h.tokens.tolist() for h in found) == sorted(h.tokens.tolist() for h in hypotheses):
            scores = [h.score for h in hypotheses]
            np.testing.assert_allclose([h.score for h in found], scores, rtol=10 * SCORE_TOLERANCE)
            if np.diff(scores).max(initial=-1) < -1e-3:
                assert [h.tokens.tolist() for h in found] == [h.tokens.tolist() for h in hypotheses]
            compared += 1
    assert compared >= 5  # the others had a near-tie within the search


def test_does_not_depend_on_the_batch(tmp_path: Path, load: Load) -> None:
    """A batch of 32 that shrinks, and grows out of its caches, and each sentence by itself."""
    config = write_model(tmp_path / "model", 2)
    gpu = load(tmp_path / "model", batch="1:8:32", source="1:16:32", beam="1:2:2")
    sources = random_sources(config, 32, 20, 2)
    options: Any = {"beam_size": 2, "num_hypotheses": 2, "max_length": 60, "attention": True}
    together = gpu.generate(sources, **options).hypotheses
    alone = [gpu.generate([source], **options).hypotheses[0] for source in sources]
    compared = sum(compare(*pair, TOLERANCE) for pair in zip(together, alone, strict=True))
    assert compared >= 0.9 * 64


def test_deterministic_gives_the_same_bits(tmp_path: Path, load: Load) -> None:
    config = write_model(tmp_path / "model", 4)
    gpu = load(tmp_path / "model")
    sources = random_sources(config, 6, 14, 4)
    options: Any = {"beam_size": 4, "max_length": 20, "attention": True, "deterministic": True}
    together = gpu.generate(sources, **options).hypotheses
    for source, (best,) in zip(sources, together, strict=True):
        ((alone,),) = gpu.generate([source], **options).hypotheses
        assert best.attention is not None and alone.attention is not None
        assert best.attention.tobytes() == alone.attention.tobytes()


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_low_precision_comes_close(tmp_path: Path, load: Load, precision: str) -> None:
    config = write_model(tmp_path / "model", 4, low_precisions=(precision,))
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model", precision=precision)
    sources = random_sources(config, 8, 14, 4)
    options: Any = {"beam_size": 1, "max_length": 20, "attention": True}
    found, wanted = (model.generate(sources, **options).hypotheses for model in (gpu, cpu))
    tolerance = LOW_TOLERANCE if precision == "fp16" else 4 * LOW_TOLERANCE
    compared = sum(compare(*pair, tolerance) for pair in zip(found, wanted, strict=True))
    assert compared >= (4 if precision == "fp16" else 1)


def test_its_memory_is_counted(tmp_path: Path, load: Load) -> None:
    config = write_model(tmp_path / "model", 1)
    gpu = load(tmp_path / "model")
    sources = random_sources(config, 8, 20, 1)
    options: Any = {"beam_size": 4, "max_length": 60, "max_length_delta": -1}
    gpu.generate(sources, **options)
    before = gpu.memory["search"]
    gpu.generate(sources, attention=True, **options)
    rows = 8 * 60 * 4 * max(map(len, sources))
    assert gpu.memory["search"] >= before + rows * 4
    gpu.warmup(8, 32, attention=True, **options)
    gpu.generate(sources, attention=True, **options)


def test_unknown_tokens_are_replaced_as_on_the_cpu(load: Load) -> None:
    from nmt_trt.demo import demo_directory

    texts = ["It rains.", "Ms. Przybylska bought 17 apples.", "The old harbour wakes before the sun does."]
    cpu, gpu = nmt_trt.load(backend="onnxruntime"), load(demo_directory())
    assert cpu._text is not None
    unknown = cpu._text._target.unk
    options: Any = {"replace_unknowns": True, "forced_bos": unknown, "beam_size": 2}
    assert gpu.translate(texts, **options) == cpu.translate(texts, **options)
