"""TensorRT's messages in Python's logging, and the errors among them in our own.

TensorRT uses one logger a process, the first that it is given: the builder's or the runtime's. Both speak to the
logger named here, so that a build's errors are found whichever was first.
"""

from __future__ import annotations

import logging
from collections import deque

TENSORRT_LOG = "nmt_trt.engines.tensorrt"
_KEPT = 8
_SECOND_LOGGER = "differs from one already registered"


class _ErrorKeeper(logging.Handler):
    """Keeps the last errors; being a handler, it also keeps messages that nobody asked for off stderr."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: deque[str] = deque(maxlen=_KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage().strip())


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record is more than TensorRT's remark that it goes on with the logger that it was given first."""
    return _SECOND_LOGGER not in record.getMessage()


_keeper = _ErrorKeeper()
logging.getLogger(TENSORRT_LOG).addHandler(_keeper)
logging.getLogger(TENSORRT_LOG).addFilter(_is_news)


def forget_errors() -> None:
    """Begin a piece of work whose errors are asked for later."""
    _keeper.messages.clear()


def said_errors() -> str:
    """The last errors since forget_errors()."""
    return "; ".join(dict.fromkeys(_keeper.messages)) or "it gave no reason"
