"""A plan's ONNX graph, and the shapes of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from nmt_trt.engines.plan_spec import PlanSpec, Range
from nmt_trt.errors import ModelDirectoryError
from nmt_trt.export.graph import PRECISIONS
from nmt_trt.model_directory import graph_file

Shape = tuple[int, ...]


def graph_path(directory: Path, spec: PlanSpec) -> Path:
    """The ONNX file of a plan.

    Raises:
        ModelDirectoryError: the directory has no such graph.
    """
    path = directory / graph_file(spec.graph, PRECISIONS[spec.precision])
    if not path.is_file():
        raise ModelDirectoryError(
            f"{path}: no such graph in this directory; make it with: {graphs_command(directory, spec.precision)}"
        )
    return path


def graphs_command(directory: Path, precision: str) -> str:
    """The command that gives a model directory the graphs of a precision."""
    if precision == "fp32":  # only the checkpoint has what they are made of
        return f"nmt-trt build CHECKPOINT {directory} --force"
    return f"nmt-trt build {directory} --precision {precision}"


def read_graph(path: Path) -> onnx.ModelProto:
    """A graph without its external data.

    Raises:
        ModelDirectoryError: not an ONNX file.
    """
    try:
        return onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ModelDirectoryError(f"{path}: not an ONNX file: {error}") from error


def open_inputs(model: onnx.ModelProto, dimensions: Mapping[str, Range]) -> dict[str, tuple[Shape, Shape, Shape]]:
    """The smallest, the usual and the largest shape of each input that has an open dimension.

    Raises:
        KeyError: an open dimension whose name is not in `dimensions`.
    """
    shapes = {}
    for value in model.graph.input:
        extents = value.type.tensor_type.shape.dim
        if any(extent.dim_param for extent in extents):
            sizes = [dimensions[e.dim_param] if e.dim_param else Range.of(e.dim_value) for e in extents]
            smallest, usual, largest = zip(*((size.min, size.opt, size.max) for size in sizes), strict=True)
            shapes[value.name] = (smallest, usual, largest)
    return shapes
