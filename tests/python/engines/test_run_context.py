"""The context that a plan is profiled in is configured as the generator's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nmt_trt.engines.flavours import Flavour, FlavourName
from nmt_trt.engines.run_context import make_context


class FakeCache:
    """Takes the kernels b"good" and no others; a failure leaves half of something behind."""

    def __init__(self) -> None:
        self.kernels = b""

    def deserialize(self, kernels: bytes) -> bool:
        self.kernels = kernels
        return kernels == b"good"

    def reset(self) -> None:
        self.kernels = b""


class FakeConfig:
    """A runtime configuration."""

    dynamic_shapes_kernel_specialization_strategy = "lazy"
    cache: FakeCache | None = None

    def create_runtime_cache(self) -> FakeCache:
        return FakeCache()

    def set_runtime_cache(self, cache: FakeCache) -> None:
        self.cache = cache


class FakeEngine:
    """Makes contexts that are what they were made with."""

    def create_runtime_config(self) -> FakeConfig:
        return FakeConfig()

    def create_execution_context(self, config: Any = "none") -> Any:
        return config


def flavour(name: FlavourName) -> Flavour:
    strategies = SimpleNamespace(LAZY="lazy", EAGER="eager")
    module = SimpleNamespace(DynamicShapesKernelSpecializationStrategy=strategies)
    return Flavour(name, "1.4.0", "1.4.0.76", module if name == "tensorrt-rtx" else SimpleNamespace(), None)


@pytest.mark.parametrize(("given", "kept"), [(b"", b""), (b"good", b"good"), (b"of another version", b"")])
def test_rtx_compiles_kernels_for_each_shape_and_takes_what_is_there(given: bytes, kept: bytes) -> None:
    config, alive = make_context(FakeEngine(), flavour("tensorrt-rtx"), given)
    assert config.dynamic_shapes_kernel_specialization_strategy == "eager"
    assert config.cache.kernels == kept
    assert set(alive) == {config, config.cache}


def test_tensorrt_has_nothing_to_configure() -> None:
    assert make_context(FakeEngine(), flavour("tensorrt"), b"kernels") == ("none", ())


def test_the_bindings_have_what_is_used(rtx: Flavour) -> None:
    module = rtx.module
    assert hasattr(module.DynamicShapesKernelSpecializationStrategy, "EAGER")
    assert hasattr(module.ICudaEngine, "create_runtime_config")
    for name in ("dynamic_shapes_kernel_specialization_strategy", "create_runtime_cache", "set_runtime_cache"):
        assert hasattr(module.IRuntimeConfig, name)
    for name in ("deserialize", "reset"):
        assert hasattr(module.IRuntimeCache, name)
