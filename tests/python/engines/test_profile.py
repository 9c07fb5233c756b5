"""`nmt-trt profile`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from engines.conftest import GPU
from nmt_trt.cli.command import as_command
from nmt_trt.cli.profile import profile
from nmt_trt.engines.builder import build_plan
from nmt_trt.engines.flavours import Flavour
from nmt_trt.engines.layer_profile import LayerTime, profile_plan, run_shapes
from nmt_trt.engines.plan_cache import PlanCache
from nmt_trt.engines.plan_spec import PlanSpec, Range
from nmt_trt.engines.stored_sizes import write_engine_sizes
from nmt_trt.errors import UsageError
from nmt_trt.gpu import find_gpus
from nmt_trt.model_directory import read_config

Profile = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Profile:
    """Run `nmt-trt profile` with these arguments."""
    monkeypatch.setenv("COLUMNS", "120")
    app = typer.Typer()
    app.command()(as_command(profile))

    def invoke(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


@pytest.fixture
def profiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, Mapping[str, tuple[int, ...]], int]]:
    """What is profiled: plan, shapes and runs. Each plan has two layers, 30 and 10 microseconds."""
    seen: list[tuple[bytes, Mapping[str, tuple[int, ...]], int]] = []

    def note(
        plan: bytes, _: Flavour, shapes: Mapping[str, tuple[int, ...]], *, runs: int, kernels: bytes
    ) -> list[LayerTime]:
        assert kernels == b""
        seen.append((plan, shapes, runs))
        return [LayerTime("gemm", runs, 30.0, 29.0, 0.75), LayerTime("norm", runs, 10.0, 9.0, 0.25)]

    monkeypatch.setattr("nmt_trt.cli.profile.profile_plan", note)
    return seen


pytestmark = pytest.mark.usefixtures("rtx", "plan_folder")
Seen = list[tuple[bytes, Mapping[str, tuple[int, ...]], int]]


@pytest.mark.usefixtures("one_gpu", "builds")
def test_a_step_is_all_its_segments(run: Profile, directory: Path, profiled: Seen) -> None:
    result = run(directory, "--backend", "tensorrt-rtx", "--batch", 2, "--beam-size", 3, "--runs", 5)
    assert result.exit_code == 0
    assert [plan.split(b"-")[0].decode() for plan, _, _ in profiled] == [f"decoder_{i}" for i in range(5)]
    assert profiled[0][1:] == ({"token": (6,)}, 5)
    lines = [line for line in result.stdout.splitlines() if "gemm" in line or "norm" in line]
    assert len(lines) == 10
    assert all("gemm" in line and "15.0%" in line for line in lines[:5]), "the slowest come first"
    assert "200.0" in result.stdout


@pytest.mark.usefixtures("one_gpu", "builds")
def test_the_encoder_is_all_its_segments(run: Profile, directory: Path, profiled: Seen) -> None:
    result = run(directory, "--backend", "tensorrt-rtx", "--graph", "encoder", "--batch", 2, "--source", 30)
    assert result.exit_code == 0
    layers = read_config(directory).encoder.num_layers
    assert [plan.split(b"-")[0].decode() for plan, _, _ in profiled] == [f"encoder_{i}" for i in range(layers + 1)]
    assert profiled[0][1] == {"token": (64,), "position": (64,)}, "60 tokens run as 64"


@pytest.mark.usefixtures("one_gpu", "builds")
def test_json(run: Profile, directory: Path, profiled: Seen) -> None:
    result = run(directory, "--backend", "tensorrt-rtx", "--graph", "encoder_0", "--precision", "fp16", "--json")
    report = json.loads(result.stdout)
    assert report["sizes"] == {"T": 512, "R": 32}
    assert report["precision"] == "fp16"
    assert report["graphs"]["encoder_0"][1] == {
        "name": "norm",
        "calls": 20,
        "mean_us": 10.0,
        "median_us": 9.0,
        "share": 0.25,
    }
    assert profiled[0][1] == {"token": (512,), "position": (512,)}


@pytest.mark.usefixtures("one_gpu", "builds", "profiled")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--graph", "decoder_9"], "--graph must be one of encoder, decoder, encoder_0, encoder_1"),
        (["--batch", "65"], "decoder_0 accepts R from 2 to 512; given 520"),
        (["--graph", "encoder", "--batch", "64", "--source", "65"], "encoder_0 accepts T from 16 to 4096; given 8192"),
        (["--precision", "int3"], "is not one of 'auto', 'fp32', 'fp16', 'bf16'"),
    ],
)
def test_what_cannot_be_profiled(run: Profile, directory: Path, arguments: list[str], message: str) -> None:
    result = run(directory, "--backend", "tensorrt-rtx", "--beam-size", "8", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.usefixtures("no_gpu")
def test_it_needs_a_gpu(run: Profile, directory: Path) -> None:
    result = run(directory)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: no engines to profile: the NVIDIA driver sees no GPU\n"
    assert "--graph must be one of encoder," in run(directory, "--graph", "encoders").stderr


def test_onnxruntime_is_not_offered(run: Profile, directory: Path) -> None:
    result = run(directory, "--backend", "onnxruntime")
    assert result.exit_code == 2
    assert "'auto', 'tensorrt', 'tensorrt-rtx'" in result.stderr


@pytest.mark.usefixtures("one_gpu", "builds")
@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_the_fastest_precision_that_is_there(run: Profile, directory: Path, profiled: Seen, precision: str) -> None:
    faster = {"fp16": [], "bf16": ["fp16"], "fp32": ["fp16", "bf16"]}[precision]
    for name in faster:
        (directory / f"encoder_1.{name}.onnx").unlink()
    result = run(directory, "--backend", "tensorrt-rtx", "--graph", "decoder_1", "--json")
    assert json.loads(result.stdout)["precision"] == precision
    assert profiled[0][0].startswith(f"decoder_1-{precision}-".encode())


@pytest.mark.usefixtures("one_gpu", "builds")
def test_a_precision_that_is_not_there(run: Profile, directory: Path) -> None:
    (directory / "encoder_1.fp16.onnx").unlink()
    result = run(directory, "--backend", "tensorrt-rtx", "--precision", "fp16")
    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        f"no fp16 graphs, only bf16, fp32; make them with: nmt-trt build {directory} --precision fp16" in result.stderr
    )


@pytest.mark.usefixtures("one_gpu", "builds")
def test_the_sizes_are_those_of_the_directory(run: Profile, directory: Path, profiled: Seen) -> None:
    write_engine_sizes(directory, {"batch": Range(1, 3, 4), "source": Range(1, 12, 16)})
    result = run(directory, "--backend", "tensorrt-rtx", "--graph", "encoder")
    assert result.exit_code == 0
    assert profiled[0][0].startswith(b"encoder_0-fp16-t16.64.64")
    assert profiled[0][1] == {"token": (64,), "position": (64,)}
    assert "accepts T from 16 to 64; given 128" in run(directory, "--graph", "encoder", "--source", 22).stderr


@pytest.mark.usefixtures("one_gpu", "builds")
def test_kernels_of_earlier_processes_are_used(
    run: Profile, directory: Path, rtx: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def note(*_: object, kernels: bytes, **__: object) -> list[LayerTime]:
        given.append(kernels)
        return []

    monkeypatch.setattr("nmt_trt.cli.profile.profile_plan", note)
    PlanCache(directory, rtx, GPU).runtime_cache_path.write_bytes(b"kernels")
    assert run(directory, "--backend", "tensorrt-rtx", "--graph", "decoder_0").exit_code == 0
    assert given == [b"kernels"]


def test_shapes_must_suit_the_plan(directory: Path) -> None:
    spec = PlanSpec("decoder_0", "fp32")
    assert run_shapes(directory, spec, {"R": 12}) == {"token": (12,)}
    with pytest.raises(UsageError, match="accepts R from 2 to 512; given 513"):
        run_shapes(directory, spec, {"R": 513})


def test_layers_are_timed_on_a_gpu(rtx: Flavour, directory: Path) -> None:
    try:
        find_gpus()
    except OSError as error:
        pytest.skip(str(error))
    for graph, sizes in (("encoder_1", {"T": 64}), ("decoder_1", {"R": 8})):
        spec = PlanSpec(graph, "fp32")
        plan = build_plan(directory, spec, flavour=rtx).plan
        layers = profile_plan(plan, rtx, run_shapes(directory, spec, sizes), runs=3)
        assert layers == sorted(layers, key=lambda layer: layer.share, reverse=True)
        assert sum(layer.share for layer in layers) == pytest.approx(1.0)
        assert all(layer.calls >= 3 and layer.mean_us > 0 for layer in layers)
