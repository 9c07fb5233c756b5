"""Target prefixes against transformers' prefix_allowed_tokens_fn, against its forward pass, and in text."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nmt_trt
from hf_reference.cases import MARGIN, Case, model_of
from hf_reference.recording import REAL
from hf_reference.test_policy_hf import TOLERANCE
from importing.marian_checkpoints import write_marian_with_text
from nmt_trt import Model
from nmt_trt.errors import UsageError
from nmt_trt.options import Policy
from random_marian import random_marian_sources

Prefixes = list[list[int]]


def drawn(seed: int, beam_size: int) -> tuple[Case, Prefixes]:
    """A case with prefixes of several lengths, that does not hang on rounding."""
    recorder = model_of(seed)
    words = [token for token in range(recorder.vocab_size) if token not in (recorder.eos, recorder.start)]
    for attempt in count():
        draw = np.random.default_rng([seed, beam_size, attempt, 9])
        longest = int(draw.integers(5, 14))
        options: dict[str, Any] = {
            "beam_size": beam_size,
            "num_hypotheses": int(draw.integers(1, beam_size + 1)),
            "max_length": longest,
            "length_penalty": float(draw.choice([-0.4, 0.0, 1.0])),
            "early_stopping": [False, True, "never"][draw.integers(3)],
            "min_length": int(draw.integers(longest)),
            "bad_words": [[recorder.start]],
        }
        sources = random_marian_sources(recorder.model.config, 4, 12, int(draw.integers(1 << 30)))
        prefixes = [[int(token) for token in draw.choice(words, size)] for size in (0, 1, 3, draw.integers(4))]
        case = Case(recorder, tuple(sources), options)
        found = constrained(case, prefixes)
        if found.margin > MARGIN and bool((found.scores > REAL).all()):
            return case, prefixes
    raise AssertionError("count() does not end")


def constrained(case: Case, prefixes: Prefixes) -> Any:
    """What generate() finds when only the tokens of the prefixes are allowed at first."""
    every = list(range(case.model.vocab_size))

    def allowed(sentence: int, given: torch.Tensor) -> list[int]:
        step, prefix = len(given) - 1, prefixes[sentence]
        return [prefix[step]] if step < len(prefix) else every

    arguments = case.arguments
    if case.options["beam_size"] == 1:
        arguments = {name: arguments[name] for name in arguments.keys() - {"length_penalty", "early_stopping"}}
    return case.model.generate(case.source_ids, case.attention_mask, {**arguments, "prefix_allowed_tokens_fn": allowed})


def opened(case: Case, directory: Path) -> Model:
    case.model.model.save_pretrained(directory / "checkpoint")
    nmt_trt.build(directory / "checkpoint", directory / "model")
    return nmt_trt.load(directory / "model", backend="onnxruntime", threads=1)


@pytest.mark.parametrize("beam_size", [1, 3, 6])
@pytest.mark.parametrize("seed", range(10))
def test_policy_hf_is_transformers_constrained_to_them(seed: int, beam_size: int, tmp_path: Path) -> None:
    case, prefixes = drawn(seed, beam_size)
    theirs = constrained(case, prefixes)
    found = opened(case, tmp_path).generate(case.sources, policy="hf", target_prefix=prefixes, **case.options)
    special = (case.eos, case.pad)
    for ours, sequences, scores in zip(found.hypotheses, theirs.sequences.tolist(), theirs.scores, strict=True):
        assert [one.tokens.tolist() for one in ours] == [
            [token for token in row[1:] if token not in special] for row in sequences
        ]
        if beam_size > 1:  # greedy search has no scores in transformers
            np.testing.assert_allclose([one.score for one in ours], scores, rtol=1e-5, atol=10 * TOLERANCE)


@pytest.mark.parametrize("seed", range(6))
def test_policy_gnmt_goes_on_from_what_is_fed_by_hand(seed: int, tmp_path: Path) -> None:
    case, prefixes = drawn(seed, 1)
    found = opened(case, tmp_path).generate(
        case.sources, target_prefix=prefixes, beam_size=1, max_length=12, length_penalty=0
    )
    for ours, source, prefix in zip(found.hypotheses, case.sources, prefixes, strict=True):
        tokens, log_prob = greedy(case, source, prefix, 12)
        assert ours[0].tokens.tolist() == tokens
        assert ours[0].log_prob == pytest.approx(log_prob, abs=TOLERANCE)


def greedy(case: Case, source: np.ndarray, prefix: list[int], longest: int) -> tuple[list[int], float]:
    """The prefix and the likeliest next tokens, never PAD, without EOS; their log-probabilities added up."""
    tokens: list[int] = []
    total = 0.0
    while len(tokens) < longest and case.eos not in tokens:
        with torch.no_grad():
            logits = case.model.model(
                input_ids=torch.from_numpy(source).long()[None],
                decoder_input_ids=torch.tensor([[case.pad, *tokens]]),
            ).logits[0, -1]
        log_probs = logits.log_softmax(dim=-1)
        logits[case.pad] = -torch.inf
        token = prefix[len(tokens)] if len(tokens) < len(prefix) else int(logits.argmax())
        tokens.append(token)
        total += float(log_probs[token])
    return [token for token in tokens if token != case.eos], total


def test_a_sentence_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    case, _ = drawn(2, 1)
    model = opened(case, tmp_path)
    sources = random_marian_sources(case.model.model.config, 9, 12, 0)
    prefixes = [[5] * (index % 4) for index in range(9)]
    policies: tuple[Policy, ...] = ("gnmt", "hf")
    for policy in policies:
        together = model.generate(sources, target_prefix=prefixes, policy=policy, beam_size=3, deterministic=True)
        assert [
            row.tolist()[: len(prefix)] for row, prefix in zip(together.sequences, prefixes, strict=True)
        ] == prefixes
        batched = model.generate(sources, target_prefix=prefixes, policy=policy, beam_size=3)
        assert [row.tolist() for row in batched.sequences] == [row.tolist() for row in together.sequences]


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    case, _ = drawn(2, 1)
    model = opened(case, tmp_path)
    eos, pad = case.eos, case.pad
    last = case.model.vocab_size - 1
    refused: list[tuple[Any, str]] = [
        ([[5], [5]], "target_prefix must have one for each of 1 sentences; given 2"),
        ([[last + 1]], f"target_prefix\\[0\\] has an id outside 0..{last}: {last + 1}"),
        ([[5, pad, 5]], f"target_prefix\\[0\\] has padding \\({pad}\\) before its end"),
        ([[5, eos, 5]], f"target_prefix\\[0\\] has EOS \\({eos}\\) before its end"),
        ([[5.0]], "target_prefix\\[0\\] must be a row of token ids; given float64"),
        ([5], "target_prefix\\[0\\] must be a row of token ids; given int64 of shape \\(\\)"),
        ("5", "target_prefix must be token ids"),
        ([[5] * 8], "target_prefix\\[0\\] has 8 tokens; its translation may have 7"),
    ]
    for prefixes, message in refused:
        with pytest.raises(UsageError, match=message):
            model.generate([[5, eos]], target_prefix=prefixes, max_length=7)
    with pytest.raises(
        UsageError, match="target_prefix: of the policies 'gnmt', 'hf' and 'sample'; given policy 'nemo'"
    ):
        model.generate([[5, eos]], target_prefix=[[5]], policy="nemo")


def test_texts_begin_with_their_prefixes(tmp_path: Path) -> None:
    write_marian_with_text(tmp_path / "checkpoint")
    nmt_trt.build(tmp_path / "checkpoint", tmp_path / "model")
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    texts, prefixes = ["The old harbour", "", "It rains", "The sun"], ["Der alte", "Ein", "", "Die"]
    found = model.translate(texts, target_prefix=prefixes, max_length=12)
    assert found[1] == ""
    assert found[0].startswith("Der alte") and found[3].startswith("Die")
    assert found[2] == model.translate("It rains", max_length=12)
    assert found[0] == model.translate(texts[0], target_prefix=prefixes[0], max_length=12)
    assert found == model.translate_async(texts, target_prefix=prefixes, max_length=12).result()
    with pytest.raises(UsageError, match="target_prefix must have one for each of 4 sentences; given 3"):
        model.translate(texts, target_prefix=prefixes[:3])
    with pytest.raises(UsageError, match="target_prefix must be a list of texts"):
        model.translate(texts, target_prefix="Der")
    with pytest.raises(UsageError, match="target_prefix must be one text"):
        model.translate("It rains", target_prefix=["Es"])
