"""The model directory: what `nmt-trt build` writes and every backend reads (docs/model-directory.md)."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from pydantic import ValidationError
from safetensors.numpy import load_file, save_file

from nmt_trt.atomic_write import new_mode, take_place
from nmt_trt.errors import ModelDirectoryError
from nmt_trt.export.decoder import decoder_attention_graph, decoder_graph, prefill_graph
from nmt_trt.export.encoder import encoder_graph
from nmt_trt.export.graph import FP32, Precision
from nmt_trt.export.islands import Islands
from nmt_trt.export.low_weights import low_weights
from nmt_trt.export.planning import plan_islands
from nmt_trt.export.segments import segment_graphs
from nmt_trt.export.stored_exponents import exponents_metadata, read_exponents
from nmt_trt.export.stored_islands import read_float32_blocks, write_float32_blocks
from nmt_trt.export.weights_file import WeightLocation, weight_locations
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.imported import describe_invalid
from nmt_trt.models.weights import weight_shapes

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"
_GRAPHS = {"encoder": encoder_graph, "decoder": decoder_graph, "prefill": prefill_graph}
GRAPH_NAMES = tuple(_GRAPHS)
ATTENTION_GRAPH = "decoder_attention"
"""A decoder step that also gives attention: fp32 alone, and missing where an earlier version built the directory."""


def graph_file(name: str, precision: Precision = FP32) -> str:
    """The file of one graph: encoder.onnx, or encoder.fp16.onnx in another precision."""
    return f"{name}.onnx" if precision is FP32 else f"{name}.{precision.name}.onnx"


def weights_file(precision: Precision = FP32) -> str:
    """The file of the weights that the graphs of a precision refer to."""
    return WEIGHTS_FILE if precision is FP32 else f"weights.{precision.name}.safetensors"


def write_model_directory(
    path: Path,
    config: TransformerConfig,
    weights: Mapping[str, np.ndarray],
    tokenizer_files: Mapping[str, bytes],
    *,
    precision: Precision = FP32,
    overwrite: bool = False,
) -> None:
    """Write a whole model directory, or nothing.

    Args:
        path: the directory to make.
        config: the model.
        weights: float32 tensors by canonical name (models/weights.py).
        tokenizer_files: file name to content, as `config.text` names them.
        precision: also write graphs of this precision; the fp32 graphs are always there.
        overwrite: replace a model directory that is already there.

    Raises:
        ModelDirectoryError: the place is taken, or the weights do not fit the configuration.
    """
    _check_weights(config, weights)
    with _replacing(path, overwrite=overwrite) as directory:
        (directory / CONFIG_FILE).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
        _save({name: np.ascontiguousarray(array) for name, array in weights.items()}, directory / WEIGHTS_FILE)
        for name, content in tokenizer_files.items():
            (directory / name).write_bytes(content)
        export_graphs(directory, config, FP32)
        if precision is not FP32:
            export_graphs(directory, config, precision)


def add_precision(path: Path, precision: Precision, float32: frozenset[str] | None = None) -> None:
    """Write the graphs of a further precision into a model directory, or write them again; all or nothing.

    Args:
        path: the model directory.
        precision: fp16 or bf16; the fp32 graphs are always there.
        float32: the blocks that the precision computes in float32 from now on, kept in precision.json; None leaves
            them as they are.

    Raises:
        ModelDirectoryError: no complete model directory, or the weights do not fit the precision's type.
    """
    if not precision.mixed:
        return
    config = read_config(path)
    with _replacing(path, overwrite=True) as directory:
        renewed = shutil.ignore_patterns(f"*.{precision.name}.onnx", weights_file(precision))
        shutil.copytree(path, directory, symlinks=True, ignore=renewed, copy_function=_link, dirs_exist_ok=True)
        directory.chmod(0o700)  # it has become as unwritable as the other
        if float32 is not None:
            write_float32_blocks(directory, precision, float32)
        export_graphs(directory, config, precision)


def export_graphs(
    directory: Path, config: TransformerConfig, precision: Precision, islands: Islands | None = None
) -> None:
    """Write the ONNX graphs of a precision beside the directory's weights and check them.

    A precision other than fp32 gets a weights file of its own, in that type.

    Args:
        directory: the model directory.
        config: its configuration.
        precision: which graphs.
        islands: in place of those that are planned from the weights and precision.json.

    Raises:
        ModelDirectoryError: the directory's weights cannot be read, or do not fit the precision's type.
    """
    weights_path = directory / WEIGHTS_FILE
    if precision.mixed:
        weights = read_weights(directory)
        islands = islands or plan_islands(config, weights, precision, read_float32_blocks(directory, config, precision))
        weights_path = directory / weights_file(precision)
        _save(low_weights(config, weights, precision, islands), weights_path, exponents_metadata(islands))
    locations = weight_locations(weights_path)
    for name, graph in make_graphs(config, locations, precision, islands or Islands()).items():
        target = directory / graph_file(name, precision)
        onnx.save(graph, target)
        onnx.checker.check_model(target, full_check=True)


def make_graphs(
    config: TransformerConfig, locations: Mapping[str, WeightLocation], precision: Precision, islands: Islands
) -> dict[str, onnx.ModelProto]:
    """Every graph of a precision by name: those that the CPU runs, and the segments that TensorRT runs."""
    graphs = {name: make(config, locations, precision, islands) for name, make in _GRAPHS.items()}
    if precision is FP32:
        graphs[ATTENTION_GRAPH] = decoder_attention_graph(config, locations, precision, islands)
    return graphs | segment_graphs(config, locations, precision, islands)


def is_model_directory(path: Path) -> bool:
    """Whether this is one, if not a complete one."""
    return all((path / name).is_file() for name in (CONFIG_FILE, WEIGHTS_FILE))


def read_config(directory: Path) -> TransformerConfig:
    """The configuration of a model directory.

    Raises:
        ModelDirectoryError: no such directory, a file is missing, or config.json is not valid.
    """
    if directory.is_file():
        raise ModelDirectoryError(
            f"{directory}: a file, not a model directory; of a checkpoint make one with: nmt-trt build {directory} "
            "MODEL_DIR; text is read from standard input"
        )
    if not directory.is_dir():
        raise ModelDirectoryError(
            f"{directory}: not a model directory; make one with: nmt-trt build CHECKPOINT {directory}"
        )
    required = [CONFIG_FILE, WEIGHTS_FILE, *(graph_file(name) for name in GRAPH_NAMES)]
    missing = [name for name in required if not (directory / name).is_file()]
    if missing:
        raise ModelDirectoryError(f"{directory}: not a complete model directory, missing: {', '.join(missing)}")
    try:
        return TransformerConfig.model_validate_json((directory / CONFIG_FILE).read_bytes())
    except ValidationError as error:
        raise ModelDirectoryError(f"{directory / CONFIG_FILE}: {describe_invalid(error)}") from error


def attention_graph(directory: Path) -> Path:
    """The file of the decoder step that also gives attention.

    Raises:
        ModelDirectoryError: an earlier version built the directory, without this graph.
    """
    path = directory / graph_file(ATTENTION_GRAPH)
    if not path.is_file():
        raise ModelDirectoryError(
            f"{path} is missing: attention, coverage_penalty and replace_unknowns need it on the CPU; "
            f"build the model directory again with: nmt-trt build CHECKPOINT {directory} --force"
        )
    return path


def read_weights(directory: Path) -> dict[str, np.ndarray]:
    """The float32 weights of a model directory by canonical name."""
    return load_file(directory / WEIGHTS_FILE)


def read_weight_exponents(directory: Path, config: TransformerConfig, precision: Precision) -> Mapping[str, int]:
    """The exponents of the tensors that a low precision's weights give, by the keys of Islands.

    Those of a directory from an earlier version are planned again, which takes seconds.

    Raises:
        ModelDirectoryError: the weights cannot be read.
    """
    stored = read_exponents(directory / weights_file(precision))
    if stored is not None:
        return stored
    return plan_islands(config, read_weights(directory), precision).exponents


def read_tokenizer_files(directory: Path, config: TransformerConfig) -> dict[str, bytes]:
    """The tokenizer files that the configuration names.

    Raises:
        ModelDirectoryError: one of them is missing.
    """
    if config.text is None:
        return {}
    names = {*config.text.source_tokenizer.files, *config.text.target_tokenizer.files}
    files = {}
    for name in sorted(names):
        if Path(name).name != name:
            raise ModelDirectoryError(f"{directory / CONFIG_FILE}: tokenizer file {name!r} must be a bare file name")
        try:
            files[name] = (directory / name).read_bytes()
        except OSError as error:
            raise ModelDirectoryError(f"{directory / name}: tokenizer file cannot be read: {error.strerror}") from error
    return files


def _check_weights(config: TransformerConfig, weights: Mapping[str, np.ndarray]) -> None:
    shapes = weight_shapes(config)
    problems = [f"{name} is missing" for name in shapes.keys() - weights.keys()]
    problems += [f"{name} is not expected" for name in weights.keys() - shapes.keys()]
    for name in shapes.keys() & weights.keys():
        array = weights[name]
        if array.shape != shapes[name] or array.dtype != np.float32:
            problems.append(f"{name}: expected float32 {shapes[name]}, given {array.dtype} {array.shape}")
    if problems:
        raise ModelDirectoryError("weights do not fit the configuration: " + "; ".join(sorted(problems)))


def _link(source: str, target: str) -> None:
    """Give a file, which is never written again, a second name; copy it where the file system has no such names."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


@contextmanager
def _replacing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """A temporary sibling directory that takes `path`'s place when the block succeeds and vanishes when it fails.

    Of a symbolic link it takes the place of what that leads to.
    """
    path = path.resolve()
    _check_place(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    retired = temporary.with_name(temporary.name + ".old")
    try:
        yield temporary
        _check_place(path, overwrite=overwrite)  # again: somebody else may have been there
        temporary.chmod(stat.S_IMODE(path.stat().st_mode) if path.exists() else new_mode(0o777))
        take_place(temporary, path, retired)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(retired, ignore_errors=True)


def _check_place(path: Path, *, overwrite: bool) -> None:
    """Raise ModelDirectoryError unless a model directory may take this place."""
    if not path.exists():
        return
    if not path.is_dir():
        raise ModelDirectoryError(f"{path}: exists and is not a directory")
    occupied = any(path.iterdir())
    if occupied and not is_model_directory(path):
        raise ModelDirectoryError(f"{path}: holds files that are not a model; choose an empty or new directory")
    if occupied and not overwrite:
        raise ModelDirectoryError(f"{path}: already holds a model; pass overwrite=True (--force) to replace it")


def _save(tensors: dict[str, np.ndarray], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file with the permissions that a new file has; the library keeps it to its owner."""
    save_file(tensors, path, metadata)
    path.chmod(new_mode(0o666))
