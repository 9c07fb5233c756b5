"""coverage_penalty against equation 14 of Wu et al. 2016, computed apart from the attention of all hypotheses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nmt_trt
from nmt_trt.errors import UsageError
from nmt_trt.options import Policy, make_options
from nmt_trt.results import Hypothesis
from random_models import random_sources, write_random_model

BETA = 0.7


def rescored(hypothesis: Hypothesis) -> float:
    assert hypothesis.attention is not None
    covered = hypothesis.attention.astype(np.float64).sum(axis=0)
    return float(hypothesis.score + BETA * np.log(np.clip(covered, np.finfo(np.float32).tiny, 1)).sum())


@pytest.mark.parametrize("policy", ["gnmt", "hf", "sample"])
def test_ranks_what_was_found_again(tmp_path: Path, policy: Policy) -> None:
    moved = 0
    for seed in range(6):
        config = write_random_model(tmp_path / str(seed), seed)
        model = nmt_trt.load(tmp_path / str(seed), backend="onnxruntime")
        sources = random_sources(config, 6, 12, seed)
        options: Any = {"policy": policy, "length_penalty": 0.6, "max_length": 15, "num_hypotheses": 6}
        options |= {"beam_size": None if policy == "sample" else 6}
        every = model.generate(sources, attention=True, **options).hypotheses
        returned = 6 if policy == "sample" else 2  # whose draws are all returned
        options |= {"num_hypotheses": returned, "coverage_penalty": BETA}
        for found, hypotheses in zip(model.generate(sources, **options).hypotheses, every, strict=True):
            wanted = [(h.tokens.tolist(), rescored(h), h.log_prob) for h in hypotheses]
            if policy != "sample":
                wanted.sort(key=lambda one: -one[1])
            assert [h.tokens.tolist() for h in found] == [tokens for tokens, _, _ in wanted[:returned]]
            assert [h.score for h in found] == pytest.approx([score for _, score, _ in wanted[:returned]], rel=1e-5)
            assert [h.log_prob for h in found] == [log_prob for _, _, log_prob in wanted[:returned]]
            assert all(h.attention is None for h in found)
            moved += found[0].tokens.tolist() != hypotheses[0].tokens.tolist()
    assert (moved > 0) == (policy != "sample")


def test_nothing_changes_without_it(tmp_path: Path) -> None:
    config = write_random_model(tmp_path / "model", 1)
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    sources = random_sources(config, 4, 12, 1)
    plain = model.generate(sources, beam_size=4)
    zero = model.generate(sources, beam_size=4, coverage_penalty=0.0)
    assert [h[0].score for h in plain.hypotheses] == [h[0].score for h in zero.hypotheses]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coverage_penalty": -0.1}, "coverage_penalty must be from 0 to 100; given -0.1"),
        ({"coverage_penalty": None}, "coverage_penalty must be a number; given None"),
        (
            {"coverage_penalty": 1, "policy": "nemo"},
            "coverage_penalty is of the policies 'gnmt', 'hf' and 'sample'; given policy 'nemo'",
        ),
    ],
)
def test_what_cannot_be_is_refused(options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_options(**options)
