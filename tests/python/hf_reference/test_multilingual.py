"""M2M100, NLLB and mBART checkpoints translate into a chosen language as transformers' generate() does."""

from __future__ import annotations

from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

import nmt_trt
from hf_reference.cases import LONG, Case
from hf_reference.recording import Recorder
from hf_reference.test_policy_hf import TOLERANCE, assert_equal
from importing.multilingual_checkpoints import LANGUAGES, TOKENIZERS, write_with_text
from importing.tokenizer_files import SENTENCES
from nmt_trt.errors import UsageError
from random_multilingual import random_multilingual_sources
from search.cases import Found

SEEDS = range(40 if LONG else 8)


class Pair:
    """A checkpoint, its languages, and our model of it."""

    def __init__(self, path: Path, name: str, seed: int, **settings: Any) -> None:
        self.path, self.name = path, name
        self.languages = LANGUAGES[name]
        model, self.tokenizer = write_with_text(path / "checkpoint", name, seed, **settings)
        self.tokenizer.src_lang = self.languages[0]
        self.recorder = Recorder(model)
        self.config = nmt_trt.build(path / "checkpoint", path / "model").config
        assert self.config.text is not None
        self.token = self.config.text.language_tokens[self.languages[1]]

    @property
    def starts(self) -> bool:
        """Whether the language's token is the start token."""
        return self.name == "MBartTokenizer"

    @cached_property
    def model(self) -> nmt_trt.Model:
        """Ours, for the two languages."""
        return self.open(*self.languages)

    def open(self, source: str | None = None, target: str | None = None) -> nmt_trt.Model:
        """Ours, for these languages."""
        return nmt_trt.load(
            self.path / "model", backend="onnxruntime", threads=1, source_language=source, target_language=target
        )

    def case(self, seed: int, **options: Any) -> Case:
        """The first case with these options, and others at random, that does not hang on rounding."""
        for attempt in count():
            draw = np.random.default_rng([seed, attempt])
            beam = options.get("beam_size", 1 + seed % 4)
            drawn = {
                "beam_size": beam,
                "max_length": int(draw.integers(4, 20)),
                "num_hypotheses": int(draw.integers(1, beam + 1)),
                "length_penalty": float(draw.choice([-1.0, 0.0, 0.6, 1.0, 2.0])),
                "early_stopping": [False, True, "never"][draw.integers(3)],
                **options,
            }
            sources = random_multilingual_sources(self.recorder.vocab_size, 3, 12, int(draw.integers(1 << 30)))
            case = Case(self.recorder, tuple(sources), drawn)
            if case.decided and not self._holds_padding(case):
                return case
        raise AssertionError("count() does not end")

    def forced(self, seed: int) -> tuple[Case, dict[str, Any]]:
        """A case into the language, and our options of it, which do not name the language."""
        if self.starts:
            self.recorder.model.generation_config.decoder_start_token_id = self.token
            case = self.case(seed)
            return case, case.options
        case = self.case(seed, forced_bos=self.token)
        return case, {name: value for name, value in case.options.items() if name != "forced_bos"}

    def _holds_padding(self, case: Case) -> bool:
        rows = case.beams.sequences.flatten(0, 1).tolist()
        return any(case.pad in row[1:] and set(row[row.index(case.pad) :]) - {case.pad} for row in rows)


@pytest.fixture(scope="module", params=TOKENIZERS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp("pair"), request.param, 5, generation={"max_length": 16})


def found(model: nmt_trt.Model, case: Case, options: dict[str, Any]) -> list[list[Found]]:
    result = model.generate(case.sources, policy="hf", max_length_delta=-1, **options)
    return [
        [Found(tuple(one.tokens.tolist()), one.score, one.log_prob) for one in hypotheses]
        for hypotheses in result.hypotheses
    ]


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("seed", SEEDS)
def test_hypotheses_match_transformers(tmp_path: Path, name: str, seed: int) -> None:
    pair = Pair(tmp_path, name, seed)
    case, options = pair.forced(seed)
    assert_equal(found(pair.model, case, options), case.expected)
    if not pair.starts:
        assert all(hypothesis.tokens[0] == pair.token for sentence in case.expected for hypothesis in sentence)


@pytest.mark.parametrize("seed", range(4))
def test_without_a_language_nothing_is_forced(pair: Pair, seed: int) -> None:
    pair.recorder.model.generation_config.decoder_start_token_id = pair.recorder.start
    case = pair.case(seed)
    assert_equal(found(pair.open(), case, case.options), case.expected)
    if not pair.starts:
        assert_equal(found(pair.model, case, {**case.options, "forced_bos": -1}), case.expected)


@pytest.mark.parametrize("policy", ["gnmt", "sample"])
def test_other_policies_force_the_language_too(pair: Pair, policy: Literal["gnmt", "sample"]) -> None:
    sources = random_multilingual_sources(pair.recorder.vocab_size, 4, 12, 0)
    result = pair.model.generate(sources, policy=policy, num_hypotheses=2, max_length=12)
    if pair.starts:
        assert pair.model.config.special_tokens.start == pair.token
    else:
        assert {int(found.tokens[0]) for hypotheses in result.hypotheses for found in hypotheses} == {pair.token}


def test_policy_nemo_forces_no_token(pair: Pair) -> None:
    sources = random_multilingual_sources(pair.recorder.vocab_size, 2, 5, 0)
    if pair.starts:
        assert len(pair.model.generate(sources, policy="nemo", max_length=5).sequences) == 2
        return
    with pytest.raises(UsageError, match="policy 'nemo' forces no first token, which names this model's target"):
        pair.model.generate(sources, policy="nemo", max_length=5)


def test_languages_of_a_model_without_tokenizer_are_refused(tmp_path: Path) -> None:
    pair = Pair(tmp_path, "M2M100Tokenizer", 0)
    (tmp_path / "checkpoint" / "vocab.json").unlink()
    nmt_trt.build(tmp_path / "checkpoint", tmp_path / "model", overwrite=True)
    with pytest.raises(UsageError, match="no tokenizer, so it knows no languages to choose from"):
        pair.open(target="de")
    with pytest.raises(UsageError, match="this model has no tokenizer; it can only generate"):
        pair.open().translate("a")


def test_allowed_tokens_need_the_language(pair: Pair) -> None:
    sources = random_multilingual_sources(pair.recorder.vocab_size, 2, 5, 0)
    allowed = [*range(10, 40), pair.token]
    for row in pair.model.generate(sources, allowed_tokens=allowed, max_length=9).sequences:
        assert set(row.tolist()) <= set(allowed)


def test_texts_are_translated_as_transformers_does(pair: Pair) -> None:
    inputs = pair.tokenizer(list(SENTENCES[:6]), return_tensors="pt", padding=True)
    key = "decoder_start_token_id" if pair.starts else "forced_bos_token_id"
    given: Any = pair.recorder.model
    generated = given.generate(
        input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, max_new_tokens=15, **{key: pair.token}
    )
    wanted = [text.strip() for text in pair.tokenizer.batch_decode(generated, skip_special_tokens=True)]
    assert pair.model.translate(SENTENCES[:6], policy="hf") == wanted
    assert any(wanted)


def test_a_published_language_is_the_default(tmp_path: Path) -> None:
    """As of the mBART-50 models that translate into English alone, and of cc25 models that were trained for a pair."""
    for name, settings in (
        ("MBart50Tokenizer", {"generation": {"forced_bos_token_id": 114}}),
        ("MBartTokenizer", {"model": {"decoder_start_token_id": 114}}),
    ):
        pair = Pair(tmp_path / name, name, 3, src_lang="de_DE", **settings)
        model = pair.open()
        assert model.languages == ("de_DE", "en_XX")
        explicit = pair.open("de_DE", "en_XX")
        assert model.config == explicit.config
        assert model.translate(SENTENCES) == explicit.translate(SENTENCES)
        assert pair.open("de_DE", "fi_FI").config != model.config


def log_probs(pair: Pair, source: list[int], target: list[int]) -> np.ndarray:
    """transformers' log-probabilities of the tokens of a target."""
    start = pair.token if pair.starts else pair.recorder.start
    with torch.inference_mode():
        logits = pair.recorder.model(
            input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([[start, *target[:-1]]])
        ).logits[0]
    scores: np.ndarray = logits.log_softmax(-1)[torch.arange(len(target)), torch.tensor(target)].numpy()
    return scores


def test_scores_of_texts_count_the_language(pair: Pair) -> None:
    source, target = SENTENCES[0], SENTENCES[8]
    language = [] if pair.starts else [pair.token]
    tokens = [*language, *pair.tokenizer(target, add_special_tokens=False).input_ids, 2]
    for text, wanted in ((target, tokens), ("", [*language, 2])):
        (score,) = pair.model.score_text([source], [text])
        expected = log_probs(pair, pair.tokenizer(source).input_ids, wanted)
        np.testing.assert_allclose(score.token_scores, expected, atol=TOLERANCE)


def test_a_target_prefix_stands_behind_the_language(pair: Pair) -> None:
    prefixes = ["Der alte", ""]
    texts = [SENTENCES[0], SENTENCES[1]]
    answers, _ = pair.model.translate_hypotheses(texts, target_prefix=prefixes, policy="hf", max_length=20)
    tokens = [hypotheses[0][1].tokens.tolist() for hypotheses in answers]
    language = [] if pair.starts else [pair.token]
    begin = [*language, *pair.tokenizer("Der alte", add_special_tokens=False).input_ids]
    assert tokens[0][: len(begin)] == begin
    assert answers[1][0][0] == pair.model.translate(SENTENCES[1], policy="hf", max_length=20)
