"""`nmt-trt doctor`, `nmt-trt demo`, and the help of every command."""

from __future__ import annotations

import ctypes
import json
import re
import tomllib
from pathlib import Path

import pytest

import nmt_trt
from cli.conftest import Run
from cli.fake_model import FakeModel
from nmt_trt import doctor
from nmt_trt.doctor import Check
from nmt_trt.errors import BackendError

COMMANDS = ("build", "translate", "generate", "evaluate", "inspect", "doctor", "demo")
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
    assert checks["nmt_trt"]["detail"] == f"{nmt_trt.__version__}, CPU build"
    assert "CPUExecutionProvider" in checks["onnxruntime"]["detail"]
    assert {"Python", "CPU", "CUDA device", "tensorrt", "tensorrt_rtx", "demo model"} <= checks.keys()


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


class _Driver:
    """A CUDA driver of one device, whose calls fail as told."""

    def __init__(self, **failures: int) -> None:
        self._failures = failures

    def __getattr__(self, name: str) -> object:
        if name.startswith("_") or self._failures.get(name) == -1:
            raise AttributeError(name)

        def call(*arguments: object) -> int:
            if name == "cuDeviceGetCount":
                arguments[0]._obj.value = 1  # type: ignore[attr-defined]
            elif name == "cuDeviceGetName":
                arguments[0].value = b"Test GPU"  # type: ignore[attr-defined]
            elif name == "cuDeviceTotalMem_v2":
                arguments[0]._obj.value = 80 << 30  # type: ignore[attr-defined]
            elif name == "cuDeviceGetAttribute":
                number = arguments[1].value  # type: ignore[attr-defined]
                arguments[0]._obj.value = {75: 9, 76: 0}[number]  # type: ignore[attr-defined]
            return self._failures.get(name, 0)

        return call


def test_cuda_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: _Driver())
    assert doctor.cuda_devices() == ["Test GPU, 80 GiB, compute capability 9.0"]


@pytest.mark.parametrize(
    ("failures", "message"),
    [
        ({"cuInit": 100}, "the NVIDIA driver sees no GPU"),
        ({"cuInit": 803}, "cuInit failed with CUDA error 803"),
        ({"cuDeviceTotalMem_v2": -1}, "the NVIDIA driver has no cuDeviceTotalMem_v2"),
    ],
)
def test_a_driver_that_does_not_work(monkeypatch: pytest.MonkeyPatch, failures: dict[str, int], message: str) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: _Driver(**failures))
    with pytest.raises(OSError, match=message):
        doctor.cuda_devices()
    assert message in doctor._cuda().detail


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
