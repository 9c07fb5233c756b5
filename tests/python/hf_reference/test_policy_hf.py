"""`policy="hf"` finds exactly what transformers' generate() finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import pytest
import transformers

from hf_reference.cases import OPTIONAL, SEEDS, Case, decided_case, random_case
from hf_reference.driver import run
from search.cases import Found

TOLERANCE = 1e-4


def assert_equal(found: list[list[Found]], expected: list[list[Found]]) -> None:
    """The same tokens in the same order; scores to fp32."""
    assert [[h.tokens for h in sentence] for sentence in found] == [
        [h.tokens for h in sentence] for sentence in expected
    ]
    for ours, theirs in zip(chain(*found), chain(*expected), strict=True):
        assert ours.log_prob == pytest.approx(theirs.log_prob, rel=1e-5, abs=TOLERANCE)
        # A negative length penalty multiplies, and so enlarges what the sum is off by.
        factor = max(1.0, theirs.score / theirs.log_prob) if theirs.log_prob else 1.0
        assert ours.score == pytest.approx(theirs.score, rel=1e-5, abs=TOLERANCE * factor)


def test_transformers_is_the_version_that_the_policy_follows() -> None:
    assert transformers.__version__ == "5.23.0"


@pytest.mark.parametrize("seed", SEEDS)
def test_random_options(seed: int) -> None:
    given = random_case(seed)
    assert_equal(run(given, compacts=seed % 4 > 0), given.expected)


@pytest.mark.parametrize("option", ["nothing", *OPTIONAL])
@pytest.mark.parametrize("seed", range(1000, 1000 + len(SEEDS) // 5))
def test_each_option_alone(seed: int, option: str) -> None:
    given = decided_case(seed, *([] if option == "nothing" else [option]))
    assert_equal(run(given), given.expected)


def shown(given: Case) -> Iterator[str]:
    """What a case exercises: the options that change its result, and how its hypotheses end."""
    options, found = given.options, run(given)
    others: dict[str, list[object]] = {"early_stopping": [False, True, "never"], "length_penalty": [0.0, 1.0]}
    for name, values in others.items():
        if any(run(replace(given, options={**options, name: value})) != found for value in values):
            yield name
    for name in OPTIONAL:
        if name in options:
            left = {other: value for other, value in options.items() if other != name}
            if run(replace(given, options=left)) != found:
                yield name
    for row in given.beams.sequences.flatten(0, 1).tolist():
        yield "ends with EOS" if given.eos in row else "ends at the limit"
        if given.pad in row[1:] and set(row[row.index(given.pad, 1) :]) - {given.pad, given.eos}:
            yield "PAD inside"


def test_the_cases_show_every_rule() -> None:
    missing = {"early_stopping", "length_penalty", *OPTIONAL, "ends with EOS", "ends at the limit", "PAD inside"}
    for seed in SEEDS:
        if missing:
            missing -= set(shown(random_case(seed)))
    assert not missing
