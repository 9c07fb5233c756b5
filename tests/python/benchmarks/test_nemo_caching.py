"""The PyTorch baseline finds what this package finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nmt_trt
from benchmarks.models import write_ending_model
from nmt_trt.model_directory import read_weights
from nmt_trt.options import make_options
from random_models import random_sources


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("beam_size", [1, 4])
def test_same_tokens_as_generate(tmp_path: Path, seed: int, beam_size: int) -> None:
    from nemo_caching import CachingTransformer, beam_search

    config = write_ending_model(tmp_path / "model", seed)
    sources = random_sources(config, count=12, longest=10, seed=seed)
    options: dict[str, Any] = {"beam_size": beam_size, "max_length": 24, "max_length_delta": 6}
    expected = nmt_trt.load(tmp_path / "model", backend="onnxruntime", threads=1).generate(sources, **options)

    model = CachingTransformer(config, read_weights(tmp_path / "model"))
    found = beam_search(model, sources, make_options(**options).resolve(config))

    assert found == [tokens.tolist() for tokens in expected.sequences]
    assert len({len(tokens) for tokens in found}) > 1, "the sentences should end at different lengths"
