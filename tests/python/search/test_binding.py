"""The Python face of the core: what it accepts, refuses and returns."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest

import nmt_trt
from nmt_trt import _core
from nmt_trt.errors import BackendError, Error, UsageError
from search.cases import random_case
from search.driver import run

VOCABULARY = 7


def new_search(**changes: Any) -> _core.BeamSearch:
    options: dict[str, Any] = {
        "policy": "gnmt",
        "beam_size": 2,
        "num_hypotheses": 1,
        "length_penalty": 0.6,
        "eos": 2,
        "pad": 0,
        "bos": 1,
        "vocab_size": VOCABULARY,
        "max_lengths": np.array([5, 6, 7], np.int32),
    }
    return _core.BeamSearch(**(options | changes))


def started() -> _core.BeamSearch:
    search = new_search()
    search.start(np.tile(np.arange(VOCABULARY, dtype=np.float32), (3, 1)))
    return search


def test_one_version() -> None:
    assert _core.__version__ == nmt_trt.__version__ == version("nmt_trt")


def test_everything_is_documented() -> None:
    for cls in (_core.BeamSearch, _core.Hypothesis):
        members = [member for name, member in vars(cls).items() if not name.startswith("_")]
        assert cls.__doc__
        assert members
        assert all(member.__doc__ for member in members)


def test_the_arrays_have_the_dtypes_and_shapes_promised() -> None:
    search = started()
    assert (search.rows, search.steps, search.finished_rows) == (3, 1, 0)
    assert not search.done
    assert not search.leaks
    for array, shape in ((search.tokens(), (3, 2)), (search.ancestry(), (3, 2, 1)), (search.compact(), (3,))):
        assert array.dtype == np.int32
        assert array.shape == shape
    assert search.tokens().tolist() == [[6, 5]] * 3
    hypothesis = search.results()[0][0]
    assert hypothesis.tokens.dtype == np.int32
    assert hypothesis.tokens.tolist() == [6]
    assert isinstance(hypothesis.score, float)
    assert repr(hypothesis) == "Hypothesis(tokens=[6], score=-0.385192, log_prob=-0.457763)"


@pytest.mark.parametrize(
    ("logits", "given"),
    [
        ([[0.0] * VOCABULARY] * 3, "list"),
        (None, "NoneType"),
        (np.zeros((3, VOCABULARY)), "float64 array of shape [3, 7]"),
        (np.zeros((3, VOCABULARY), np.float16), "float16 array of shape [3, 7]"),
        (np.zeros((2, VOCABULARY), np.float32), "float32 array of shape [2, 7]"),
        (np.zeros(VOCABULARY, np.float32), "float32 array of shape [7]"),
        (np.zeros((3, 1, VOCABULARY), np.float32), "float32 array of shape [3, 1, 7]"),
        (np.zeros((VOCABULARY, 3), np.float32).T, "non-contiguous float32 array of shape [3, 7]"),
        (np.zeros((3, VOCABULARY), ">f4"), ">f4 array of shape [3, 7]"),
    ],
)
def test_logits_are_taken_as_they_are_or_refused(logits: Any, given: str) -> None:
    search = new_search()
    with pytest.raises(UsageError) as error:
        search.start(logits)
    assert str(error.value) == f"logits must be a C-contiguous float32 array of shape [3, 7]; given {given}"
    assert search.steps == 0


def test_advance_wants_a_row_a_hypothesis() -> None:
    with pytest.raises(UsageError, match=r"shape \[3, 2, 7\]; given float32 array of shape \[3, 7\]"):
        started().advance(np.zeros((3, VOCABULARY), np.float32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policy": "GNMT"}, "policy must be gnmt, nemo, hf or sample; given 'GNMT'"),
        ({"beam_size": 0}, "beam_size must be from 1 to 32; given 0"),
        ({"num_hypotheses": 3}, "num_hypotheses must be from 1 to 2; given 3"),
        ({"eos": 7}, "eos must be from 0 to 6; given 7"),
        ({"length_penalty": -1.0}, "length_penalty must be a finite number, 0 or more; given -1.000000"),
        ({"max_lengths": [5]}, "max_lengths must be a C-contiguous int32 array of shape [any]; given list"),
        (
            {"max_lengths": np.array([5], np.int64)},
            "max_lengths must be a C-contiguous int32 array of shape [any]; given int64 array of shape [1]",
        ),
        ({"max_lengths": np.array([5, 0], np.int32)}, "max_lengths[1] must be at least 1; given 0"),
        ({"early_stopping": "always"}, "early_stopping must be False, True or 'never'; given 'always'"),
        ({"early_stopping": 1}, "early_stopping must be False, True or 'never'; given 1"),
        ({"early_stopping": True}, "early_stopping must be left alone except with policy hf; given a value"),
        ({"forced_bos": 7}, "forced_bos must be from 0 to 6; given 7"),
        ({"bad_words": [[]]}, "bad_words[0] must be one token or more; given none"),
    ],
)
def test_options_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        new_search(**changes)
    assert str(error.value) == message
    assert isinstance(error.value, ValueError)


def test_options_of_policy_hf_are_taken() -> None:
    search = new_search(
        policy="hf",
        length_penalty=-1.0,
        early_stopping="never",
        min_length=1,
        repetition_penalty=1.2,
        no_repeat_ngram=2,
        forced_bos=4,
        forced_eos=2,
        bad_words=((3, 5), (0,)),
        suppress_tokens=[6],
    )
    search.start(np.zeros((3, VOCABULARY), np.float32))
    assert search.tokens().tolist() == [[4, 4]] * 3


def test_options_go_by_name() -> None:
    with pytest.raises(TypeError):
        _core.BeamSearch("gnmt", 2, 1, 0.6, 2, 0, 1, VOCABULARY, np.array([5], np.int32))  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("bias", "message"),
    [
        (np.zeros((3, 2, 9), np.float32), r"shape \[3, 1, 2, any\]; given float32 array of shape \[3, 2, 9\]"),
        (np.zeros((3, 1, 2, 9), np.float16), r"given float16 array"),
        (np.zeros((3, 1, 2, 18), np.float32)[..., ::2], r"given non-contiguous float32 array"),
        (np.zeros((3, 1, 2, 2), np.float32), r"the slots of bias must be at least 3 at step 1; given 2"),
    ],
)
def test_bias_must_fit(bias: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        started().write_self_bias(bias, 1)


def test_bias_must_be_writeable() -> None:
    bias = np.zeros((3, 1, 2, 9), np.float32)
    bias.flags.writeable = False
    with pytest.raises(UsageError, match="bias must be writeable; given a read-only array"):
        started().write_self_bias(bias, 1)


@pytest.mark.parametrize("lengths", [[1, 1, 1], np.ones(2, np.int32), np.ones(3, np.int64)])
def test_prefix_lengths_must_fit(lengths: Any) -> None:
    with pytest.raises(UsageError, match=r"prefix_lengths must be a C-contiguous int32 array of shape \[3\]"):
        started().write_self_bias(np.zeros((3, 1, 2, 9), np.float32), 1, prefix_lengths=lengths)


def test_bad_logits_are_a_backend_error_and_change_nothing() -> None:
    search = started()
    logits = np.zeros((3, 2, VOCABULARY), np.float32)
    logits[2, 1, 3] = np.nan
    with pytest.raises(BackendError, match="given NaN, \\+inf or all -inf"):
        search.advance(logits)
    assert search.steps == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda search: search.tokens(),
        lambda search: search.ancestry(),
        lambda search: search.compact(),
        lambda search: search.results(),
        lambda search: search.advance(np.zeros((3, 2, VOCABULARY), np.float32)),
        lambda search: search.write_self_bias(np.zeros((3, 1, 2, 9), np.float32), 1),
    ],
)
def test_calls_before_the_start_are_refused(call: Callable[[_core.BeamSearch], object]) -> None:
    with pytest.raises(Error, match=r"may be called after start\(\)"):
        call(new_search())


def test_an_empty_batch_gives_an_empty_result() -> None:
    search = new_search(max_lengths=np.zeros(0, np.int32))
    search.start(np.zeros((0, VOCABULARY), np.float32))
    assert search.done
    assert search.results() == []
    assert search.tokens().shape == (0, 2)


def test_searches_in_several_threads_do_not_disturb_each_other() -> None:
    cases = [random_case(seed, "gnmt") for seed in range(30)]
    expected = [run(case) for case in cases]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, cases)) == expected


def test_attention_is_checked_and_belongs_to_its_source() -> None:
    search = new_search(beam_size=1, attention=True, source_lengths=[2, 1, 3])
    logits = np.tile(np.arange(VOCABULARY, dtype=np.float32), (3, 1))
    with pytest.raises(UsageError, match=r"attention must be rows of at least 2 source tokens; given none"):
        search.start(logits)
    with pytest.raises(UsageError, match=r"attention must be a C-contiguous float32 array of shape \[3, any\]"):
        search.start(logits, np.ones((2, 3), np.float32))
    with pytest.raises(UsageError, match=r"attention must be rows of at least 3 source tokens; given 2"):
        search.start(logits, np.ones((3, 2), np.float32))
    search.start(logits, np.arange(9, dtype=np.float32).reshape(3, 3))
    found = [sentence[0] for sentence in search.results()]
    assert [h.attention(length).tolist() for h, length in zip(found, (2, 1, 3), strict=True)] == [
        [[0, 1]],
        [[3]],
        [[6, 7, 8]],
    ]
    with pytest.raises(UsageError, match="source must be the tokens of the source; given 2"):
        found[2].attention(2)
    with pytest.raises(UsageError, match="source_lengths must be one for each of 3; given 1"):
        new_search(attention=True, source_lengths=[2])
    with pytest.raises(UsageError, match="coverage_penalty must be a finite number, 0 or more"):
        new_search(coverage_penalty=float("nan"), source_lengths=[2, 1, 3])
