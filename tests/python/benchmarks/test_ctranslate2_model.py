"""The converted model is the same network: greedy search, whose rules agree, finds the same tokens."""

from __future__ import annotations

from pathlib import Path

import ctranslate2
import pytest

import nmt_trt
from benchmarks.models import write_ending_model
from nmt_trt.errors import UnsupportedModelError
from random_models import random_sources


@pytest.mark.parametrize("seed", range(6))
def test_greedy_search_agrees(tmp_path: Path, seed: int) -> None:
    from ctranslate2_model import token_id, token_string, write_ctranslate2_model

    config = write_ending_model(tmp_path / "model", seed, of_nemo=False, causal_encoder=False)
    sources = random_sources(config, count=12, longest=10, seed=seed)
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime", threads=1)
    expected = model.generate(sources, beam_size=1, max_length=20, max_length_delta=-1)

    write_ctranslate2_model(tmp_path / "model", tmp_path / "converted")
    translator = ctranslate2.Translator(str(tmp_path / "converted"), compute_type="float32", intra_threads=1)
    strings = [[token_string(token) for token in row] for row in sources]
    results = translator.translate_batch(strings, beam_size=1, min_decoding_length=0, max_decoding_length=20)

    found = [[token_id(token) for token in result.hypotheses[0]] for result in results]
    assert found == [tokens.tolist() for tokens in expected.sequences]


def test_causal_encoder_is_refused(tmp_path: Path) -> None:
    from ctranslate2_model import write_ctranslate2_model

    write_ending_model(tmp_path / "model", 0, causal_encoder=True)
    with pytest.raises(UnsupportedModelError, match="causal"):
        write_ctranslate2_model(tmp_path / "model", tmp_path / "converted")
