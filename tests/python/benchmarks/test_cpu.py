"""The CPU benchmark runs from the command line and reports on every system."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.models import write_ending_model

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "cpu.py"


def test_reports_all_systems(tmp_path: Path) -> None:
    write_ending_model(tmp_path / "model", 1, causal_encoder=False)
    arguments = ["--model", "model", "--sentences", "8", "--batch-size", "4", "--threads", "1"]
    arguments += ["--repeats", "1", "--max-length", "20", "--profile", "--json", "report.json"]
    command = [sys.executable, str(SCRIPT), *arguments]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr

    report = json.loads((tmp_path / "report.json").read_text())
    ours, baseline, *others = report["systems"].values()
    assert ours["agreement"] == baseline["agreement"] == 1.0
    assert len(others) == 2 and all(other["seconds"] > 0 for other in others)
    assert {"encoder session", "decoder session", "search (C++)"} <= report["parts"].keys()
    assert all("Gemm" in operators for operators in report["operators"].values())


def test_random_sources_end_with_eos() -> None:
    from cpu import _random_rows

    rows = _random_rows(vocabulary=50, eos=3, count=20)
    assert len(rows) == 20
    assert all(row[-1] == 3 and row.size > 3 and row.max() < 50 for row in rows)
