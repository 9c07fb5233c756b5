"""Low-precision graphs on the CPU: computed in float32, every result rounded to the type that the graph says.

ONNX Runtime's CPU kernels run fp16 graphs in float32 too, but leave out roundings between them and have no bf16, so
that what overflows or loses digits on a GPU would look fine there.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import TensorProto, helper

_COMPUTING = {"Add", "Cast", "Gelu", "Gemm", "LayerNormalization", "MatMul", "Mul", "Sigmoid", "Softmax"}
"""The operators whose results need rounding; all others only move values, or take the larger of two."""


def emulated(model: onnx.ModelProto, low: int) -> onnx.ModelProto:
    """The graph with float32 in place of `low`, and each result of an operator in `low` rounded to it.

    Products are accumulated in float32 and rounded once. Inputs and outputs of the type become float32;
    initializers stay in it.

    Args:
        model: a graph of export/, with external data.
        low: TensorProto.FLOAT16 or TensorProto.BFLOAT16.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    types = _element_types(model)
    widened = {tensor.name: f"{tensor.name}/wide" for tensor in graph.initializer if tensor.data_type == low}
    nodes = [_cast(name, wide, TensorProto.FLOAT) for name, wide in widened.items()]
    for node in model.graph.node:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        new.ClearField("input")
        new.input.extend(widened.get(name, name) for name in node.input)
        if node.op_type == "Cast" and low in (types[node.input[0]], types[node.output[0]]):
            new.op_type = "Identity"
            new.ClearField("attribute")
        nodes.append(new)
        if node.op_type in _COMPUTING and types[node.output[0]] == low:
            nodes += _rounding(new, low)
    del graph.node[:]
    graph.node.extend(nodes)
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == low:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    return copy


def exposing(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """The graph with float32 matrices as further outputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    present = {value.name for value in copy.graph.output}
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None]) for name in names if name not in present
    )
    return copy


def layer_tensors(model: onnx.ModelProto) -> list[str]:
    """The tensors that have a layer's name (see export/layers.py), and "logits", in the order of computation."""
    outputs = (name for node in model.graph.node for name in node.output)
    return [
        name for name in outputs if name == "logits" or (name.startswith(("encoder.", "decoder.")) and "/" not in name)
    ]


def _element_types(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    return types


def _rounding(node: onnx.NodeProto, low: int) -> list[onnx.NodeProto]:
    """Casts to `low` and back behind a node, whose output they take over."""
    (name,) = node.output
    node.output[0] = f"{name}/exact"
    return [_cast(f"{name}/exact", f"{name}/low", low), _cast(f"{name}/low", name, TensorProto.FLOAT)]


def _cast(given: str, result: str, dtype: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [given], [result], to=dtype)
