"""Checks of single options, with the messages that users see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nmt_trt.errors import UsageError

LEAST_FACTOR = 1e-6
"""Of what scores are multiplied with or divided by: less may leave no float32."""


def check_range(name: str, value: Any, low: float | None, high: float | None, *, whole: bool = True) -> None:
    """Raise UsageError unless `value` is None, or a (whole) number from `low` to `high`, where these are given."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError(f"{name} must be a number; given {value!r}")
    if whole and not isinstance(value, int):
        raise UsageError(f"{name} must be a whole number; given {value!r}")
    if low is None:
        return
    if not (value >= low and (high is None or value <= high)):
        bounds = f"from {low} to {high}" if high is not None else f"at least {low}"
        raise UsageError(f"{name} must be {bounds}; given {value!r}")


def check_number(name: str, value: Any, low: float | None, high: float | None, *, whole: bool = True) -> None:
    """check_range() of what must not be None."""
    if value is None:
        raise UsageError(f"{name} must be a number; given None")
    check_range(name, value, low, high, whole=whole)


def plain(value: Any) -> Any:
    """The Python number of a scalar of numpy or torch; anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () else value


def check_flag(name: str, value: Any) -> None:
    """Raise UsageError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise UsageError(f"{name} must be True or False; given {value!r}")


def as_tokens(name: str, given: Any) -> tuple[int, ...]:
    """Token ids as a tuple of plain integers.

    Raises:
        UsageError: they are not whole numbers, or negative.
    """
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise UsageError(f"{name} must be a list of token ids; given {given!r}")
    tokens = tuple(map(plain, given))
    for token in tokens:
        check_number(f"each token of {name}", token, 0, None)
    return tokens
