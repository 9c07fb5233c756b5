"""Scores of single tokens: what the model gives for a hypothesis, read once more from its beginning."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import numpy as np
import pytest

from nmt_trt import _core
from nmt_trt.options import Policy
from search.cases import SEEDS, Case, random_case, with_score_options
from search.driver import run, searched
from search.score_rules import changed_scores
from search.toy_model import History, Tokens

CASES = [*SEEDS[:100]]


def with_scores(case: Case) -> Case:
    return replace(case, scores={**case.scores, "token_scores": True})


def reread(case: Case, position: int, generated: Tokens) -> list[float]:
    """The log-probability of each token, as the options leave it."""
    sentence, limit = case.sentences[position], case.max_lengths[position]
    return [
        float(changed_scores(case, generated[:step], log_probs, limit)[token])
        for step, token in enumerate(generated)
        for log_probs in [case.model.log_probs(History(sentence, sentence, generated[:step]))]
    ]


def endings(case: Case, found: _core.Hypothesis) -> list[Tokens]:
    """What may have been generated, given the tokens that are words and the number of scores."""
    words, more = tuple(found.tokens.tolist()), len(found.token_scores) - len(found.tokens)
    special = (case.eos, case.pad) if case.policy == "nemo" else (case.eos,)
    if more == 0:
        return [words]
    assert more == 1 or case.policy == "nemo"  # whose first token does not end a hypothesis
    if more == 1:
        return [(*words, end) for end in special] + [(first, *words) for first in special]
    assert more == 2
    return [(first, *words, end) for first in special for end in special]


@pytest.mark.parametrize("policy", ["gnmt", "nemo"])
@pytest.mark.parametrize("seed", CASES)
def test_each_token_has_the_score_that_the_model_gives(seed: int, policy: Policy) -> None:
    case = random_case(seed, policy)
    if policy == "nemo":
        case = case.select([0])  # in a batch sentences leak
    elif seed % 2:
        case = with_score_options(case, seed)
    for position, sentence in enumerate(searched(with_scores(case))):
        for found in sentence:
            if found.log_prob == -np.inf:
                assert len(found.token_scores) == len(found.tokens)
                continue
            assert found.token_scores.dtype == np.float32
            assert any(
                np.allclose(found.token_scores, reread(case, position, generated), atol=1e-5)
                for generated in endings(case, found)
            )
            if policy == "gnmt":
                assert list(accumulate(found.token_scores, np.add, initial=np.float32(0)))[-1] == found.log_prob


@pytest.mark.parametrize("policy", ["gnmt", "nemo", "hf"])
def test_they_change_nothing_else(policy: Policy) -> None:
    for seed in CASES[:20]:
        case = replace(random_case(seed, "nemo"), policy=policy)
        assert run(with_scores(case)) == run(case)
        assert all(found.token_scores.size == 0 for sentence in searched(case) for found in sentence)
