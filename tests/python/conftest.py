"""Shared by all Python tests."""

from __future__ import annotations

import os
import signal

import pytest

from nmt_trt.engines.flavours import Flavour, load_flavour
from nmt_trt.errors import EngineError


def pytest_configure() -> None:
    """A shell's background job ignores Ctrl-C; what tests start must not inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def thorough() -> bool:
    """Whether the long versions of the tests were asked for (`make test-all`)."""
    return os.environ.get("NMT_TRT_TEST_ALL") == "1"


@pytest.fixture(scope="session")
def rtx() -> Flavour:
    """TensorRT-RTX, which builds plans without a GPU, if it is installed."""
    try:
        return load_flavour("tensorrt-rtx")
    except EngineError as error:
        pytest.skip(str(error))
