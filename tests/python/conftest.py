"""Shared by all Python tests."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def thorough() -> bool:
    """Whether the long versions of the tests were asked for (`make test-all`)."""
    return os.environ.get("NMT_TRT_TEST_ALL") == "1"
