"""The trtexec command lines that build the same plans."""

from __future__ import annotations

import shlex
from pathlib import Path

from nmt_trt.engines.flavours import FlavourName
from nmt_trt.engines.graph_inputs import Shape, graph_path, open_inputs, read_graph
from nmt_trt.engines.plan_spec import PlanSpec

_PROGRAMS: dict[FlavourName, str] = {"tensorrt": "trtexec", "tensorrt-rtx": "tensorrt_rtx"}
_MIB = 1 << 20


def trtexec_command(
    directory: Path, spec: PlanSpec, flavour: FlavourName, *, workspace_bytes: int | None = None
) -> str:
    """A shell command that makes the plan <key of the spec>.plan in the current folder.

    Raises:
        ModelDirectoryError: the directory has no such graph.
    """
    path = graph_path(directory, spec)
    shapes = open_inputs(read_graph(path), spec.dimensions)
    arguments = [f"--onnx={path}", f"--saveEngine={spec.key()}.plan"]
    for option, index in (("minShapes", 0), ("optShapes", 1), ("maxShapes", 2)):
        arguments.append(f"--{option}={_shapes_text({name: sizes[index] for name, sizes in shapes.items()})}")
    if flavour == "tensorrt":
        arguments.append("--stronglyTyped")
    arguments.append("--noTF32")
    if workspace_bytes is not None:
        arguments.append(f"--memPoolSize=workspace:{workspace_bytes // _MIB}")
    return " \\\n  ".join([_PROGRAMS[flavour], *map(shlex.quote, arguments)])


def _shapes_text(shapes: dict[str, Shape]) -> str:
    return ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items())
