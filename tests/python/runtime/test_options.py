"""GenerationOptions: which policies take what, and what cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nmt_trt.errors import UsageError
from nmt_trt.models.config import GenerationDefaults
from nmt_trt.options import make_options
from random_models import random_config

SCORES: list[tuple[str, Any]] = [
    ("min_length", 2),
    ("repetition_penalty", 1.2),
    ("no_repeat_ngram", 3),
    ("forced_bos", 4),
    ("forced_eos", 3),
    ("bad_words", [[4, 5]]),
    ("suppress_tokens", [4]),
]


@pytest.mark.parametrize(("name", "value"), SCORES)
def test_options_that_change_scores_are_of_gnmt_and_hf(name: str, value: Any) -> None:
    for policy in ("gnmt", "hf"):
        options: Any = {"policy": policy, name: value}
        assert make_options(**options).resolve(random_config(0)).changed_scores() == [name]
    options = {"policy": "nemo", name: value}
    with pytest.raises(UsageError, match=f"{name}: of the policies 'gnmt', 'hf' and 'sample'; given policy 'nemo'"):
        make_options(**options)


def test_lists_of_tokens_become_tuples() -> None:
    options = make_options(bad_words=[np.array([4, 5]), [6]], suppress_tokens=np.array([7, 8], np.int32))  # type: ignore[list-item,arg-type]
    assert options.bad_words == ((4, 5), (6,))
    assert options.suppress_tokens == (7, 8)
    assert hash(options) == hash(make_options(bad_words=[[4, 5], [6]], suppress_tokens=[7, 8]))


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        ({"max_length_delta": 5}, [6, 15, 40]),
        ({"max_length_delta": -1}, [40, 40, 40]),
        ({"max_length_factor": 1.5, "max_length_delta": 3}, [4, 18, 40]),
        ({"max_length_factor": 0.25, "max_length_delta": 0}, [1, 2, 8]),
        ({"max_length_factor": 0, "max_length_delta": 7}, [7, 7, 7]),
        ({"max_length_factor": 2}, [4, 22, 40]),  # the model's delta is 2
    ],
)
def test_limits_by_the_length_of_the_source(options: Any, limits: list[int]) -> None:
    config = random_config(0, generation=GenerationDefaults(max_length_delta=2))
    resolved = make_options(max_length=40, **options).resolve(config)
    assert [resolved.length_limit(length) for length in (1, 10, 35)] == limits


def test_a_factor_alone_limits_a_model_that_has_no_such_limit() -> None:
    config = random_config(0, generation=GenerationDefaults(max_length_delta=-1))
    assert make_options().resolve(config).length_limit(5) == config.decoder.max_positions
    assert make_options(max_length_factor=1.5).resolve(config).length_limit(5) == 7


def test_token_scores_are_of_every_policy() -> None:
    for policy in ("gnmt", "nemo", "hf"):
        options: Any = {"policy": policy, "token_scores": True}
        assert make_options(**options).resolve(random_config(0)).token_scores


@pytest.mark.parametrize("value", [False, True, "never"])
def test_early_stopping(value: Any) -> None:
    assert make_options(policy="hf", early_stopping=value).resolve(random_config(0)).early_stopping == value


@pytest.mark.parametrize("penalty", [-1.5, 0, 2.5])
def test_policy_hf_takes_any_length_penalty(penalty: float) -> None:
    assert make_options(policy="hf", length_penalty=penalty).resolve(random_config(0)).length_penalty == penalty


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"early_stopping": True}, "early_stopping is of policy 'hf'; given policy 'gnmt'"),
        ({"policy": "hf", "early_stopping": "always"}, "early_stopping must be False, True or 'never'"),
        ({"policy": "hf", "length_penalty": -101}, "length_penalty must be from -100 to 100"),
        ({"max_length_factor": -0.5}, "max_length_factor must be from 0 to 100; given -0.5"),
        ({"max_length_factor": "2"}, "max_length_factor must be a number; given '2'"),
        ({"max_length_delta": 1.5}, "max_length_delta must be a whole number; given 1.5"),
        (
            {"max_length_factor": 2, "max_length_delta": -1},
            "max_length_factor needs a max_length_delta of 0 or more; given -1",
        ),
        ({"min_length": -1}, "min_length must be at least 0"),
        ({"forced_bos": -2}, "forced_bos must be at least -1; given -2"),
        ({"min_length": 11, "max_length": 10}, "min_length must be at most max_length 10; given 11"),
        ({"repetition_penalty": 0}, "repetition_penalty must be from 1e-06 to 100"),
        ({"repetition_penalty": -1.0}, "repetition_penalty must be from 1e-06 to 100"),
        ({"no_repeat_ngram": 2**31}, "no_repeat_ngram must be from 0 to 2147483647"),
        ({"token_scores": "no"}, "token_scores must be True or False; given 'no'"),
        ({"deterministic": 1}, "deterministic must be True or False; given 1"),
        ({"num_hypotheses": None}, "num_hypotheses must be a number; given None"),
        ({"suppress_tokens": np.array([[1, 2]])}, "each token of suppress_tokens must be a number"),
        ({"no_repeat_ngram": 2.0}, "no_repeat_ngram must be a whole number"),
        ({"forced_bos": 10**6}, "forced_bos holds token 1000000; the target vocabulary ends at"),
        ({"bad_words": [[4], [10**6]]}, "bad_words\\[1\\] holds token 1000000"),
        ({"bad_words": [4]}, "bad_words\\[0\\] must be a list of token ids; given 4"),
        ({"bad_words": "4 5"}, "bad_words must be a list of lists of token ids; given '4 5'"),
        ({"bad_words": [[4], []]}, "bad_words\\[1\\] must hold one token or more"),
        ({"suppress_tokens": 4}, "suppress_tokens must be a list of token ids; given 4"),
        ({"suppress_tokens": [-1]}, "each token of suppress_tokens must be at least 0; given -1"),
        ({"suppress_tokens": [None]}, "each token of suppress_tokens must be a number; given None"),
        ({"suppress_tokens": [4], "forced_bos": 4}, "forced_bos 4 is among the suppress_tokens"),
    ],
)
def test_what_cannot_be_is_refused(options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_options(**options).resolve(random_config(0))


def test_numbers_of_numpy_are_numbers() -> None:
    given = make_options(beam_size=np.int64(3), length_penalty=np.float32(0.5), forced_bos=np.array(4))  # type: ignore[arg-type]
    assert given == make_options(beam_size=3, length_penalty=0.5, forced_bos=4)
    assert type(given.beam_size) is int
