"""Batches: their limits, in sentences and in tokens, and that nobody sees them in the results."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nmt_trt
from nmt_trt.errors import SourceError, UsageError
from nmt_trt.options import ResolvedOptions, make_options
from nmt_trt.runtime.batching import BatchLimits, batches_by_bucket, batches_by_length, plan_batches
from random_models import random_config, random_sources, write_random_model

LENGTHS = st.lists(st.integers(1, 60), max_size=80)


def resolved(**options: Any) -> ResolvedOptions:
    return make_options(**options).resolve(random_config(0))


def padded_tokens(batch: list[int], lengths: list[int]) -> int:
    return len(batch) * max(lengths[index] for index in batch)


@given(lengths=LENGTHS, size=st.integers(60, 500), policy=st.sampled_from(["gnmt", "nemo"]))
def test_a_token_budget_is_never_exceeded_and_every_sentence_is_in_one_batch(
    lengths: list[int], size: int, policy: Any
) -> None:
    batches = plan_batches(lengths, resolved(batch_size=size, batch_type="tokens", policy=policy))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(batch and padded_tokens(batch, lengths) <= size for batch in batches)
    for batch, after in pairwise(batches):
        assert padded_tokens([*batch, after[0]], lengths) > size, "there was room for one more"


@given(lengths=LENGTHS, size=st.integers(1, 90))
def test_as_many_sentences_as_asked_for(lengths: list[int], size: int) -> None:
    batches = plan_batches(lengths, resolved(batch_size=size))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)


@given(lengths=LENGTHS)
def test_longest_first_and_equal_lengths_in_their_order(lengths: list[int]) -> None:
    order = [i for batch in plan_batches(lengths, resolved(batch_size=100, batch_type="tokens")) for i in batch]
    assert order == sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))


@given(lengths=LENGTHS, size=st.integers(60, 500))
def test_policy_nemo_keeps_the_order(lengths: list[int], size: int) -> None:
    batches = plan_batches(lengths, resolved(batch_size=size, batch_type="tokens", policy="nemo"))
    assert [index for batch in batches for index in batch] == list(range(len(lengths)))


@given(lengths=LENGTHS, sentences=st.integers(1, 9), tokens=st.integers(60, 500))
def test_both_limits_at_once(lengths: list[int], sentences: int, tokens: int) -> None:
    for batches in (
        batches_by_length(lengths, resolved(), BatchLimits(sentences, tokens)),
        batches_by_bucket(lengths, lambda length: -(-length // 16), BatchLimits(sentences, tokens)),
    ):
        assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
        assert all(len(batch) <= sentences and padded_tokens(batch, lengths) <= tokens for batch in batches)


def test_no_sentences_no_batches() -> None:
    for options in ({}, {"batch_size": 7, "batch_type": "tokens"}, {"deterministic": True}):
        assert plan_batches([], resolved(**options)) == []


def test_a_source_of_more_tokens_than_a_batch_is_refused_before_anything_runs() -> None:
    with pytest.raises(
        SourceError, match=r"src_ids\[1\] has 8 tokens; with batch_type='tokens' a batch holds batch_size=7 at most"
    ):
        plan_batches([7, 8, 3], resolved(batch_size=7, batch_type="tokens"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_type": "tokens"}, "batch_type='tokens' needs batch_size"),
        ({"batch_type": "tokens", "batch_size": 9, "deterministic": True}, "contradicts deterministic=True"),
        ({"batch_type": "words"}, "batch_type must be one of sentences, tokens; given 'words'"),
        ({"batch_type": None}, "batch_type must be one of"),
        ({"batch_type": "tokens", "batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_contradictions(options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_options(**options)


@pytest.mark.parametrize("seed", range(4))
def test_results_are_the_same_whatever_the_batches(tmp_path: Path, seed: int) -> None:
    config = write_random_model(tmp_path / "model", seed)
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    sources = random_sources(config, 40, 40, seed)
    wanted = [model.generate([source], max_length_delta=5).sequences[0].tolist() for source in sources]
    rng = np.random.default_rng(seed)
    for _ in range(4):
        for batch_type, size in (("tokens", int(rng.integers(42, 400))), ("sentences", int(rng.integers(1, 50)))):
            found = model.generate(sources, batch_size=size, batch_type=batch_type, max_length_delta=5)  # type: ignore[arg-type]
            assert [sequence.tolist() for sequence in found.sequences] == wanted
