"""Real plans by TensorRT-RTX, for which no GPU is needed."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, Literal

import onnx
import pytest

from engines.conftest import TARGET
from nmt_trt.engines.builder import build_plan
from nmt_trt.engines.flavours import Flavour
from nmt_trt.engines.graph_inputs import open_inputs, read_graph
from nmt_trt.engines.plan_spec import EngineShapes, PlanSpec, Range, model_plans, model_shapes
from nmt_trt.engines.tensorrt_log import said_errors
from nmt_trt.errors import EngineBuildError, ModelDirectoryError, UsageError
from nmt_trt.export.graph import PRECISIONS
from nmt_trt.gpu import find_gpus
from nmt_trt.model_directory import add_precision, export_graphs, read_config
from nmt_trt.models.config import StackConfig
from random_models import random_config, write_random_model

ACTIVATIONS: tuple[Literal["relu", "gelu", "swish"], ...] = ("relu", "gelu", "swish")
SEEDS = (0, 1, 2, 3, 11)
"""Random models that have every architecture option between them."""
SMALL = EngineShapes(Range(1, 2, 4), Range(1, 8, 16), Range(1, 2, 4))


def test_the_seeds_cover_every_architecture_option() -> None:
    configs = [random_config(seed) for seed in SEEDS]
    for side in ("encoder", "decoder"):
        for option in ("learned_positions", "pre_norm", "final_norm", "embedding_norm", "scale_embeddings"):
            assert len({getattr(getattr(config, side), option) for config in configs}) == 2, (side, option)
    assert {stack.activation for config in configs for stack in (config.encoder, config.decoder)} == set(ACTIVATIONS)
    for option in ("causal_encoder", "shared_embeddings", "tied_output"):
        assert len({getattr(config, option) for config in configs}) == 2, option
    assert {config.decoder.head_size for config in configs} == {4, 8, 16}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_architecture_builds(rtx: Flavour, tmp_path: Path, seed: int, precision: str) -> None:
    build_random_model(rtx, tmp_path / "model", seed, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_many_random_models_build(rtx: Flavour, tmp_path: Path, thorough: bool, precision: str) -> None:
    if not thorough:
        pytest.skip("takes a minute: NMT_TRT_TEST_ALL=1")
    for seed in set(range(24)) - set(SEEDS):
        build_random_model(rtx, tmp_path / str(seed), seed, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_scaled_embeddings_without_a_norm_build(
    rtx: Flavour, tmp_path: Path, activation: Literal["relu", "gelu", "swish"], precision: str
) -> None:
    """Both sides as Marian's models have them."""
    stack = StackConfig(
        hidden_size=32,
        num_layers=1,
        inner_size=48,
        num_heads=2,
        vocab_size=40,
        max_positions=64,
        activation=activation,
        embedding_norm=False,
        scale_embeddings=True,
    )
    build_random_model(rtx, tmp_path / "model", 0, precision, encoder=stack, decoder=stack, causal_encoder=False)


def build_random_model(rtx: Flavour, directory: Path, seed: int, precision: str, **fixed: Any) -> None:
    config = write_random_model(directory, seed, **fixed)
    export_graphs(directory, config, PRECISIONS[precision])
    for spec in model_plans(config, precision, SMALL):
        built = build_plan(directory, spec, flavour=rtx, target=TARGET)
        assert len(built.plan) > 10_000
        assert built.layers > 5
        assert built.seconds > 0
        assert built.timing_cache == b""


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_demo_model_builds(rtx: Flavour, demo: Path, precision: str) -> None:
    add_precision(demo, PRECISIONS[precision])
    config = read_config(demo)
    for spec in model_plans(config, precision, model_shapes(config)):
        assert len(build_plan(demo, spec, flavour=rtx, target="sm_80").plan) > 500_000


def test_one_size_is_a_range_too(rtx: Flavour, directory: Path) -> None:
    fixed = EngineShapes(Range.of(8), Range.of(16), Range.of(4))
    assert build_plan(directory, PlanSpec("decoder_1", "fp32", fixed), flavour=rtx, target=TARGET).plan


def test_what_tensorrt_is_told(rtx: Flavour, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """fp32 is fp32, types are the graph's, and the target and the limit on scratch memory are what was asked for."""
    trt, made = rtx.module, []

    class Builder(trt.Builder):  # type: ignore[misc, name-defined]
        def create_network(self, flags: int) -> Any:
            made.append(super().create_network(flags))
            return made[-1]

        def create_builder_config(self) -> Any:
            made.append(super().create_builder_config())
            return made[-1]

    monkeypatch.setattr(trt, "Builder", Builder)
    spec = PlanSpec("encoder_1", "fp32", SMALL)
    assert build_plan(directory, spec, flavour=rtx, target="sm_89", workspace_bytes=64 << 20).plan
    network, config = made
    assert network.get_flag(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    assert not config.get_flag(trt.BuilderFlag.TF32)
    assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 64 << 20
    assert config.num_compute_capabilities == 1
    assert config.get_compute_capability(0) == trt.ComputeCapability.SM89
    assert config.num_optimization_profiles == 1


def test_a_profile_holds_every_open_size(directory: Path) -> None:
    graph = read_graph(directory / "encoder_1.onnx")
    width = read_config(directory).encoder.hidden_size
    shapes = ((16, width), (16, width), (64, width))
    assert open_inputs(graph, PlanSpec("encoder_1", "fp32", SMALL).dimensions) == {
        "attention": shapes,
        "residual": shapes,
    }


def test_a_node_that_tensorrt_does_not_know_is_named(rtx: Flavour, directory: Path) -> None:
    path = directory / "decoder_0.onnx"
    model = onnx.load(path, load_external_data=False)
    for node in (n for n in model.graph.node if n.op_type == "Gather"):
        node.op_type, node.name = "NoSuchOperator", f"strange {node.name}"
    onnx.save(model, path)
    with pytest.raises(EngineBuildError) as raised:
        build_plan(directory, PlanSpec("decoder_0", "fp32"), flavour=rtx, target=TARGET)
    message = str(raised.value)
    assert message.startswith(f"{path}: TensorRT-RTX ")
    assert message.count("NoSuchOperator node 'strange ") >= 2, "every error is told"


def test_a_plan_that_cannot_be_built_repeats_what_tensorrt_said(rtx: Flavour, directory: Path) -> None:
    """CURRENT needs a GPU: without one TensorRT logs why and returns nothing."""
    if _has_gpu():
        pytest.skip("there is a GPU, for which this plan can be built")
    with pytest.raises(EngineBuildError, match="made no plan of decoder_0-fp32.*Cuda Runtime"):
        build_plan(directory, PlanSpec("decoder_0", "fp32"), flavour=rtx)


def test_what_cannot_be_built_from(rtx: Flavour, directory: Path) -> None:
    with pytest.raises(UsageError, match="given 'sm_61'"):
        build_plan(directory, PlanSpec("decoder_0", "fp32"), flavour=rtx, target="sm_61")
    (directory / "decoder_0.bf16.onnx").unlink()
    with pytest.raises(ModelDirectoryError, match="--precision bf16"):
        build_plan(directory, PlanSpec("decoder_0", "bf16"), flavour=rtx, target=TARGET)
    (directory / "decoder_1.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelDirectoryError, match="not an ONNX file"):
        build_plan(directory, PlanSpec("decoder_1", "fp32"), flavour=rtx, target=TARGET)
    weights = directory / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ModelDirectoryError, match="weights.safetensors: ends before its tensors do"):
        build_plan(directory, PlanSpec("decoder_0", "fp32"), flavour=rtx, target=TARGET)
    weights.unlink()
    with pytest.raises(ModelDirectoryError, match="weights.safetensors: .*No such file"):
        build_plan(directory, PlanSpec("decoder_0", "fp32"), flavour=rtx, target=TARGET)


def test_progress_is_told(rtx: Flavour, directory: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    build_plan(
        directory,
        PlanSpec("decoder_0", "fp32"),
        flavour=rtx,
        target=TARGET,
        progress=lambda *step: steps.append(step),
    )
    assert steps
    assert all(phase and 1 <= done <= count for phase, done, count in steps)


def test_ctrl_c_stops_a_build_and_the_next_one_works(rtx: Flavour, directory: Path) -> None:
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        if not interrupted.is_set():
            interrupted.set()
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)  # the main thread is to hear of it before the build ends

    spec = PlanSpec("encoder_1", "fp32")
    with pytest.raises(KeyboardInterrupt):
        build_plan(directory, spec, flavour=rtx, target=TARGET, progress=interrupt)
    assert "BuildCanceled" in said_errors()
    assert build_plan(directory, PlanSpec("decoder_1", "fp32"), flavour=rtx, target=TARGET).plan


def _has_gpu() -> bool:
    try:
        return bool(find_gpus())
    except OSError:
        return False
