"""Prints where CUDA 13's cuBLAS is: in NVIDIA's Python packages or in the CUDA toolkit; exit status 1 without one."""

from __future__ import annotations

import sys
from pathlib import Path

LIBRARY = "libcublas.so.13"


def find_cublas() -> Path | None:
    """The library, or None."""
    packages = [folder for path in sys.path for folder in Path(path or ".").glob("nvidia/*/lib")]
    for folder in (*packages, *Path("/usr/local").glob("cuda*/lib64"), Path("/usr/lib/x86_64-linux-gnu")):
        if (folder / LIBRARY).is_file():
            return (folder / LIBRARY).resolve()
    return None


if __name__ == "__main__":
    found = find_cublas()
    if found is None:
        raise SystemExit(1)
    print(found)
