"""fp16 done right: a post-norm model whose values leave fp16's range gives fp32's tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from nmt_trt import Model
from nmt_trt.errors import Error
from nmt_trt.export.graph import FP16, Precision
from nmt_trt.export.islands import Islands
from nmt_trt.export.planning import plan_islands
from nmt_trt.model_directory import read_weights
from nmt_trt.models.config import TransformerConfig
from nmt_trt.precision.comparison import Comparison, Pair, compare
from precision.models import overflowing_weights, post_norm_config, write_emulated_model, write_overflowing_model
from random_models import random_config, random_sources, random_weights

NAIVE = Precision("fp16", TensorProto.FLOAT16, island=TensorProto.FLOAT16)
"""Everything in fp16, as a plain conversion has it."""


def tokens(directory: Path, sources: list[np.ndarray]) -> list[list[int]]:
    model = Model(directory, backend="onnxruntime")
    return [row.tolist() for row in model.generate(sources, beam_size=3, max_length=8).sequences]


def compared(directory: Path, config: TransformerConfig, precision: Precision, islands: Islands) -> Comparison:
    pairs = [
        Pair(source, np.array([config.special_tokens.start, 7, 9, 11], np.int32))
        for source in random_sources(config, 3, 10, 0)
    ]
    return compare(directory, config, pairs, precision, islands)


@pytest.mark.parametrize("activation", ["relu", "gelu", "swish"])
@pytest.mark.parametrize("seed", range(3))
def test_fp16_gives_fp32s_tokens_where_a_naive_export_gives_nan(tmp_path: Path, seed: int, activation: str) -> None:
    config = post_norm_config(seed, activation)
    directory = write_overflowing_model(tmp_path / "model", config, seed)
    sources = random_sources(config, 12, 12, seed)

    for precision in (NAIVE, FP16):  # with the islands of type alone, too, linear layers overflow
        naive = compared(directory, config, precision, Islands())
        assert {layer.name for layer in naive.layers if layer.not_finite} >= {
            "encoder.layers.0.ffn.in_",
            "encoder.layers.0.ffn.out",
            "logits",
        }
    with pytest.raises(Error):
        tokens(write_emulated_model(tmp_path / "naive", directory, config, NAIVE, Islands()), sources)

    ours = compared(directory, config, FP16, plan_islands(config, read_weights(directory), FP16))
    assert max(layer.largest for layer in ours.layers) > 1e6
    assert not any(layer.not_finite for layer in ours.layers)
    wanted = tokens(directory, sources)
    assert len({token for row in wanted for token in row}) > 3
    assert tokens(write_emulated_model(tmp_path / "ours", directory, config), sources) == wanted


@pytest.mark.parametrize("activation", ["relu", "gelu", "swish"])
@pytest.mark.parametrize("final_norm", [False, True])
def test_pre_norm_too(tmp_path: Path, activation: str, final_norm: bool) -> None:
    """Without a final LayerNorm the residual stream itself, beyond fp16, is what the output projection reads."""
    config = post_norm_config(0, activation, pre_norm=True, final_norm=final_norm)
    directory = write_overflowing_model(tmp_path / "model", config, 0)
    assert any(layer.not_finite for layer in compared(directory, config, FP16, Islands()).layers)
    islands = plan_islands(config, overflowing_weights(config, 0), FP16)
    assert (islands.exponent("output") > 0) is not final_norm
    ours = compared(directory, config, FP16, islands)
    assert max(layer.relative_error for layer in ours.layers) < 0.02


def test_ordinary_models_need_no_exponents() -> None:
    """So that their graphs have no extra nodes."""
    for seed in range(10):
        config = random_config(seed)
        assert not plan_islands(config, random_weights(config, seed), FP16).exponents
