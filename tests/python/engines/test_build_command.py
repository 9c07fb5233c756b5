"""`nmt-trt build` and its engines: for this machine, ahead of time, or none."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engines.conftest import GPU
from importing.nemo_archives import write_random_nemo
from nmt_trt.cli.app import app
from nmt_trt.engines.build_engines import build_engines, choose_builder
from nmt_trt.engines.directory_plans import DirectoryPlans
from nmt_trt.engines.flavours import Flavour
from nmt_trt.engines.plan_spec import EngineShapes, PlanSpec, Range, model_plans, model_shapes
from nmt_trt.engines.stored_sizes import read_engine_sizes
from nmt_trt.errors import EngineBuildError, EngineError
from nmt_trt.export.graph import FP16
from nmt_trt.model_directory import add_precision, read_config, write_model_directory
from nmt_trt.models.config import StackConfig
from nmt_trt.runtime.precision import gpu_precision
from random_models import random_config, random_weights

pytestmark = pytest.mark.usefixtures("rtx", "plan_folder")
Build = Callable[..., Result]
SMALL = ("--batch", "1:2:4", "--source", "1:8:16", "--beam-size", "1:2:4")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint."""
    return write_random_nemo(tmp_path_factory.mktemp("archive") / "tiny.nemo", seed=3).path


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Build:
    """Run `nmt-trt build` with these arguments."""
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: object) -> Result:
        result = CliRunner().invoke(app, ["build", *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


@pytest.fixture
def model(archive: Path, tmp_path: Path, build: Build) -> Path:
    """A model directory without engines."""
    path = tmp_path / "made"
    assert build(archive, path, "--backend", "onnxruntime").exit_code == 0
    return path


@pytest.mark.usefixtures("one_gpu")
def test_a_gpu_gets_every_plan_into_the_users_cache(
    build: Build, archive: Path, tmp_path: Path, plan_folder: Path, builds: list[PlanSpec]
) -> None:
    result = build(archive, tmp_path / "model", "--precision", "fp16", "--backend", "tensorrt-rtx")
    assert (result.exit_code, result.stderr) == (0, "")
    config = read_config(tmp_path / "model")
    assert builds == model_plans(config, "fp16", model_shapes(config))
    assert len(list(plan_folder.glob("*.plan"))) == len(builds)
    assert not (tmp_path / "model" / "engines").exists()
    assert "for Test GPU" in result.stdout
    assert f"{len(builds)} of {len(builds)} plans built in {0.25 * len(builds):.1f} s" in result.stdout
    assert str(plan_folder) in result.stdout

    again = build(tmp_path / "model", "--precision", "fp16", "--backend", "tensorrt-rtx")
    assert (again.exit_code, again.stdout.count(" kept ")) == (0, len(builds))
    assert f"0 of {len(builds)} plans built" in again.stdout


@pytest.mark.usefixtures("one_gpu")
def test_sizes_are_what_was_asked_for(build: Build, model: Path, builds: list[PlanSpec]) -> None:
    assert build(model, "--backend", "tensorrt-rtx", *SMALL).exit_code == 0
    keys = [spec.key() for spec in builds]
    assert keys[0] == "encoder_0-fp16-t16.16.64"
    assert keys[-1].endswith("-fp16-r2.4.16")


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_there_are_graphs_and_a_remark(build: Build, archive: Path, tmp_path: Path) -> None:
    result = build(archive, tmp_path / "model")
    assert (result.exit_code, result.stderr) == (0, "")
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("engines")]
    assert "none: the NVIDIA driver sees no GPU" in line
    assert "--target sm_86" in line
    assert not (tmp_path / "model" / "engines").exists()


@pytest.mark.usefixtures("no_gpu")
def test_engines_ahead_of_time(build: Build, archive: Path, tmp_path: Path, rtx: Flavour, plan_folder: Path) -> None:
    model = tmp_path / "model"
    targets = ("--target", "sm_86", "--target", "sm_120")
    result = build(archive, model, "--backend", "tensorrt-rtx", *targets, *SMALL)
    assert (result.exit_code, result.stderr) == (0, "")
    names = {f"tensorrt-rtx-{rtx.version}-{target}-fp16" for target in ("sm_86", "sm_120")}
    assert {path.name for path in (model / "engines").iterdir()} == names
    found = DirectoryPlans(model, "tensorrt-rtx", rtx.version, GPU, "fp16")
    assert found.shapes is not None
    for spec in model_plans(read_config(model), "fp16", found.shapes):
        assert found.get(spec)
    assert "sm_86 T=16:16:64" in result.stdout and "sm_86 R=2:4:16" in result.stdout
    assert not plan_folder.exists()


@pytest.fixture
def native(tmp_path: Path) -> Path:
    """A model directory whose decoder the package's own kernels run in fp16."""
    path = tmp_path / "native"
    stack = StackConfig(
        hidden_size=32, num_layers=2, inner_size=64, num_heads=2, vocab_size=50, max_positions=64, activation="relu"
    )
    config = random_config(1, encoder=stack, decoder=stack)
    write_model_directory(path, config, random_weights(config, 1), {})
    return path


@pytest.mark.usefixtures("one_gpu")
def test_native_decoders_get_no_plans(build: Build, native: Path, builds: list[PlanSpec]) -> None:
    every = model_plans(read_config(native), "fp16", model_shapes(read_config(native)))
    encoder = [spec for spec in every if spec.side == "encoder"]
    result = build(native, "--backend", "tensorrt-rtx")
    assert (builds, "the decoder needs no plans" in result.stdout) == (encoder, True)
    result = build(native, "--backend", "tensorrt-rtx", "--decoder", "engines")
    assert (builds, "the decoder needs no plans" in result.stdout) == (every, False)
    result = build(native, "--backend", "tensorrt-rtx", "--precision", "fp32")
    assert [spec.graph for spec in builds[len(every) :]] == [spec.graph for spec in every]
    assert "the decoder needs no plans" not in result.stdout


@pytest.mark.usefixtures("no_gpu")
def test_native_decoders_ahead_of_time(build: Build, native: Path) -> None:
    """Turing, whose tensor cores the kernels do not use, needs plans of the decoder."""
    assert build(native, "--target", "sm_75", "--target", "sm_86", *SMALL).exit_code == 0
    found = {
        target: sorted({path.name[:7] for path in native.glob(f"engines/*-{target}-fp16/*.plan")})
        for target in ("sm_75", "sm_86")
    }
    assert found == {"sm_75": ["decoder", "encoder"], "sm_86": ["encoder"]}


@pytest.mark.parametrize(("targets", "plans"), [((), 3), (("sm_75", "sm_86"), 3 + 5 + 3)])
def test_plans_are_counted(
    native: Path, builds: list[PlanSpec], monkeypatch: pytest.MonkeyPatch, targets: tuple[str, ...], plans: int
) -> None:
    monkeypatch.setattr("nmt_trt.engines.build_engines.find_gpus", lambda: [GPU])
    add_precision(native, FP16)
    told: list[tuple[int, int]] = []
    report = build_engines(
        native,
        choose_builder("tensorrt-rtx", targets),
        precision="fp16",
        shapes=EngineShapes(*map(Range.of, (2, 8, 2))),
        started=lambda _, number, count: told.append((number, count)),
    )
    assert told == [(number, plans) for number in range(1, plans + 1)]
    assert len(report.engines) == plans


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--backend", "tensorrt-rtx"], 1, "name their target"),
        (["--backend", "tensorrt-rtx", "--target", "sm_61"], 2, "target must be one of sm_75"),
        (["--target", "sm_86", "--target", "sm_86"], 2, "each target may be given once"),
        (["--backend", "onnxruntime", "--target", "sm_86"], 2, "needs no engines"),
        (["--backend", "onnxruntime", "--trtexec"], 2, "needs no engines"),
        (["--trtexec", "--target", "sm_86"], 2, "give no --target"),
        (["--batch", "1:2"], 2, "--batch: a range is min:opt:max"),
        (["--source", "9:8:7"], 2, "--source: a range must have"),
        (["--beam-size", "0"], 2, "--beam-size: a range must have"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(
    build: Build, archive: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    result = build(archive, tmp_path / "model", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_tensorrt_that_is_not_installed(
    build: Build, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> Flavour:
        raise EngineError(f"{name}: not installed; mend it with: pip install {name}")

    monkeypatch.setattr("nmt_trt.engines.build_engines.load_flavour", fail)
    monkeypatch.setattr("nmt_trt.engines.build_engines.find_flavours", list)
    result = build(archive, tmp_path / "model", "--backend", "tensorrt")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "pip install tensorrt" in result.stderr
    result = build(archive, tmp_path / "model")
    assert result.exit_code == 0
    assert "none: no TensorRT Python package" in result.stdout


def test_a_model_that_a_size_does_not_suit(build: Build, model: Path) -> None:
    result = build(model, "--backend", "onnxruntime", "--source", "1:64:100000")
    assert result.exit_code == 2
    assert "positions; given 1:64:100000" in result.stderr


@pytest.mark.usefixtures("no_gpu")
def test_engines_for_a_model_that_is_there(build: Build, model: Path, rtx: Flavour) -> None:
    before = (model / "config.json").stat().st_mtime_ns
    assert build(model, "--target", "sm_89", *SMALL).exit_code == 0
    assert (model / "engines" / f"tensorrt-rtx-{rtx.version}-sm_89-fp16" / "manifest.json").is_file()
    assert (model / "config.json").stat().st_mtime_ns == before


def test_a_checkpoint_needs_a_place(build: Build, archive: Path) -> None:
    result = build(archive)
    assert result.exit_code == 2
    assert "give the directory to make" in result.stderr


@pytest.mark.usefixtures("no_gpu")
def test_a_precision_that_the_directory_lacks_is_exported(build: Build, model: Path) -> None:
    assert not list(model.glob("*.bf16.onnx"))
    assert build(model, "--precision", "bf16", "--target", "sm_86", *SMALL).exit_code == 0
    made = {path.name.removesuffix(".bf16.onnx") for path in model.glob("*.bf16.onnx")}
    assert made == {path.stem for path in model.glob("*.onnx") if ".bf16" not in path.name} - {"decoder_attention"}
    assert len(list(model.glob("engines/*/*-bf16-*.plan"))) > 2
    result = build(model, "--precision", "int3", "--target", "sm_86")
    assert (result.exit_code, "given 'int3'" in result.stderr) == (2, True)


@pytest.mark.usefixtures("no_gpu")
def test_engines_that_fail_leave_a_complete_model(build: Build, model: Path) -> None:
    (model / "decoder_1.onnx").write_bytes((model / "decoder_1.onnx").read_bytes().replace(b"Gemm", b"Germ"))
    result = build(model, "--precision", "fp32", "--target", "sm_86", *SMALL)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Germ node" in result.stderr
    assert result.stderr.count("\n") == 1
    assert list((model / "engines").iterdir()) == []
    read_config(model)


@pytest.mark.usefixtures("one_gpu")
def test_sizes_are_kept_for_every_later_command(build: Build, model: Path, builds: list[PlanSpec]) -> None:
    config = read_config(model)
    assert build(model, "--backend", "tensorrt-rtx", "--source", "1:8:16").exit_code == 0
    assert build(model, "--backend", "tensorrt-rtx", "--precision", "fp32", "--batch", "1:2:4").exit_code == 0
    both = {"source": Range(1, 8, 16), "batch": Range(1, 2, 4)}
    assert read_engine_sizes(model, config) == both
    assert builds[-1] == model_plans(config, "fp32", model_shapes(config, **both))[-1]

    result = build(model, "--backend", "tensorrt-rtx", "--precision", "bf16")
    assert "engine sizes     batch 1:2:4, source 1:8:16, beam " in result.stdout
    assert builds[-1] == model_plans(config, "bf16", model_shapes(config, **both))[-1]
    assert read_engine_sizes(model, config) == both


@pytest.mark.usefixtures("no_gpu")
def test_sizes_are_kept_where_no_engines_are_built(build: Build, archive: Path, tmp_path: Path) -> None:
    assert build(archive, tmp_path / "model", "--source", "1:8:16").exit_code == 0
    config = read_config(tmp_path / "model")
    assert read_engine_sizes(tmp_path / "model", config) == {"source": Range(1, 8, 16)}
    assert build(archive, tmp_path / "model", "--force").exit_code == 0
    assert read_engine_sizes(tmp_path / "model", config) == {}


@pytest.mark.usefixtures("one_gpu", "builds")
@pytest.mark.parametrize("failing", ["--trtexec", "a plan that cannot be built"])
def test_sizes_without_engines_are_not_kept(
    build: Build, model: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    assert build(model, "--backend", "tensorrt-rtx", "--batch", 8).exit_code == 0
    before = (model / "engine_sizes.json").read_bytes()
    if failing == "--trtexec":
        assert "fp16-r16.64.128" in build(model, "--trtexec", "--batch", 16).stdout
    else:

        def fail(*_: object, **__: object) -> None:
            raise EngineBuildError("out of memory")

        monkeypatch.setattr("nmt_trt.engines.plan_cache.build_plan", fail)
        assert build(model, "--backend", "tensorrt-rtx", "--batch", 16).exit_code == 1
    assert (model / "engine_sizes.json").read_bytes() == before


@pytest.mark.usefixtures("one_gpu")
@pytest.mark.parametrize(("held", "taken"), [([], "fp16"), (["bf16"], "bf16"), (["bf16", "fp16"], "fp16")])
def test_the_precision_is_the_fastest_that_is_there(
    build: Build, model: Path, builds: list[PlanSpec], held: list[str], taken: str
) -> None:
    for precision in held:
        assert build(model, "--backend", "onnxruntime", "--precision", precision).exit_code == 0
    assert build(model, "--backend", "tensorrt-rtx").exit_code == 0
    assert {spec.precision for spec in builds} == {taken}
    assert gpu_precision("auto", model, read_config(model)) == taken


@pytest.mark.usefixtures("one_gpu")
def test_weights_that_do_not_fit_fp16(build: Build, tmp_path: Path, builds: list[PlanSpec]) -> None:
    model, config = tmp_path / "model", random_config(0)
    weights = random_weights(config, 0)
    weights["encoder.embedding.token.weight"][5, 0] = 70000.0
    write_model_directory(model, config, weights, {})
    result = build(model, "--backend", "tensorrt-rtx")
    assert (result.exit_code, builds) == (1, [])
    assert "values up to 70000 do not fit float16; build with --precision bf16" in result.stderr
    assert build(model, "--backend", "tensorrt-rtx", "--precision", "bf16").exit_code == 0
    assert build(model, "--backend", "tensorrt-rtx").exit_code == 0
    assert {spec.precision for spec in builds} == {"bf16"}


def test_trtexec_prints_commands_and_nothing_else(build: Build, model: Path) -> None:
    result = build(model, "--trtexec", "--backend", "tensorrt", "--workspace", 64)
    assert (result.exit_code, result.stderr) == (0, "")
    commands = [shlex.split(text) for text in result.stdout.replace("\\\n", " ").splitlines()]
    assert {command[0] for command in commands} == {"trtexec"}
    config = read_config(model)
    plans = [f"--saveEngine={spec.key()}.plan" for spec in model_plans(config, "fp16", model_shapes(config))]
    assert [command[2] for command in commands] == plans
    assert all("--memPoolSize=workspace:64" in command for command in commands)


@pytest.mark.usefixtures("no_gpu")
def test_verbose_shows_what_tensorrt_says(build: Build, model: Path) -> None:
    quiet = build(model, "--target", "sm_86", "--quiet", *SMALL)
    assert (quiet.stdout, quiet.stderr) == ("", "")
    result = build(model, "--target", "sm_86", "--verbose", *SMALL)
    assert result.exit_code == 0
    assert result.stderr.count("nmt_trt.engines.tensorrt: ") > 20
    assert "INFO nmt_trt.engines.builder: built encoder_0-fp16" in result.stderr
