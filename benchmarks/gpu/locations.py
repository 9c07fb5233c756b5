"""Makes the modules beside this folder importable: the CPU benchmarks', and the tests' loader of NeMo."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

for _folder in (REPOSITORY / "benchmarks", REPOSITORY / "tests" / "python"):
    if str(_folder) not in sys.path:
        sys.path.append(str(_folder))
