"""Model.generate: inputs, options, errors, threads."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nmt_trt
from importing.nemo_archives import write_random_nemo
from nmt_trt.errors import BackendError, ModelDirectoryError, SourceError, UsageError
from nmt_trt.models.config import TransformerConfig
from nmt_trt.runtime.onnxruntime_backend import FIRST_CAPACITY
from random_models import BOS, EOS, PAD, random_sources, write_random_model


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "model"
    write_random_model(path, 11)
    return path


@pytest.fixture(scope="module")
def model(directory: Path) -> nmt_trt.Model:
    return nmt_trt.load(directory, backend="onnxruntime")


@pytest.fixture(scope="module")
def sources(model: nmt_trt.Model) -> list[np.ndarray]:
    return random_sources(model.config, 5, 9, 1)


def test_every_kind_of_input_gives_the_same(model: nmt_trt.Model, sources: list[np.ndarray]) -> None:
    width = max(source.size for source in sources)
    padded = np.stack([np.pad(source, (0, width - source.size), constant_values=PAD) for source in sources])
    wanted = [sequence.tolist() for sequence in model.generate(sources).sequences]
    for given in (
        [source.tolist() for source in sources],
        tuple(sources),
        padded.astype(np.int64),
        padded.astype(np.uint16),
        np.asfortranarray(padded),
        torch.from_numpy(padded),
        [torch.from_numpy(source) for source in sources],
    ):
        assert [sequence.tolist() for sequence in model.generate(given).sequences] == wanted


def test_result_has_no_specials_and_one_score_a_sentence(model: nmt_trt.Model, sources: list[np.ndarray]) -> None:
    result = model.generate(sources, num_hypotheses=3, beam_size=4)
    assert [len(hypotheses) for hypotheses in result.hypotheses] == [3] * len(sources)
    assert result.scores.shape == (len(sources),) and result.scores.dtype == np.float32
    for hypotheses in result.hypotheses:
        scores = [h.score for h in hypotheses]
        assert scores == sorted(scores, reverse=True)
        for hypothesis in hypotheses:
            assert hypothesis.tokens.dtype == np.int32
            assert not {PAD, EOS} & set(hypothesis.tokens.tolist())


def test_score_is_the_log_prob_over_the_length_penalty(model: nmt_trt.Model, sources: list[np.ndarray]) -> None:
    alpha = 0.8
    for hypotheses in model.generate(sources, length_penalty=alpha).hypotheses:
        best = hypotheses[0]
        penalty = ((5 + best.tokens.size + 2) / 6) ** alpha
        assert best.score == pytest.approx(best.log_prob / penalty, rel=1e-5)


def test_an_empty_batch_gives_an_empty_result(model: nmt_trt.Model) -> None:
    nothing: Any
    for nothing in ([], np.empty((0, 5), np.int32)):
        result = model.generate(nothing)
        assert result.hypotheses == [] and result.sequences == [] and result.scores.shape == (0,)


def test_lengths_are_limited(model: nmt_trt.Model, sources: list[np.ndarray]) -> None:
    for limit in (1, 2, 5):
        assert all(s.size <= limit for s in model.generate(sources, max_length=limit).sequences)
    relative = model.generate(sources, max_length_delta=0, beam_size=2)
    assert all(s.size <= source.size for s, source in zip(relative.sequences, sources, strict=True))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("text", "given text"),
        (np.array([1, 2, 3]), "two dimensions"),
        ([1, 2, 3], r"src_ids\[0\] must be a row"),
        ([[BOS, 1.5]], "must hold integers; given float64"),
        ([[True, False]], "must hold integers; given bool"),
        ([[BOS, 5, EOS], []], r"src_ids\[1\] is empty"),
        ([[PAD, PAD]], "is empty"),
        ([[BOS, PAD, 5, EOS]], "padding .* before its end"),
        ([[BOS, -1, EOS]], "outside 0"),
        ([[BOS, 10**6, EOS]], "outside 0"),
        ([[BOS, *[5] * 200, EOS]], "202 tokens; the model's limit is 64"),
        ([["a", "b"]], "must hold integers"),
        (np.zeros((2, 2, 2), np.int32), "two dimensions"),
        (object(), "two dimensions"),
    ],
)
def test_unusable_ids_are_refused(model: nmt_trt.Model, given: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        model.generate(given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size must be from 1 to 32; given 0"),
        ({"beam_size": 33}, "from 1 to 32"),
        ({"beam_size": 2.0}, "whole number"),
        ({"beam_size": True}, "must be a number"),
        ({"length_penalty": -1.0}, "length_penalty must be from 0"),
        ({"length_penalty": float("nan")}, "length_penalty must be from 0"),
        ({"num_hypotheses": 5, "beam_size": 4}, "at most beam_size 4; given 5"),
        ({"max_length": 0}, "max_length must be at least 1"),
        ({"policy": "other"}, "policy must be one of gnmt, nemo"),
        ({"policy": "nemo", "deterministic": True}, "contradicts"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"beams": 4}, "unknown generation option beams; known: allowed_tokens, attention, bad_words"),
    ],
)
def test_unusable_options_are_refused(model: nmt_trt.Model, options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        model.generate([[BOS, 5, EOS]], **options)


def test_a_failed_call_leaves_the_model_usable(model: nmt_trt.Model, sources: list[np.ndarray]) -> None:
    before = [s.tolist() for s in model.generate(sources).sequences]
    with pytest.raises(UsageError):
        model.generate([[10**6]])
    assert [s.tolist() for s in model.generate(sources).sequences] == before


def test_threads_share_a_model(model: nmt_trt.Model, sources: list[np.ndarray]) -> None:
    wanted = [s.tolist() for s in model.generate(sources).sequences]
    found: list[list[list[int]]] = []

    def work() -> None:
        found.append([s.tolist() for s in model.generate(sources).sequences])

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [wanted] * 4


def test_progress_counts_every_sentence_once(model: nmt_trt.Model, sources: list[np.ndarray]) -> None:
    counts: list[int] = []
    model.generate(sources, batch_size=2, progress=counts.append)
    assert counts == [2, 2, 1]


def test_the_cpu_takes_no_gpu_memory_and_needs_no_warming_up(model: nmt_trt.Model) -> None:
    model.warmup(4, 20, beam_size=2)
    assert model.memory == {}
    with pytest.raises(UsageError, match="beam_size must be from 1 to 32"):
        model.warmup(beam_size=0)


def test_a_text_that_the_backend_has_no_room_for_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nmt_trt.build(write_random_nemo(tmp_path / "tiny.nemo", seed=3).path, tmp_path / "model")
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")

    def refuse(lengths: list[int], options: object) -> list[list[int]]:
        raise SourceError(len(lengths) - 1, "has 7 tokens")

    monkeypatch.setattr(model._backend, "plan_batches", refuse)
    with pytest.raises(SourceError, match=r"texts\[3\] has 7 tokens"):
        model.translate(["a", "", "b", "c", " "])


def test_a_model_without_tokenizer_cannot_translate(model: nmt_trt.Model) -> None:
    with pytest.raises(UsageError, match="no tokenizer"):
        model.translate(["text"])


def test_unusable_backends_and_threads_are_refused(directory: Path) -> None:
    with pytest.raises(UsageError, match="backend must be one of auto"):
        nmt_trt.load(directory, backend="cuda")
    with pytest.raises(UsageError, match="threads must be at least 1"):
        nmt_trt.load(directory, threads=0)
    assert "asked for" in nmt_trt.load(directory, backend="onnxruntime", threads=1).backend


def test_unusable_model_directories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelDirectoryError, match="nmt-trt build"):
        nmt_trt.load(tmp_path / "nothing")
    with pytest.raises(ModelDirectoryError, match=r"missing: config\.json, weights\.safetensors"):
        nmt_trt.load(tmp_path)
    path = tmp_path / "model"
    write_random_model(path, 1)
    (path / "config.json").write_text('{"format_version": 2}')
    with pytest.raises(ModelDirectoryError, match="format_version"):
        nmt_trt.load(path)


def test_a_graph_that_cannot_be_loaded_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "model"
    write_random_model(path, 1)
    (path / "decoder.onnx").write_bytes(b"not a graph")
    with pytest.raises(BackendError, match=r"decoder\.onnx: ONNX Runtime cannot load"):
        nmt_trt.load(path, backend="onnxruntime")


@pytest.mark.parametrize("beam_size", [1, 2, 31, 32])
def test_beams_up_to_the_largest(tmp_path: Path, beam_size: int) -> None:
    config: TransformerConfig = write_random_model(tmp_path / "model", 8)
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    result = model.generate(random_sources(config, 3, 8, 2), beam_size=beam_size, num_hypotheses=beam_size)
    assert all(0 < len(hypotheses) <= beam_size for hypotheses in result.hypotheses)


def test_caches_grow_over_long_outputs(tmp_path: Path) -> None:
    """Long searches pass several cache sizes; the step graph would fail or drift if growth lost a slot."""
    config = write_random_model(tmp_path / "model", 3)
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    sources = random_sources(config, 4, 6, 3)
    long = model.generate(sources, max_length=64, max_length_delta=-1, beam_size=2)
    assert max(sequence.size for sequence in long.sequences) > 2 * FIRST_CAPACITY
    for source, sequence in zip(sources, long.sequences, strict=True):
        alone = model.generate([source], max_length=64, max_length_delta=-1, beam_size=2)
        assert alone.sequences[0].tolist() == sequence.tolist()
