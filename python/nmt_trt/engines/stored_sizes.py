"""engine_sizes.json of a model directory: the sizes that its engines are built for unless others are asked for."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from nmt_trt.atomic_write import new_mode, write_atomically
from nmt_trt.engines.plan_spec import EngineSizes, Range, model_shapes
from nmt_trt.errors import ModelDirectoryError, UsageError
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.imported import describe_invalid

SIZES_FILE = "engine_sizes.json"


class _SizesFile(BaseModel):
    """Sizes as they are written on the command line: "1:64:512"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: str | None = None
    source: str | None = None
    beam: str | None = None


def read_engine_sizes(directory: Path, config: TransformerConfig) -> EngineSizes:
    """The sizes that were kept; none without the file.

    Raises:
        ModelDirectoryError: the file is not valid, or has sizes that the model does not take.
    """
    path = directory / SIZES_FILE
    if not path.is_file():
        return {}
    try:
        written = _SizesFile.model_validate_json(path.read_bytes()).model_dump(exclude_none=True)
        sizes = {name: Range.parse(text) for name, text in written.items()}
        model_shapes(config, **sizes)
    except ValidationError as error:
        raise ModelDirectoryError(f"{path}: {describe_invalid(error)}") from error
    except UsageError as error:
        raise ModelDirectoryError(f"{path}: {error}") from error
    return sizes


def write_engine_sizes(directory: Path, sizes: EngineSizes) -> None:
    """Keep these sizes in place of those that were kept."""
    path = directory / SIZES_FILE
    content = _SizesFile(**{name: str(size) for name, size in sizes.items()})
    write_atomically(path, (content.model_dump_json(indent=2, exclude_none=True) + "\n").encode())
    path.chmod(new_mode(0o666))
