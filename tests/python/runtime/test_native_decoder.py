"""Which models' decoders run on the package's own kernels, and what those are told of one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import nmt_trt
from nmt_trt import _core
from nmt_trt.engines.decoders import runs_natively
from nmt_trt.errors import ModelDirectoryError, UsageError
from nmt_trt.export.graph import PRECISIONS
from nmt_trt.export.planning import plan_islands
from nmt_trt.export.stored_exponents import read_exponents
from nmt_trt.export.stored_islands import write_float32_blocks
from nmt_trt.gpu import Gpu
from nmt_trt.model_directory import (
    add_precision,
    export_graphs,
    read_config,
    read_weights,
    weights_file,
    write_model_directory,
)
from nmt_trt.models.config import StackConfig, TransformerConfig
from nmt_trt.models.weights import weight_shapes
from nmt_trt.runtime import native_decoder as module
from nmt_trt.runtime.native_decoder import native_decoder
from precision.models import overflowing_weights
from random_models import BOS, EOS, random_config
from runtime.fake_core import FakeCore

HOPPER = Gpu("NVIDIA H200", 141 << 30, (9, 0))
STACK: dict[str, Any] = {
    "hidden_size": 32,
    "num_layers": 2,
    "inner_size": 64,
    "num_heads": 2,
    "vocab_size": 50,
    "max_positions": 64,
}
LOW_PRECISIONS = ("fp16", "bf16")


def suitable(**changes: Any) -> TransformerConfig:
    """A model that the kernels take, unless it is changed."""
    stack = StackConfig(**{**STACK, **changes})
    return random_config(1, encoder=stack, decoder=stack, shared_embeddings=False, tied_output=False)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of one, which has exponents in fp16."""
    path, config = tmp_path_factory.mktemp("native") / "model", suitable(activation="gelu")
    write_model_directory(path, config, overflowing_weights(config, 0), {})
    for name in LOW_PRECISIONS:
        export_graphs(path, config, PRECISIONS[name])
    return path


@pytest.fixture(autouse=True)
def fake(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoders are the keyword arguments of their making."""
    monkeypatch.setattr(module, "_core", FakeCore(directory).namespace)


def described(path: Path, precision: str = "fp16", gpu: Gpu = HOPPER) -> Any:
    """What the kernels are told of a directory's decoder; None where they do not run it."""
    config = read_config(path)
    if not runs_natively(config, path, precision, gpu.capability):
        return None
    return native_decoder(config, path, precision, 512)


@pytest.mark.parametrize("precision", LOW_PRECISIONS)
def test_what_the_kernels_are_told(directory: Path, precision: str) -> None:
    told = described(directory, precision)
    assert callable(told.pop("weight_provider")) and callable(told.pop("exponent_provider"))
    assert told == {
        "type": {"fp16": "float16", "bf16": "bfloat16"}[precision],
        "inner_size": 64,
        "activation": "gelu",
        "pre_norm": False,
        "final_norm": False,
        "embedding_norm": True,
        "embedding_scale": 1.0,
        "norm_epsilon": 1e-5,
        "token_table": "decoder.embedding.token.weight",
        "output_table": "output.weight",
        "max_rows": 512,
    }


def test_tables_and_scale_are_the_models(tmp_path: Path) -> None:
    stack = StackConfig(**{**STACK, "scale_embeddings": True, "pre_norm": True, "final_norm": True})
    config = random_config(1, encoder=stack, decoder=stack, shared_embeddings=True, tied_output=True)
    write_model_directory(tmp_path / "model", config, overflowing_weights(config, 0), {}, precision=PRECISIONS["bf16"])
    told = described(tmp_path / "model", "bf16")
    assert told["token_table"] == told["output_table"] == "encoder.embedding.token.weight"
    assert told["embedding_scale"] == pytest.approx(32**0.5)
    assert told["pre_norm"] and told["final_norm"]


@pytest.mark.parametrize("precision", LOW_PRECISIONS)
def test_weights_are_the_files(directory: Path, precision: str) -> None:
    read = described(directory, precision)["weight_provider"]
    stored = {"fp16": np.float16, "bf16": ml_dtypes.bfloat16}[precision]
    low = load_file(directory / weights_file(PRECISIONS[precision]))
    config = read_config(directory)
    for name, shape in weight_shapes(config).items():
        if name.startswith(("decoder.", "output.")):
            island = name.endswith((".norm.weight", ".norm.bias", ".position.weight", ".out.bias", "output.bias"))
            found = np.frombuffer(read(name), np.float32 if island else stored).reshape(shape)
            np.testing.assert_array_equal(found, low[name])
    with pytest.raises(ModelDirectoryError, match=r"weights\.\w+\.safetensors: no tensor decoder.norm.weight"):
        read("decoder.norm.weight")


@pytest.mark.skipif(not _core.has_cuda, reason="this build of the package has no CUDA part")
def test_the_compiled_module_takes_it(directory: Path) -> None:
    told = described(directory)
    assert isinstance(_core.NativeDecoder(**told), _core.NativeDecoder)
    for wrong, message in (
        ({"type": "float32"}, "type must be 'float16' or 'bfloat16'; given 'float32'"),
        ({"activation": "tanh"}, "activation must be 'relu', 'gelu' or 'swish'; given 'tanh'"),
    ):
        with pytest.raises(UsageError, match=message):
            _core.NativeDecoder(**{**told, **wrong})


@pytest.mark.parametrize("kept", [True, False])
def test_exponents_are_those_of_the_weights(directory: Path, tmp_path: Path, kept: bool) -> None:
    """Also of a directory that does not tell them, as those of earlier versions."""
    path = tmp_path / "model"
    shutil.copytree(directory, path)
    file = path / "weights.fp16.safetensors"
    if not kept:
        save_file(load_file(file), file)
    assert (read_exponents(file) is not None) == kept
    planned = plan_islands(read_config(path), read_weights(path), PRECISIONS["fp16"]).exponents
    assert any(key.startswith("decoder.") for key in planned)
    assert described(path)["exponent_provider"]() == planned
    assert described(path, "bf16")["exponent_provider"]() == {}


def test_exponents_that_are_none(directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_file({"a": np.zeros(1, np.float32)}, file, {"exponents": "[1]"})
    with pytest.raises(ModelDirectoryError, match="weights.safetensors: exponents that are none"):
        read_exponents(file)
    file.write_bytes(b"nothing")
    with pytest.raises(ModelDirectoryError, match="not a safetensors file"):
        read_exponents(file)


@pytest.mark.parametrize(
    "changes",
    [{"hidden_size": 48}, {"inner_size": 48}, {"hidden_size": 1056}, {"hidden_size": 16}],
    ids=lambda changes: "-".join(f"{name}-{value}" for name, value in changes.items()),
)
def test_sizes_that_the_kernels_do_not_take(directory: Path, changes: dict[str, int]) -> None:
    assert not runs_natively(suitable(**changes), directory, "fp16", HOPPER.capability)


def test_other_precisions_and_gpus(directory: Path) -> None:
    assert described(directory, "fp32") is None
    assert described(directory, gpu=Gpu("T4", 16 << 30, (7, 5))) is None
    assert described(directory, gpu=Gpu("A100", 80 << 30, (8, 0))) is not None


@pytest.mark.parametrize(
    ("block", "takes"),
    [
        ("decoder.layers.1.self_attention", False),
        ("decoder.layers.0.cross_attention", False),
        ("decoder.layers.1.ffn", False),
        ("output", False),
        ("encoder.layers.0.ffn", True),
    ],
)
def test_islands_of_the_decoder(directory: Path, tmp_path: Path, block: str, takes: bool) -> None:
    path = tmp_path / "model"
    shutil.copytree(directory, path)
    add_precision(path, PRECISIONS["fp16"], frozenset({block}))
    assert (described(path) is not None) == takes
    assert described(path, "bf16") is not None
    write_float32_blocks(path, PRECISIONS["fp16"], frozenset())
    assert (described(path) is not None) == takes, "the weights are as they were"


def test_a_missing_or_short_weights_file(directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "model"
    shutil.copytree(directory, path)
    file = path / "weights.fp16.safetensors"
    read = described(path)["weight_provider"]
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelDirectoryError, match="weights.fp16.safetensors: ends before its tensors do"):
        [read(name) for name in weight_shapes(read_config(path)) if name.startswith(("decoder.", "output"))]
    file.unlink()
    with pytest.raises(ModelDirectoryError, match="weights.fp16.safetensors: cannot be read"):
        read("output.bias")
    with pytest.raises(ModelDirectoryError, match="weights.fp16.safetensors: not a safetensors file"):
        described(path)


def test_a_loaded_model_says_what_runs_its_decoder(directory: Path, core: FakeCore) -> None:
    loaded = nmt_trt.load(directory, backend="tensorrt-rtx", batch="1:2:4", beam="1:4:8")
    assert loaded.backend == "tensorrt-rtx 1.4.0 on NVIDIA H200, fp16, native decoder (asked for)"
    (given,) = core.generators[-1].models
    assert given["native_decoder"]["max_rows"] == 4 * 8
    assert loaded.generate([[BOS, 5, EOS]]).sequences[0].size > 0

    for options in ({"decoder": "engines"}, {"precision": "fp32"}):
        loaded = nmt_trt.load(directory, backend="tensorrt-rtx", **options)  # type: ignore[arg-type]
        assert "native" not in loaded.backend
        assert core.generators[-1].models[0]["native_decoder"] is None


def test_an_ensemble_says_how_many(directory: Path, core: FakeCore, tmp_path: Path) -> None:
    path, config = tmp_path / "other", suitable(inner_size=48, activation="gelu")
    write_model_directory(path, config, overflowing_weights(config, 1), {}, precision=PRECISIONS["fp16"])
    alike = nmt_trt.load(directory, ensemble=[directory], precision="fp16")
    assert ", fp16, native decoder, 2 models (" in alike.backend
    mixed = nmt_trt.load(directory, ensemble=[path, directory], precision="fp16")
    assert ", fp16, 2 native decoders, 3 models (" in mixed.backend
    natives = [one["native_decoder"] is not None for one in core.generators[-1].models]
    assert natives == [True, False, True]
    assert ", fp16, 1 native decoder, 2 models (" in nmt_trt.load(path, ensemble=[directory], precision="fp16").backend
