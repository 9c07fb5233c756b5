"""Small models to build plans of, and machines to build them on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nmt_trt import build
from nmt_trt.demo import demo_archive
from nmt_trt.engines.builder import BuiltPlan
from nmt_trt.engines.plan_spec import PlanSpec
from nmt_trt.export.graph import BF16, FP16
from nmt_trt.gpu import Gpu
from nmt_trt.model_directory import export_graphs
from random_models import write_random_model

TARGET = "sm_86"
GPU = Gpu("Test GPU", 1 << 34, (8, 6))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A model directory with graphs of every precision."""
    path = tmp_path / "model"
    config = write_random_model(path, 0)
    for precision in (FP16, BF16):
        export_graphs(path, config, precision)
    return path


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model."""
    path = tmp_path_factory.mktemp("demo") / "model"
    build(demo_archive(), path)
    return path


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[PlanSpec]:
    """What the plan cache builds, which is bytes and no real plan."""
    built: list[PlanSpec] = []

    def note(directory: Path, spec: PlanSpec, **_: object) -> BuiltPlan:
        built.append(spec)
        return BuiltPlan(f"{spec.key()}, build {len(built)}".encode(), 0.25, 7, b"timings")

    monkeypatch.setattr("nmt_trt.engines.plan_cache.build_plan", note)
    return built


Logged = Callable[[], list[str]]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Logged:
    """The warnings so far, of engines."""
    return lambda: [r.getMessage() for r in caplog.records if r.name.startswith("nmt_trt") and r.levelname == "WARNING"]


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with the test's GPU."""
    monkeypatch.setattr("nmt_trt.engines.build_engines.find_gpus", lambda: [GPU])


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a GPU."""

    def fail() -> list[Gpu]:
        raise OSError("the NVIDIA driver sees no GPU")

    monkeypatch.setattr("nmt_trt.engines.build_engines.find_gpus", fail)


@pytest.fixture
def plan_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's plans go."""
    monkeypatch.setenv("NMT_TRT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "plans"
