"""For tests of processes: a model that translates, and waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import nmt_trt
from importing.nemo_archives import write_random_nemo

PATIENCE = 60
"""Seconds that are waited for another process, at most."""


def write_translator(folder: Path) -> Path:
    """The directory of a random model with tokenizers."""
    nmt_trt.build(write_random_nemo(folder / "tiny.nemo", seed=3).path, folder / "model")
    return folder / "model"


def alive(pid: int) -> bool:
    """Whether a process runs: one that has ended may be there until it is asked after."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
