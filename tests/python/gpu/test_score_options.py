"""Policy hf and options that change scores: the kernels against the search of the CPU backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nmt_trt
from gpu.conftest import Load
from gpu.gpu_models import assert_equal, write_model
from nmt_trt.models.config import TransformerConfig
from nmt_trt.score_options import LEFT_ALONE
from random_models import BOS, EOS, random_sources

SEEDS = range(12)
BEAM_SIZES = (4, 1, 5, 3)
STOPS: tuple[Any, ...] = (False, True, "never")

Options = dict[str, Any]


def random_option(name: str, config: TransformerConfig, seed: int) -> Any:
    """A value that changes something."""
    draw = np.random.default_rng([seed, *name.encode()])

    def token() -> int:
        return int(draw.integers(EOS + 1, config.decoder.vocab_size))

    values: dict[str, Callable[[], Any]] = {
        "min_length": lambda: int(draw.integers(1, 9)),
        "repetition_penalty": lambda: float(draw.choice([0.7, 1.2, 2.0])),
        "no_repeat_ngram": lambda: int(draw.integers(1, 4)),
        "forced_bos": token,
        "forced_eos": lambda: EOS,
        "bad_words": lambda: [[token() for _ in range(draw.integers(1, 4))] for _ in range(60)] + [[EOS]],
        "suppress_tokens": lambda: [token() for _ in range(5)],
        "allowed_tokens": lambda: [token() for _ in range(config.decoder.vocab_size // 2)],
    }
    return values[name]()


def random_options(config: TransformerConfig, seed: int) -> Options:
    """Several options at once, whose forced token may come."""
    draw = np.random.default_rng(seed)
    options: Options = {name: random_option(name, config, seed) for name in LEFT_ALONE if draw.integers(2)}
    forced = options.get("forced_bos")
    if "suppress_tokens" in options:
        options["suppress_tokens"] = [token for token in options["suppress_tokens"] if token != forced]
    if "allowed_tokens" in options and forced is not None:
        options["allowed_tokens"].append(forced)
    return options


def compare(cpu: nmt_trt.Model, gpu: nmt_trt.Model, config: TransformerConfig, seed: int, options: Options) -> None:
    """Generate the same sentences with both; `options` are added to usual ones."""
    beam = BEAM_SIZES[seed % len(BEAM_SIZES)]
    usual: Options = {"beam_size": beam, "max_length_delta": 8, "length_penalty": 0.6 + seed / 10}
    given = {**usual, **options}
    given["num_hypotheses"] = given["beam_size"]
    sources = random_sources(config, 6, 16, seed)
    wanted = cpu.generate(sources, **given).hypotheses
    for found, hypotheses in zip(gpu.generate(sources, **given).hypotheses, wanted, strict=True):
        assert_equal(found, hypotheses)


@pytest.mark.parametrize("seed", SEEDS)
def test_policy_hf_equals_the_cpu(tmp_path: Path, load: Load, seed: int) -> None:
    config = write_model(tmp_path / "model", seed)
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model")
    for stop in STOPS:
        for length_penalty in (1.0, -0.5):
            options = {"policy": "hf", "early_stopping": stop, "length_penalty": length_penalty}
            compare(cpu, gpu, config, seed, options)


@pytest.mark.parametrize("seed", SEEDS[::3])
def test_patience_equals_the_cpu(tmp_path: Path, load: Load, seed: int) -> None:
    config = write_model(tmp_path / "model", seed)
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model")
    for stop in STOPS:
        for patience in (1.5, 2.0, 8.0):
            options = {"policy": "hf", "beam_size": 4, "early_stopping": stop, "patience": patience}
            compare(cpu, gpu, config, seed, options)


@pytest.mark.parametrize("seed", [0, 1, 6, 9])  # whose outcomes stay with weights that are 1e-7 off
def test_groups_equal_the_cpu(tmp_path: Path, load: Load, seed: int) -> None:
    config = write_model(tmp_path / "model", seed)
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model")
    for groups in (2, 3, 6):
        for penalty in (0.0, 0.4, 2.0):
            options = {"beam_size": 6, "beam_groups": groups, "diversity_penalty": penalty}
            compare(cpu, gpu, config, seed, options)
            compare(cpu, gpu, config, seed, {**options, **random_options(config, 100 * seed + groups)})


def test_policy_hf_with_more_candidates_than_a_warp_has_lanes(tmp_path: Path, load: Load) -> None:
    config = write_model(tmp_path / "model", 4)
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model", beam="1:4:20")
    compare(cpu, gpu, config, 4, {"policy": "hf", "beam_size": 20})
    compare(cpu, gpu, config, 4, {"policy": "hf", "beam_size": 20, "repetition_penalty": 1.3, "no_repeat_ngram": 2})


@pytest.mark.parametrize("policy", ["gnmt", "hf"])
@pytest.mark.parametrize("seed", SEEDS[::3])
def test_each_score_option_equals_the_cpu(tmp_path: Path, load: Load, seed: int, policy: str) -> None:
    config = write_model(tmp_path / "model", seed)
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model")
    for name in LEFT_ALONE:
        compare(cpu, gpu, config, seed, {"policy": policy, name: random_option(name, config, seed)})


@pytest.mark.parametrize("policy", ["gnmt", "hf"])
@pytest.mark.parametrize("seed", SEEDS)
def test_random_score_options_equal_the_cpu(tmp_path: Path, load: Load, seed: int, policy: str) -> None:
    config = write_model(tmp_path / "model", seed)
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model")
    for case in range(4):
        options = random_options(config, 100 * seed + case)
        compare(cpu, gpu, config, seed, {"policy": policy, **options})


def test_greedy_search_of_hf_changes_logits(tmp_path: Path, load: Load) -> None:
    config = write_model(tmp_path / "model", 0, endless=True)
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model")
    for penalty in (0.5, 1.5, 3.0):
        compare(cpu, gpu, config, 0, {"policy": "hf", "beam_size": 1, "repetition_penalty": penalty})


def test_options_of_one_batch_are_not_those_of_the_next(tmp_path: Path, load: Load) -> None:
    config = write_model(tmp_path / "model", 3)
    cpu, gpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime"), load(tmp_path / "model")
    words = [[token] for token in range(EOS + 1, EOS + 8)]
    for options in (
        {},
        {"min_length": 6},
        {"bad_words": words},
        {},
        {"suppress_tokens": [EOS + 9]},
        {"bad_words": [[BOS, token] for token in range(EOS + 1, config.decoder.vocab_size)]},
        {"min_length": 6},
        {},
    ):
        compare(cpu, gpu, config, 3, options)


def test_other_values_take_no_more_memory(tmp_path: Path, load: Load) -> None:
    config = write_model(tmp_path / "model", 3)
    gpu = load(tmp_path / "model")
    sources = random_sources(config, 6, 16, 3)
    options: Options = {"beam_size": 4, "max_length_delta": 8}
    gpu.generate(sources, min_length=3, **options)
    before = gpu.memory
    gpu.generate(sources, repetition_penalty=1.3, no_repeat_ngram=2, suppress_tokens=[5, 6], **options)
    assert gpu.memory == before


def test_deterministic_gives_the_same_bits(tmp_path: Path, load: Load) -> None:
    config = write_model(tmp_path / "model", 4)
    model = load(tmp_path / "model", batch="1:8:64")
    sources = random_sources(config, 40, 20, 4)
    options: Options = {"beam_size": 4, "max_length_delta": 10, "repetition_penalty": 1.2, "no_repeat_ngram": 2}
    for policy in ("gnmt", "hf"):
        together = model.generate(sources, policy=policy, deterministic=True, **options)
        for index in (0, 17, 39):
            alone = model.generate([sources[index]], policy=policy, deterministic=True, **options)
            assert alone.hypotheses[0][0].tokens.tolist() == together.hypotheses[index][0].tokens.tolist()
            assert alone.hypotheses[0][0].score == together.hypotheses[index][0].score
