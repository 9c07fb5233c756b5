"""float32 graphs whose products do not depend on whether they are made in TF32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from nmt_trt.engines.exact_products import with_exact_products

Feeds = dict[str, npt.NDArray[np.float32]]


def product_graph(operator: str) -> tuple[onnx.ModelProto, Feeds]:
    """y = a b, or a transposed Gemm with a bias, of numbers of very different sizes."""
    random = np.random.default_rng(1)
    left = random.standard_normal((5, 64)) * 10.0 ** random.integers(-6, 7, (5, 64))
    right = random.standard_normal((64, 7)) * 10.0 ** random.integers(-6, 7, (64, 7))
    factors = [left.astype(np.float32), right.astype(np.float32)]
    if operator == "Gemm":
        factors = [factors[0], factors[1].T.copy(), random.standard_normal(7).astype(np.float32)]
    names = ["a", "b", "bias"][: len(factors)]
    node = helper.make_node(operator, names, ["y"])
    if operator == "Gemm":
        node.attribute.append(helper.make_attribute("transB", 1))
    inputs = [helper.make_tensor_value_info("a", TensorProto.FLOAT, (5, 64))]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, (5, 7))
    constants = [numpy_helper.from_array(factor, name) for factor, name in zip(factors[1:], names[1:], strict=True)]
    graph = helper.make_graph([node], operator, inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model, dict(zip(names, factors, strict=True))


def run(model: onnx.ModelProto, feeds: Feeds, *, also: Sequence[str] = ()) -> list[npt.NDArray[np.float32]]:
    with_more = onnx.ModelProto()
    with_more.CopyFrom(model)
    with_more.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in also)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(with_more.SerializeToString(), options)
    return [np.asarray(value) for value in session.run(None, {"a": feeds["a"]})]


@pytest.mark.parametrize("operator", ["MatMul", "Gemm"])
def test_every_factor_has_eight_bits_and_the_sum_is_float32s(operator: str) -> None:
    model, feeds = product_graph(operator)
    exact = with_exact_products(model)
    onnx.checker.check_model(exact)
    products = [node for node in exact.graph.node if node.op_type == operator]
    factors = sorted({name for node in products for name in node.input})
    assert len(factors) == 6
    found, *pieces = run(exact, feeds, also=factors)
    for piece in pieces:
        assert np.all(piece.view(np.uint32) & 0xFFFF == 0)  # float32's upper half is bfloat16

    left, right = feeds["a"].astype(np.float64), feeds["b"].astype(np.float64)
    right = right.T if operator == "Gemm" else right
    wanted = left @ right + feeds.get("bias", np.float32(0)).astype(np.float64)
    size = np.abs(left) @ np.abs(right)
    assert np.max(np.abs(found - wanted) / size) < 2**-21
    assert np.max(np.abs(run(model, feeds)[0] - wanted) / size) < 2**-21


def test_only_products_change() -> None:
    model, _ = product_graph("MatMul")
    model.graph.node[0].output[0] = "ab"
    model.graph.node.append(helper.make_node("Relu", ["ab"], ["y"], name="relu"))
    exact = with_exact_products(model)
    assert exact.graph.node[-1] == model.graph.node[-1]
    assert exact.graph.input == model.graph.input and exact.graph.initializer == model.graph.initializer
    assert len(model.graph.node) == 2
