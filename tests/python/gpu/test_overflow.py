"""A model in fp16 whose values leave fp16's range: fp32's tokens, where a plain conversion gives NaN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nmt_trt
from gpu.conftest import Load
from gpu.gpu_models import tokens
from nmt_trt.errors import Error
from nmt_trt.export.graph import FP16
from nmt_trt.export.islands import Islands
from nmt_trt.model_directory import export_graphs
from precision.models import post_norm_config, write_overflowing_model
from random_models import random_sources

LEAST_IDENTICAL = 0.9
"""Emulated, 474 of 480 such sentences are: see tests/python/precision/test_overflow.py."""


@pytest.mark.parametrize("decoder", ["auto", "engines"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_fp16_gives_fp32s_tokens(tmp_path: Path, load: Load, activation: str, decoder: str) -> None:
    config = post_norm_config(0, activation, inner_size=64)
    naive, ours = (write_overflowing_model(tmp_path / name, config, 0) for name in ("naive", "ours"))
    export_graphs(naive, config, FP16, Islands())
    export_graphs(ours, config, FP16)
    sources = random_sources(config, 24, 12, 0)
    options: Any = {"beam_size": 3, "max_length": 8}
    with pytest.raises(Error, match="NaN"):
        load(naive, precision="fp16", decoder=decoder).generate(sources, **options)
    model = load(ours, precision="fp16", decoder=decoder)
    assert ("native decoder" in model.backend) == (decoder == "auto")
    found = model.generate(sources, **options)
    wanted = nmt_trt.load(ours, backend="onnxruntime").generate(sources, **options)
    identical = [a == b for a, b in zip(tokens(found.hypotheses), tokens(wanted.hypotheses), strict=True)]
    assert np.mean(identical) >= LEAST_IDENTICAL
