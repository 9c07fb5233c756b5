"""Tests that need a GPU and TensorRT. Without them each is skipped, saying why; with NMT_TRT_TEST_GPU=1 each fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

import nmt_trt
from nmt_trt.engines.flavours import FlavourName, load_flavour
from nmt_trt.errors import BackendError
from nmt_trt.runtime.tensorrt import open_library, usable_gpu

SMALL = {"batch": "1:4:8", "source": "1:16:32", "beam": "1:4:8"}
"""Engines that are quickly built."""

Load = Callable[..., nmt_trt.Model]


@cache
def find_flavour() -> tuple[FlavourName | None, str]:
    """A TensorRT that builds and runs engines here, or why there is none."""
    problems = []
    try:
        usable_gpu()
    except BackendError as error:
        return None, str(error)
    for name in get_args(FlavourName):
        try:
            open_library(name)
            load_flavour(name)
        except BackendError as error:
            problems.append(str(error))
        else:
            return name, ""
    return None, "; ".join(problems)


@pytest.fixture(scope="session", autouse=True)
def flavour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlavourName]:
    """The TensorRT to test with; plans and kernels go to a folder of this test session, all its processes together."""
    found, problem = find_flavour()
    if found is None and os.environ.get("NMT_TRT_TEST_GPU") == "1":
        pytest.fail(f"GPU tests were asked for: {problem}")
    if found is None:
        pytest.skip(problem)
    folder = tmp_path_factory.getbasetemp()  # a process of pytest-xdist has one of its own in that of the session
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NMT_TRT_CACHE", str((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "cache"))
        yield found


@pytest.fixture(scope="session")
def load(flavour: FlavourName) -> Load:
    """Open a model directory on the GPU, with engines that are quickly built."""

    def load_model(directory: Path, **options: object) -> nmt_trt.Model:
        return nmt_trt.load(directory, **{"backend": flavour, "precision": "fp32", **SMALL, **options})  # type: ignore[arg-type]

    return load_model


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan folder of this test's own."""
    monkeypatch.setenv("NMT_TRT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "plans"
