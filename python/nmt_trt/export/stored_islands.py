"""precision.json of a model directory: the blocks that a low precision computes in float32 because of a measurement."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from nmt_trt.errors import ModelDirectoryError
from nmt_trt.export.graph import Precision
from nmt_trt.export.islands import block_names
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.imported import describe_invalid

PRECISION_FILE = "precision.json"


class _PrecisionIslands(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    float32: tuple[str, ...] = ()


class _PrecisionFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    fp16: _PrecisionIslands = _PrecisionIslands()
    bf16: _PrecisionIslands = _PrecisionIslands()


def read_float32_blocks(directory: Path, config: TransformerConfig, precision: Precision) -> frozenset[str]:
    """The float32 blocks of a precision; none without the file.

    Raises:
        ModelDirectoryError: the file is not valid, or names a block that the model does not have.
    """
    blocks = frozenset(getattr(_read(directory), precision.name, _PrecisionIslands()).float32)
    unknown = blocks - set(block_names(config))
    if unknown:
        raise ModelDirectoryError(f"{directory / PRECISION_FILE}: no such block: {', '.join(sorted(unknown))}")
    return blocks


def write_float32_blocks(directory: Path, precision: Precision, blocks: frozenset[str]) -> None:
    """Keep the float32 blocks of a precision; those of the other one stay.

    Raises:
        ModelDirectoryError: the file that is there is not valid.
    """
    path = directory / PRECISION_FILE
    if not blocks and not path.exists():
        return
    stored = _read(directory).model_copy(update={precision.name: _PrecisionIslands(float32=tuple(sorted(blocks)))})
    path.unlink(missing_ok=True)  # it may be a link to another directory's
    path.write_text(stored.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _read(directory: Path) -> _PrecisionFile:
    path = directory / PRECISION_FILE
    if not path.is_file():
        return _PrecisionFile()
    try:
        return _PrecisionFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ModelDirectoryError(f"{path}: {describe_invalid(error)}") from error
