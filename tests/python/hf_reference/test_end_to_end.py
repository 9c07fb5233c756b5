"""An imported Marian model translates with `policy="hf"` as transformers' generate() does with the checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

import nmt_trt
from hf_reference.cases import SEEDS, Case, random_case
from hf_reference.test_policy_hf import assert_equal
from search.cases import Found


def generated(directory: Path, given: Case) -> list[list[Found]]:
    """Our hypotheses of each sentence, best first."""
    given.model.model.save_pretrained(directory / "checkpoint")
    nmt_trt.build(directory / "checkpoint", directory / "model")
    model = nmt_trt.load(directory / "model", backend="onnxruntime", threads=1)
    result = model.generate(given.sources, policy="hf", max_length_delta=-1, **given.options)
    return [
        [Found(tuple(found.tokens.tolist()), found.score, found.log_prob) for found in hypotheses]
        for hypotheses in result.hypotheses
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_hypotheses_match_transformers(seed: int, tmp_path: Path) -> None:
    given = random_case(seed)
    assert_equal(generated(tmp_path, given), given.expected)
