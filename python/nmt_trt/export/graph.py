"""A small builder of ONNX graphs whose initializers stay in a safetensors file beside the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from nmt_trt.export.islands import Islands
from nmt_trt.export.weights_file import WeightLocation

OPSET = 24
IR_VERSION = 13
Dimension = int | str


@dataclass(frozen=True)
class Precision:
    """The types of a graph: `compute` for linear layers and attention, `island` for what is around them.

    The islands are the residual stream, LayerNorm and softmax, which overflow or lose digits in fp16. They are float32;
    another type there shows what they are for.
    """

    name: str
    compute: int
    island: int = TensorProto.FLOAT

    @property
    def mixed(self) -> bool:
        """Whether the weights are not the fp32 ones."""
        return self.compute != TensorProto.FLOAT


FP32 = Precision("fp32", TensorProto.FLOAT)
FP16 = Precision("fp16", TensorProto.FLOAT16)
BF16 = Precision("bf16", TensorProto.BFLOAT16)
PRECISIONS = {precision.name: precision for precision in (FP32, FP16, BF16)}


class GraphBuilder:
    """Appends nodes one by one; every method returns the name of the tensor it made."""

    def __init__(
        self,
        name: str,
        weights: Mapping[str, WeightLocation],
        precision: Precision,
        islands: Islands,
        *,
        opset: int = OPSET,
        ir_version: int = IR_VERSION,
    ) -> None:
        self.precision = precision
        self.islands = islands
        self.compute = precision.compute
        self._versions = opset, ir_version
        self._name = name
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._initializers: dict[str, TensorProto] = {}
        self._known: dict[tuple[str, tuple[str, ...], str], str] = {}
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
        """Append a node with one output, or find the one that computes the same."""
        if output is not None:
            return self.multi(op_type, inputs, [output], **attributes)[0]
        key = (op_type, inputs, repr(sorted(attributes.items())))
        if key not in self._known:
            self._known[key] = self.multi(op_type, inputs, 1, **attributes)[0]
        return self._known[key]

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

    def weight_type(self, name: str) -> int:
        """The type of a tensor of the weights file."""
        return self._weights[name].dtype

    def to_type(self, x: str, given: int, wanted: int) -> str:
        """Cast from one type to another, if they differ."""
        return x if given == wanted else self.op("Cast", x, to=wanted)

    def enter(self, x: str, key: str) -> str:
        """An island's value as the input of a linear layer: scaled by 2^-exponent of `key`, in the compute type."""
        return self.to_type(self.times(x, 2.0 ** -self.islands.exponent(key)), self.precision.island, self.compute)

    def leave(self, x: str, key: str) -> str:
        """The inverse of `enter`."""
        return self.times(self.to_type(x, self.compute, self.precision.island), 2.0 ** self.islands.exponent(key))

    def times(self, x: str, factor: float) -> str:
        """An island's value times a constant."""
        return x if factor == 1.0 else self.op("Mul", x, self.constant(factor, self.precision.island))

    @contextmanager
    def block(self, name: str) -> Iterator[None]:
        """Compute in float32 inside a `with` block, if the islands say so of the block of this name."""
        outside = self.compute
        if name in self.islands.float32:
            self.compute = TensorProto.FLOAT
        try:
            yield
        finally:
            self.compute = outside

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefix the names of the tensors made inside a `with` block."""
        self._scope.append(name)
        try:
            yield
        finally:
            self._scope.pop()

    def build(self, doc: str) -> onnx.ModelProto:
        """The finished model."""
        graph = helper.make_graph(
            self._nodes, self._name, self._inputs, self._outputs, list(self._initializers.values()), doc_string=doc
        )
        opset, ir_version = self._versions
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=ir_version,
            producer_name="nmt_trt",
        )

    def _fresh(self, op_type: str) -> str:
        self._count += 1
        return "/".join([*self._scope, f"{op_type}_{self._count}"])
