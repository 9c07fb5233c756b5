"""Where the package keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """The user's own cache folder; NMT_TRT_CACHE names another place."""
    return Path(os.environ.get("NMT_TRT_CACHE") or user_cache_path("nmt_trt"))
