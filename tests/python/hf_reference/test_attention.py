"""Attention against transformers' `output_attentions`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import nmt_trt
from hf_reference.cases import Case, model_of
from nmt_trt.results import Hypothesis
from random_marian import random_marian_sources

TOLERANCE = 1e-5


def drawn(seed: int) -> Case:
    recorder = model_of(seed)
    recorder.model.set_attn_implementation("eager")  # the only one that gives attentions
    return Case(recorder, tuple(random_marian_sources(recorder.model.config, 5, 12, seed)), {})


def ours(case: Case, directory: Path, **options: Any) -> list[list[Hypothesis]]:
    case.model.model.save_pretrained(directory / "checkpoint")
    nmt_trt.build(directory / "checkpoint", directory / "model")
    model = nmt_trt.load(directory / "model", backend="onnxruntime", threads=1)
    return model.generate(
        case.sources, policy="hf", max_length_delta=-1, bad_words=[[case.pad]], attention=True, **options
    ).hypotheses


def theirs(case: Case, source: NDArray[np.int32], **arguments: Any) -> Any:
    return case.model.model.generate(
        input_ids=torch.from_numpy(source).long()[None],
        bad_words_ids=[[case.pad]],
        return_dict_in_generate=True,
        output_attentions=True,
        **arguments,
    )


@pytest.mark.parametrize("seed", range(8))
def test_greedy_search(seed: int, tmp_path: Path) -> None:
    case = drawn(seed)
    for source, (hypothesis,) in zip(case.sources, ours(case, tmp_path, beam_size=1, max_length=20), strict=True):
        output = theirs(case, source, num_beams=1, max_new_tokens=20)
        words = [token for token in output.sequences[0, 1:].tolist() if token != case.eos]
        assert hypothesis.tokens.tolist() == words
        assert hypothesis.attention is not None
        expected = np.stack([step[-1][0].mean(dim=0)[0].numpy() for step in output.cross_attentions])
        np.testing.assert_allclose(hypothesis.attention, expected, atol=TOLERANCE)


def test_beam_search(tmp_path: Path) -> None:
    """`beam_indices` of transformers 5.23.0 are not always those of the sequence: test_token_scores.py."""
    compared = contradictory = 0
    for seed in range(12):
        case = drawn(seed)
        found = ours(case, tmp_path / str(seed), beam_size=3, num_hypotheses=3, max_length=16, length_penalty=1.0)
        for source, sentence in zip(case.sources, found, strict=True):
            beams: Any = {"num_beams": 3, "num_return_sequences": 3, "max_new_tokens": 16, "length_penalty": 1.0}
            output = theirs(case, source, output_scores=True, early_stopping=False, **beams)
            for number, hypothesis in enumerate(sentence):
                assert hypothesis.attention is not None
                parents = output.beam_indices[number, : len(hypothesis.attention)].tolist()
                path = list(enumerate(zip(parents, output.sequences[number, 1:].tolist(), strict=False)))
                total = sum(float(output.scores[step][k, token]) for step, (k, token) in path) / len(parents)
                if -1 in parents or total != pytest.approx(float(output.sequences_scores[number]), abs=1e-4):
                    contradictory += 1
                    continue
                expected = np.stack(
                    [output.cross_attentions[step][-1][k].mean(dim=0)[0].numpy() for step, k in enumerate(parents)]
                )
                np.testing.assert_allclose(hypothesis.attention, expected, atol=TOLERANCE)
                compared += 1
    assert compared > 5 * contradictory


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("beam_size", [2, 5])
def test_it_is_that_of_a_forward_pass(seed: int, beam_size: int, tmp_path: Path) -> None:
    case = drawn(seed)
    found = ours(case, tmp_path, beam_size=beam_size, num_hypotheses=beam_size, max_length=16)
    for source, sentence in zip(case.sources, found, strict=True):
        for hypothesis in sentence:
            assert hypothesis.attention is not None
            given = [case.pad, *hypothesis.tokens.tolist()][: len(hypothesis.attention)]
            with torch.inference_mode():
                output = case.model.model(
                    input_ids=torch.from_numpy(source).long()[None],
                    decoder_input_ids=torch.tensor([given]),
                    output_attentions=True,
                )
            expected = output.cross_attentions[-1][0].mean(dim=0).numpy()
            np.testing.assert_allclose(hypothesis.attention, expected, atol=TOLERANCE)
