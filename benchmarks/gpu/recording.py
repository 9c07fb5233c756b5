"""The results file: one JSON object a line, appended as soon as it is known, so that nothing is lost when a later
measurement fails.

    python benchmarks/gpu/recording.py --results FILE --stage build --status 0 --seconds 81.2
    python benchmarks/gpu/recording.py --results FILE --stage tests --suite cpp --junit report.xml more.xml
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import locations  # noqa: F401  (makes machine importable)
from machine import processor

PACKAGES = (
    "nmt_trt",
    "numpy",
    "onnxruntime",
    "torch",
    "transformers",
    "ctranslate2",
    "sacrebleu",
    "tensorrt",
    "tensorrt-rtx",
)
GPU_FIELDS = ("name", "compute_cap", "driver_version", "memory.total")


class Recorder:
    """Appends the results of one stage to a file, and says on the terminal what it appends."""

    def __init__(self, path: Path | None, stage: str) -> None:
        """`path` None only prints."""
        self._path, self._stage = path, stage
        self.failures = 0
        self.added: list[dict[str, Any]] = []
        """What was appended so far."""

    def add(self, kind: str, **fields: Any) -> None:
        """Append one line: the stage, the kind of result, and its fields."""
        self.added.append({"stage": self._stage, "kind": kind, **fields})
        line = json.dumps(self.added[-1], ensure_ascii=False)
        print(line, flush=True)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def add_environment(self, **settings: Any) -> None:
        """Append what the numbers belong to: GPU, driver, processor, versions, and the stage's settings."""
        self.add("environment", **environment(), settings=settings)

    @contextmanager
    def guard(self, what: str) -> Iterator[None]:
        """Record an exception of the block as an error of `what` and go on."""
        try:
            yield
        except Exception as error:
            self.failures += 1
            message = f"{type(error).__name__}: {error}"
            self.add("error", what=what, error=message[:2000], trace=traceback.format_exc()[-6000:])


def environment() -> dict[str, Any]:
    """The machine and the software."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "gpu": gpu_fields(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def gpu_fields() -> dict[str, str] | None:
    """What nvidia-smi says of the first GPU; None without one."""
    command = ["nvidia-smi", f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,noheader"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        values = run.stdout.splitlines()[0].split(", ")
    except (OSError, subprocess.SubprocessError, IndexError):
        return None
    return dict(zip(GPU_FIELDS, values, strict=False))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def count_tests(reports: Sequence[Path]) -> dict[str, Any]:
    """Passed, failed and skipped tests of JUnit XML files, and the names of those that failed."""
    counts, failed = {"passed": 0, "failed": 0, "skipped": 0}, []
    for case in chain.from_iterable(ElementTree.parse(report).iter("testcase") for report in reports):
        if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
            counts["failed"] += 1
            failed.append(f"{case.get('classname')}.{case.get('name')}")
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            counts["skipped"] += 1
        else:
            counts["passed"] += 1
    return {**counts, "failures": failed[:50]}


def main() -> None:
    """Append a line from a shell script."""
    parser = argparse.ArgumentParser(description="Append one result to a results file.")
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--status", type=int, help="exit status of the whole stage")
    parser.add_argument("--seconds", type=float, help="how long the stage took")
    parser.add_argument("--suite", help="name of the tests that --junit reports on")
    parser.add_argument("--junit", type=Path, nargs="+", help="JUnit XML files to count")
    parser.add_argument("--errors", type=int, help="errors that a checker of --suite found")
    parser.add_argument("--environment", action="store_true", help="append the machine and the versions")
    arguments = parser.parse_args()
    recorder = Recorder(arguments.results, arguments.stage)
    if arguments.environment:
        recorder.add_environment()
    if arguments.junit is not None:
        with recorder.guard(arguments.suite):
            recorder.add("tests", suite=arguments.suite, **count_tests(arguments.junit))
    if arguments.errors is not None:
        recorder.add("check", suite=arguments.suite, errors=arguments.errors)
    if arguments.status is not None:
        recorder.add("stage", status=arguments.status, seconds=arguments.seconds)


if __name__ == "__main__":
    main()
