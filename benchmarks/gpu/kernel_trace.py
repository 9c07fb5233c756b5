"""What the GPU did in a run, by kernel, from the trace that torch.profiler writes."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ON_GPU = ("kernel", "gpu_memcpy", "gpu_memset")
"""The trace's categories of what runs on the GPU."""
OTHERS = "other kernels of the engines"
_OWN = re.compile(r"nmt_trt::.*?(\w+)_kernel\b")
_FAMILIES = (
    ("matrix products", re.compile(r"gemm|gemv|cutlass|xmma|nvjet|splitk|cublas", re.IGNORECASE)),
    ("clearing memory", re.compile(r"^Memset")),
    ("copies", re.compile(r"^Memcpy")),
)


@dataclass(frozen=True)
class Kernel:
    """One kernel's share: how often it ran, and its microseconds in all.

    A kernel may begin while those before it run, and wait for them. Time in which several run counts for the one that
    ends first, so that the kernels' times add up to the time in which any ran.
    """

    count: float
    us: float


@dataclass(frozen=True)
class Trace:
    """What the GPU did: its kernels by name, and the µs from the first one's beginning to the last one's end."""

    kernels: Mapping[str, Kernel]
    span_us: float

    @property
    def busy_us(self) -> float:
        """Microseconds in which a kernel ran."""
        return sum(kernel.us for kernel in self.kernels.values())


def read_trace(path: Path, categories: Iterable[str] = ON_GPU) -> Trace:
    """Read a trace file of the profiler."""
    events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    return trace_of([event for event in events if event.get("ph") == "X" and event.get("cat") in set(categories)])


def trace_of(events: list[dict[str, Any]]) -> Trace:
    """The trace of events that have a `name`, and begin at `ts` and last `dur` microseconds."""
    times: dict[str, list[float]] = defaultdict(list)
    busy: list[tuple[float, float]] = []  # apart from each other and in order
    for event in sorted(events, key=lambda event: event["ts"] + event["dur"]):
        begin, end, us = event["ts"], event["ts"] + event["dur"], event["dur"]
        joined = begin
        while busy and busy[-1][1] > begin:
            earlier, until = busy.pop()
            us -= until - max(earlier, begin)
            joined = min(joined, earlier)
        busy.append((joined, end))
        times[event["name"]].append(us)
    kernels = {name: Kernel(len(found), sum(found)) for name, found in times.items()}
    return Trace(kernels, busy[-1][1] - busy[0][0] if busy else 0.0)


def mean_step(long: Sequence[Trace], short: Sequence[Trace], steps: int) -> Trace:
    """One step of a run: what long runs have beyond as many short ones, which make `steps` fewer steps each.

    Kernels that run as often in both are no step's, and left out; those that take longest come first.
    """
    beyond: dict[str, Kernel] = {}
    for sign, traces in ((1, long), (-1, short)):
        for trace in traces:
            for name, kernel in trace.kernels.items():
                known = beyond.get(name, Kernel(0, 0.0))
                beyond[name] = Kernel(known.count + sign * kernel.count, known.us + sign * kernel.us)
    count = steps * len(long)
    span = sum(trace.span_us for trace in long) - sum(trace.span_us for trace in short)
    ordered = sorted(beyond.items(), key=lambda item: -item[1].us)
    found = {name: Kernel(kernel.count / count, kernel.us / count) for name, kernel in ordered if kernel.count}
    return Trace(found, span / count)


def family(name: str) -> str:
    """What a kernel does: one of this package's own by its name, or what its name tells."""
    if own := _OWN.search(name):
        return own.group(1).replace("_", " ")
    return next((said for said, pattern in _FAMILIES if pattern.search(name)), OTHERS)
