"""Finds the plan that the generator asks for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from nmt_trt.engines.plan_spec import EngineShapes, PlanSpec
from nmt_trt.errors import EngineError


class Plans(Protocol):
    """A place where plans may be."""

    def get(self, spec: PlanSpec) -> bytes | None:
        """A plan, built if that is this place's business; None when it has none."""


class PlanSource:
    """Plans of one model, precision and set of shapes, from the first of several places that has them.

    Attributes:
        shapes: the batches and sources that all of them take.
    """

    def __init__(self, precision: str, shapes: EngineShapes, places: Sequence[Plans]) -> None:
        self.shapes = shapes
        self._precision = precision
        self._places = tuple(places)
        self._lock = threading.Lock()

    def plan(self, graph: str) -> bytes:
        """The plan of one graph, which a generator asks for by name; one at a time, whatever thread asks.

        Raises:
            EngineError: no place has the plan, and none can build it.
            EngineBuildError: it cannot be built.
        """
        spec = PlanSpec(graph, self._precision, self.shapes)
        with self._lock:
            for place in self._places:
                found = place.get(spec)
                if found is not None:
                    return found
        raise EngineError(
            f"there is no plan {spec.key()}, and no TensorRT Python package that could build it"
            + ("; engines of any decoder are built with --decoder engines" if spec.side == "decoder" else "")
        )
