"""The GPUs of this machine, asked of the NVIDIA driver itself, which every build can do."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

_LIBRARIES = ("libcuda.so.1", "nvcuda.dll")
_NO_DEVICE = 100
_MAJOR, _MINOR = 75, 76
"""cuDeviceGetAttribute: the compute capability's two numbers (cuda.h, CUdevice_attribute)."""


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        name: the product: "NVIDIA H200".
        memory: bytes.
        capability: its compute capability: (9, 0) for sm_90.
    """

    name: str
    memory: int
    capability: tuple[int, int]

    def __str__(self) -> str:
        major, minor = self.capability
        return f"{self.name}, {self.memory / 2**30:.0f} GiB, compute capability {major}.{minor}"


def capability_of(architecture: str) -> tuple[int, int]:
    """The compute capability of an architecture: (8, 6) for "sm_86"."""
    digits = architecture.removeprefix("sm_")
    return int(digits[:-1]), int(digits[-1])


def find_gpus() -> list[Gpu]:
    """The GPUs that this process may use, at least one; the first is the one that engines are built for and run on.

    Raises:
        OSError: no driver, none that works, or no GPU; says which.
    """
    driver = _open_driver()
    count = ctypes.c_int()
    _call(driver, "cuDeviceGetCount", ctypes.byref(count))
    if count.value == 0:
        raise OSError("the NVIDIA driver sees no GPU")
    return [_describe(driver, index) for index in range(count.value)]


def driver_cuda_version() -> tuple[int, int]:
    """The newest CUDA that the driver runs: (13, 0).

    Raises:
        OSError: no driver, or none that works.
    """
    version = ctypes.c_int()
    _call(_open_driver(), "cuDriverGetVersion", ctypes.byref(version))
    return version.value // 1000, version.value % 1000 // 10


def _open_driver() -> ctypes.CDLL:
    for name in _LIBRARIES:
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        _call(driver, "cuInit", ctypes.c_uint(0))
        return driver
    raise OSError("no NVIDIA driver (libcuda)")


def _describe(driver: ctypes.CDLL, index: int) -> Gpu:
    device, memory = ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(256)
    major, minor = ctypes.c_int(), ctypes.c_int()
    _call(driver, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(index))
    _call(driver, "cuDeviceGetName", name, ctypes.c_int(len(name)), device)
    _call(driver, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    for number, attribute in ((major, _MAJOR), (minor, _MINOR)):
        _call(driver, "cuDeviceGetAttribute", ctypes.byref(number), ctypes.c_int(attribute), device)
    return Gpu(name.value.decode(errors="replace"), memory.value, (major.value, minor.value))


def _call(driver: ctypes.CDLL, function: str, *arguments: object) -> None:
    if not hasattr(driver, function):
        raise OSError(f"the NVIDIA driver has no {function}")
    status = getattr(driver, function)(*arguments)
    if status == _NO_DEVICE:
        raise OSError("the NVIDIA driver sees no GPU")
    if status:
        raise OSError(f"the NVIDIA driver's {function} failed with CUDA error {status}")
