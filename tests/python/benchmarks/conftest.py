"""Makes the modules of the repository's benchmarks folders importable, as running a script there does."""

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"

sys.path[:0] = [str(BENCHMARKS), str(BENCHMARKS / "gpu")]
