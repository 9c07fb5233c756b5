"""Scores of given translations against the teacher-forced logits of transformers' MarianMTModel."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import MarianMTModel

import nmt_trt
from hf_reference.cases import model_of
from importing.marian_checkpoints import write_marian_with_text
from nmt_trt import Model
from nmt_trt.errors import UsageError
from random_marian import random_marian_sources


def opened(seed: int, directory: Path) -> tuple[Any, Model]:
    """transformers' model of a seed, and ours."""
    reference = model_of(seed).model
    reference.save_pretrained(directory / "checkpoint")
    nmt_trt.build(directory / "checkpoint", directory / "model")
    return reference, nmt_trt.load(directory / "model", backend="onnxruntime", threads=1)


def teacher_forced(reference: Any, source: list[int], target: list[int]) -> np.ndarray:
    """The log-probability of each token of the target and of EOS behind it."""
    labels = torch.tensor([[*target, reference.config.eos_token_id]])
    inputs = torch.tensor([[reference.config.decoder_start_token_id, *target]])
    with torch.no_grad():
        logits = reference(input_ids=torch.tensor([source]), decoder_input_ids=inputs).logits
    scores: np.ndarray = logits.log_softmax(dim=-1).gather(2, labels[..., None])[0, :, 0].numpy()
    return scores


@pytest.mark.parametrize("seed", range(8))
def test_scores_are_those_of_teacher_forcing(seed: int, tmp_path: Path) -> None:
    reference, model = opened(seed, tmp_path)
    config, draw = reference.config, np.random.default_rng(seed)
    sources = [row.tolist() for row in random_marian_sources(config, 12, 14, seed)]
    words = [
        token for token in range(config.decoder_vocab_size) if token not in (config.eos_token_id, config.pad_token_id)
    ]
    targets = [[int(token) for token in draw.choice(words, draw.integers(0, 30))] for _ in sources]
    targets[3] = []
    done: list[int] = []
    scores = model.score(sources, targets, progress=done.append, batch_size=5)
    assert sum(done) == 12
    for score, source, target in zip(scores, sources, targets, strict=True):
        assert score.tokens.tolist() == target
        np.testing.assert_allclose(score.token_scores, teacher_forced(reference, source, target), atol=1e-4)
        assert list(accumulate(score.token_scores, np.add, initial=np.float32(0)))[-1] == np.float32(score.log_prob)


def test_what_was_generated_has_the_score_that_it_had(tmp_path: Path) -> None:
    _, model = opened(1, tmp_path)
    sources = random_marian_sources(model_of(1).model.config, 6, 12, 0)
    found = model.generate(sources, beam_size=4, token_scores=True, deterministic=True, max_length=40)
    ended = [index for index, best in enumerate(found.hypotheses) if len(best[0].token_scores) > len(best[0].tokens)]  # type: ignore[arg-type]
    assert len(ended) > 3
    tokens = [found.sequences[index] for index in ended]
    scores = model.score([sources[index] for index in ended], tokens, deterministic=True)
    for score, index in zip(scores, ended, strict=True):
        np.testing.assert_allclose(score.token_scores, found.hypotheses[index][0].token_scores, atol=1e-5)  # type: ignore[arg-type]


def test_eos_may_be_there_or_not_and_padding_too(tmp_path: Path) -> None:
    reference, model = opened(2, tmp_path)
    eos, pad = reference.config.eos_token_id, reference.config.pad_token_id
    sources = [[5, 6, eos], [7, eos]]
    plain = model.score(sources, [[3, 4, 5], [6]])
    padded = model.score(sources, np.array([[3, 4, 5, eos], [6, eos, pad, pad]]))
    assert [one.token_scores.tolist() for one in plain] == [one.token_scores.tolist() for one in padded]
    assert [one.tokens.tolist() for one in padded] == [[3, 4, 5], [6]]


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    reference, model = opened(2, tmp_path)
    eos = reference.config.eos_token_id
    refused: list[tuple[Any, str]] = [
        ([[3], [4]], "tgt_ids must have one for each of 1 sentences; given 2"),
        ([[3, eos, 4]], "tgt_ids\\[0\\] has EOS"),
        ([[10**6]], "tgt_ids\\[0\\] has an id outside"),
        ([[3] * 64], "tgt_ids\\[0\\] has 65 tokens, EOS included; the model's limit is 64"),
    ]
    for targets, message in refused:
        with pytest.raises(UsageError, match=message):
            model.score([[5, eos]], targets)
    with pytest.raises(UsageError, match="has no tokenizer"):
        model.score_text(["a"], ["b"])
    with pytest.raises(UsageError, match="batch_type='tokens' needs batch_size"):
        model.score([[5, eos]], [[3]], batch_type="tokens")


def test_texts_are_cut_by_both_tokenizers(tmp_path: Path) -> None:
    tokenizer = write_marian_with_text(tmp_path / "checkpoint")
    reference = MarianMTModel.from_pretrained(tmp_path / "checkpoint").eval()
    nmt_trt.build(tmp_path / "checkpoint", tmp_path / "model")
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    sources, targets = ["The old harbour", "It rains"], ["Der alte Hafen", ""]
    scores = model.score_text(sources, targets)
    for score, source, target in zip(scores, sources, targets, strict=True):
        ids = tokenizer(text_target=target).input_ids[:-1]
        assert score.tokens.tolist() == ids
        expected = teacher_forced(reference, tokenizer(source).input_ids, ids)
        np.testing.assert_allclose(score.token_scores, expected, atol=1e-4)
    with pytest.raises(UsageError, match="targets must have one for each of 2 sentences; given 1"):
        model.score_text(sources, ["Der"])
