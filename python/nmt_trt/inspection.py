"""What a checkpoint archive or a model directory holds, without opening a backend."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nmt_trt.engines.engine_folders import EngineFolder, engine_folders
from nmt_trt.engines.plan_spec import EngineShapes, model_shapes
from nmt_trt.engines.stored_sizes import read_engine_sizes
from nmt_trt.errors import ModelDirectoryError
from nmt_trt.model_directory import read_config
from nmt_trt.models.archive import Archive
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.importing import import_checkpoint, is_huggingface
from nmt_trt.models.weights import weight_shapes


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        path: where.
        kind: what it is.
        config: the model; of a checkpoint, as `nmt-trt build` would import it.
        parameters: trained numbers; tables that are shared count once, sinusoidal positions not at all.
        files: bytes by name, in the archive's order or sorted.
        notes: what the importer remarked about a checkpoint.
        engine_shapes: the sizes that a model directory's engines are built for unless others are asked for.
        engines: those that lie in a model directory.
    """

    path: Path
    kind: Literal["NeMo archive", "Hugging Face checkpoint", "model directory"]
    config: TransformerConfig
    parameters: int
    files: dict[str, int]
    notes: tuple[str, ...] = ()
    engine_shapes: EngineShapes | None = None
    engines: tuple[EngineFolder, ...] = ()


def inspect_path(path: str | Path) -> Inspection:
    """Inspect a checkpoint, wholly checked as for an import, or a model directory.

    Raises:
        ModelDirectoryError: nothing is there, or a directory that is not a complete model.
        ArchiveError, UnsupportedModelError, MissingDependencyError: see import_checkpoint.
    """
    path = Path(path)
    if path.is_dir():
        sizes = {file.name: file.stat().st_size for file in sorted(path.iterdir()) if file.is_file()}
        if is_huggingface(path):
            imported = import_checkpoint(path)
            parameters = count_parameters(imported.config)
            return Inspection(path, "Hugging Face checkpoint", imported.config, parameters, sizes, imported.notes)
        config = read_config(path)
        return Inspection(
            path,
            "model directory",
            config,
            count_parameters(config),
            sizes,
            engine_shapes=model_shapes(config, **read_engine_sizes(path, config)),
            engines=tuple(engine_folders(path)),
        )
    if not path.exists():
        raise ModelDirectoryError(f"{path}: no such file or directory; expected a checkpoint or a model directory")
    imported = import_checkpoint(path)
    parameters = count_parameters(imported.config)
    return Inspection(path, "NeMo archive", imported.config, parameters, _member_sizes(path), imported.notes)


def count_parameters(config: TransformerConfig) -> int:
    """The number of trained numbers; see Inspection."""
    fixed = {
        f"{side}.embedding.position.weight"
        for side, stack in (("encoder", config.encoder), ("decoder", config.decoder))
        if not stack.learned_positions
    }
    return sum(math.prod(shape) for name, shape in weight_shapes(config).items() if name not in fixed)


def _member_sizes(path: Path) -> dict[str, int]:
    with Archive(path) as archive:
        return {name: archive.open(name).seek(0, io.SEEK_END) for name in archive.names}
