"""Emulated low-precision graphs round where the graph's types say so."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from nmt_trt.export.graph import BF16, FP16, Precision
from nmt_trt.model_directory import export_graphs, graph_file
from nmt_trt.precision.emulation import emulated, exposing, layer_tensors
from precision.models import write_emulated_model
from random_models import random_sources, write_random_model

LOW: dict[int, type[np.generic]] = {TensorProto.FLOAT16: np.float16, TensorProto.BFLOAT16: ml_dtypes.bfloat16}


def gemm_graph(low: int) -> onnx.ModelProto:
    """relu(x @ w + b), in `low`, between Casts."""
    values = {name: np.array(array, np.float32) for name, array in {"w": [[300.0], [1.0]], "b": [0.001]}.items()}
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=low),
        helper.make_node("Gemm", ["half", "w", "b"], ["encoder.layer"]),
        helper.make_node("Relu", ["encoder.layer"], ["relu"]),
        helper.make_node("Cast", ["relu"], ["y"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "gemm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [onnx.numpy_helper.from_array(array.astype(LOW[low]), name) for name, array in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=13)


@pytest.mark.parametrize("low", LOW)
def test_values_are_those_of_numpy_with_rounding(low: int) -> None:
    x = np.array([[1.0001, 0.3], [-1.0, 0.1], [2.0, 0.0007], [100.0, 1e-8]], np.float32)

    def rounded(array: np.ndarray) -> np.ndarray:
        return array.astype(LOW[low]).astype(np.float32)

    w, b = rounded(np.array([[300.0], [1.0]], np.float32)), rounded(np.array([0.001], np.float32))
    wanted = np.maximum(rounded(rounded(x) @ w + b), 0)
    (given,) = run(emulated(gemm_graph(low), low), x)
    np.testing.assert_array_equal(given, wanted)
    assert (given != np.maximum(x @ w + b, 0)).any()


def test_fp16_overflows_and_bf16_does_not() -> None:
    x = np.array([[300.0, 0.0]], np.float32)
    results = {low: run(emulated(gemm_graph(low), low), x)[0][0, 0] for low in LOW}
    assert results[TensorProto.FLOAT16] == np.inf
    assert results[TensorProto.BFLOAT16] == pytest.approx(90000, rel=2**-8)


def test_layers_can_be_looked_at() -> None:
    model = emulated(gemm_graph(TensorProto.FLOAT16), TensorProto.FLOAT16)
    assert layer_tensors(model) == ["encoder.layer"]
    y, layer = run(exposing(model, ["encoder.layer"]), np.array([[-1.0, 0.0]], np.float32))
    assert (y.item(), layer.item()) == (0.0, -300.0)


def run(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    onnx.checker.check_model(model)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})  # type: ignore[no-any-return]


@pytest.mark.parametrize("precision", [FP16, BF16], ids=["fp16", "bf16"])
@pytest.mark.parametrize("seed", range(3))
def test_a_whole_model_stays_close_to_fp32(tmp_path: Path, seed: int, precision: Precision) -> None:
    config = write_random_model(tmp_path / "model", seed)
    write_emulated_model(tmp_path / "low", tmp_path / "model", config, precision)
    (ids,) = random_sources(config, 1, 9, seed)
    feeds = {"input_ids": ids[None], "input_length": np.array([ids.size], np.int32)}
    wanted, given = (
        ort.InferenceSession(tmp_path / name / "encoder.onnx", providers=["CPUExecutionProvider"]).run(
            ["cross_k_0"], feeds
        )[0]
        for name in ("model", "low")
    )
    error = np.linalg.norm(given - wanted) / np.linalg.norm(wanted)
    assert 0 < error < (0.005 if precision is FP16 else 0.04)
    low = given.astype(helper.tensor_dtype_to_np_dtype(precision.compute)).astype(np.float32)
    np.testing.assert_array_equal(low, given)  # values of the low type


def test_nothing_of_the_type_is_left_unrounded(tmp_path: Path) -> None:
    """A new operator in the graphs must be given to the emulation."""
    moving = {"Gather", "GatherND", "Relu", "Reshape", "Split", "TensorScatter", "Transpose"}
    for seed in range(6):
        config = write_random_model(tmp_path / str(seed), seed)
        export_graphs(tmp_path / str(seed), config, FP16)
        for name in ("encoder", "decoder", "prefill"):
            model = onnx.load(tmp_path / str(seed) / graph_file(name, FP16), load_external_data=False)
            types = {
                value.name: value.type.tensor_type.elem_type
                for value in (*onnx.shape_inference.infer_shapes(model).graph.value_info, *model.graph.output)
            }
            half = {node.op_type for node in model.graph.node if types[node.output[0]] == TensorProto.FLOAT16}
            rounded = {
                producer.op_type
                for node in emulated(model, TensorProto.FLOAT16).graph.node
                if node.op_type == "Cast" and node.input[0].endswith("/exact")
                for producer in emulated(model, TensorProto.FLOAT16).graph.node
                if node.input[0] in producer.output
            }
            assert half - moving <= rounded | {"Cast"}
