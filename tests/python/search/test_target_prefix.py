"""Prefixes that every hypothesis begins with: against brute force, and against what must not matter."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from nmt_trt.errors import UsageError
from search.brute_force import BruteForce, NearTieError
from search.cases import SEEDS, Case, Found, random_case, with_score_options, with_target_prefix
from search.driver import run
from search.test_binding import new_search
from search.test_gnmt import assert_close


def decided_case(seed: int) -> tuple[Case, list[list[Found]]]:
    """The first case from `seed` on that no near-tie leaves open, and its outcome."""
    for other in count(seed, len(SEEDS)):
        case = with_target_prefix(random_case(other, "gnmt"), other)
        if other % 2:
            case = with_score_options(case, other)
        try:
            return case, [BruteForce(case, position).search() for position in range(len(case.sentences))]
        except NearTieError:
            continue
    raise AssertionError("count() does not end")


@pytest.mark.parametrize("seed", SEEDS[:150])
def test_equals_brute_force(seed: int) -> None:
    case, expected = decided_case(seed)
    draw = np.random.default_rng(seed)
    for found, wanted in zip(run(case, compacts=lambda: draw.random() < 0.5), expected, strict=True):
        living = [one for one in found if one.score > -np.inf]  # nothing is left where everything is banned
        assert_close(living, wanted)


@pytest.mark.parametrize("seed", SEEDS[:50])
def test_the_rest_of_the_batch_does_not_matter(seed: int) -> None:
    case = with_target_prefix(random_case(seed, "gnmt"), seed)
    together = run(case)
    for position in range(len(case.sentences)):
        assert run(case.select([position])) == [together[position]]


def test_a_prefix_begins_every_hypothesis() -> None:
    seen = 0
    for seed in SEEDS[:50]:
        case = with_target_prefix(random_case(seed, "gnmt"), seed)
        for prefix, found in zip(case.target_prefix, run(case), strict=True):
            words = tuple(token for token in prefix if token != case.eos)
            assert all(one.tokens[: len(words)] == words for one in found)
            seen += len(words) > 0
            if case.eos in prefix:
                assert [one.tokens for one in found] == [words]
    assert seen > 50


@pytest.mark.parametrize(
    ("prefixes", "message"),
    [
        ([[3], [3]], "target_prefix must be one for each of 3; given 2"),
        ([[], [7], []], "a token of target_prefix[1] must be from 0 to 6; given 7"),
        ([[], [], [0]], "a token of target_prefix[2] must be another than pad; given 0"),
        ([[2, 3], [], []], "eos in target_prefix[0] must be its last token; given one before"),
        ([[3] * 6, [], []], "target_prefix[0] must be at most max_lengths[0] tokens, 5; given 6"),
    ],
)
def test_what_cannot_be_is_refused(prefixes: list[list[int]], message: str) -> None:
    with pytest.raises(UsageError) as error:
        new_search(target_prefix=prefixes)
    assert str(error.value) == message


def test_policy_nemo_has_none() -> None:
    with pytest.raises(UsageError, match="target_prefix must be left alone except with policy gnmt, hf or sample"):
        new_search(policy="nemo", max_lengths=np.array([5], np.int32), target_prefix=[[3]])
