"""Diverse beam search against its definition, in float64."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, pairwise
from typing import Any

import numpy as np
import pytest

from nmt_trt.errors import UsageError
from nmt_trt.options import make_options
from random_models import random_config
from search.brute_force import BruteForce, NearTieError, Partial
from search.cases import SEEDS, Case, Found, random_case, with_score_options, with_target_prefix
from search.driver import run


class DiverseBruteForce(BruteForce):
    """Vijayakumar et al. 2016 (arXiv:1610.02424): groups choose in turn, Hamming diversity."""

    def search(self) -> list[Found]:
        """The hypotheses of all groups, best first."""
        size = self.case.beam_size // self.case.scores["beam_groups"]
        groups = [[Partial((), 0.0)] for _ in range(self.case.scores["beam_groups"])]
        for _ in range(self.case.max_lengths[self.position]):
            if all(self._ended(one) for group in groups for one in group):
                break
            chosen: list[int] = []
            for index, group in enumerate(groups):
                old = {one.tokens for one in group}
                groups[index] = self._best_of(group, size, chosen)
                chosen += [one.tokens[-1] for one in groups[index] if one.tokens not in old]
        found = sorted((one for group in groups for one in group), key=self._score, reverse=True)
        return [Found(self._words(one), self._score(one), one.log_prob) for one in found[: self.case.num_hypotheses]]

    def _best_of(self, group: list[Partial], size: int, chosen: list[int]) -> list[Partial]:
        penalty = self.case.scores["diversity_penalty"]
        candidates: list[Partial] = []
        for one in group:
            if self._ended(one):
                candidates.append(one)
                continue
            children = self._continuations(one)
            alone = len(children) == 1
            candidates += [
                Partial(new.tokens, new.log_prob - (0 if alone else penalty * chosen.count(new.tokens[-1])))
                for new in children
            ]
        ranked = sorted(candidates, key=self._score, reverse=True)
        for better, worse in pairwise(ranked[: size + 1]):
            if self._score(better) - self._score(worse) < 1e-5:
                raise NearTieError
        return ranked[:size]


def diverse_case(seed: int, *, changed: bool) -> Case:
    draw = np.random.default_rng([seed, 4])
    case = random_case(seed, "gnmt")
    if changed:
        case = with_target_prefix(with_score_options(case, seed), seed)
    groups = int(draw.integers(2, 5))
    beam_size = groups * int(draw.integers(1, 5))
    diversity = {"beam_groups": groups, "diversity_penalty": float(draw.choice([0.0, 0.3, 1.0, 5.0]))}
    return replace(case, beam_size=beam_size, num_hypotheses=beam_size, scores=case.scores | diversity)


def decided(seed: int, *, changed: bool) -> tuple[Case, list[list[Found]]]:
    """The first case from `seed` on that no near-tie leaves open, and its outcome."""
    for other in count(seed, len(SEEDS)):
        case = diverse_case(other, changed=changed)
        try:
            return case, [DiverseBruteForce(case, position).search() for position in range(len(case.sentences))]
        except NearTieError:
            continue
    raise AssertionError("count() does not end")


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("seed", SEEDS[::2])
def test_equals_brute_force(seed: int, changed: bool) -> None:
    case, expected = decided(seed, changed=changed)
    for found, wanted in zip(run(case), expected, strict=True):
        living = [one for one in found if one.score > -np.inf]
        scores = {one.tokens: one.score for one in living}
        assert sorted(one.tokens for one in living) == sorted(one.tokens for one in wanted)
        assert [one.score for one in living] == pytest.approx([one.score for one in wanted], rel=1e-5, abs=1e-5)
        assert len(scores) <= len(living)


def test_groups_differ_the_more_the_larger_the_penalty() -> None:
    def firsts(penalty: float) -> int:
        case = replace(
            random_case(1, "gnmt"), beam_size=4, num_hypotheses=4, max_lengths=(6,) * 5, sentences=(0, 1, 2, 3, 4)
        )
        case = replace(case, scores={"beam_groups": 4, "diversity_penalty": penalty}, target_prefix=())
        return sum(len({one.tokens for one in found}) for found in run(case))

    assert firsts(0.0) == 5
    assert firsts(0.0) < firsts(10.0) <= 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 4, "beam_groups": 3}, "beam_groups must be a divisor of beam_size 4; given 3"),
        ({"policy": "hf", "beam_groups": 2}, "beam_groups is of policy 'gnmt'; given policy 'hf'"),
        ({"beam_groups": 0}, "beam_groups must be from 1 to 32; given 0"),
        ({"diversity_penalty": 1.0}, "diversity_penalty needs beam_groups of 2 or more"),
        ({"beam_groups": 2, "diversity_penalty": -1.0}, "diversity_penalty must be from 0 to 1000; given -1.0"),
        ({"patience": 2.0}, "patience is of policy 'hf'; given policy 'gnmt'"),
        ({"policy": "hf", "patience": 0.0}, "patience must be above 0; given 0"),
        ({"policy": "hf", "patience": 2.0, "beam_size": 1}, "patience needs a beam_size of 2 or more; given 1"),
        (
            {"policy": "hf", "patience": 0.5, "beam_size": 4, "num_hypotheses": 3},
            "beam_size * patience must be num_hypotheses 3 at least; given 4 * 0.5",
        ),
    ],
)
def test_what_cannot_be_is_refused(options: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        make_options(**options).resolve(random_config(0))
    assert str(error.value) == message
