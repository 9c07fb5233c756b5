"""`nmt-trt inspect`: what an archive or a model directory holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nmt_trt.cli.facts import aligned, model_facts
from nmt_trt.engines.engine_folders import EngineFolder
from nmt_trt.engines.plan_spec import EngineShapes
from nmt_trt.inspection import Inspection, inspect_path

Target = Annotated[
    Path,
    typer.Argument(
        metavar="PATH",
        help="A checkpoint, or a directory made by `nmt-trt build`.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, with the whole configuration.")]


def inspect(path: Target, as_json: AsJson = False) -> None:
    """Show what a checkpoint or a model directory holds: architecture, tokens, languages, defaults, files, engines.

    Example: nmt-trt inspect my_model/
    """
    found = inspect_path(path)
    if as_json:
        print(json.dumps(_as_dict(found), indent=2, ensure_ascii=False))
        return
    print(aligned(model_facts(found)))
    print("\nfiles")
    width = max(len(f"{size:,}") for size in found.files.values())
    for name, size in found.files.items():
        print(f"  {size:>{width},}  {name}")
    if found.engines:
        print("\nengines")
        print(aligned({f"  {engines.name}": _description(engines) for engines in found.engines}))


def _description(engines: EngineFolder) -> str:
    built = f"{engines.precision} for {engines.target}, {engines.shapes}"
    return f"{built}, {engines.size:,} bytes in {engines.plans} plans"


def _sizes(shapes: EngineShapes | None) -> dict[str, str]:
    return {} if shapes is None else {name: str(size) for name, size in shapes.sizes.items()}


def _as_dict(found: Inspection) -> dict[str, object]:
    return {
        "path": str(found.path),
        "kind": found.kind,
        "parameters": found.parameters,
        "config": found.config.model_dump(mode="json"),
        "files": found.files,
        "notes": list(found.notes),
        "engine_sizes": _sizes(found.engine_shapes),
        "engines": [{**asdict(engines), "shapes": _sizes(engines.shapes)} for engines in found.engines],
    }
