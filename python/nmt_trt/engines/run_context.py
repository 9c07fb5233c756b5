"""Makes the context that a plan runs in, configured as the generator's are (csrc/engine/shim/differences.cc)."""

from __future__ import annotations

from typing import Any

from nmt_trt.engines.flavours import Flavour


def make_context(engine: Any, flavour: Flavour, kernels: bytes = b"") -> tuple[Any, tuple[Any, ...]]:
    """An execution context that has its own memory, and what must live as long as it.

    TensorRT-RTX compiles kernels for each shape that it meets before it runs that shape ("eager").

    Args:
        engine: the plan, deserialized.
        flavour: of the library.
        kernels: a runtime cache with kernels that need not be compiled; one that does not fit is left alone.

    Returns:
        The context, None where TensorRT makes none; and its configuration.
    """
    if not flavour.compiles_where_it_runs:
        return engine.create_execution_context(), ()
    config = engine.create_runtime_config()
    config.dynamic_shapes_kernel_specialization_strategy = (
        flavour.module.DynamicShapesKernelSpecializationStrategy.EAGER
    )
    cache = config.create_runtime_cache()
    if kernels and not cache.deserialize(kernels):
        cache.reset()
    config.set_runtime_cache(cache)
    return engine.create_execution_context(config), (config, cache)
