"""A small builder of ONNX graphs whose initializers stay in a safetensors file beside the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from nmt_trt.export.weights_file import WeightLocation

OPSET = 24
IR_VERSION = 13
Dimension = int | str


@dataclass(frozen=True)
class Precision:
    """The types of a graph: `compute` for linear layers and attention, float32 for the islands around them.

    The islands are the residual stream, LayerNorm and softmax: what overflows or loses digits in fp16.
    """

    name: str
    compute: int

    @property
    def mixed(self) -> bool:
        """Whether the compute type differs from the islands' float32."""
        return self.compute != TensorProto.FLOAT


FP32 = Precision("fp32", TensorProto.FLOAT)
FP16 = Precision("fp16", TensorProto.FLOAT16)
PRECISIONS = {precision.name: precision for precision in (FP32, FP16)}


class GraphBuilder:
    """Appends nodes one by one; every method returns the name of the tensor it made."""

    def __init__(self, name: str, weights: Mapping[str, WeightLocation], precision: Precision) -> None:
        self.precision = precision
        self._name = name
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._initializers: dict[str, TensorProto] = {}
        self._scope: list[str] = []
        self._count = 0

    def input(self, name: str, dtype: int, shape: Sequence[Dimension]) -> str:
        """Declare a graph input."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, name: str, dtype: int, shape: Sequence[Dimension]) -> str:
        """Declare a graph output; a node must be made with `output=name`."""
        self._outputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def op(self, op_type: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        """Append a node with one output."""
        return self.multi(op_type, inputs, [output or self._fresh(op_type)], **attributes)[0]

    def multi(
        self, op_type: str, inputs: Sequence[str], outputs: Sequence[str] | int, **attributes: object
    ) -> list[str]:
        """Append a node with several outputs, given by name or by number."""
        names = [self._fresh(op_type) for _ in range(outputs)] if isinstance(outputs, int) else list(outputs)
        self._nodes.append(
            helper.make_node(op_type, list(inputs), names, name=f"{names[0]}_node", **attributes)  # type: ignore[arg-type]
        )
        return names

    def constant(self, value: Sequence[int] | float, dtype: int) -> str:
        """A small constant kept inside the graph; equal ones are shared."""
        array = np.asarray(value, dtype=helper.tensor_dtype_to_np_dtype(dtype))
        name = f"constant_{array.dtype}_{'x'.join(map(str, array.shape))}_{'_'.join(map(str, array.ravel()))}"
        if name not in self._initializers:
            self._initializers[name] = onnx.numpy_helper.from_array(array, name)
        return name

    def int64s(self, *values: int) -> str:
        """A 1-D int64 constant: shapes, axes."""
        return self.constant(values, TensorProto.INT64)

    def weight(self, name: str) -> str:
        """An initializer whose data stays in the weights file.

        Raises:
            KeyError: no such tensor in the weights file.
        """
        if name not in self._initializers:
            location = self._weights[name]
            tensor = TensorProto(name=name, data_type=location.dtype, dims=location.shape)
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (
                ("location", location.file),
                ("offset", str(location.offset)),
                ("length", str(location.length)),
            ):
                tensor.external_data.add(key=key, value=value)
            self._initializers[name] = tensor
        return name

    def has_weight(self, name: str) -> bool:
        """Whether the weights file has a tensor of this name."""
        return name in self._weights

    def to_compute(self, x: str) -> str:
        """Cast a float32 island's value to the compute type (nothing in fp32)."""
        return self.op("Cast", x, to=self.precision.compute) if self.precision.mixed else x

    def to_float(self, x: str, output: str | None = None) -> str:
        """Cast a value of the compute type to float32 (nothing in fp32)."""
        return self.op("Cast", x, to=TensorProto.FLOAT, output=output) if self.precision.mixed else x

    def scope(self, name: str) -> GraphScope:
        """Prefix the names of the tensors made inside a `with` block."""
        return GraphScope(self._scope, name)

    def build(self, doc: str) -> onnx.ModelProto:
        """The finished model."""
        graph = helper.make_graph(
            self._nodes, self._name, self._inputs, self._outputs, list(self._initializers.values()), doc_string=doc
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="nmt_trt",
        )

    def _fresh(self, op_type: str) -> str:
        self._count += 1
        return "/".join([*self._scope, f"{op_type}_{self._count}"])


class GraphScope:
    """The `with` block of GraphBuilder.scope."""

    def __init__(self, stack: list[str], name: str) -> None:
        self._stack = stack
        self._name = name

    def __enter__(self) -> None:
        self._stack.append(self._name)

    def __exit__(self, *exc: object) -> None:
        self._stack.pop()
