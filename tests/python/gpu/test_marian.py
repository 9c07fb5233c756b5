"""Imported Marian models on the GPU in fp32 find what transformers' generate() finds, token for token."""

from __future__ import annotations

from pathlib import Path

import pytest

import nmt_trt
from gpu.conftest import Load
from hf_reference.cases import random_case
from hf_reference.test_policy_hf import assert_equal
from search.cases import Found


@pytest.mark.parametrize("seed", range(12))
def test_hypotheses_match_transformers(seed: int, tmp_path: Path, load: Load) -> None:
    given = random_case(seed)
    given.model.model.save_pretrained(tmp_path / "checkpoint")
    nmt_trt.build(tmp_path / "checkpoint", tmp_path / "model")
    model = load(tmp_path / "model")
    result = model.generate(given.sources, policy="hf", max_length_delta=-1, **given.options)
    found = [
        [Found(tuple(one.tokens.tolist()), one.score, one.log_prob) for one in hypotheses]
        for hypotheses in result.hypotheses
    ]
    assert_equal(found, given.expected)
