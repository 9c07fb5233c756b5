"""The TensorRT Python packages that are installed, and what differs between them."""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from nmt_trt.engines.tensorrt_log import TENSORRT_LOG
from nmt_trt.errors import EngineError, UsageError

FlavourName = Literal["tensorrt", "tensorrt-rtx"]
_MODULES: dict[FlavourName, tuple[str, ...]] = {
    "tensorrt": ("tensorrt",),
    "tensorrt-rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings"),
}
_VERSIONS: dict[FlavourName, tuple[tuple[int, int], tuple[int, int]]] = {
    "tensorrt": ((10, 14), (12, 0)),
    "tensorrt-rtx": ((1, 4), (2, 0)),
}
"""The first release that can be used, and the first one that nobody knows yet."""
_FIXES: dict[FlavourName, str] = {"tensorrt": "pip install tensorrt", "tensorrt-rtx": "pip install tensorrt-rtx"}
_LOG = logging.getLogger(TENSORRT_LOG)


@dataclass(frozen=True)
class Flavour:
    """An imported TensorRT package.

    Attributes:
        name: "tensorrt" or "tensorrt-rtx".
        version: the library's version as the library tells it: "1.4.0".
        build: the package's whole version: "1.4.0.76".
        module: the Python bindings, which have no types.
        logger: passes TensorRT's messages on to Python's logging; TensorRT takes one a process.
    """

    name: FlavourName
    version: str
    build: str
    module: Any
    logger: Any

    @property
    def title(self) -> str:
        """The product's name and version."""
        product = "TensorRT" if self.name == "tensorrt" else "TensorRT-RTX"
        return f"{product} {self.build}"

    @property
    def network_flags(self) -> int:
        """The flags of a strongly typed network: 10.x needs one; 11.x and RTX have no other kind."""
        flag = getattr(self.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        return 0 if flag is None else 1 << int(flag)

    @property
    def has_timing_cache(self) -> bool:
        """RTX times nothing while it builds: it compiles kernels where the plan runs."""
        return self.name == "tensorrt"

    @property
    def multiplies_in_tf32(self) -> bool:
        """RTX has no other products of float32: it ignores BuilderFlag.TF32."""
        return self.name == "tensorrt-rtx"

    @property
    def compiles_where_it_runs(self) -> bool:
        """RTX compiles kernels when a plan runs, as its runtime configuration says; a cache keeps them."""
        return self.name == "tensorrt-rtx"

    @property
    def targets(self) -> tuple[str, ...]:
        """GPU architectures for which plans can be made on any machine: "sm_86"; none for "tensorrt"."""
        members = getattr(self.module, "ComputeCapability", None)
        names = () if members is None else members.__members__
        return tuple(f"sm_{name[2:]}" for name in names if name.startswith("SM"))

    def check_target(self, target: str) -> None:
        """Raise UsageError for an architecture that this flavour does not build for."""
        if not self.targets:
            raise UsageError(f"{self.title} builds for this machine's GPU only; given target {target!r}")
        if target not in self.targets:
            raise UsageError(f"target must be one of {', '.join(self.targets)} with {self.title}; given {target!r}")

    def set_target(self, config: Any, target: str | None) -> None:
        """Make an IBuilderConfig build for one architecture, or for this machine's GPU.

        Raises:
            UsageError: this flavour does not build for it.
        """
        if target is not None:
            self.check_target(target)
        if self.targets:
            name = "CURRENT" if target is None else target.upper().replace("_", "")
            config.num_compute_capabilities = 1
            config.set_compute_capability(getattr(self.module.ComputeCapability, name), 0)


def find_flavours() -> list[Flavour]:
    """The packages that are installed and usable, "tensorrt" first."""
    found = []
    for name in get_args(FlavourName):
        try:
            found.append(load_flavour(name))
        except EngineError as error:
            logging.getLogger(__name__).debug("%s", error)
    return found


@cache
def load_flavour(name: FlavourName) -> Flavour:
    """Import a flavour's package.

    Raises:
        EngineError: it is not installed, does not load, or is of a version that cannot be used; says what mends it.
    """
    module = _import(name)
    build = str(module.__version__)
    numbers = build.split(".")[:3]
    oldest, unknown = _VERSIONS[name]
    if not oldest <= (int(numbers[0]), int(numbers[1])) < unknown:
        raise EngineError(
            f"{name} {build}: expected at least {oldest[0]}.{oldest[1]} and below {unknown[0]}.{unknown[1]}; "
            f"mend it with: {_FIXES[name]}"
        )
    return Flavour(name, ".".join(numbers), build, module, _make_logger(module))


def _import(name: FlavourName) -> Any:
    problems = []
    for module in _MODULES[name]:
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                problems.append(f"{module}: {error}")
        except (ImportError, OSError, RuntimeError) as error:
            problems.append(f"{module}: {error}")
    what = "; ".join(problems) or "not installed"
    raise EngineError(f"{name}: {what}; mend it with: {_FIXES[name]}")


def _make_logger(module: Any) -> Any:
    severities = module.ILogger.Severity
    levels = {
        severities.INTERNAL_ERROR: logging.CRITICAL,
        severities.ERROR: logging.ERROR,
        severities.WARNING: logging.WARNING,
        severities.INFO: logging.INFO,
        severities.VERBOSE: logging.DEBUG,
    }

    class Logger(module.ILogger):  # type: ignore[misc]  # its base is known only once the package is imported
        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            _LOG.log(levels[severity], "%s", message)

    return Logger()
