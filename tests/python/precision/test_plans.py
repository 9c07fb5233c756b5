"""The real TensorRT-RTX builds what islands make of a graph; no GPU is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt_trt.engines.builder import build_plan
from nmt_trt.engines.flavours import Flavour
from nmt_trt.engines.plan_spec import EngineShapes, Range, model_plans
from nmt_trt.export.graph import BF16, FP16, Precision
from nmt_trt.export.islands import block_names
from nmt_trt.export.planning import plan_islands
from nmt_trt.model_directory import add_precision, export_graphs, read_weights
from nmt_trt.models.config import TransformerConfig
from precision.models import post_norm_config, write_overflowing_model

SHAPES = EngineShapes(Range(1, 2, 4), Range(1, 8, 16), Range(1, 2, 4))


def build_all(rtx: Flavour, directory: Path, config: TransformerConfig, precision: Precision) -> None:
    for spec in model_plans(config, precision.name, SHAPES):
        assert build_plan(directory, spec, flavour=rtx, target="sm_80").plan


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_powers_of_two(rtx: Flavour, tmp_path: Path, activation: str, pre_norm: bool) -> None:
    config = post_norm_config(0, activation, pre_norm=pre_norm)
    directory = write_overflowing_model(tmp_path / "model", config, 0)
    planned = plan_islands(config, read_weights(directory), FP16).exponents
    assert {"encoder.layers.0.ffn.in_", "encoder.layers.0.ffn.out", "encoder.layers.0.self_attention.q"} <= set(planned)
    assert ("output" in planned) is pre_norm
    export_graphs(directory, config, FP16)
    build_all(rtx, directory, config, FP16)


@pytest.mark.parametrize("precision", [FP16, BF16], ids=["fp16", "bf16"])
@pytest.mark.parametrize("kind", ["attention", "ffn", "output"])
def test_float32_blocks(rtx: Flavour, tmp_path: Path, precision: Precision, kind: str) -> None:
    config = post_norm_config(1, "gelu")
    directory = write_overflowing_model(tmp_path / "model", config, 1)
    add_precision(directory, precision, frozenset(name for name in block_names(config) if name.endswith(kind)))
    build_all(rtx, directory, config, precision)
