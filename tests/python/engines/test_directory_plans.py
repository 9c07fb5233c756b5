"""Plans inside a model directory: built ahead of time, loaded by whoever trusts the directory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engines.conftest import GPU, TARGET, Logged
from nmt_trt.engines.directory_plans import DirectoryPlans, build_directory_plans
from nmt_trt.engines.engine_folders import engine_folders
from nmt_trt.engines.flavours import Flavour
from nmt_trt.engines.plan_spec import EngineShapes, PlanSpec, Range
from nmt_trt.errors import EngineBuildError
from nmt_trt.gpu import Gpu

SHAPES = EngineShapes(Range(1, 2, 4), Range(1, 8, 16), Range(1, 2, 3))
SPECS = [PlanSpec(graph, "fp32", SHAPES) for graph in ("decoder_0", "decoder_1")]
FOLDER = "tensorrt-rtx-1.4.0-sm_86-fp32"


@pytest.fixture
def built(rtx: Flavour, directory: Path) -> Path:
    """A model directory with two plans."""
    build_directory_plans(directory, SPECS, rtx, TARGET)
    (folder,) = (directory / "engines").iterdir()
    assert folder.name == f"tensorrt-rtx-{rtx.version}-sm_86-fp32"
    return folder.rename(folder.with_name(FOLDER))


def plans(directory: Path, *, version: str = "1.4.0", gpu: Gpu = GPU, precision: str = "fp32") -> DirectoryPlans:
    return DirectoryPlans(directory, "tensorrt-rtx", version, gpu, precision)


def test_plans_are_found(built: Path, directory: Path, logged: Logged) -> None:
    found = plans(directory)
    assert found.shapes == SHAPES
    for spec in SPECS:
        assert found.get(spec) == (built / f"{spec.key()}.plan").read_bytes()
    assert found.get(PlanSpec("decoder_2", "fp32", SHAPES)) is None
    assert found.get(PlanSpec("decoder_0", "fp16", SHAPES)) is None
    assert found.get(PlanSpec("decoder_0", "fp32", EngineShapes())) is None
    assert logged() == []


def test_a_plan_runs_on_its_gpu_and_version_alone(built: Path, directory: Path, logged: Logged) -> None:
    for version, gpu in (("1.5.0", GPU), ("1.4.0", Gpu("Other", 1, (8, 9))), ("1.4.0", Gpu("H200", 1, (9, 0)))):
        found = plans(directory, version=version, gpu=gpu)
        assert found.shapes is None
        assert found.get(SPECS[0]) is None
    assert len(logged()) == 3
    assert all(FOLDER in message for message in logged())


def test_hopper_takes_plans_for_ampere(built: Path, directory: Path) -> None:
    shutil.copytree(built, built.with_name("tensorrt-rtx-1.4.0-sm_80-fp32"))
    assert plans(directory, gpu=Gpu("H200", 1, (9, 0))).get(SPECS[0])


def test_no_engines_is_no_remark(directory: Path, logged: Logged) -> None:
    assert plans(directory).get(SPECS[0]) is None
    assert logged() == []


@pytest.mark.parametrize("change", ["graph", "weights", "plan", "missing plan", "manifest", "unknown field", "range"])
def test_what_does_not_fit_is_left_alone_saying_so(built: Path, directory: Path, logged: Logged, change: str) -> None:
    plan, manifest = built / f"{SPECS[0].key()}.plan", built / "manifest.json"
    content = json.loads(manifest.read_bytes())
    if change == "graph":
        shutil.copy(directory / "decoder_2.onnx", directory / "decoder_0.onnx")
    elif change == "weights":
        with (directory / "weights.safetensors").open("ab") as stream:
            stream.write(b"\0")
    elif change == "plan":
        plan.write_bytes(plan.read_bytes()[:-1] + b"\0")
    elif change == "missing plan":
        plan.unlink()
    elif change == "manifest":
        manifest.write_bytes(b"[]")
    elif change == "unknown field":
        manifest.write_text(json.dumps({**content, "command": "rm"}))
    else:
        content["plans"][0]["origin"]["dimensions"]["R"]["min"] = 0
        manifest.write_text(json.dumps(content))
    assert plans(directory).get(SPECS[0]) is None
    assert len(logged()) == 1
    assert "ignored" in logged()[0]


def test_a_failed_build_leaves_what_was_there(rtx: Flavour, built: Path, directory: Path) -> None:
    built.rename(built.with_name(f"tensorrt-rtx-{rtx.version}-sm_86-fp32"))
    before = {path: path.read_bytes() for path in (directory / "engines").rglob("*") if path.is_file()}
    (directory / "decoder_2.onnx").write_bytes((directory / "decoder_2.onnx").read_bytes().replace(b"Gemm", b"Germ"))
    with pytest.raises(EngineBuildError, match="Germ"):
        build_directory_plans(directory, [*SPECS, PlanSpec("decoder_2", "fp32", SHAPES)], rtx, TARGET)
    assert {path: path.read_bytes() for path in (directory / "engines").rglob("*") if path.is_file()} == before


def test_a_second_build_replaces_the_first(rtx: Flavour, directory: Path) -> None:
    build_directory_plans(directory, SPECS, rtx, TARGET)
    build_directory_plans(directory, SPECS[:1], rtx, TARGET)
    (folder,) = (directory / "engines").iterdir()
    assert {path.name for path in folder.iterdir()} == {"manifest.json", f"{SPECS[0].key()}.plan"}


def test_precisions_lie_side_by_side(rtx: Flavour, directory: Path) -> None:
    wanted = {precision: PlanSpec("decoder_0", precision, SHAPES) for precision in ("fp16", "fp32")}
    for spec in wanted.values():
        build_directory_plans(directory, [spec], rtx, TARGET)
    for precision, spec in wanted.items():
        found = plans(directory, version=rtx.version, precision=precision)
        assert (found.target, found.shapes) == ("sm_86", SHAPES)
        plan = found.get(spec)
        assert plan is not None
        assert [path.name for path in (directory / "engines").glob("*/*.plan") if path.read_bytes() == plan] == [
            f"{spec.key()}.plan"
        ]
    folders = engine_folders(directory)
    assert [(folder.precision, folder.target, folder.plans) for folder in folders] == [
        ("fp16", "sm_86", 1),
        ("fp32", "sm_86", 1),
    ]
    for folder in folders:
        (file,) = (directory / "engines" / folder.name).glob("*.plan")
        assert (folder.size, folder.shapes, folder.library) == (file.stat().st_size, SHAPES, rtx.build)


@pytest.mark.parametrize(("gpu", "target"), [(GPU, "sm_86"), (Gpu("H200", 1, (9, 0)), "sm_80")])
def test_engines_of_another_precision_are_named(
    built: Path, directory: Path, logged: Logged, gpu: Gpu, target: str
) -> None:
    if target != "sm_86":
        shutil.copytree(built, built.with_name(f"tensorrt-rtx-1.4.0-{target}-fp32"))
    assert plans(directory, precision="fp16", gpu=gpu).shapes is None
    (message,) = logged()
    assert "no fp16 engines for tensorrt-rtx 1.4.0 and" in message
    assert f"only fp32; make them with: nmt-trt build {directory} --target {target} --precision fp16" in message
    assert "or load the model with precision='fp32' (--precision fp32)" in message
