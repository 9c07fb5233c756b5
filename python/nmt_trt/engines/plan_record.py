"""What is written down about a plan: what it was made from, and what was made."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from nmt_trt.engines.builder import BuiltPlan
from nmt_trt.engines.file_hashes import FileHashes
from nmt_trt.engines.graph_inputs import graph_path, read_graph
from nmt_trt.engines.plan_spec import PlanSpec, Range
from nmt_trt.errors import ModelDirectoryError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlanOrigin(_Frozen):
    """Everything that a plan depends on: two plans of one origin can stand in for each other.

    Attributes:
        flavour, library: what built it: "tensorrt-rtx", "1.4.0.76".
        target: what it was built for: an architecture, or a GPU's name and architecture.
        graph, precision: what was built.
        dimensions: the sizes that it accepts, by the name of the graph's open dimension.
        graph_sha256: of the ONNX file.
        weights_sha256: of each file that the graph's weights lie in, by name.
    """

    flavour: str
    library: str
    target: str
    graph: str
    precision: str
    dimensions: dict[str, Range]
    graph_sha256: str
    weights_sha256: dict[str, str]

    def digest(self) -> str:
        """A hash of the whole, in hexadecimal."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class PlanRecord(_Frozen):
    """A plan that was made.

    Attributes:
        origin: what from.
        plan_sha256, plan_bytes: of the plan's file.
        layers: layers of the network before they were fused.
        seconds: how long it took.
        workspace_bytes: the limit on scratch memory, if one was set. It is no part of the origin: a plan serves
            whatever limit it was built under.
    """

    format_version: Literal[1] = 1
    origin: PlanOrigin
    plan_sha256: str
    plan_bytes: int
    layers: int
    seconds: float
    workspace_bytes: int | None

    @classmethod
    def of(cls, origin: PlanOrigin, built: BuiltPlan, workspace_bytes: int | None) -> PlanRecord:
        """The record of a plan that has just been built."""
        return cls(
            origin=origin,
            plan_sha256=hashlib.sha256(built.plan).hexdigest(),
            plan_bytes=len(built.plan),
            layers=built.layers,
            seconds=round(built.seconds, 3),
            workspace_bytes=workspace_bytes,
        )

    def fits(self, plan: bytes) -> bool:
        """Whether these are the bytes that were written."""
        return len(plan) == self.plan_bytes and hashlib.sha256(plan).hexdigest() == self.plan_sha256


def plan_origin(
    directory: Path, spec: PlanSpec, hashes: FileHashes, *, flavour: str, library: str, target: str
) -> PlanOrigin:
    """The origin of a plan that would be built now.

    Raises:
        ModelDirectoryError: the directory has no such graph, or lacks its weights.
    """
    path = graph_path(directory, spec)
    weights = {
        entry.value
        for tensor in read_graph(path).graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    try:
        return PlanOrigin(
            flavour=flavour,
            library=library,
            target=target,
            graph=spec.graph,
            precision=spec.precision,
            dimensions=spec.dimensions,
            graph_sha256=hashes.sha256(path),
            weights_sha256={name: hashes.sha256(directory / name) for name in sorted(weights)},
        )
    except OSError as error:
        raise ModelDirectoryError(f"{error.filename}: cannot be read: {error.strerror}") from error
