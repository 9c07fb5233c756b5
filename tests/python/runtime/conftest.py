"""A machine with a GPU and TensorRT, of which only the names are real."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nmt_trt.engines.plan_spec import EngineShapes, PlanSpec, Range
from nmt_trt.gpu import Gpu
from nmt_trt.runtime import native_decoder, tensorrt, tensorrt_backend
from runtime.fake_core import FakeCore

H200 = Gpu("NVIDIA H200", 141 << 30, (9, 0))


class FakeCache:
    """A plan cache that makes plans up."""

    def __init__(self, directory: Path, flavour: Any, gpu: Gpu) -> None:
        self.runtime_cache_path = directory.with_name("kernels")

    def get(self, spec: PlanSpec) -> bytes:
        return spec.key().encode()


class FakeDirectoryPlans:
    """Plans of small batches and of fp32 in the model directory, all of them the same bytes."""

    target = "sm_80"

    def __init__(
        self, directory: Path, flavour: str, version: str, gpu: Gpu, precision: str, memory_of_hashes: Path
    ) -> None:
        self.shapes = EngineShapes(Range.of(2), Range(1, 8, 16), Range.of(4)) if precision == "fp32" else None

    def get(self, spec: PlanSpec) -> bytes | None:
        return b"trusted" if spec.shapes == self.shapes else None


@pytest.fixture
def core(directory: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCore:
    """A machine with a GPU and both flavours of TensorRT, of which the libraries are TensorRT-RTX's."""
    fake = FakeCore(directory)
    monkeypatch.setattr(tensorrt, "_core", fake.namespace)
    monkeypatch.setattr(tensorrt_backend, "_core", fake.namespace)
    monkeypatch.setattr(native_decoder, "_core", fake.namespace)
    monkeypatch.setattr(tensorrt, "find_gpus", lambda: [H200])
    monkeypatch.setattr(tensorrt, "find_library", lambda flavour, given: given or f"lib-{flavour}.so")
    monkeypatch.setattr(tensorrt, "find_shims", lambda: ["shim.so"])
    monkeypatch.setattr(tensorrt, "load_flavour", lambda name: SimpleNamespace(version="1.4.0", build="1.4.0.76"))
    monkeypatch.setenv("NMT_TRT_CACHE", str(directory.with_name("cache")))
    monkeypatch.setattr(tensorrt, "PlanCache", FakeCache)
    monkeypatch.setattr(tensorrt, "DirectoryPlans", FakeDirectoryPlans)
    return fake
