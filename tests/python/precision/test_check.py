"""Comparing, mending and writing a precision."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from nmt_trt.errors import ModelDirectoryError, UsageError
from nmt_trt.export.graph import BF16, FP16
from nmt_trt.export.islands import Islands
from nmt_trt.export.stored_islands import PRECISION_FILE, read_float32_blocks
from nmt_trt.export.weights_file import weight_locations
from nmt_trt.model_directory import add_precision, graph_file, read_weights, weights_file, write_model_directory
from nmt_trt.models.config import TransformerConfig
from nmt_trt.precision.check import check_precision, low_precision
from nmt_trt.precision.comparison import Comparison, Layer, Pair, compare
from nmt_trt.precision.mending import mend
from precision.models import post_norm_config
from random_models import random_config, random_sources, random_weights, write_random_model


def random_pairs(config: TransformerConfig, count: int) -> list[Pair]:
    rng = np.random.default_rng(0)
    start = [config.special_tokens.start]
    return [
        Pair(source, np.concatenate([start, rng.integers(4, config.decoder.vocab_size, 6)]).astype(np.int32))
        for source in random_sources(config, count, 9, 0)
    ]


@pytest.mark.parametrize("seed", range(6))
def test_every_layer_is_compared(tmp_path: Path, seed: int) -> None:
    config = write_random_model(tmp_path / "model", seed)
    found = compare(tmp_path / "model", config, random_pairs(config, 3), FP16, Islands())
    layers = {name.rpartition(".")[0] for name in read_weights(tmp_path / "model")}
    layers -= {f"{side}.embedding.{table}" for side in ("encoder", "decoder") for table in ("token", "position")}
    names = [layer.name for layer in found.layers]
    contexts = {name for name in names if name.endswith(".context")}
    sides = (("encoder", config.encoder), ("decoder", config.decoder))
    embeddings = {f"{side}.embedding" for side, stack in sides if not stack.embedding_norm}
    assert set(names) == layers - {"output"} | contexts | embeddings | {"logits"}
    assert len(contexts) == config.encoder.num_layers + 2 * config.decoder.num_layers
    assert all(0 <= layer.relative_error < 0.01 for layer in found.layers)
    assert found.layers[-1].relative_error > 0
    assert found.positions == 3 * 7


def test_exponents_do_not_show_in_the_comparison(tmp_path: Path) -> None:
    """Values are compared as they are meant, though kept as 2^-e times that."""
    from nmt_trt.export.islands import linear_layers

    config = write_random_model(tmp_path / "model", 1)
    keys = {key for layer in linear_layers(config) for key in (layer.input, *layer.outputs)} | {"output"}
    islands = Islands({key: 0 if key[-2:] in (".q", ".k") else 2 for key in keys})
    found = compare(tmp_path / "model", config, random_pairs(config, 2), FP16, islands)
    assert all(layer.relative_error < 0.01 for layer in found.layers)
    assert {layer.exponent for layer in found.layers if layer.name.endswith(".ffn.out")} == {2}


@pytest.fixture
def drifting(tmp_path: Path) -> tuple[Path, TransformerConfig]:
    """A model whose second encoder layer has a feed-forward block that takes the difference of large numbers."""
    config = post_norm_config(3, "relu")
    weights = random_weights(config, 3)
    name = "encoder.layers.1.ffn"
    weights[f"{name}.in_.bias"] += 3000.0
    out = weights[f"{name}.out.weight"]
    out -= out.mean(axis=1, keepdims=True)
    write_model_directory(tmp_path / "drifting", config, weights, {}, precision=FP16)
    return tmp_path / "drifting", config


def test_the_drifting_block_is_found_mended_and_kept(drifting: tuple[Path, TransformerConfig]) -> None:
    directory, config = drifting
    pairs = random_pairs(config, 4)
    before = check_precision(directory, pairs, FP16)
    assert before.problems and before.problems[0].name == "encoder.layers.1.ffn.out"
    assert not (directory / PRECISION_FILE).exists()
    graph = (directory / graph_file("encoder", FP16)).read_bytes()

    report = check_precision(directory, pairs, FP16, write=True)
    assert report.mended == ("encoder.layers.1.ffn",) == report.float32
    assert report.problems == []
    assert read_float32_blocks(directory, config, FP16) == {"encoder.layers.1.ffn"}
    assert (directory / graph_file("encoder", FP16)).read_bytes() != graph
    types = {name: place.dtype for name, place in weight_locations(directory / weights_file(FP16)).items()}
    assert types["encoder.layers.1.ffn.in_.weight"] == onnx.TensorProto.FLOAT
    assert types["encoder.layers.0.ffn.in_.weight"] == onnx.TensorProto.FLOAT16

    again = check_precision(directory, pairs, FP16, write=True)
    assert again.problems == [] and again.mended == () and again.float32 == report.float32


def test_nothing_helps(tmp_path: Path) -> None:
    """A threshold that float32 blocks cannot reach ends the search and leaves no useless blocks behind."""
    config = write_random_model(tmp_path / "model", 2)
    report = check_precision(tmp_path / "model", random_pairs(config, 2), BF16, threshold=0.0, write=True)
    assert report.problems
    assert (tmp_path / "model" / graph_file("decoder", BF16)).is_file()


def comparison(errors: dict[str, float]) -> Comparison:
    layers = []
    for name, error in errors.items():
        layer = Layer(name, 0)
        layer.add(np.ones(1, np.float32), np.array([1 + error], np.float32))
        layers.append(layer)
    return Comparison(tuple(layers), 1, 0)


def test_mending_takes_the_block_that_adds_most() -> None:
    config = random_config(0)
    tried: list[frozenset[str]] = []

    def measure(float32: frozenset[str]) -> Comparison:
        tried.append(float32)
        culprit = 0.01 if "encoder.layers.0.self_attention" in float32 else 0.03
        return comparison(
            {
                "encoder.embedding.norm": 0.001,
                "encoder.layers.0.self_attention.out": culprit,
                "encoder.layers.0.self_attention.norm": culprit,
                "encoder.layers.0.ffn.in_": culprit + 0.005,
                "logits": culprit,
            }
        )

    blocks, after = mend(measure, config, frozenset(), 0.032)
    assert blocks == {"encoder.layers.0.self_attention"}
    assert tried == [frozenset(), blocks]
    assert after.layers[-1].relative_error == pytest.approx(0.01, rel=1e-3)


def test_mending_an_overflow_starts_with_its_own_block() -> None:
    config = random_config(0)

    def measure(float32: frozenset[str]) -> Comparison:
        value = 0.0 if "encoder.layers.0.ffn" in float32 else float("inf")
        return comparison({"encoder.layers.0.self_attention.out": 0.01, "encoder.layers.0.ffn.in_": value, "logits": 0})

    blocks, after = mend(measure, config, frozenset(), 0.02)
    assert blocks == {"encoder.layers.0.ffn"}
    assert not after.layers[1].not_finite


def test_add_precision_follows_a_link(tmp_path: Path) -> None:
    directory, link = tmp_path / "models" / "model", tmp_path / "link"
    write_random_model(directory, 1)
    link.symlink_to(Path("models") / "model")
    add_precision(link, BF16)
    assert link.is_symlink() and (directory / graph_file("encoder", BF16)).is_file()
    assert [path.name for path in directory.parent.iterdir()] == ["model"]


def test_files_are_for_all_who_may_read_new_ones(tmp_path: Path) -> None:
    write_random_model(tmp_path / "model", 1)
    add_precision(tmp_path / "model", BF16)
    (tmp_path / "new").touch()
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()}
    assert modes == {(tmp_path / "new").stat().st_mode & 0o777}


def test_nothing_but_a_model_is_replaced(tmp_path: Path) -> None:
    directory, config = tmp_path / "work", random_config(1)
    directory.mkdir()
    (directory / "config.json").write_text('{"name": "something else"}')
    (directory / "notes").write_text("to be kept")
    for overwrite in (False, True):
        with pytest.raises(ModelDirectoryError, match="holds files that are not a model"):
            write_model_directory(directory, config, random_weights(config, 1), {}, overwrite=overwrite)
    assert (directory / "notes").read_text() == "to be kept"


def test_a_replacement_that_is_interrupted_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "model"
    write_random_model(directory, 1)
    directory.chmod(0o750)
    before, replace, calls = contents(directory), os.replace, iter(range(2))

    def interrupted(source: Path, target: Path) -> None:
        if next(calls, None) == 1:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("nmt_trt.model_directory.os.replace", interrupted)
        add_precision(directory, BF16)
    assert contents(directory) == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    add_precision(directory, BF16)
    assert directory.stat().st_mode & 0o777 == 0o750


def test_weights_that_are_cut_short(tmp_path: Path) -> None:
    write_random_model(tmp_path / "model", 1)
    file = tmp_path / "model" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelDirectoryError, match="weights.safetensors: ends before its tensors do"):
        weight_locations(file)


def test_layer_statistics() -> None:
    layer = Layer("x", 0)
    layer.add(np.array([3.0, -4.0], np.float32), np.array([3.0, -4.5], np.float32))
    assert layer.largest == 4.0
    assert layer.relative_error == pytest.approx(0.1)
    layer.add(np.array([1.0], np.float32), np.array([np.nan], np.float32))
    assert (layer.not_finite, layer.relative_error) == (1, float("inf"))


def test_add_precision_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "model"
    write_random_model(directory, 1)
    add_precision(directory, FP16)
    before = contents(directory)
    add_precision(directory, FP16, frozenset({"output"}))
    after = contents(directory)
    assert after.keys() - before.keys() == {PRECISION_FILE}
    assert {name for name in before if before[name] != after[name]} >= {"weights.fp16.safetensors", "decoder.fp16.onnx"}
    assert all(before[name] == after[name] for name in before if "fp16" not in name)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("nmt_trt.model_directory.onnx.save", fail)
    with pytest.raises(OSError, match="disk full"):
        add_precision(directory, BF16, frozenset({"output"}))
    assert contents(directory) == after
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("copying", [False, True])
def test_add_precision_keeps_what_else_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copying: bool) -> None:
    directory = tmp_path / "model"
    write_random_model(directory, 1)
    (directory / "engines").mkdir()
    (directory / "engines" / "encoder.plan").write_bytes(b"plan")
    if copying:

        def no_links(*_: object, **__: object) -> None:
            raise OSError("no hard links here")

        monkeypatch.setattr("nmt_trt.model_directory.os.link", no_links)
    add_precision(directory, BF16)
    assert (directory / "engines" / "encoder.plan").read_bytes() == b"plan"
    assert (directory / graph_file("encoder", BF16)).is_file()


def test_fp32_is_not_compared_with_itself() -> None:
    assert low_precision("bf16") is BF16
    for name in ("fp32", "int4"):
        with pytest.raises(UsageError, match="precision must be one of fp16, bf16"):
            low_precision(name)


def test_progress_is_told_of_each_pair(tmp_path: Path) -> None:
    config = write_random_model(tmp_path / "model", 1)
    done: list[int] = []
    advance: Callable[[int], None] = done.append
    check_precision(tmp_path / "model", random_pairs(config, 3), FP16, advance=advance)
    assert done == [1, 1, 1]
