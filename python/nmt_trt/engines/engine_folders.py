"""What engines lie in a model directory; no plan is opened for that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nmt_trt.engines.directory_plans import ENGINES_FOLDER, read_manifest
from nmt_trt.engines.plan_spec import EngineShapes


@dataclass(frozen=True)
class EngineFolder:
    """The engines of one target and precision.

    Attributes:
        name: of their folder.
        flavour, library: what built them, and what runs them: "tensorrt-rtx", "1.4.0.76".
        target: the architecture that they are for: "sm_86".
        precision: fp32, fp16 or bf16.
        shapes: the sizes that they accept.
        plans: how many there are.
        size: their bytes.
    """

    name: str
    flavour: str
    library: str
    target: str
    precision: str
    shapes: EngineShapes
    plans: int
    size: int


def engine_folders(directory: Path) -> list[EngineFolder]:
    """The engines of a model directory; those whose manifest cannot be read are left out, with a warning."""
    found = []
    for folder in sorted((directory / ENGINES_FOLDER).glob("[!.]*/")):
        manifest = read_manifest(folder)
        if manifest is None or not manifest.plans:
            continue
        made = manifest.plans[0].origin
        found.append(
            EngineFolder(
                folder.name,
                made.flavour,
                made.library,
                made.target,
                made.precision,
                manifest.shapes,
                len(manifest.plans),
                sum(record.plan_bytes for record in manifest.plans),
            )
        )
    return found
