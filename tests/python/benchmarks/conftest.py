"""Makes the modules of the repository's benchmarks folder importable, as running a script there does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))
