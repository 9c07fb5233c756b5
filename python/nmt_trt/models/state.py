"""Checks of a checkpoint's tensors against what a model needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from nmt_trt.errors import ArchiveError
from nmt_trt.models.storage import Array
from nmt_trt.models.weights import Shapes

Weights = dict[str, npt.NDArray[np.float32]]
_LISTED = 20


def tensor_problems(
    state: Mapping[str, Array], expected: Shapes, *, optional: Collection[str] = (), unused: Collection[str] = ()
) -> list[str]:
    """What keeps a state dict from being exactly the expected one: names, shapes, types, values that are not finite.

    Args:
        state: the tensors of the checkpoint.
        expected: shapes by name.
        optional: expected names that may be missing.
        unused: names that may be there besides, whatever they hold.
    """
    problems = [f"{name} is missing" for name in expected if name not in state and name not in optional]
    problems += [f"{name} is unexpected" for name in state if name not in expected and name not in unused]
    for name in expected:
        if name not in state:
            continue
        array = state[name]
        if array.shape != expected[name]:
            problems.append(f"{name} has the shape {list(array.shape)}; expected {list(expected[name])}")
        elif array.dtype.kind != "f":
            problems.append(f"{name} has the type {array.dtype}; expected floating point")
        elif not np.isfinite(float32(array)).all():
            problems.append(f"{name} holds values that are not finite in float32")
    return problems


def refuse_weights(file: str, problems: list[str]) -> None:
    """Raise ArchiveError with what is wrong with a file of weights, if anything is."""
    if problems:
        more = f"; and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        raise ArchiveError(f"{file} does not fit the model: {'; '.join(problems[:_LISTED])}{more}")


def float32(array: Array) -> npt.NDArray[np.float32]:
    """The values in float32; infinite where they are too large."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)
