"""Checkpoint in, model directory out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nmt_trt.errors import ArchiveError, UsageError
from nmt_trt.export.graph import PRECISIONS
from nmt_trt.model_directory import is_model_directory, write_model_directory
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.importing import import_checkpoint, is_huggingface


@dataclass(frozen=True)
class Built:
    """What was built.

    Attributes:
        config: the model's configuration.
        notes: what the importer decided where the checkpoint left it open.
    """

    config: TransformerConfig
    notes: tuple[str, ...]


def build(checkpoint: str | Path, directory: str | Path, *, overwrite: bool = False, precision: str = "fp32") -> Built:
    """Import a checkpoint and write a model directory with its ONNX graphs.

    Args:
        checkpoint: a `.nemo` file, the directory of a Hugging Face checkpoint (Marian, M2M100, NLLB, mBART), or the
            name of one, such as Helsinki-NLP/opus-mt-en-de, which is then downloaded.
        directory: the directory to make; nothing is written unless everything succeeds.
        overwrite: replace a model that is already there.
        precision: "fp32", or "fp16" or "bf16" to write graphs of that precision beside the fp32 ones.

    Raises:
        ArchiveError: the checkpoint is damaged or hostile.
        DownloadError: a name of which no checkpoint can be downloaded.
        UnsupportedModelError: it holds a model that is not supported; names every reason.
        ModelDirectoryError: the directory cannot be written.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"precision must be one of {', '.join(PRECISIONS)}; given {precision!r}")
    if is_model_directory(Path(checkpoint)) and not is_huggingface(Path(checkpoint)):
        raise ArchiveError(f"{checkpoint}: a model directory already; build its engines: nmt-trt build {checkpoint}")
    imported = import_checkpoint(checkpoint)
    write_model_directory(
        Path(directory),
        imported.config,
        imported.weights,
        imported.tokenizer_files,
        precision=PRECISIONS[precision],
        overwrite=overwrite,
    )
    return Built(imported.config, tuple(imported.notes))
