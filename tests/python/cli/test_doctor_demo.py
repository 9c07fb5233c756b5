"""`nmt-trt doctor`, `nmt-trt demo`, and the help of every command."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

import nmt_trt
from cli.conftest import Run
from cli.fake_model import FakeModel
from nmt_trt import _core, doctor
from nmt_trt.doctor import Check
from nmt_trt.engines.flavours import FlavourName
from nmt_trt.errors import BackendError, EngineError
from nmt_trt.gpu import Gpu

COMMANDS = ("build", "translate", "generate", "score", "evaluate", "inspect", "doctor", "demo")
SHARED = (
    "--beam-size",
    "--length-penalty",
    "--max-length",
    "--max-length-delta",
    "--policy",
    "--batch-size",
    "--deterministic",
    "--no-deterministic",
    "--backend",
    "--threads",
    "--precision",
    "--decoder",
    "--trust-engines",
    "--memory-limit",
    "--batches-in-flight",
    "--quiet",
)


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, archive: Path) -> FakeModel:
    """An installation in which everything that is needed works."""
    model = FakeModel()
    monkeypatch.setattr(nmt_trt, "load", lambda: model)
    monkeypatch.setattr(doctor, "demo_archive", lambda: archive)
    monkeypatch.setenv("NMT_TRT_CACHE", str(tmp_path / "cache"))
    return model


def test_doctor_when_all_is_well(run: Run, healthy: FakeModel) -> None:
    result = run("doctor")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "'Good morning!' became 'GOOD MORNING!'" in result.stdout
    assert "Translation works." in result.stdout


def test_doctor_when_translating_fails(run: Run, healthy: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise BackendError("the backend\nis broken")

    monkeypatch.setattr(nmt_trt, "load", fail)
    result = run("doctor")
    assert result.exit_code == 1
    assert re.search(r"MISSING +translation +the backend is broken\n +mend it with: pip install", result.stdout)


def test_doctor_when_the_cache_cannot_be_written(
    run: Run, healthy: FakeModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NMT_TRT_CACHE", str(tmp_path / "file" / "cache"))
    result = run("doctor")
    assert result.exit_code == 1
    assert "mend it with: export NMT_TRT_CACHE=" in result.stdout


def test_doctor_json(run: Run, healthy: FakeModel) -> None:
    report = json.loads(run("doctor", "--json").stdout)
    checks = {check["name"]: check for check in report["checks"]}
    assert report["works"] is True
    assert checks["nmt_trt"]["detail"] == f"{nmt_trt.__version__}, built {'with' if _core.has_cuda else 'without'} CUDA"
    assert "CPUExecutionProvider" in checks["onnxruntime"]["detail"]
    assert {"Python", "CPU", "CUDA device", "tensorrt", "tensorrt-rtx", "demo model"} <= checks.keys()


def test_only_what_is_needed_decides() -> None:
    found = Check(name="a", ok=True, needed=True, detail="")
    optional = Check(name="b", ok=False, needed=False, detail="")
    missing = Check(name="c", ok=False, needed=True, detail="")
    assert doctor.works([found, optional])
    assert not doctor.works([found, optional, missing])


def test_extras_are_those_of_the_package() -> None:
    project = Path(__file__).parents[3] / "pyproject.toml"
    declared = tomllib.loads(project.read_text("utf-8"))["project"]["optional-dependencies"]
    for name, (_, distributions) in doctor.EXTRAS.items():
        assert {re.split(r"[<>=!~ \[]", wanted)[0] for wanted in declared[name]} == set(distributions)


def test_a_missing_extra_names_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.EXTRAS, "xx", ("nothing", ("no-such-distribution",)))
    check = doctor._extra("xx")
    assert (check.ok, check.needed, check.fix) == (False, False, "pip install 'nmt_trt[xx]'")


TWO_GPUS = [Gpu("GPU A", 80 << 30, (9, 0)), Gpu("GPU B", 24 << 30, (8, 9))]


@pytest.mark.parametrize("built_with_cuda", [True, False])
def test_gpus(monkeypatch: pytest.MonkeyPatch, built_with_cuda: bool) -> None:
    monkeypatch.setattr(doctor, "find_gpus", lambda: TWO_GPUS)
    monkeypatch.setattr(doctor, "driver_cuda_version", lambda: (13, 0))
    monkeypatch.setattr(doctor, "_core", SimpleNamespace(has_cuda=built_with_cuda, __version__="1"))
    check = doctor._cuda()
    gpus = "GPU A, 80 GiB, compute capability 9.0; GPU B, 24 GiB, compute capability 8.9"
    assert check.detail.startswith(f"{gpus}; the driver runs CUDA up to 13.0")
    assert check.ok is built_with_cuda
    assert ("built without CUDA" in check.detail) is not built_with_cuda
    assert (check.fix is None) is built_with_cuda


def test_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("no NVIDIA driver (libcuda)")

    monkeypatch.setattr(doctor, "find_gpus", fail)
    check = doctor._cuda()
    assert (check.ok, check.needed, check.detail) == (False, False, "no NVIDIA driver (libcuda)")


SHIMS = ("tensorrt_10_14", "tensorrt_rtx_1_4", "tensorrt_rtx_1_5")


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A machine with a TensorRT library: its version and that of the Python package, to be changed at will."""
    versions = {"library": "1.4.0", "package": "1.4.0"}
    monkeypatch.setattr(doctor, "find_library", lambda flavour: "/lib/trt.so")
    monkeypatch.setattr(doctor, "find_shims", lambda: [f"/pkg/libnmt_trt_engine_{name}.so" for name in SHIMS])

    def version(library: str) -> tuple[str, str]:
        number = versions["library"]
        return ("tensorrt-rtx" if number.startswith("1.") else "tensorrt"), number

    def flavour(name: str) -> SimpleNamespace:
        return SimpleNamespace(version=versions["package"], build=versions["package"] + ".76")

    monkeypatch.setattr(doctor, "library_version", version)
    monkeypatch.setattr(doctor, "load_flavour", flavour)
    return versions


def test_a_tensorrt_that_fits(tensorrt: dict[str, str]) -> None:
    check = doctor._tensorrt("tensorrt-rtx")
    assert (check.name, check.ok, check.needed, check.fix) == ("tensorrt-rtx", True, False, None)
    assert check.detail == (
        "library 1.4.0 (/lib/trt.so); called through libnmt_trt_engine_tensorrt_rtx_1_4.so; "
        "engines built by its Python package 1.4.0.76"
    )


@pytest.mark.parametrize(
    ("flavour", "version", "fits"),
    [
        ("tensorrt", "10.14.1", True),
        ("tensorrt", "10.16.0", True),
        ("tensorrt", "10.13.0", False),
        ("tensorrt", "11.14.0", False),
        ("tensorrt-rtx", "1.5.0", True),
        ("tensorrt-rtx", "1.6.0", False),
    ],
)
def test_libraries_that_the_shims_fit(tensorrt: dict[str, str], flavour: FlavourName, version: str, fits: bool) -> None:
    tensorrt |= {"library": version, "package": version}
    check = doctor._tensorrt(flavour)
    assert check.ok is fits
    assert ("no engine shim fits it" in check.detail) is not fits


def test_a_package_of_another_version(tensorrt: dict[str, str]) -> None:
    tensorrt["package"] = "1.5.0"
    check = doctor._tensorrt("tensorrt-rtx")
    assert not check.ok and "must be of one version" in check.detail
    assert check.fix == "pip install 'tensorrt-rtx==1.4.0.*'"


def test_a_missing_library_names_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(flavour: str) -> None:
        raise EngineError(f"no library for {flavour}; mend it with: pip install {flavour}")

    monkeypatch.setattr(doctor, "find_library", fail)
    check = doctor._tensorrt("tensorrt")
    assert (check.ok, check.detail, check.fix) == (False, "no library for tensorrt", "pip install tensorrt")


def test_demo(run: Run, fake: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt_trt.cli.demo.sample_text", lambda: "Good morning!\nIs it late?\n")
    result = run("demo")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "backend  fake backend (for tests)" in result.stdout
    assert "Good morning!\n  GOOD MORNING!\nIs it late?\n  IS IT LATE?\n" in result.stdout
    for stage in ("preprocess", "encoder", "generator", "postprocess", "total"):
        assert stage in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Usage: " in result.stdout
    assert "Raises" not in result.stdout
    if command in ("translate", "generate", "evaluate", "demo"):
        assert [option for option in SHARED if option not in result.stdout] == []
        assert "(the model's)" in result.stdout


def test_the_list_of_commands(run: Run) -> None:
    result = run("--help")
    assert [command for command in COMMANDS if not re.search(rf"\b{command}\b", result.stdout)] == []
    assert "nmt-trt demo" in result.stdout


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"nmt-trt {nmt_trt.__version__}\n"
