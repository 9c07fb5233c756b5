"""Scores of single tokens against transformers' compute_transition_scores, and against a forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nmt_trt
from hf_reference.cases import Case, model_of, random_case
from nmt_trt.results import Hypothesis
from random_marian import random_marian_sources


def ours(case: Case, directory: Path, **options: Any) -> list[list[Hypothesis]]:
    case.model.model.save_pretrained(directory / "checkpoint")
    nmt_trt.build(directory / "checkpoint", directory / "model")
    model = nmt_trt.load(directory / "model", backend="onnxruntime", threads=1)
    return model.generate(case.sources, max_length_delta=-1, token_scores=True, **options).hypotheses


def theirs(case: Case) -> Iterator[list[float] | None]:
    """The transition scores of each hypothesis, EOS's the last; None where they contradict `sequences_scores`.

    Some do: `beam_indices` of transformers 5.23.0 are not always those of the sequence, and less so in batches.
    """
    arguments = case.arguments
    model = case.model.model
    for source in case.sources:
        output = model.generate(
            input_ids=torch.from_numpy(source).long()[None],
            return_dict_in_generate=True,
            output_scores=True,
            **arguments,
        )
        scores = model.compute_transition_scores(output.sequences, output.scores, output.beam_indices)
        for number, (row, tokens) in enumerate(zip(scores.tolist(), output.sequences[:, 1:].tolist(), strict=True)):
            row = row[: tokens.index(case.eos) + 1 if case.eos in tokens else len(tokens)]
            if sum(row) / len(row) ** case.options["length_penalty"] == pytest.approx(
                float(output.sequences_scores[number]), abs=1e-3
            ):
                yield row
            else:
                yield None


def test_they_are_transition_scores(tmp_path: Path) -> None:
    compared = contradictory = 0
    for seed in range(24):
        if (case := random_case(seed)).options["beam_size"] == 1:  # which is compared below
            continue
        found = chain(*ours(case, tmp_path / str(seed), policy="hf", **case.options))
        for hypothesis, expected in zip(found, theirs(case), strict=True):
            assert hypothesis.token_scores is not None
            total = list(accumulate(hypothesis.token_scores, np.add, initial=np.float32(0)))[-1]
            assert total == np.float32(hypothesis.log_prob)
            if expected is None:
                contradictory += 1
                continue
            np.testing.assert_allclose(hypothesis.token_scores, expected, atol=1e-4)
            compared += 1
    assert compared > 5 * contradictory


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("policy", ["gnmt", "hf"])
@pytest.mark.parametrize("seed", range(4))
def test_they_are_log_probabilities_of_a_forward_pass(seed: int, policy: str, beam_size: int, tmp_path: Path) -> None:
    recorder = model_of(seed)
    case = Case(recorder, tuple(random_marian_sources(recorder.model.config, 5, 12, seed)), {})
    options = {"policy": policy, "beam_size": beam_size, "num_hypotheses": beam_size, "bad_words": [[case.pad]]}
    for source, sentence in zip(case.sources, ours(case, tmp_path, **options), strict=True):
        for hypothesis in sentence:
            assert hypothesis.token_scores is not None
            ended = len(hypothesis.token_scores) - len(hypothesis.tokens)
            assert ended in (0, 1)
            generated = [*hypothesis.tokens.tolist(), *[case.eos] * ended]
            np.testing.assert_allclose(hypothesis.token_scores, forward(case, source, generated), atol=1e-4)


def forward(case: Case, source: np.ndarray, generated: list[int]) -> np.ndarray:
    """log-softmax of the model's logits for `generated` behind the start token."""
    with torch.no_grad():
        logits = case.model.model(
            input_ids=torch.from_numpy(source).long()[None],
            decoder_input_ids=torch.tensor([[case.pad, *generated[:-1]]]),
        ).logits[0]
    log_probs: np.ndarray = logits.log_softmax(dim=-1)[range(len(generated)), generated].numpy()
    return log_probs
