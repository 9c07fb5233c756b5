"""Memory and a stream on the first GPU, through the NVIDIA driver: enough to run an engine."""

from __future__ import annotations

import ctypes
from types import TracebackType

from nmt_trt.errors import CudaError, OutOfMemoryError

_OUT_OF_MEMORY = 2


class Device:
    """The GPU's primary context, one stream, and buffers that are freed with it."""

    def __init__(self) -> None:
        """Open the device.

        Raises:
            CudaError: no driver, or no GPU.
        """
        try:
            self._driver = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise CudaError("no NVIDIA driver (libcuda)") from error
        self._call("cuInit", ctypes.c_uint(0))
        self._device = ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(self._device), ctypes.c_int(0))
        context = ctypes.c_void_p()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self._device)
        self._buffers: list[ctypes.c_uint64] = []
        self._call("cuCtxSetCurrent", context)
        self._stream = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(self._stream), ctypes.c_uint(0))

    @property
    def stream(self) -> int:
        """The stream's handle."""
        return self._stream.value or 0

    def zeros(self, size: int) -> int:
        """The address of `size` bytes, all zero.

        Raises:
            OutOfMemoryError: there is no room.
        """
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(max(size, 1)))
        self._buffers.append(address)
        self._call("cuMemsetD8_v2", address, ctypes.c_ubyte(0), ctypes.c_size_t(max(size, 1)))
        return address.value

    def synchronize(self) -> None:
        """Wait for the stream.

        Raises:
            CudaError: something that ran on it failed.
        """
        self._call("cuStreamSynchronize", self._stream)

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for address in self._buffers:
            self._driver.cuMemFree_v2(address)
        self._driver.cuStreamDestroy_v2(self._stream)
        self._driver.cuDevicePrimaryCtxRelease_v2(self._device)

    def _call(self, function: str, *arguments: object) -> None:
        status = getattr(self._driver, function)(*arguments)
        if status == _OUT_OF_MEMORY:
            raise OutOfMemoryError(f"{function}: out of GPU memory; lower the batch, the source or the capacity")
        if status:
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(ctypes.c_int(status), ctypes.byref(text))
            raise CudaError(f"{function} failed with CUDA error {status}: {(text.value or b'unknown').decode()}")
