"""The bundled demo model against the real NeMo: tests/data/golden_demo.json, made by tools/nemo_golden."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from nmt_trt import Model, build
from nmt_trt.demo import demo_archive
from nmt_trt.model_directory import read_tokenizer_files
from nmt_trt.text.pipeline import TextPipeline

GOLDEN = Path(__file__).parents[2] / "data" / "golden_demo.json"
CONTENT = json.loads(GOLDEN.read_text("utf-8"))


@dataclass(frozen=True)
class Sentence:
    """What NeMo made of one sentence; `tokens` are those of its choice, without BOS, EOS and PAD."""

    source: str
    translation: str
    source_ids: list[int]
    tokens: list[int]
    log_prob: float


def _sentence(entry: dict[str, object], special: frozenset[int] = frozenset({0, 2, 3})) -> Sentence:
    best, hypotheses, scores = entry["best"], entry["tokens"], entry["scores"]
    assert isinstance(best, list) and isinstance(hypotheses, list) and isinstance(scores, list)
    source, translation, source_ids = entry["source"], entry["translation"], entry["source_ids"]
    assert isinstance(source, str) and isinstance(translation, str) and isinstance(source_ids, list)
    tokens = [token for token in best if token not in special]
    return Sentence(source, translation, source_ids, tokens, scores[hypotheses.index(best)])


SENTENCES = [_sentence(entry) for entry in CONTENT["sentences"]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    directory = tmp_path_factory.mktemp("demo") / "model"
    build(demo_archive(), directory)
    return Model(directory, backend="onnxruntime", threads=1)


def test_golden_file_is_of_the_bundled_archive() -> None:
    assert CONTENT["model_sha256"] == hashlib.sha256(demo_archive().read_bytes()).hexdigest()
    assert len(SENTENCES) == 100


def test_defaults_are_those_of_nemo(model: Model) -> None:
    generation = model.config.generation
    assert generation.beam_size == CONTENT["beam_size"]
    assert generation.length_penalty == CONTENT["length_penalty"]
    assert generation.max_length_delta == CONTENT["max_length_delta"]


def test_source_ids_equal_those_of_nemo(model: Model) -> None:
    pipeline = TextPipeline(model.config, read_tokenizer_files(model.directory, model.config))
    assert [list(pipeline.encode(sentence.source)) for sentence in SENTENCES] == [
        sentence.source_ids for sentence in SENTENCES
    ]


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: sentence.source[:40])
def test_policy_nemo_equals_nemo(model: Model, sentence: Sentence) -> None:
    ((best, *_),), _ = model.translate_hypotheses([sentence.source], policy="nemo")
    text, hypothesis = best
    assert hypothesis.tokens.tolist() == sentence.tokens
    assert text == sentence.translation
    np.testing.assert_allclose(hypothesis.log_prob, sentence.log_prob, rtol=0, atol=1e-4)


def test_default_policy_gives_a_sentence_the_same_text_alone_and_in_a_batch(model: Model) -> None:
    sources = [sentence.source for sentence in SENTENCES]
    together = model.translate(sources, batch_size=len(sources))
    assert together == [model.translate(source) for source in sources]
