"""Decoders on the package's own kernels against TensorRT's engines and against the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nmt_trt
from gpu.conftest import Load
from gpu.gpu_models import NATIVE_STACKS, bits, tokens, write_model, write_native_model
from nmt_trt.models.weights import weight_shapes
from random_models import random_sources

TOLERANCE = {"fp16": 0.1, "bf16": 0.8}
"""Of a token's log-probability, against fp32's. Emulated, the largest differences of these models are 0.05 and 0.5."""
LEAST_IDENTICAL = 0.75
"""Of fp16's sentences, all of which are where fp16 is emulated."""


def token_scores(model: nmt_trt.Model, sources: list[np.ndarray], targets: list[list[int]]) -> np.ndarray:
    """The log-probability of every token of every target."""
    return np.concatenate([score.token_scores for score in model.score(sources, targets)])


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("kind", range(len(NATIVE_STACKS)))
def test_scores_are_as_close_as_the_engines(tmp_path: Path, load: Load, kind: int, precision: str) -> None:
    config = write_native_model(tmp_path / "model", kind, precision)
    native = load(tmp_path / "model", precision=precision)
    engines = load(tmp_path / "model", precision=precision, decoder="engines")
    assert f", {precision}, native decoder (" in native.backend and "native" not in engines.backend
    cpu = nmt_trt.load(tmp_path / "model", backend="onnxruntime")

    draw = np.random.default_rng(kind)
    sources = random_sources(config, 8, 20, kind)
    targets = [draw.integers(4, 50, draw.integers(1, 30)).tolist() for _ in sources]
    found, other, wanted = (token_scores(model, sources, targets) for model in (native, engines, cpu))
    np.testing.assert_allclose(found, wanted, atol=TOLERANCE[precision])
    np.testing.assert_allclose(found, other, atol=TOLERANCE[precision])
    assert np.abs(found - wanted).mean() <= 2 * np.abs(other - wanted).mean() + 1e-4


@pytest.mark.parametrize("kind", range(len(NATIVE_STACKS)))
def test_fp16_translates_nearly_as_the_cpu(tmp_path: Path, load: Load, kind: int) -> None:
    config = write_native_model(tmp_path / "model", kind, "fp16")
    native, cpu = load(tmp_path / "model", precision="fp16"), nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    sources = random_sources(config, 16, 20, kind)
    found, wanted = (tokens(model.generate(sources, max_length_delta=10).hypotheses) for model in (native, cpu))
    assert np.mean([one == other for one, other in zip(found, wanted, strict=True)]) >= LEAST_IDENTICAL


@pytest.mark.parametrize("beam", [1, 3, 8])
def test_deterministic_gives_the_same_bits(tmp_path: Path, load: Load, beam: int) -> None:
    config = write_native_model(tmp_path / "model", 1, "fp16")
    model = load(tmp_path / "model", precision="fp16", batch="1:8:64")
    sources = random_sources(config, 40, 20, 4)
    options: Any = {"beam_size": beam, "num_hypotheses": beam, "deterministic": True}
    wanted = [bits(hypotheses) for hypotheses in model.generate(sources, **options).hypotheses]
    for batch_size in (1, 5, None):
        shuffled = np.random.default_rng(batch_size).permutation(len(sources))
        found = model.generate([sources[i] for i in shuffled], batch_size=batch_size, **options)
        assert [bits(hypotheses) for hypotheses in found.hypotheses] == [wanted[i] for i in shuffled]


def test_rows_do_not_change_a_sentences_bits(tmp_path: Path, load: Load) -> None:
    """The same sentence again and again: the decoder gives each of many rows what it gives one, whatever their number.

    The encoder has the same number of tokens, which it pads to at least 16, in each of these batches.
    """
    config = write_native_model(tmp_path / "model", 0, "fp16")
    model = load(tmp_path / "model", precision="fp16", batch="1:8:16", source="1:1:1")
    (source,) = random_sources(config, 1, 1, 0)
    (alone,) = model.generate([source[:1]], beam_size=4, num_hypotheses=4, max_length_delta=20).hypotheses
    for count in (2, 3, 7, 16):
        together = model.generate([source[:1]] * count, beam_size=4, num_hypotheses=4, max_length_delta=20)
        assert all(bits(hypotheses) == bits(alone) for hypotheses in together.hypotheses)


def test_caches_grow_and_rows_are_given_up(tmp_path: Path, load: Load) -> None:
    config = write_native_model(tmp_path / "model", 2, "fp16")
    model = load(tmp_path / "model", precision="fp16", batch="1:4:32")
    sources = random_sources(config, 32, 20, 3)
    options: Any = {"beam_size": 2, "max_length_delta": -1}
    together = tokens(model.generate(sources, **options).hypotheses)
    alone = [tokens(model.generate([source], **options).hypotheses)[0] for source in sources]
    assert np.mean([one == other for one, other in zip(together, alone, strict=True)]) >= 0.9


def test_no_plan_of_a_decoder_is_made(tmp_path: Path, load: Load, own_cache: Path) -> None:
    config = write_native_model(tmp_path / "model", 0, "fp16")
    model = load(tmp_path / "model", precision="fp16")
    model.generate(random_sources(config, 2, 5, 0))
    names = sorted(path.name.partition("-")[0] for path in own_cache.glob("*.plan"))
    assert names == [f"encoder_{index}" for index in range(config.encoder.num_layers + 1)]


def test_memory_of_the_weights_is_told(tmp_path: Path, load: Load, own_cache: Path) -> None:
    config = write_native_model(tmp_path / "model", 5, "fp16")
    model = load(tmp_path / "model", precision="fp16")
    model.warmup(4, 16)
    before = model.memory
    plans = sum(path.stat().st_size for path in own_cache.glob("*.plan"))
    weights = 2 * sum(
        int(np.prod(shape))
        for name, shape in weight_shapes(config).items()
        if name.startswith("decoder") and ".kv." not in name
    )
    assert plans + weights <= before["plans"] < plans + 2 * weights
    model.generate(random_sources(config, 4, 10, 0), max_length_delta=10)
    assert model.memory == before


def test_attention_and_options_of_the_search(tmp_path: Path, load: Load) -> None:
    config = write_native_model(tmp_path / "model", 4, "fp16")
    native, cpu = load(tmp_path / "model", precision="fp16"), nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    sources = random_sources(config, 8, 12, 3)
    options: Any = {"beam_size": 2, "max_length_delta": 10, "attention": True, "min_length": 4, "no_repeat_ngram": 2}
    compared = 0
    for (one,), (other,) in zip(
        native.generate(sources, **options).hypotheses, cpu.generate(sources, **options).hypotheses, strict=True
    ):
        assert one.attention is not None and other.attention is not None
        if one.tokens.tolist() == other.tokens.tolist():
            np.testing.assert_allclose(one.attention, other.attention, atol=0.02)
            compared += 1
    assert compared >= 5


def test_an_ensemble_of_both(tmp_path: Path, load: Load) -> None:
    """One model's decoder on our kernels, the other's in fp32 on TensorRT."""
    config = write_native_model(tmp_path / "native", 0, "fp16")
    fixed = {name: getattr(config, name) for name in ("encoder", "decoder", "shared_embeddings")}
    write_model(tmp_path / "engines", 1, **fixed)
    paths = [tmp_path / "native", tmp_path / "engines"]
    gpu = load(paths[0], ensemble=paths[1:], precision="auto")
    assert ", fp16 and fp32, 1 native decoder, 2 models (" in gpu.backend
    cpu = nmt_trt.load(paths[0], ensemble=paths[1:], backend="onnxruntime")
    sources, targets = random_sources(config, 4, 12, 1), [[5, 9, 11], [7], [20, 21], []]
    np.testing.assert_allclose(
        token_scores(gpu, sources, targets), token_scores(cpu, sources, targets), atol=TOLERANCE["fp16"]
    )
