"""Finds out whether translating works here, and what mends it where it does not."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import get_args

from nmt_trt import _core
from nmt_trt.cache import cache_folder
from nmt_trt.demo import demo_archive
from nmt_trt.engines.flavours import FlavourName, load_flavour
from nmt_trt.engines.library import find_library, find_shims, library_version, shim_headers
from nmt_trt.errors import EngineError, Error
from nmt_trt.gpu import driver_cuda_version, find_gpus
from nmt_trt.runtime.tensorrt import BUILD_WITH_CUDA

REINSTALL = "pip install --force-reinstall --no-cache-dir ."
EXTRAS = {
    "torch": ("the torch modules: training, tests", ("torch",)),
    "zh": ("Chinese text", ("jieba", "opencc", "pangu")),
    "ja": ("Japanese text", ("ipadic", "mecab-python3", "pangu")),
    "documents": ("running text split into sentences", ("sentencesplit",)),
    "hub": ("models by name from the Hugging Face hub", ("huggingface_hub",)),
}
"""Extra -> what it is for, and the distributions that it installs."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        ok: whether it is there and works.
        needed: whether translating needs it.
        detail: what was found.
        fix: the command that mends it, where there is one.
    """

    name: str
    ok: bool
    needed: bool
    detail: str
    fix: str | None = None


def diagnose() -> list[Check]:
    """Every check; the last one translates a sentence with the bundled model, making its directory if need be."""
    checks = [
        _python(),
        _package(),
        _onnxruntime(),
        _cpu(),
        _cuda(),
        *map(_tensorrt, get_args(FlavourName)),
        *(_extra(name) for name in EXTRAS),
        _demo_model(),
        _cache(),
    ]
    return [*checks, _translation(REINSTALL if works(checks) else None)]


def works(checks: list[Check]) -> bool:
    """Whether everything that translating needs is there."""
    return all(check.ok for check in checks if check.needed)


def _python() -> Check:
    detail = f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable}"
    return Check(name="Python", ok=True, needed=True, detail=detail)


def _package() -> Check:
    kind = "built with CUDA" if _core.has_cuda else "built without CUDA"
    return Check(name="nmt_trt", ok=True, needed=True, detail=f"{_core.__version__}, {kind}")


def _onnxruntime() -> Check:
    def version() -> str:
        import onnxruntime

        return f"{onnxruntime.__version__}: {', '.join(onnxruntime.get_available_providers())}"

    return _attempt("onnxruntime", version, "pip install --upgrade onnxruntime")


def _cpu() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check(name="CPU", ok=True, needed=True, detail=f"{usable} cores, {platform.machine()}")


def _cuda() -> Check:
    try:
        gpus, (major, minor) = find_gpus(), driver_cuda_version()
    except OSError as error:
        return Check(name="CUDA device", ok=False, needed=False, detail=str(error))
    detail = f"{'; '.join(map(str, gpus))}; the driver runs CUDA up to {major}.{minor}"
    if not _core.has_cuda:
        detail += "; not used, because this nmt_trt was built without CUDA"
    return Check(
        name="CUDA device",
        ok=_core.has_cuda,
        needed=False,
        detail=detail,
        fix=None if _core.has_cuda else BUILD_WITH_CUDA,
    )


def _tensorrt(flavour: FlavourName) -> Check:
    """The library, the shim that calls it, the Python package that builds engines: whether each is there and fits."""
    found = []
    try:
        library = find_library(flavour)
        name, version = library_version(library)
        found.append(f"library {version} ({library})")
        if name != flavour:
            raise EngineError(f"it is {name}, not {flavour}")
        found.append(f"called through {_fitting_shim(flavour, version)}")
        builder = load_flavour(flavour)
        found.append(f"engines built by its Python package {builder.build}")
        if builder.version != version:
            wanted = f"pip install '{flavour}=={version}.*'"
            raise EngineError(f"library and Python package must be of one version; mend it with: {wanted}")
    except EngineError as error:
        problem, _, fix = _problem(error).partition("; mend it with: ")
        return Check(name=flavour, ok=False, needed=False, detail="; ".join([*found, problem]), fix=fix or None)
    return Check(name=flavour, ok=True, needed=False, detail="; ".join(found))


def _fitting_shim(flavour: FlavourName, version: str) -> str:
    """The name of the shim that can call this library: compiled with headers of the same binary interface.

    Raises:
        EngineError: there is none.
    """
    major, minor = (int(number) for number in version.split(".")[:2])
    shims = find_shims()
    for headers, shim in shim_headers(flavour, shims).items():
        if headers[0] == major and (headers[1] == minor or (flavour == "tensorrt" and headers[1] < minor)):
            return shim
    names = ", ".join(Path(shim).name for shim in shims)
    build = f"TensorRT_ROOT=<the headers of {flavour} {major}.{minor}> {BUILD_WITH_CUDA}"
    raise EngineError(f"no engine shim fits it, only {names}; mend it with: {build}")


def _extra(name: str) -> Check:
    purpose, distributions = EXTRAS[name]
    versions = {distribution: _version(distribution) for distribution in distributions}
    ok = all(versions.values())
    found = ", ".join(f"{distribution} {version or 'not installed'}" for distribution, version in versions.items())
    fix = None if ok else f"pip install 'nmt_trt[{name}]'"
    return Check(name=f"extra {name}", ok=ok, needed=False, detail=f"{found} ({purpose})", fix=fix)


def _demo_model() -> Check:
    try:
        archive = demo_archive()
    except Error as error:
        return Check(name="demo model", ok=False, needed=True, detail=str(error), fix=REINSTALL)
    return Check(name="demo model", ok=True, needed=True, detail=f"{archive} ({archive.stat().st_size:,} bytes)")


def _cache() -> Check:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        detail = f"{folder} cannot be written: {error.strerror}"
        fix = "export NMT_TRT_CACHE=<a folder that you can write>"
        return Check(name="cache folder", ok=False, needed=True, detail=detail, fix=fix)
    return Check(name="cache folder", ok=True, needed=True, detail=str(folder))


def _translation(fix: str | None) -> Check:
    return _attempt("translation", _translate_one, fix)


def _translate_one() -> str:
    from nmt_trt import load

    model = load()
    started = time.perf_counter()
    text = model.translate("Good morning!")
    return f"'Good morning!' became {text!r} in {time.perf_counter() - started:.2f} s with {model.backend}"


def _attempt(name: str, act: Callable[[], str], fix: str | None) -> Check:
    try:
        return Check(name=name, ok=True, needed=True, detail=act())
    except Exception as error:
        return Check(name=name, ok=False, needed=True, detail=_problem(error), fix=fix)


def _problem(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, Error) else f"{type(error).__name__}: {text}"


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
