"""Where the TensorRT library and the engine shims are looked for."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from nmt_trt import _core
from nmt_trt.engines import library
from nmt_trt.engines.flavours import FlavourName
from nmt_trt.errors import EngineError

LIBM = "libm.so.6"
RTX = find_spec("tensorrt_rtx_libs")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of made-up Python packages; no library is known to the system."""
    names = {"libnvinfer.so.11", "libnvinfer.so.10", "libtensorrt_rtx.so.1"}
    load = ctypes.CDLL

    def refuse(name: str) -> ctypes.CDLL:
        if name in names:
            raise OSError(f"{name}: not here")
        return load(name)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if not (tmp_path / name).is_dir() else _Spec(tmp_path / name)
    )
    return tmp_path


class _Spec:
    """Stands for importlib's ModuleSpec."""

    def __init__(self, folder: Path) -> None:
        self.submodule_search_locations = [str(folder)]


def test_an_option_is_taken_as_it_is(packages: Path) -> None:
    path = packages / "libnvinfer.so.10"
    path.touch()
    assert library.find_library("tensorrt", str(path)) == str(path)
    with pytest.raises(EngineError, match="^the TensorRT library /nowhere/libnvinfer.so.10 does not exist$"):
        library.find_library("tensorrt", "/nowhere/libnvinfer.so.10")


def test_the_python_package_comes_before_the_system(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: name)
    assert library.find_library("tensorrt") == "libnvinfer.so.11"
    assert library.find_library("tensorrt-rtx") == "libtensorrt_rtx.so.1"
    (packages / "tensorrt_libs").mkdir()
    assert library.find_library("tensorrt") == "libnvinfer.so.11"
    old, new = (packages / "tensorrt_libs" / f"libnvinfer.so.{major}" for major in (10, 11))
    old.touch()
    assert library.find_library("tensorrt") == str(old)
    new.touch()
    assert library.find_library("tensorrt") == str(new)


@pytest.mark.parametrize(
    ("flavour", "looked_for"),
    [
        ("tensorrt", "tensorrt_libs.*libnvinfer.so.11: not here; libnvinfer.so.10: not here.*pip install tensorrt$"),
        ("tensorrt-rtx", "tensorrt_rtx_libs.*libtensorrt_rtx.so.1: not here.*pip install tensorrt-rtx$"),
    ],
)
def test_a_missing_library(
    packages: Path, flavour: FlavourName, looked_for: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "_shims", list)
    with pytest.raises(EngineError, match=f"^no library for {flavour}: .*{looked_for}"):
        library.find_library(flavour)


@pytest.mark.usefixtures("packages")
def test_a_library_that_this_build_fits_is_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("tensorrt_10_14", "tensorrt_10_9", "tensorrt_rtx_1_4")
    monkeypatch.setattr(library, "_shims", lambda: [f"/pkg/libnmt_trt_engine_{name}.so" for name in names])
    with pytest.raises(EngineError, match="pip install 'tensorrt>=10.14,<11'$"):
        library.find_library("tensorrt")
    with pytest.raises(EngineError, match=r"pip install 'tensorrt-rtx==1.4.\*'$"):
        library.find_library("tensorrt-rtx")


def test_shims_lie_beside_the_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "__file__", str(tmp_path / "_core.so"))
    with pytest.raises(EngineError, match=f"no engine shim .* in {re.escape(str(tmp_path))}: .*TensorRT_ROOT="):
        library.find_shims()
    names = ["libnmt_trt_engine_tensorrt_10_15.so", "libnmt_trt_engine_tensorrt_rtx_1_4.so"]
    for name in [*reversed(names), "_core.so", "libother.so"]:
        (tmp_path / name).touch()
    assert library.find_shims() == [str(tmp_path / name) for name in names]


def test_versions_of_something_else() -> None:
    with pytest.raises(EngineError, match="^libm.so.6 is not a TensorRT library: it has no getInferLibVersion$"):
        library.library_version(LIBM)
    with pytest.raises(EngineError, match="^cannot open the TensorRT library: /nowhere/libnvinfer.so.10: cannot open"):
        library.library_version("/nowhere/libnvinfer.so.10")


@pytest.mark.parametrize(
    ("number", "flavour", "version"),
    [
        (8601, "tensorrt", "8.6.1"),
        (10400, "tensorrt-rtx", "1.4.0"),
        (101401, "tensorrt", "10.14.1"),
        (110100, "tensorrt", "11.1.0"),
    ],
)
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_versions(tmp_path: Path, number: int, flavour: FlavourName, version: str) -> None:
    source, fake = tmp_path / "fake.c", tmp_path / f"libfake_{number}.so"
    source.write_text(f"int getInferLibVersion(void) {{ return {number}; }}\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(fake), str(source)], check=True)
    assert library.library_version(str(fake)) == (flavour, version)


@pytest.mark.skipif(RTX is None, reason="tensorrt-rtx is not installed")
def test_the_installed_library() -> None:
    path = library.find_library("tensorrt-rtx")
    assert Path(path).name == "libtensorrt_rtx.so.1"
    flavour, version = library.library_version(path)
    assert flavour == "tensorrt-rtx"
    assert re.fullmatch(r"1\.\d+\.\d+", version)
