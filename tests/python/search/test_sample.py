"""Policy sample: the distribution of its draws by transformers' warpers, and the draws by their definition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from nmt_trt import _core
from nmt_trt.errors import UsageError
from search.test_binding import new_search
from search.toy_model import ToyModel

VOCABULARY, EOS, PAD, BOS = 21, 2, 0, 1
SENTENCES, SAMPLES = 625, 32
DRAWS = SENTENCES * SAMPLES
FILTERS: list[dict[str, Any]] = [
    {},
    {"sampling_temperature": 0.5},
    {"sampling_temperature": 3.0},
    {"sampling_topk": 5},
    {"sampling_topk": 1},
    {"sampling_topk": 100},
    {"sampling_topp": 0.8},
    {"sampling_topp": 0.01},
    {"sampling_temperature": 2.0, "sampling_topk": 12, "sampling_topp": 0.7},
]


def search(**options: Any) -> _core.BeamSearch:
    """SENTENCES with SAMPLES each, of one token."""
    given = {
        "policy": "sample",
        "beam_size": SAMPLES,
        "num_hypotheses": SAMPLES,
        "eos": EOS,
        "pad": PAD,
        "bos": BOS,
        "vocab_size": VOCABULARY,
        "max_lengths": np.ones(SENTENCES, np.int32),
        "seed": 7,
    }
    return new_search(**(given | options))


def drawn(logits: NDArray[np.float32], **options: Any) -> NDArray[np.int32]:
    """The token of each draw, int32 [SENTENCES, SAMPLES]."""
    sampling = search(**options)
    sampling.start(np.tile(logits, (SENTENCES, 1)))
    return sampling.tokens()


def random_logits(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 1.5, VOCABULARY).astype(np.float32)


def warped(logits: NDArray[np.float32], options: dict[str, Any]) -> NDArray[np.float64]:
    """The probabilities that transformers draws by, this file's PAD being out."""
    return warped_probabilities(logits, options, pad=PAD)


def warped_probabilities(logits: NDArray[np.float32], options: dict[str, Any], *, pad: int) -> NDArray[np.float64]:
    """The probabilities that transformers draws by, PAD being out."""
    scores = torch.from_numpy(logits)[None].clone()
    scores[0, pad] = -torch.inf
    ids = torch.zeros(1, 1, dtype=torch.long)
    scores = TemperatureLogitsWarper(options.get("sampling_temperature", 1.0))(ids, scores)
    if "sampling_topk" in options:
        scores = TopKLogitsWarper(options["sampling_topk"])(ids, scores)
    if "sampling_topp" in options:
        scores = TopPLogitsWarper(options["sampling_topp"])(ids, scores)
    probabilities: NDArray[np.float64] = scores[0].double().softmax(dim=0).numpy()
    return probabilities


def assert_drawn_by(tokens: Iterable[Any], probabilities: dict[Any, float]) -> None:
    """Pearson's chi-squared test; outcomes expected less than 5 times count as one."""
    counts = Counter(tokens)
    assert set(counts) <= {outcome for outcome, probability in probabilities.items() if probability > 0}
    total = sum(counts.values())
    likely = {outcome: p * total for outcome, p in probabilities.items() if p * total >= 5}
    rest = total - sum(likely.values())
    statistic = sum((counts[outcome] - wanted) ** 2 / wanted for outcome, wanted in likely.items())
    if rest >= 5:
        statistic += (total - sum(counts[outcome] for outcome in likely) - rest) ** 2 / rest
    freedom = len(likely) - 1 + (rest >= 5)
    # Wilson and Hilferty 1931: the cube root of chi-squared / freedom is all but normal; 4 deviations are 3e-5.
    if freedom:
        spread = 2 / (9 * freedom)
        assert (statistic / freedom) ** (1 / 3) < 1 - spread + 4 * spread**0.5


@pytest.mark.parametrize("options", FILTERS)
@pytest.mark.parametrize("seed", range(3))
def test_draws_follow_transformers_warpers(seed: int, options: dict[str, Any]) -> None:
    logits = random_logits(seed)
    probabilities = warped(logits, options)
    tokens = drawn(logits, **options).ravel()
    assert len(tokens) == DRAWS
    assert_drawn_by(tokens.tolist(), dict(enumerate(probabilities.tolist())))
    assert {*tokens.tolist()} >= {*np.flatnonzero(probabilities > 1e-3).tolist()}


def test_the_test_of_the_distribution_can_fail() -> None:
    logits = random_logits(0)
    tokens = drawn(logits).ravel().tolist()
    with pytest.raises(AssertionError):
        assert_drawn_by(tokens, dict(enumerate(warped(logits, {"sampling_temperature": 1.1}).tolist())))


@pytest.mark.parametrize("by", ["sentence", "sample", "step", "seed"])
def test_draws_are_independent(by: str) -> None:
    """Pairs of neighbouring draws come as the product of their probabilities."""
    logits = random_logits(1)
    single = warped(logits, {"sampling_topk": 4})
    options: dict[str, Any] = {"sampling_topk": 4}
    first = second = drawn(logits, **options)
    if by == "sentence":
        first, second = first[0::2][:312], first[1::2]
    elif by == "sample":
        first, second = first[:, 0::2], first[:, 1::2]
    elif by == "seed":
        second = drawn(logits, seed=8, **options)
    else:
        sampling = search(max_lengths=np.full(SENTENCES, 2, np.int32), **options)
        sampling.start(np.tile(logits, (SENTENCES, 1)))
        sampling.advance(np.tile(logits, (SENTENCES, SAMPLES, 1)))
        second = sampling.tokens()
        first, second = first[first != EOS], second[first != EOS]
        assert EOS not in first
    kept = [token for token in range(VOCABULARY) if by != "step" or token != EOS]
    share = single[kept].sum()
    pairs = {(a, b): single[a] / share * single[b] for a in kept for b in range(VOCABULARY)}
    assert_drawn_by(zip(first.ravel().tolist(), second.ravel().tolist(), strict=True), pairs)


def philox(key: int, counter: list[int]) -> list[int]:
    """Philox4x32-10 in Python's integers (Salmon et al. 2011)."""
    mask, keys = 2**32 - 1, [key & (2**32 - 1), key >> 32]
    for _ in range(10):
        product = (0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2])
        counter = [
            product[1] >> 32 ^ counter[1] ^ keys[0],
            product[1] & mask,
            product[0] >> 32 ^ counter[3] ^ keys[1],
            product[0] & mask,
        ]
        keys = [(keys[0] + 0x9E3779B9) & mask, (keys[1] + 0xBB67AE85) & mask]
    return counter


def test_philox_is_the_published_one() -> None:
    """The known answers of Random123."""
    assert philox(0, [0] * 4) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]
    assert philox(0x299F31D0_A4093822, pi) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


def test_a_draw_is_what_its_definition_says() -> None:
    logits = random_logits(2)
    seed, numbers = 2**63 + 5, [2**40 + 3 * index for index in range(SENTENCES)]
    tokens = drawn(logits, seed=seed, sentence_numbers=numbers, sampling_topk=9)
    allowed = warped(logits, {"sampling_topk": 9}) > 0
    weights = np.where(allowed, np.exp(logits.astype(np.float64) - logits[allowed].max()) * 2**40, 0)
    sums = np.cumsum(weights)
    for sentence in range(0, SENTENCES, 50):
        for sample in range(SAMPLES):
            number = numbers[sentence]
            first, second, *_ = philox(seed, [number & (2**32 - 1), number >> 32, sample, 0])
            place = (first << 32 | second) / 2**64 * sums[-1]
            assert tokens[sentence, sample] == np.flatnonzero(sums > place)[0]


def test_a_sentence_keeps_its_draws_in_every_batch() -> None:
    model = ToyModel(3, VOCABULARY, EOS)
    numbers = [5, 17, 2, 9]

    def samples(chosen: list[int], count: int, **options: Any) -> list[list[list[int]]]:
        sampling = search(
            beam_size=count,
            num_hypotheses=count,
            max_lengths=np.full(len(chosen), 8, np.int32),
            sentence_numbers=[numbers[index] for index in chosen],
            **options,
        )
        rows = [list(range(len(chosen)))]
        generated: list[list[list[int]]] = [[[] for _ in range(count)] for _ in chosen]
        sampling.start(np.stack([logits_of(numbers[index], []) for index in chosen]))
        while not sampling.done:
            for row, tokens in zip(rows[0], sampling.tokens().tolist(), strict=True):
                for history, token in zip(generated[row], tokens, strict=True):
                    history.append(token)
            rows[0] = [rows[0][old] for old in sampling.compact()]
            sampling.advance(
                np.stack([[logits_of(numbers[chosen[row]], history) for history in generated[row]] for row in rows[0]])
            )
        return [[one.tokens.tolist() for one in sentence] for sentence in sampling.results()]

    def logits_of(number: int, history: list[int]) -> NDArray[np.float32]:
        draw = np.random.default_rng([model.seed, number, *history])
        return draw.normal(0, 1, VOCABULARY).astype(np.float32)

    together = samples([0, 1, 2, 3], 4)
    assert samples([2, 0], 4) == [together[2], together[0]]
    assert samples([3], 2) == [together[3][:2]]
    assert samples([3], 4, seed=8) != [together[3]]
    assert len({tuple(one) for sentence in together for one in sentence}) > 12


def test_scores_are_the_models_and_options_change_them() -> None:
    logits = random_logits(4)
    log_probs = logits - np.log(np.exp(logits.astype(np.float64)).sum())
    sampling = search(
        max_lengths=np.full(SENTENCES, 1, np.int32), sampling_temperature=2.0, suppress_tokens=[5], token_scores=True
    )
    sampling.start(np.tile(logits, (SENTENCES, 1)))
    for found in (one for sentence in sampling.results() for one in sentence):
        (token,) = found.tokens.tolist() or [EOS]
        assert token not in (5, PAD)
        assert found.log_prob == pytest.approx(log_probs[token], abs=1e-5)
        assert found.token_scores.tolist() == [found.log_prob]
    forced = search(forced_bos=9, target_prefix=[[3]] * SENTENCES)
    forced.start(np.tile(logits, (SENTENCES, 1)))
    assert {*forced.tokens().ravel().tolist()} == {3}
    forced = search(forced_bos=9)
    forced.start(np.tile(logits, (SENTENCES, 1)))
    assert {*forced.tokens().ravel().tolist()} == {9}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampling_temperature": 0.0}, "sampling_temperature must be a finite number above 0; given 0.000000"),
        ({"sampling_topk": -1}, "sampling_topk must be 0 or more; given -1"),
        ({"sampling_topp": 1.5}, "sampling_topp must be above 0, at most 1; given 1.500000"),
        ({"sentence_numbers": [1]}, "sentence_numbers must be one for each of 625; given 1"),
        ({"policy": "gnmt"}, "seed must be left alone except with policy sample; given a value"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        search(**options)
    assert str(error.value) == message
