"""Makes the modules of the folder gpu importable."""

import sys
from pathlib import Path

_FOLDER = str(Path(__file__).resolve().with_name("gpu"))

if _FOLDER not in sys.path:
    sys.path.append(_FOLDER)
