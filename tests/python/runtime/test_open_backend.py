"""Which backend is taken, and what is said where one cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import nmt_trt
from nmt_trt.engines.plan_spec import Range
from nmt_trt.engines.stored_sizes import write_engine_sizes
from nmt_trt.errors import BackendError, EngineError, ModelDirectoryError, UsageError
from nmt_trt.export.segments import segment_names
from nmt_trt.model_directory import read_config, write_model_directory
from nmt_trt.runtime import tensorrt
from random_models import BOS, EOS, random_weights, write_random_model
from runtime.fake_core import FakeCore

Fail = Callable[..., None]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_random_model(tmp_path / "model", 11)
    return tmp_path / "model"


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Make one of the opener's steps fail."""

    def set_failure(step: str, error: Exception) -> None:
        def raise_it(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(tensorrt, step, raise_it)

    return set_failure


def pretend(directory: Path, precision: str) -> None:
    """Graph files of another precision, which nobody reads here."""
    for name in segment_names(read_config(directory)):
        (directory / f"{name}.{precision}.onnx").touch()


def test_auto_takes_tensorrt_where_it_works(directory: Path, core: FakeCore) -> None:
    model = nmt_trt.load(directory)
    assert model.backend == "tensorrt-rtx 1.4.0 on NVIDIA H200, fp32 (the fastest that works here)"
    assert [opened["library"] for opened in core.libraries] == ["lib-tensorrt.so", "lib-tensorrt-rtx.so"]
    assert core.libraries[-1]["shims"] == ["shim.so"]
    wanted = nmt_trt.load(directory, backend="onnxruntime").generate([[BOS, 5, EOS]])
    assert model.generate([[BOS, 5, EOS]]).sequences[0].tolist() == wanted.sequences[0].tolist()
    assert model.memory["plans"] > 0


def test_a_named_flavour_is_taken_or_refused(directory: Path, core: FakeCore) -> None:
    assert nmt_trt.load(directory, backend="tensorrt-rtx").backend.endswith("fp32 (asked for)")
    with pytest.raises(EngineError, match=r"lib-tensorrt\.so is tensorrt-rtx 1\.4\.0, not tensorrt"):
        nmt_trt.load(directory, backend="tensorrt")


def test_auto_falls_back_to_the_cpu_and_says_why(directory: Path, core: FakeCore, fail: Fail) -> None:
    fail("find_gpus", OSError("no NVIDIA driver (libcuda)"))
    backend = nmt_trt.load(directory).backend
    assert backend.startswith("onnxruntime ")
    assert backend.endswith("on the CPU (no CUDA device: no NVIDIA driver (libcuda))")


@pytest.mark.parametrize("step", ["find_library", "find_shims"])
def test_what_is_missing_is_said(directory: Path, core: FakeCore, fail: Fail, step: str) -> None:
    fail(step, EngineError("nothing there; mend it with: pip install something"))
    with pytest.raises(EngineError, match="mend it with: pip install something"):
        nmt_trt.load(directory, backend="tensorrt-rtx")
    assert "on the CPU (nothing there)" in nmt_trt.load(directory).backend


def test_a_build_without_cuda_says_how_to_get_one(
    directory: Path, core: FakeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt, "_core", SimpleNamespace(has_cuda=False))
    with pytest.raises(BackendError, match=r"built without CUDA, .*; mend it with: pip install .*NMT_TRT_CUDA=ON"):
        nmt_trt.load(directory, backend="tensorrt-rtx")


def test_plans_that_nothing_can_build(directory: Path, core: FakeCore, fail: Fail) -> None:
    fail("load_flavour", EngineError("tensorrt-rtx: not installed; mend it with: pip install tensorrt-rtx"))
    with pytest.raises(EngineError, match="no plans can be built: tensorrt-rtx: not installed; mend it with"):
        nmt_trt.load(directory, backend="tensorrt-rtx")
    trusting = nmt_trt.load(directory, backend="tensorrt-rtx", trust_engines=True)
    assert trusting.generate([[BOS, 5, EOS]]).sequences[0].size > 0


def test_a_builder_of_another_version_is_not_used(
    directory: Path, core: FakeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt, "load_flavour", lambda name: SimpleNamespace(version="1.5.0", build="1.5.0.114"))
    with pytest.raises(EngineError, match=r"library is 1\.4\.0, the Python package 1\.5\.0\.114; install them in the"):
        nmt_trt.load(directory, backend="tensorrt-rtx")


def test_the_given_library_is_opened(directory: Path, core: FakeCore) -> None:
    nmt_trt.load(directory, backend="tensorrt-rtx", tensorrt_library=Path("/opt/trt.so"))
    assert core.libraries[-1]["library"] == "/opt/trt.so"


def test_the_fastest_precision_that_is_there(directory: Path, core: FakeCore) -> None:
    pretend(directory, "bf16")
    assert "bf16" in nmt_trt.load(directory).backend
    pretend(directory, "fp16")
    assert "fp16" in nmt_trt.load(directory).backend
    assert "fp32" in nmt_trt.load(directory, precision="fp32").backend
    assert "on the CPU" in nmt_trt.load(directory, backend="onnxruntime").backend


@pytest.mark.parametrize("backend", ["auto", "tensorrt-rtx"])
def test_a_precision_that_is_not_there(directory: Path, core: FakeCore, backend: str) -> None:
    with pytest.raises(ModelDirectoryError, match="no fp16 graphs, only fp32; make them with: ") as error:
        nmt_trt.load(directory, backend=backend, precision="fp16")
    assert str(error.value).endswith(f"nmt-trt build {directory} --precision fp16")


def test_a_directory_without_graphs_for_tensorrt(directory: Path, core: FakeCore) -> None:
    (directory / "decoder_0.onnx").unlink()
    with pytest.raises(EngineError, match="no graphs for TensorRT; mend it with: nmt-trt build CHECKPOINT.* --force$"):
        nmt_trt.load(directory, backend="tensorrt-rtx")
    assert "on the CPU" in nmt_trt.load(directory).backend


def test_the_cpu_runs_fp32_only(directory: Path, core: FakeCore, fail: Fail) -> None:
    pretend(directory, "fp16")
    with pytest.raises(BackendError, match="precision 'fp16' needs TensorRT"):
        nmt_trt.load(directory, backend="onnxruntime", precision="fp16")
    fail("find_gpus", OSError("no NVIDIA driver (libcuda)"))
    with pytest.raises(BackendError, match="no CUDA device"):
        nmt_trt.load(directory, precision="fp16")
    assert "on the CPU" in nmt_trt.load(directory, precision="fp32").backend


def test_shapes_reach_the_plans(directory: Path, core: FakeCore) -> None:
    model = nmt_trt.load(directory, batch="1:2:4", source="1:8:20")
    assert core.generators[-1].models[0]["plan_provider"]("encoder_0") == b"encoder_0-fp32-t16.16.128"
    with pytest.raises(UsageError, match=r"src_ids\[1\] has 21 tokens; the engines take input_ids of 1 to 20"):
        model.generate([[BOS, 5, EOS], [BOS, *[5] * 19, EOS]])


def encoder_plan(core: FakeCore, directory: Path, **options: Any) -> bytes:
    nmt_trt.load(directory, **options)
    found = core.generators[-1].models[0]["plan_provider"]("encoder_0")
    assert isinstance(found, bytes)
    return found


def test_sizes_that_build_was_given_are_the_defaults(directory: Path, core: FakeCore) -> None:
    write_engine_sizes(directory, {"source": Range(1, 8, 20), "batch": Range(1, 2, 4)})
    assert encoder_plan(core, directory) == b"encoder_0-fp32-t16.16.128"
    assert encoder_plan(core, directory, source="1:8:40") == b"encoder_0-fp32-t16.16.256"
    assert encoder_plan(core, directory, trust_engines=True) == b"trusted"
    pretend(directory, "fp16")
    trusting = encoder_plan(core, directory, trust_engines=True)
    assert trusting == b"encoder_0-fp16-t16.16.128", "there are no engines of this precision to trust"


def test_sizes_that_do_not_suit_the_model(directory: Path, core: FakeCore) -> None:
    (directory / "engine_sizes.json").write_text('{"source": "1:8:65"}')
    with pytest.raises(ModelDirectoryError, match="engine_sizes.json: source must not exceed the model's 64"):
        nmt_trt.load(directory)


def test_a_source_that_is_too_long_names_both_ways(directory: Path, core: FakeCore) -> None:
    write_engine_sizes(directory, {"source": Range(1, 8, 15)})
    for options, command in (
        ({}, f"nmt-trt build {directory}"),
        ({"trust_engines": True}, f"nmt-trt build {directory} --target sm_80 --precision fp32"),
        (
            {"trust_engines": True, "decoder": "engines"},
            f"nmt-trt build {directory} --target sm_80 --precision fp32 --decoder engines",
        ),
    ):
        model = nmt_trt.load(directory, **options)
        with pytest.raises(UsageError) as error:
            model.generate([[BOS, *[5] * 15, EOS], [BOS, *[5] * 18, EOS]])
        assert f"; build larger ones with: {command} --source 1:8:20, or load the model with source='1:8:20'" in str(
            error.value
        )


def test_trusted_engines_decide_about_shapes_that_were_not_asked_for(directory: Path, core: FakeCore) -> None:
    assert encoder_plan(core, directory, trust_engines=True) == b"trusted"
    assert encoder_plan(core, directory) == b"encoder_0-fp32-t16.512.4096"
    assert encoder_plan(core, directory, trust_engines=True, batch="4") == b"encoder_0-fp32-t16.32.64"


@pytest.fixture
def ensemble(directory: Path) -> list[Path]:
    """Two models of the first one's vocabularies, of which one has fewer positions."""
    config = read_config(directory)
    short = config.model_copy(
        update={
            side: getattr(config, side).model_copy(update={"max_positions": 32, "num_layers": 1})
            for side in ("encoder", "decoder")
        }
    )
    paths = [directory.with_name("second"), directory.with_name("third")]
    for seed, (path, one) in enumerate(zip(paths, (config, short), strict=True)):
        write_model_directory(path, one, random_weights(one, seed), {})
    return paths


def test_every_model_of_an_ensemble_has_plans_of_its_own(directory: Path, core: FakeCore, ensemble: list[Path]) -> None:
    pretend(directory, "fp16")
    write_engine_sizes(ensemble[0], {"batch": Range(1, 2, 4)})
    model = nmt_trt.load(directory, ensemble=ensemble)
    assert model.backend.startswith("tensorrt-rtx 1.4.0 on NVIDIA H200, fp16 and fp32, 3 models (")
    models = core.generators[-1].models
    assert [one["plan_provider"]("encoder_0") for one in models] == [
        b"encoder_0-fp16-t16.512.4096",
        b"encoder_0-fp32-t16.128.256",
        b"encoder_0-fp32-t16.256.2048",
    ]
    assert [(one["layers"], one["max_positions"], one["max_batch"], one["max_source"]) for one in models] == [
        (read_config(directory).decoder.num_layers, 64, 64, 64),
        (read_config(directory).decoder.num_layers, 64, 4, 64),
        (1, 32, 64, 32),
    ]
    with pytest.raises(UsageError, match="has 33 tokens; the model's limit is 32"):
        model.generate([[BOS, *[5] * 31, EOS]])


def test_a_source_too_long_for_an_ensemble_names_what_builds_all_engines(
    directory: Path, core: FakeCore, ensemble: list[Path]
) -> None:
    write_engine_sizes(ensemble[0], {"source": Range(1, 8, 16)})
    model = nmt_trt.load(directory, ensemble=ensemble[:1])
    with pytest.raises(UsageError) as error:
        model.generate([[BOS, *[5] * 16, EOS]])
    assert str(error.value).endswith(
        f"the engines take input_ids of 1 to 16; build larger ones with: nmt-trt build {directory} --source 1:8:18 and "
        f"nmt-trt build {ensemble[0]} --source 1:8:18, or load the model with source='1:8:18'"
    )


def test_engines_without_a_common_size(directory: Path, core: FakeCore, ensemble: list[Path]) -> None:
    write_engine_sizes(directory, {"batch": Range(1, 2, 4)})
    write_engine_sizes(ensemble[0], {"batch": Range.of(8)})
    with pytest.raises(UsageError, match="engines have no batch size in common: they take 1:2:4, 8:8:8"):
        nmt_trt.load(directory, ensemble=ensemble)


@pytest.mark.parametrize("missing", [0, 1])
def test_every_model_must_have_the_precision(
    directory: Path, core: FakeCore, ensemble: list[Path], missing: int
) -> None:
    paths = [directory, ensemble[0]]
    pretend(paths[1 - missing], "fp16")
    with pytest.raises(ModelDirectoryError, match="no fp16 graphs, only fp32") as error:
        nmt_trt.load(directory, ensemble=ensemble[:1], precision="fp16")
    assert str(error.value).startswith(f"{paths[missing]}: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, "precision must be one of auto, fp32, fp16, bf16; given 'int8'"),
        ({"decoder": "native"}, "decoder must be one of auto, engines; given 'native'"),
        ({"batch": "8:4:2"}, "batch: a range must have 1 <= min <= opt <= max"),
        ({"source": "many"}, "source: a range is min:opt:max"),
        ({"source": "1:64:65"}, "source must not exceed the model's 64 positions"),
        ({"beam": 4}, "beam must be written as 'min:opt:max'; given 4"),
        ({"memory_limit": 0}, "memory_limit must be a whole number of bytes"),
        ({"memory_limit": 1.5}, "memory_limit must be a whole number of bytes"),
        ({"batches_in_flight": 0}, "batches_in_flight must be from 1 to 8; given 0"),
        ({"shape": "1"}, "unknown option shape of load; known: batch, batches_in_flight, beam, decoder, memory_limit"),
    ],
)
def test_unusable_engine_options_are_refused(directory: Path, core: FakeCore, options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        nmt_trt.load(directory, **options)


def test_log_lines_of_tensorrt_reach_pythons_log(
    directory: Path, core: FakeCore, caplog: pytest.LogCaptureFixture
) -> None:
    nmt_trt.load(directory)
    core.libraries[-1]["log"](1, b"no kernel \xff")
    (record,) = [record for record in caplog.records if record.name == "nmt_trt.engines.tensorrt"]
    assert (record.levelname, record.getMessage()) == ("ERROR", "no kernel \ufffd")
