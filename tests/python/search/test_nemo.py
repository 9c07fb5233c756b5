"""Policy nemo against a port of NeMo's generator in numpy, the leak between sentences included."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from search.brute_force import NearTieError
from search.cases import SEEDS, Case, Found, random_case
from search.driver import run
from search.nemo_port import NemoPort


def expected_of(case: Case) -> list[list[Found]] | None:
    """The port's hypotheses; None where a near-tie leaves the outcome open."""
    try:
        return NemoPort(case).search()
    except NearTieError:
        return None


def decided_case(seed: int) -> tuple[Case, list[list[Found]]]:
    """The first case from `seed` on, in steps past all seeds, that no near-tie leaves open, and its outcome."""
    for other in count(seed, len(SEEDS)):
        case = random_case(other, "nemo")
        if (expected := expected_of(case)) is not None:
            return case, expected
    raise AssertionError("count() does not end")


@pytest.mark.parametrize("seed", SEEDS)
def test_equals_the_port(seed: int) -> None:
    case, expected = decided_case(seed)
    draw = np.random.default_rng(seed)
    for found, wanted in zip(run(case, compacts=lambda: bool(draw.random() < 0.3)), expected, strict=True):
        assert [one.tokens for one in found] == [one.tokens for one in wanted]
        assert [one.score for one in found] == pytest.approx([one.score for one in wanted], rel=1e-5, abs=1e-5)
        assert [one.log_prob for one in found] == pytest.approx([one.log_prob for one in wanted], rel=1e-5, abs=1e-5)


def test_most_cases_are_decided() -> None:
    open_cases = [seed for seed in range(100) if expected_of(random_case(seed, "nemo")) is None]
    assert len(open_cases) <= 15


def test_the_leak_shows_in_the_cases() -> None:
    changed = 0
    for seed in range(60):
        case = random_case(seed, "nemo")
        alone = [run(case.select([position]))[0] for position in range(len(case.sentences))]
        changed += alone != run(case)
    assert changed >= 20


@pytest.mark.parametrize("seed", range(60))
def test_without_a_leak_sentences_of_equal_fate_are_independent(seed: int) -> None:
    case = replace(random_case(seed, "nemo"), beam_size=1, num_hypotheses=1)
    together = [found[0].tokens for found in run(case)]
    alone = [run(case.select([position]))[0][0].tokens for position in range(len(case.sentences))]
    assert together == alone
