"""Count the instructions of the core's searches over fixed logits, and compare them with those recorded.

    python tools/count_instructions.py build/cpp/tests/cpp/instructions/nmt_trt_searches [--record]

valgrind's callgrind counts, the same number in every run. Its CPU has AVX2 where the machine's has, and no AVX-512, so
that machines agree; compilers, C libraries and build types do not, and each has its own record. The exit status is 1
when a case needs over 3 % more instructions than recorded, when one needs over 10 % fewer, so that the record is
stale, or when there are other cases; 77 when nothing is recorded for this build.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

RECORDS = Path(__file__).resolve().parents[1] / "tests" / "cpp" / "instructions" / "counts.json"
COUNTED = "nmt_trt::testing::run_search*"
MORE, FEWER = 0.03, 0.10
NOT_RECORDED = 77

Counts = Mapping[str, int]


def main() -> int:
    """Count; then record or compare."""
    parser = argparse.ArgumentParser(description="Count the instructions of searches and compare them with the record.")
    parser.add_argument("program", type=Path, help="nmt_trt_searches, as the C++ tests build it")
    parser.add_argument("--record", action="store_true", help=f"write the counts to {RECORDS.name}")
    parser.add_argument("--valgrind", default="valgrind", help="its path")
    arguments = parser.parse_args()
    build, *cases = run(arguments.valgrind, "--tool=none", arguments.program).stdout.splitlines()
    records: dict[str, Counts] = json.loads(RECORDS.read_text())
    again = f"record with: python {shlex.join([*sys.argv, '--record'])}"
    if build not in records and not arguments.record:
        print(f"nothing is recorded for {build}; {again}")
        return NOT_RECORDED
    counts = {case: count(arguments.valgrind, arguments.program, case) for case in cases}
    if arguments.record:
        RECORDS.write_text(json.dumps({**records, build: counts}, indent=2, sort_keys=True) + "\n")
        return 0
    problems = differences(records[build], counts)
    if problems:
        print(*problems, f"If that is meant, {again}", sep="\n")
    return 1 if problems else 0


def differences(recorded: Counts, counted: Counts) -> list[str]:
    """What is wrong with the counts, a line each."""
    problems = [f"{case}: is recorded, and no case" for case in recorded if case not in counted]
    for case, instructions in counted.items():
        before = recorded.get(case)
        if before is None:
            problems.append(f"{case}: nothing is recorded")
        elif not before * (1 - FEWER) <= instructions <= before * (1 + MORE):
            change = 100 * (instructions / before - 1)
            problems.append(f"{case}: {instructions:,} instructions, {before:,} are recorded ({change:+.1f} %)")
    return problems


def count(valgrind: str, program: Path, case: str) -> int:
    """The instructions of one case's search.

    Raises:
        RuntimeError: valgrind did not count any.
    """
    options = ["--callgrind-out-file=/dev/null", "--collect-atstart=no", f"--toggle-collect={COUNTED}"]
    report = run(valgrind, "--tool=callgrind", *options, program, case).stderr
    found = re.search(r"Collected : (\d+)", report)
    if found is None or int(found[1]) == 0:
        raise RuntimeError(f"{case}: callgrind counted nothing:\n{report}")
    return int(found[1])


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed; what it wrote."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{shlex.join(map(str, command))}: exit status {result.returncode}\n{result.stderr}")
    return result


if __name__ == "__main__":
    raise SystemExit(main())
