"""Tensors that come through DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nmt_trt.errors import UsageError
from nmt_trt.runtime.inputs import source_rows
from random_models import BOS, EOS, PAD, random_config

CONFIG = random_config(0)
ROWS = [[BOS, 5, EOS, PAD], [BOS, 6, 7, EOS]]
CPU, CUDA = (1, 0), (2, 0)
"""kDLCPU and kDLCUDA of dlpack.h, with a device number."""


class CudaTensor:
    """A tensor on a GPU, as a consumer sees it; `asked` is what it was asked for."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values
        self.asked: list[dict[str, Any]] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA

    def __dlpack__(self, **asked: Any) -> object:
        self.asked.append(asked)
        return self._values.__dlpack__(**asked)


class OldTensor:
    """One from before DLPack 1.0, which cannot be asked for a copy."""

    def __init__(self, values: NDArray[Any], device: tuple[int, int]) -> None:
        self._values = values
        self._device = device

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device

    def __dlpack__(self, *, stream: int | None = None) -> object:
        if self._device != CPU:
            raise BufferError("this tensor is on a GPU")
        return self._values.__dlpack__(stream=stream)


def test_a_gpu_tensor_is_asked_to_copy_itself_to_the_host() -> None:
    tensor = CudaTensor(np.array(ROWS, np.int64))
    assert [row.tolist() for row in source_rows(tensor, CONFIG)] == [ROWS[0][:3], ROWS[1]]
    (asked,) = tensor.asked
    assert asked["dl_device"] == CPU
    assert asked.get("stream") is None, "the producer's own stream is the one to copy on"


def test_rows_may_be_gpu_tensors() -> None:
    tensors = [CudaTensor(np.array(row, np.int32)) for row in ROWS]
    assert [row.tolist() for row in source_rows(tensors, CONFIG)] == [ROWS[0][:3], ROWS[1]]


def test_a_tensor_that_cannot_leave_its_gpu_is_a_usage_error() -> None:
    assert len(source_rows(OldTensor(np.array(ROWS), CPU), CONFIG)) == 2
    with pytest.raises(UsageError, match="src_ids cannot be read from this OldTensor: this tensor is on a GPU"):
        source_rows(OldTensor(np.array(ROWS), CUDA), CONFIG)


def test_torch_tensors_of_every_layout() -> None:
    tensor = torch.tensor(ROWS)
    for given in (tensor, tensor.int(), tensor.t().contiguous().t(), tensor.repeat_interleave(2, dim=1)[:, ::2]):
        assert [row.tolist() for row in source_rows(given, CONFIG)] == [ROWS[0][:3], ROWS[1]]
    with pytest.raises(UsageError, match="require gradient"):
        source_rows(tensor.float().requires_grad_(), CONFIG)
