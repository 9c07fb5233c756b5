"""The segments of both sides: what is in them, and built by TensorRT-RTX."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from export.segment_models import export, random_islands, segment_config
from nmt_trt.engines.flavours import Flavour
from nmt_trt.export.graph import FP16, PRECISIONS, Precision
from nmt_trt.export.islands import Islands
from nmt_trt.export.segments import segment_names
from nmt_trt.models.config import StackConfig


def test_the_random_models_cover_every_option() -> None:
    configs = [segment_config(seed) for seed in range(40)]
    for stacks in ([config.encoder for config in configs], [config.decoder for config in configs]):
        for option in ("pre_norm", "final_norm", "learned_positions", "embedding_norm", "scale_embeddings"):
            assert {getattr(stack, option) for stack in stacks} == {True, False}
        assert {stack.activation for stack in stacks} == {"relu", "gelu", "swish"}
        assert {(stack.pre_norm, stack.final_norm) for stack in stacks} >= {(True, True), (True, False)}
        assert {stack.num_layers for stack in stacks} == {1, 2, 3}
    either = set(product((True, False), repeat=2))
    assert {(config.tied_output, config.shared_embeddings) for config in configs} == either
    assert {(config.encoder.pre_norm, config.causal_encoder) for config in configs} == either
    assert {config.encoder.num_heads == config.decoder.num_heads for config in configs} == {True, False}


def test_the_encoders_segments_come_first() -> None:
    config = segment_config(0)
    assert segment_names(config) == (
        *(f"encoder_{index}" for index in range(config.encoder.num_layers + 1)),
        *(f"decoder_{index}" for index in range(2 * config.decoder.num_layers + 1)),
    )


def multiplies(stack: StackConfig) -> bool:
    """Whether a side has products without weights, in swish or behind the token table."""
    return stack.activation == "swish" or stack.scale_embeddings


@pytest.mark.parametrize("precision", PRECISIONS.values(), ids=list(PRECISIONS))
@pytest.mark.parametrize("seed", range(4))
def test_segments_are_lean_and_valid(tmp_path: Path, seed: int, precision: Precision) -> None:
    """Nothing but what TensorRT fuses into few kernels, weights in their file, and an opset that older parsers read."""
    graphs = export(tmp_path / "model", seed, precision)
    for name in segment_names(graphs.config):
        stack = graphs.config.encoder if name.startswith("encoder") else graphs.config.decoder
        model = graphs.model(name)
        onnx.checker.check_model(graphs.folder / f"{name}.onnx", full_check=True)
        assert (model.opset_import[0].version, model.ir_version) == (20, 10)
        operators = {node.op_type for node in model.graph.node}
        pointwise = {"Add", "Cast", "Relu", "Gelu", *(("Mul", "Sigmoid") if multiplies(stack) else ())}
        feeds_forward = any(".ffn.out." in tensor.name for tensor in model.graph.initializer)
        is_split = precision.mixed and seed % 3 > 0 and feeds_forward
        split = {"Reshape", "Transpose", "MatMul", "Mul", "ReduceSum"} if is_split else set()
        assert split <= operators <= {"Gather", "LayerNormalization", "Gemm", *pointwise, *split}
        weights = [
            tensor for tensor in model.graph.initializer if tensor.dims and tensor.data_type != TensorProto.INT64
        ]
        assert all(tensor.data_location == TensorProto.EXTERNAL for tensor in weights)
        cast = {node.input[0] for node in model.graph.node if node.op_type == "Cast"}
        assert not cast & {tensor.name for tensor in weights}
        read = {tensor for node in model.graph.node for tensor in node.input}
        outputs = {value.name for value in model.graph.output}
        assert all(node.output[0] in read | outputs for node in model.graph.node)


@pytest.mark.parametrize("precision", PRECISIONS.values(), ids=list(PRECISIONS))
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_tensorrt_rtx_builds_every_segment(rtx: Flavour, tmp_path: Path, seed: int, precision: Precision) -> None:
    """The real parser and builder take rows from 1 to 512; no GPU is needed."""
    config = segment_config(seed)
    islands = random_islands(config, seed) if precision is FP16 else Islands()
    graphs = export(tmp_path / "model", seed, precision, islands)
    for name in segment_names(graphs.config):
        assert build_for_rows(rtx, graphs.folder / f"{name}.onnx", (1, 32, 512))


def build_for_rows(flavour: Flavour, path: Path, rows: tuple[int, int, int]) -> bytes:
    trt = flavour.module
    builder = trt.Builder(flavour.logger)
    network = builder.create_network(flavour.network_flags)
    parser = trt.OnnxParser(network, flavour.logger)
    assert parser.parse_from_file(str(path)), [parser.get_error(i).desc() for i in range(parser.num_errors)]
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        if tensor.shape[0] == -1:
            profile.set_shape(tensor.name, *[(size, *tensor.shape[1:]) for size in rows])
    config = builder.create_builder_config()
    config.add_optimization_profile(profile)
    flavour.set_target(config, "sm_80")
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, f"{path.name} does not build"
    return bytes(plan)
