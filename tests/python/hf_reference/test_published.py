"""`policy="hf"` with nothing else said gives what transformers' generate() gives for the checkpoint as published."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig, MarianMTModel

import nmt_trt
from hf_reference.cases import MARGIN, SEEDS, model_of
from hf_reference.recording import Recorder
from nmt_trt import Model
from random_marian import edit_json, random_marian_sources

Settings = dict[str, Any]


def drawn_settings(recorder: Recorder, draw: np.random.Generator) -> Settings:
    """Settings as a generation_config.json may have them, each there or not."""
    words = [token for token in range(recorder.vocab_size) if token not in (recorder.eos, recorder.start)]

    def token() -> int:
        return int(draw.choice(words))

    values: dict[str, Callable[[], Any]] = {
        "num_beams": lambda: int(draw.integers(1, 7)),
        "max_length": lambda: int(draw.integers(8, 20)),
        "max_new_tokens": lambda: int(draw.integers(7, 20)),
        "length_penalty": lambda: float(draw.choice([-1.5, 0.0, 0.6, 2.0])),
        "early_stopping": lambda: [True, "never"][draw.integers(2)],
        "min_length": lambda: int(draw.integers(1, 9)),
        "min_new_tokens": lambda: int(draw.integers(1, 8)),
        "repetition_penalty": lambda: float(draw.choice([0.8, 1.3])),
        "no_repeat_ngram_size": lambda: int(draw.integers(2, 4)),
        "forced_bos_token_id": token,
        "forced_eos_token_id": lambda: recorder.eos,
        "bad_words_ids": lambda: [[recorder.start], [token(), token()]],
        "suppress_tokens": lambda: [recorder.start],
    }
    settings = {name: value() for name, value in values.items() if draw.random() < 0.5}
    if settings.get("num_beams", 1) == 1:  # transformers warns of options of beam search that have no effect
        settings = {name: settings[name] for name in settings.keys() - {"length_penalty", "early_stopping"}}
    for name in ("max_length", "min_length"):  # of both kinds only one is said, or transformers warns
        if name.replace("length", "new_tokens") in settings:
            settings.pop(name, None)
    return settings


def decided(seed: int) -> tuple[Recorder, Settings, list[np.ndarray]]:
    """A model, settings and sources whose result does not hang on rounding."""
    recorder = model_of(seed)
    for attempt in count():
        draw = np.random.default_rng([seed, attempt, 7])
        settings = drawn_settings(recorder, draw)
        sources = random_marian_sources(
            recorder.model.config, int(draw.integers(1, 5)), 12, int(draw.integers(1 << 30))
        )
        ids, mask = padded(recorder, sources)
        named = {"num_beams": 1, "max_new_tokens": 20 if "max_length" not in settings else None, **settings}
        if recorder.generate(ids, mask, named).margin > MARGIN:
            return recorder, settings, sources
    raise AssertionError("count() does not end")


def padded(recorder: Recorder, sources: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Sources [B,S], int64, padded on the right, and their mask."""
    length = max(map(len, sources))
    ids = torch.tensor([[*row, *[recorder.start] * (length - len(row))] for row in sources])
    return ids, torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in sources])


def save(recorder: Recorder, settings: Settings, directory: Path) -> Path:
    """The checkpoint with its settings."""
    before = recorder.model.generation_config
    recorder.model.generation_config = GenerationConfig(
        pad_token_id=recorder.start, eos_token_id=recorder.eos, decoder_start_token_id=recorder.start, **settings
    )
    try:
        recorder.model.save_pretrained(directory)
    finally:
        recorder.model.generation_config = before
    return directory


def ours(checkpoint: Path) -> Model:
    nmt_trt.build(checkpoint, checkpoint.with_name("model"))
    return nmt_trt.load(checkpoint.with_name("model"), backend="onnxruntime", threads=1)


def theirs(checkpoint: Path, recorder: Recorder, sources: list[np.ndarray]) -> list[list[int]]:
    """generate() of the saved checkpoint without arguments; EOS and PAD left out."""
    ids, mask = padded(recorder, sources)
    generated = MarianMTModel.from_pretrained(checkpoint).generate(input_ids=ids, attention_mask=mask)
    return [[token for token in row[1:] if token not in (recorder.eos, recorder.start)] for row in generated.tolist()]


def found(model: Model, sources: list[np.ndarray], **options: Any) -> list[list[int]]:
    return [tokens.tolist() for tokens in model.generate(sources, policy="hf", **options).sequences]


@pytest.mark.filterwarnings("ignore:Using the model-agnostic default:UserWarning")
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_said_is_generate_without_arguments(seed: int, tmp_path: Path) -> None:
    recorder, settings, sources = decided(seed)
    checkpoint = save(recorder, settings, tmp_path / "checkpoint")
    assert found(ours(checkpoint), sources) == theirs(checkpoint, recorder, sources), settings


def test_settings_of_an_old_configuration(tmp_path: Path) -> None:
    """Before there was generation_config.json they were in config.json; with it config.json's do not count."""
    recorder, _, sources = decided(3)
    checkpoint = save(recorder, {}, tmp_path / "checkpoint")
    edit_json(checkpoint / "config.json", num_beams=5, max_length=11, no_repeat_ngram_size=2)
    with pytest.warns(UserWarning, match="Using the model-agnostic default"):
        assert found(ours(checkpoint), sources) == theirs(checkpoint, recorder, sources)
    (checkpoint / "generation_config.json").unlink()
    nmt_trt.build(checkpoint, tmp_path / "old")
    model = nmt_trt.load(tmp_path / "old", backend="onnxruntime")
    assert model.config.generation.hf is not None and model.config.generation.hf.beam_size == 5
    assert found(model, sources) == theirs(checkpoint, recorder, sources)


def test_what_the_caller_says_wins(tmp_path: Path) -> None:
    recorder = model_of(5)
    sources = random_marian_sources(recorder.model.config, 24, 12, 1)
    bad = [[token] for token in range(1, 9)]
    settings = {
        "num_beams": 4,
        "max_length": 6,
        "length_penalty": -1.0,
        "early_stopping": "never",
        "min_length": 6,
        "repetition_penalty": 1.5,
        "no_repeat_ngram_size": 1,
        "forced_bos_token_id": 7,
        "forced_eos_token_id": 3,
        "bad_words_ids": bad,
        "suppress_tokens": [9, 10, 11],
    }
    neutral: Any = {
        "beam_size": 2,
        "max_length": 9,
        "length_penalty": 1.0,
        "early_stopping": False,
        "min_length": 2,
        "repetition_penalty": 1.0,
        "no_repeat_ngram": 0,
        "forced_bos": -1,
        "forced_eos": -1,
        "bad_words": [],
        "suppress_tokens": [],
    }
    published = ours(save(recorder, settings, tmp_path / "a" / "checkpoint"))
    plain = ours(save(recorder, {}, tmp_path / "b" / "checkpoint"))
    wanted = found(plain, sources, beam_size=2, max_length=9, min_length=2)
    assert found(published, sources, **neutral) == wanted
    for name in neutral:
        others = {other: value for other, value in neutral.items() if other != name}
        assert name == "early_stopping" or found(published, sources, **others) != wanted, name


def test_other_policies_do_not_take_them(tmp_path: Path) -> None:
    recorder, _, sources = decided(5)
    settings = {"num_beams": 4, "max_length": 4, "no_repeat_ngram_size": 1, "forced_bos_token_id": 7}
    published = ours(save(recorder, settings, tmp_path / "a" / "checkpoint")).generate(sources)
    plain = ours(save(recorder, {}, tmp_path / "b" / "checkpoint")).generate(sources)
    assert [row.tolist() for row in published.sequences] == [row.tolist() for row in plain.sequences]
