"""Finds out whether translating works here, and what mends it where it does not."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

from nmt_trt._core import __version__
from nmt_trt.demo import cache_folder, demo_archive
from nmt_trt.errors import Error

REINSTALL = "pip install --force-reinstall nmt_trt"
EXTRAS = {
    "torch": ("the torch modules: training, tests", ("torch",)),
    "zh": ("Chinese text", ("jieba", "opencc", "pangu")),
    "ja": ("Japanese text", ("ipadic", "mecab-python3", "pangu")),
}
"""Extra -> what it is for, and the distributions that it installs."""
_TENSORRT = ("tensorrt", "tensorrt_rtx")
_CUDA_LIBRARIES = ("libcuda.so.1", "nvcuda.dll")
_CUDA_NO_DEVICE = 100
_CUDA_MAJOR, _CUDA_MINOR = 75, 76
"""cuDeviceGetAttribute: the compute capability's two numbers (cuda.h, CUdevice_attribute)."""


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
    return [
        _python(),
        Check(name="nmt_trt", ok=True, needed=True, detail=f"{__version__}, CPU build"),
        _onnxruntime(),
        _cpu(),
        _cuda(),
        *map(_tensorrt, _TENSORRT),
        *(_extra(name) for name in EXTRAS),
        _demo_model(),
        _cache(),
        _translation(),
    ]


def works(checks: list[Check]) -> bool:
    """Whether everything that translating needs is there."""
    return all(check.ok for check in checks if check.needed)


def _python() -> Check:
    detail = f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable}"
    return Check(name="Python", ok=True, needed=True, detail=detail)


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
        devices = cuda_devices()
    except OSError as error:
        return Check(name="CUDA device", ok=False, needed=False, detail=f"{error}; not used by this build")
    return Check(name="CUDA device", ok=True, needed=False, detail=f"{'; '.join(devices)}; not used by this build")


def cuda_devices() -> list[str]:
    """Name, memory and compute capability of each GPU, as the driver tells them.

    Raises:
        OSError: no driver, or none that works; says which.
    """
    driver = _cuda_driver()
    _check_cuda(driver, "cuInit", ctypes.c_uint(0))
    count = ctypes.c_int()
    _check_cuda(driver, "cuDeviceGetCount", ctypes.byref(count))
    if count.value == 0:
        raise OSError("the NVIDIA driver sees no GPU")
    return [_describe_device(driver, index) for index in range(count.value)]


def _cuda_driver() -> ctypes.CDLL:
    for name in _CUDA_LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise OSError("no NVIDIA driver (libcuda)")


def _describe_device(driver: ctypes.CDLL, index: int) -> str:
    device, memory = ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(256)
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check_cuda(driver, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(index))
    _check_cuda(driver, "cuDeviceGetName", name, ctypes.c_int(len(name)), device)
    _check_cuda(driver, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    for number, attribute in ((major, _CUDA_MAJOR), (minor, _CUDA_MINOR)):
        _check_cuda(driver, "cuDeviceGetAttribute", ctypes.byref(number), ctypes.c_int(attribute), device)
    text = name.value.decode(errors="replace")
    return f"{text}, {memory.value / 2**30:.0f} GiB, compute capability {major.value}.{minor.value}"


def _check_cuda(driver: ctypes.CDLL, function: str, *arguments: object) -> None:
    if not hasattr(driver, function):
        raise OSError(f"the NVIDIA driver has no {function}")
    status = getattr(driver, function)(*arguments)
    if status == _CUDA_NO_DEVICE:
        raise OSError("the NVIDIA driver sees no GPU")
    if status:
        raise OSError(f"the NVIDIA driver's {function} failed with CUDA error {status}")


def _tensorrt(module: str) -> Check:
    found = importlib.util.find_spec(module) is not None
    version = (_version(module) or "installed") if found else "not installed"
    return Check(name=module, ok=found, needed=False, detail=f"{version}; not used by this build")


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


def _translation() -> Check:
    return _attempt("translation", _translate_one, REINSTALL)


def _translate_one() -> str:
    from nmt_trt import load

    model = load()
    started = time.perf_counter()
    text = model.translate("Good morning!")
    return f"'Good morning!' became {text!r} in {time.perf_counter() - started:.2f} s with {model.backend}"


def _attempt(name: str, act: Callable[[], str], fix: str) -> Check:
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
