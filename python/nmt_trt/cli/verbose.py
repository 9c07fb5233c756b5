"""Shows what TensorRT says."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGER = "nmt_trt.engines"


@contextmanager
def engine_log(*, shown: bool) -> Iterator[None]:
    """Write the log of engines, TensorRT's own messages included, to stderr while the block runs."""
    if not shown:
        yield
        return
    logger, handler = logging.getLogger(_LOGGER), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
