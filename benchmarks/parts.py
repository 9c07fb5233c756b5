"""Where this package's own time goes: by part of the runtime, and by ONNX operator.

Both measure a run of their own, whose clocks cost a little; the seconds that cpu.py compares come from runs without
them."""

from __future__ import annotations

import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import onnxruntime as ort

from nmt_trt import _core
from nmt_trt.model_directory import graph_file
from nmt_trt.runtime import onnx_model, onnxruntime_backend
from nmt_trt.runtime.decoder_state import DecoderState
from systems import Ours

Seconds = dict[str, float]
CACHE = "cache growth and compaction"
SEARCH = "search (C++)"
SESSIONS = {"_encoder": "encoder session", "_decoder": "decoder session"}
REST = "Python and binding"


def measure_parts(system: Ours) -> Seconds:
    """Seconds of each part of one run."""
    spent: Seconds = defaultdict(float)
    model: Any = _onnx_model(system)

    class TimedState(DecoderState):
        def keep_rows(self, *arguments: Any) -> None:
            with _clock(spent, CACHE):
                super().keep_rows(*arguments)

        def reshape(self, *arguments: Any) -> None:
            with _clock(spent, CACHE):
                super().reshape(*arguments)

    def timed_search(**options: Any) -> _Timed:
        return _Timed(_core.BeamSearch(**options), spent, SEARCH)

    sessions: dict[str, Any] = {name: _Timed(getattr(model, name), spent, label) for name, label in SESSIONS.items()}
    with (
        mock.patch.multiple(model, **sessions),
        mock.patch.object(onnx_model, "DecoderState", TimedState),
        mock.patch.object(onnxruntime_backend, "_core", SimpleNamespace(BeamSearch=timed_search)),
    ):
        started = time.perf_counter()
        system.run()
        total = time.perf_counter() - started
    return {**_sorted(spent), REST: total - sum(spent.values())}


def measure_operators(system: Ours) -> dict[str, Seconds]:
    """Seconds of each ONNX operator type in one run, by session (ONNX Runtime's own profiler)."""
    model: Any = _onnx_model(system)
    with tempfile.TemporaryDirectory() as folder:
        sessions: dict[str, Any] = {
            name: _profiled_session(system.job.directory, name.strip("_"), system.job.threads, folder)
            for name in SESSIONS
        }
        with mock.patch.multiple(model, **sessions):
            system.run()
        return {SESSIONS[name]: _operator_seconds(session.end_profiling()) for name, session in sessions.items()}


def _onnx_model(system: Ours) -> Any:
    """What has the sessions of the system's model."""
    backend: Any = system.model._backend
    return backend._models[0]


class _Timed:
    """Stands for an object and clocks every method call on it."""

    def __init__(self, target: Any, spent: Seconds, label: str) -> None:
        self._target, self._spent, self._label = target, spent, label

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value) or name == "io_binding":
            return value

        def call(*arguments: Any, **named: Any) -> Any:
            with _clock(self._spent, self._label):
                return value(*arguments, **named)

        return call


@contextmanager
def _clock(spent: Seconds, label: str) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        spent[label] += time.perf_counter() - started


def _profiled_session(directory: Path, name: str, threads: int, folder: str) -> ort.InferenceSession:
    """The backend's own session, with ONNX Runtime's profiler on."""
    make = ort.SessionOptions

    def profiling_options() -> ort.SessionOptions:
        options = make()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / name)
        return options

    with mock.patch.object(ort, "SessionOptions", profiling_options):
        return onnx_model._session(directory / graph_file(name), threads)


def _operator_seconds(profile: str) -> Seconds:
    spent: Seconds = defaultdict(float)
    for event in json.loads(Path(profile).read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"] / 1e6
    return _sorted(spent)


def _sorted(spent: Seconds) -> Seconds:
    """The parts, longest first."""
    return dict(sorted(spent.items(), key=lambda item: -item[1]))
