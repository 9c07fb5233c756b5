"""Checks of single options, with the messages that users see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nmt_trt.errors import UsageError


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


def as_tokens(name: str, given: Any) -> tuple[int, ...]:
    """Token ids as a tuple of plain integers.

    Raises:
        UsageError: they are not whole numbers, or negative.
    """
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise UsageError(f"{name} must be a list of token ids; given {given!r}")
    tokens = tuple(token.item() if hasattr(token, "item") else token for token in given)
    for token in tokens:
        check_range(f"each token of {name}", token, 0, None)
        if token is None:
            raise UsageError(f"each token of {name} must be a number; given None")
    return tokens
