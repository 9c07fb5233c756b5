"""Where the TensorRT library is, and the shims through which the core calls it."""

from __future__ import annotations

import ctypes
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt_trt import _core
from nmt_trt.engines.flavours import FlavourName
from nmt_trt.errors import EngineError

_RTX_FROM, _TENSORRT_10_FROM = 10_000, 100_000
"""getInferLibVersion: below the first, TensorRT 8 and 9 (8601 is 8.6.1); then RTX (10400 is 1.4.0); then TensorRT 10
and later (101401 is 10.14.1)."""


@dataclass(frozen=True)
class _Source:
    """Where a flavour's library comes from: a Python package that holds it, and the names that the system may know it
    by, newest first."""

    package: str
    names: tuple[str, ...]


_SOURCES: dict[FlavourName, _Source] = {
    "tensorrt": _Source("tensorrt_libs", ("libnvinfer.so.11", "libnvinfer.so.10")),
    "tensorrt-rtx": _Source("tensorrt_rtx_libs", ("libtensorrt_rtx.so.1",)),
}
_BUILD_FIX = "pip install . --config-settings=cmake.define.TensorRT_ROOT=<folder of TensorRT's headers>"


def find_library(flavour: FlavourName, option: str | None = None) -> str:
    """The library of a flavour: `option`, else the one in its Python package, else the system's.

    Args:
        flavour: which TensorRT.
        option: path of the library's file, which must exist; None to look for it.

    Returns:
        A path, or a name that the dynamic linker knows.

    Raises:
        EngineError: there is none; says what was looked for, and what mends it.
    """
    if option is not None:
        if not Path(option).is_file():
            raise EngineError(f"the TensorRT library {option} does not exist")
        return option
    source = _SOURCES[flavour]
    in_package = _in_package(source)
    if in_package is not None:
        return str(in_package)
    problems = []
    for name in source.names:
        try:
            ctypes.CDLL(name)
        except OSError as error:
            problems.append(str(error))
        else:
            return name
    raise EngineError(
        f"no library for {flavour}: not in the Python package {source.package}, nor known to the system "
        f"({'; '.join(problems)}); mend it with: {_install_command(flavour)}"
    )


def find_shims() -> list[str]:
    """Paths of the engine shims, which are installed beside the core.

    Raises:
        EngineError: this build has none.
    """
    shims = _shims()
    if not shims:
        raise EngineError(
            f"no engine shim (libnmt_trt_engine_*.so) in {_folder()}: nmt_trt was built without CUDA or without "
            f"TensorRT's headers; mend it with: {_BUILD_FIX}"
        )
    return shims


def shim_headers(flavour: FlavourName, shims: Sequence[str]) -> dict[tuple[int, int], str]:
    """The names of a flavour's shims by the version of the headers that they were compiled with: (10, 14)."""
    pattern = re.compile(rf"libnmt_trt_engine_{flavour.replace('-', '_')}_(\d+)_(\d+)\.so")
    found = [pattern.fullmatch(Path(shim).name) for shim in shims]
    return {(int(name[1]), int(name[2])): name[0] for name in found if name is not None}


def library_version(library: str) -> tuple[FlavourName, str]:
    """Flavour and version ("10.14.1") of a TensorRT library, which is loaded for that; needs no GPU.

    Raises:
        EngineError: it cannot be loaded, or is something else.
    """
    try:
        loaded = ctypes.CDLL(library)
    except OSError as error:
        raise EngineError(f"cannot open the TensorRT library: {error}") from None
    if not hasattr(loaded, "getInferLibVersion"):
        raise EngineError(f"{library} is not a TensorRT library: it has no getInferLibVersion")
    return _decode(loaded.getInferLibVersion())


def _in_package(source: _Source) -> Path | None:
    spec = importlib.util.find_spec(source.package)
    folders = [] if spec is None else spec.submodule_search_locations or []
    candidates = (Path(folder) / name for folder in folders for name in source.names)
    return next((path for path in candidates if path.is_file()), None)


def _decode(number: int) -> tuple[FlavourName, str]:
    if number < _RTX_FROM:
        return "tensorrt", f"{number // 1000}.{number // 100 % 10}.{number % 100}"
    flavour: FlavourName = "tensorrt-rtx" if number < _TENSORRT_10_FROM else "tensorrt"
    return flavour, f"{number // 10_000}.{number // 100 % 100}.{number % 100}"


def _folder() -> Path:
    return Path(_core.__file__).parent


def _shims() -> list[str]:
    return sorted(str(path) for path in _folder().glob("libnmt_trt_engine_*.so"))


def _install_command(flavour: FlavourName) -> str:
    """What installs a library that this build of the package fits, if it fits any."""
    headers = shim_headers(flavour, _shims())
    if not headers:
        return f"pip install {flavour}"
    major, minor = max(headers)
    versions = f">={major}.{minor},<{major + 1}" if flavour == "tensorrt" else f"=={major}.{minor}.*"
    return f"pip install '{flavour}{versions}'"
