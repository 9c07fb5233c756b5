"""What the NVIDIA driver says of its GPUs, with a driver that is made up."""

from __future__ import annotations

import ctypes

import pytest

from nmt_trt.gpu import Gpu, driver_cuda_version, find_gpus


class _Driver:
    """A CUDA driver of one device, whose calls fail as told."""

    def __init__(self, **failures: int) -> None:
        self._failures = failures

    def __getattr__(self, name: str) -> object:
        if name.startswith("_") or self._failures.get(name) == -1:
            raise AttributeError(name)

        def call(*arguments: object) -> int:
            if name == "cuDeviceGetCount":
                arguments[0]._obj.value = 1  # type: ignore[attr-defined]
            elif name == "cuDriverGetVersion":
                arguments[0]._obj.value = 13020  # type: ignore[attr-defined]
            elif name == "cuDeviceGetName":
                arguments[0].value = b"Test GPU"  # type: ignore[attr-defined]
            elif name == "cuDeviceTotalMem_v2":
                arguments[0]._obj.value = 80 << 30  # type: ignore[attr-defined]
            elif name == "cuDeviceGetAttribute":
                number = arguments[1].value  # type: ignore[attr-defined]
                arguments[0]._obj.value = {75: 9, 76: 0}[number]  # type: ignore[attr-defined]
            return self._failures.get(name, 0)

        return call


def test_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: _Driver())
    assert find_gpus() == [Gpu("Test GPU", 80 << 30, (9, 0))]
    assert str(find_gpus()[0]) == "Test GPU, 80 GiB, compute capability 9.0"
    assert driver_cuda_version() == (13, 2)


@pytest.mark.parametrize(
    ("failures", "message"),
    [
        ({"cuInit": 100}, "the NVIDIA driver sees no GPU"),
        ({"cuInit": 803}, "cuInit failed with CUDA error 803"),
        ({"cuDeviceTotalMem_v2": -1}, "the NVIDIA driver has no cuDeviceTotalMem_v2"),
    ],
)
def test_a_driver_that_does_not_work(monkeypatch: pytest.MonkeyPatch, failures: dict[str, int], message: str) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: _Driver(**failures))
    with pytest.raises(OSError, match=message):
        find_gpus()


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", fail)
    with pytest.raises(OSError, match="no NVIDIA driver"):
        find_gpus()
