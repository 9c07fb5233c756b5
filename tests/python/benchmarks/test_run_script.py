"""benchmarks/gpu/run.sh, with what stands for programs of a GPU machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import steps
from benchmarks.results import Results, of_kind, read

SCRIPT = Path(steps.__file__).with_name("run.sh")
SHARDS = 3
PASSED = "echo '[  PASSED  ] 5 tests.'"


def run(folder: Path, stages: str, **environment: str) -> tuple[int, Results, str]:
    """The exit status of these stages, their results and what was printed."""
    given = {**os.environ, "PYTHON": sys.executable, "BUILD_DIR": str(folder / "build"), "STAGE_SECONDS": "60"}
    command = ["bash", str(SCRIPT), "--stages", stages, "--results", str(folder / "results.jsonl")]
    done = subprocess.run(command, env=given | environment, capture_output=True, text=True, check=False)
    return done.returncode, read(folder / "results.jsonl"), done.stdout


def write_program(file: Path, commands: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{commands}\n")
    file.chmod(0o755)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--stages", "build,nonsense"], "unknown stage nonsense"),
        (["--text", "/nowhere/text"], "/nowhere/text: no such file"),
        (["--nonsense"], "unknown argument --nonsense"),
        (["--results"], "--results needs a value"),
    ],
)
def test_refuses_wrong_arguments(arguments: list[str], expected: str) -> None:
    done = subprocess.run(["bash", str(SCRIPT), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert expected in done.stderr


def test_goes_on_after_a_failing_stage(tmp_path: Path) -> None:
    status, results, printed = run(tmp_path, "sanitizer,steps", STEPS_OPTIONS="--no-such-option")
    assert status == 1
    assert {result["stage"]: result["status"] for result in of_kind(results, "stage")} == {"sanitizer": 1, "steps": 2}
    assert "no kernel tests" in printed
    assert "failed (2)" in printed


@pytest.mark.parametrize(
    ("tests", "errors"),
    [
        (f"{PASSED}; echo '==== RACECHECK SUMMARY: 0 hazards displayed'", 0),
        (f"{PASSED}; echo '==== ERROR SUMMARY: '$GTEST_SHARD_INDEX' errors'; exit $GTEST_SHARD_INDEX", 0 + 1 + 2),
        ("echo '[  PASSED  ] 0 tests.'; echo '==== ERROR SUMMARY: 0 errors'", -1),
        (f"[ $GTEST_SHARD_INDEX = 1 ] || {PASSED}; echo '==== ERROR SUMMARY: 0 errors'", 0),
        (f"{PASSED}; [ $GTEST_SHARD_INDEX = 1 ] || echo '==== ERROR SUMMARY: 0 errors'", -1),
    ],
)
def test_sanitizer_adds_up_what_the_shards_find(tmp_path: Path, tests: str, errors: int) -> None:
    binary = tmp_path / "build" / "tests" / "cpp" / "cuda" / "kernel_tests"
    write_program(binary, f"[ $GTEST_TOTAL_SHARDS = {SHARDS} ] || exit 1\n{tests}")
    write_program(tmp_path / "bin" / "compute-sanitizer", f"exec {binary}")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    status, results, _ = run(tmp_path, "sanitizer", PATH=path, PROCESSES=str(SHARDS))
    assert status == (errors != 0)
    found = {result["suite"]: result["errors"] for result in of_kind(results, "check")}
    assert found == {"memcheck, kernel_tests": errors, "racecheck, kernel_tests": errors}


@pytest.mark.parametrize(
    ("broken", "counts"), [("", (6, 0, 0)), ("[ $GTEST_SHARD_INDEX != 1 ] || exit 139", (4, 2, 1))]
)
def test_cpp_counts_the_tests_of_all_shards(tmp_path: Path, broken: str, counts: tuple[int, int, int]) -> None:
    report = '<testsuites><testsuite><testcase name="a" status="run"/></testsuite></testsuites>'
    commands = f"""{broken}
for option; do case $option in --gtest_output=xml:*) echo '{report}' > "${{option#*xml:}}" ;; esac; done"""
    for name in ("cuda/nmt_trt_cuda_tests", "nmt_trt_core_tests"):
        write_program(tmp_path / "build" / "tests" / "cpp" / name, commands)
    status, results, _ = run(tmp_path, "cpp", PROCESSES=str(SHARDS))
    (found,) = of_kind(results, "tests")
    assert (found["suite"], found["passed"], found["failed"], status) == ("C++", *counts)


def test_cpp_without_tests_is_a_failed_stage(tmp_path: Path) -> None:
    status, results, printed = run(tmp_path, "cpp")
    assert (status, of_kind(results, "tests")) == (1, [])
    assert "no C++ tests in" in printed
