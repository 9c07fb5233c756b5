"""What a results file of benchmarks/gpu holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Results = list[dict[str, Any]]


def read(path: Path) -> Results:
    return [json.loads(line) for line in path.read_text().splitlines()]


def of_kind(results: Results, kind: str) -> Results:
    return [result for result in results if result["kind"] == kind]
