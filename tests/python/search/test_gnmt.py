"""Policy gnmt: against brute force, and a sentence's result against everything that must not matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from search.brute_force import BruteForce, NearTieError
from search.cases import SEEDS, Case, Found, random_case, with_score_options
from search.driver import run
from search.toy_model import ToyModel


def assert_close(found: list[Found], expected: list[Found]) -> None:
    """The same tokens in the same order, scores to fp32."""
    assert [one.tokens for one in found] == [one.tokens for one in expected]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], rel=1e-5, abs=1e-5)
    assert [one.log_prob for one in found] == pytest.approx([one.log_prob for one in expected], rel=1e-5, abs=1e-5)


def expected_of(case: Case, prefixes: list[tuple[int, ...]] | None = None) -> list[list[Found]] | None:
    """Brute force over each sentence; None where a near-tie leaves the outcome open."""
    try:
        return [
            BruteForce(case, position, () if prefixes is None else prefixes[position]).search()
            for position in range(len(case.sentences))
        ]
    except NearTieError:
        return None


def no_prefixes(case: Case, seed: int) -> list[tuple[int, ...]]:
    return [() for _ in case.sentences]


def random_prefixes(case: Case, seed: int) -> list[tuple[int, ...]]:
    draw = np.random.default_rng(seed)
    return [tuple(draw.integers(0, case.model.vocab_size, draw.integers(0, 4)).tolist()) for _ in case.sentences]


def decided_case(
    seed: int, prefixes_of: Callable[[Case, int], list[tuple[int, ...]]] = no_prefixes
) -> tuple[Case, list[tuple[int, ...]], list[list[Found]]]:
    """The first case from `seed` on, in steps past all seeds, no near-tie leaving it open; its prefixes, outcome."""
    for other in count(seed, len(SEEDS)):
        case = random_case(other, "gnmt")
        prefixes = prefixes_of(case, other)
        if (expected := expected_of(case, prefixes)) is not None:
            return case, prefixes, expected
    raise AssertionError("count() does not end")


@pytest.mark.parametrize("seed", SEEDS)
def test_equals_brute_force(seed: int) -> None:
    case, _, expected = decided_case(seed)
    for found, wanted in zip(run(case), expected, strict=True):
        assert_close(found, wanted)


@pytest.mark.parametrize("seed", SEEDS)
def test_options_that_change_scores_equal_brute_force(seed: int) -> None:
    case, expected = next(
        (case, expected)
        for case in (with_score_options(random_case(other, "gnmt"), other) for other in count(seed, len(SEEDS)))
        if (expected := expected_of(case)) is not None
    )
    for found, wanted in zip(run(case), expected, strict=True):
        living = [one for one in found if one.score > -np.inf]  # nothing is left where everything is banned
        assert_close(living, wanted)


def test_near_ties_are_rare() -> None:
    open_cases = [seed for seed in range(100) if expected_of(random_case(seed, "gnmt")) is None]
    assert len(open_cases) <= 10


@pytest.mark.parametrize("seed", range(40))
def test_forced_prefixes_of_different_lengths_are_seen(seed: int) -> None:
    case, prefixes, expected = decided_case(seed, random_prefixes)
    for found, wanted in zip(run(case, prefixes=prefixes), expected, strict=True):
        assert_close(found, wanted)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
def test_a_beam_wide_enough_for_everything_finds_the_best_of_everything(seed: int, length_penalty: float) -> None:
    # Two words and EOS: at most 15 sequences of up to 3 tokens.
    case = Case(
        model=ToyModel(seed, vocab_size=4, eos=1),
        policy="gnmt",
        sentences=(0,),
        max_lengths=(3,),
        beam_size=20,
        num_hypotheses=20,
        length_penalty=length_penalty,
        pad=0,
        bos=0,
    )
    everything = BruteForce(case, 0).everything()
    assert len(everything) == 15
    found = run(case)[0]
    scores = {one.tokens: one.score for one in everything}
    assert {one.tokens: one.score for one in found} == pytest.approx(scores, rel=1e-5)
    assert [one.score for one in found] == pytest.approx([one.score for one in everything], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sentence_depends_on_no_other_to_the_last_bit(seed: int) -> None:
    case = random_case(seed, "gnmt")
    draw = np.random.default_rng(seed)
    together = run(case)
    order = draw.permutation(len(case.sentences)).tolist()
    assert run(case.select(order)) == [together[i] for i in order]
    assert run(case, compacts=lambda: bool(draw.random() < 0.5)) == together
    assert run(case, compacts=lambda: True) == together
    for position, found in enumerate(together):
        assert run(case.select([position])) == [found]
    assert run(case.select([0, *order, 0])) == [together[0], *[together[i] for i in order], together[0]]


@pytest.mark.parametrize("seed", range(60))
def test_more_hypotheses_do_not_change_the_first(seed: int) -> None:
    case = random_case(seed, "gnmt")
    every = run(replace(case, num_hypotheses=case.beam_size))
    assert [found[: case.num_hypotheses] for found in every] == run(case)


@pytest.mark.parametrize("seed", range(60))
def test_hypotheses_are_distinct_ranked_and_within_the_limit(seed: int) -> None:
    case = replace(random_case(seed, "gnmt"), num_hypotheses=1)
    case = replace(case, num_hypotheses=case.beam_size)
    for found, limit in zip(run(case), case.max_lengths, strict=True):
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        assert all(len(one.tokens) <= limit for one in found)
        assert not any({case.eos, case.pad} & set(one.tokens) for one in found)
        full = [one.tokens for one in found if len(one.tokens) == limit]
        assert len(set(full)) == len(full)
