"""Reads the sections of a configuration that nobody vouches for, noting everything that is wrong with it."""

from __future__ import annotations

import re
import sys

from nmt_trt.errors import ArchiveError, UnsupportedModelError

_MOST_BITS_SHOWN = 128
"""Of an integer, which Python writes in decimal up to some length only."""


class Findings:
    """Collects everything wrong with a configuration file, to tell it all at once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.unsupported: list[str] = []
        self.invalid: list[str] = []

    def report(self) -> None:
        """Raise what was found, if anything was.

        Raises:
            UnsupportedModelError: at least one option is not supported; names them all, and what is invalid too.
            ArchiveError: values are invalid; names them all.
        """
        if self.unsupported:
            reasons = "; ".join(self.unsupported + self.invalid)
            raise UnsupportedModelError(f"this model is not supported: {reasons}")
        if self.invalid:
            raise ArchiveError(f"{self.file}: {'; '.join(self.invalid)}")


class Section:
    """A mapping of the configuration; its getters note what is wrong and go on with a stand-in."""

    def __init__(self, path: str, values: dict[object, object], findings: Findings) -> None:
        self.path = path
        self.values = values
        self.findings = findings

    def section(self, key: str, *, optional: bool = False) -> Section:
        """The mapping at a key; an empty one for none."""
        value = self.values.get(key)
        if value is None and optional:
            value = {}
        if not isinstance(value, dict):
            self.invalid(key, "a section", value)
            value = {}
        return Section(f"{self.path}{key}.", value, self.findings)

    def unsupported(self, what: str) -> None:
        """Note something that nmt_trt does not have."""
        self.findings.unsupported.append(what)

    def integer(self, key: str, default: int | None = None, *, low: int = 1, high: int = 2**31 - 1) -> int:
        """An integer within bounds."""
        value = self.values.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.invalid(key, f"an integer from {low} to {high}", value)
            return default or 1
        return value

    def number(self, key: str, default: float) -> float:
        """A finite number."""
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?", value):
            value = float(value)  # NeMo's YAML reader takes 1e-3 for a number, YAML 1.1 for a string
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
            self.invalid(key, "a number", value)
            return default
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.invalid(key, "true or false", value)
            return default
        return value

    def text(self, key: str) -> str | None:
        """A string, or None."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            self.invalid(key, "a string", value)
            return None
        return value

    def languages(self, key: str) -> str | tuple[str, ...] | None:
        """A language, a list of them, or None."""
        value = self.values.get(key)
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            return tuple(value)
        if value is not None and not isinstance(value, str):
            self.invalid(key, "a language or a list of languages", value)
            return None
        return value

    def invalid(self, key: str, expected: str, value: object) -> None:
        """Note a value that is not what it should be."""
        if value is None:
            given = "is missing"
        elif isinstance(value, str):
            given = f"is {value[:100]!r}"
        elif isinstance(value, int) and value.bit_length() > _MOST_BITS_SHOWN:
            given = f"is an integer of {value.bit_length()} bits"
        elif isinstance(value, (int, float)):
            given = f"is {value}"
        else:
            given = f"is a {type(value).__name__}"
        self.findings.invalid.append(f"{self.path}{key} {given}; expected {expected}")
