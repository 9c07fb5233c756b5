"""Checkpoints in PyTorch's format from before version 1.6: read exactly, or refused with one clear error."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch

from importing.nemo_archives import checkpoint_bytes
from importing.test_checkpoint import MATRIX, TENSORS, read
from nmt_trt.errors import ArchiveError
from nmt_trt.models.legacy_checkpoint import LEGACY_MAGIC

TYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.uint8, torch.bool)


def legacy(value: object) -> bytes:
    return checkpoint_bytes(value, zip_format=False)


def pickles(data: bytes) -> list[bytes]:
    """The five pickles at the beginning of a file, and the rest of it."""
    stream, parts = io.BytesIO(data), []
    for _ in range(5):
        start = stream.tell()
        for _ in pickletools.genops(stream):
            pass
        parts.append(data[start : stream.tell()])
    return [*parts, data[stream.tell() :]]


def test_every_kind_of_view() -> None:
    result = read(legacy(TENSORS))
    assert list(result) == list(TENSORS)
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(result[name], tensor.detach().numpy(), strict=True)
        assert result[name].flags.c_contiguous and not result[name].flags.writeable


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_every_dtype_is_as_in_the_newer_format(dtype: torch.dtype) -> None:
    state = {"a": torch.tensor([[0, 1, 2], [3, 100, 1]]).to(dtype)}
    np.testing.assert_array_equal(read(legacy(state))["a"], read(checkpoint_bytes(state))["a"], strict=True)


def test_a_module_with_tied_tensors() -> None:
    state = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.LayerNorm(4)).state_dict()
    state["tied"] = state["0.weight"]
    result = read(legacy(state))
    assert result.keys() == state.keys()
    assert all(np.array_equal(result[name], tensor.numpy()) for name, tensor in state.items())


def test_a_file_may_end_nowhere() -> None:
    data = legacy({"a": MATRIX, "b": MATRIX * 2})
    for size in range(len(LEGACY_MAGIC), len(data)):
        with pytest.raises(ArchiveError, match="^weights: "):
            read(data[:size])


def test_damaged_bytes_are_an_error_or_other_numbers() -> None:
    data, rng = legacy({"a": MATRIX, "b": MATRIX[:2]}), np.random.default_rng(0)
    for _ in range(2000):
        damaged = bytearray(data)
        for place in rng.integers(len(LEGACY_MAGIC), len(data), 2):
            damaged[place] = rng.integers(256)
        with suppress(ArchiveError):
            read(bytes(damaged))


class Hostile:
    """Unpickling this would run a command."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch /tmp/never",)


def shared_tuples() -> tuple[Any, ...]:
    """Small, but without end when it is written out."""
    value: tuple[Any, ...] = ()
    for _ in range(60):
        value = (value, value)
    return value


CHANGES: dict[str, tuple[int, Any]] = {
    "has the version 1002": (1, 1002),
    "was written on a machine of another byte order": (2, {"little_endian": False}),
    "expected a state dict": (3, [1, 2]),
    "its list of storages is not that of its tensors": (4, ["0"]),
    "its list of storages is none": (4, [shared_tuples()]),
    "has the version tuple": (1, shared_tuples()),
    "the pickle refers to posix.system": (2, Hostile()),
}


@pytest.mark.parametrize("message", CHANGES)
def test_what_is_not_a_state_dict_is_refused(message: str) -> None:
    parts = pickles(legacy({"a": MATRIX}))
    place, value = CHANGES[message]
    parts[place] = pickle.dumps(value, protocol=2)
    with pytest.raises(ArchiveError, match=f"^weights: {message}"):
        read(b"".join(parts))
