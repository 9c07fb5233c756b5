"""Where the bundled model's directory is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from importing.nemo_archives import write_random_nemo
from nmt_trt import demo
from nmt_trt.gpu import Gpu
from nmt_trt.model_directory import CONFIG_FILE


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny archive in place of the bundled one, and a cache folder of this test's own; no GPU."""
    path = write_random_nemo(tmp_path / "demo.nemo", seed=3).path

    def no_gpu() -> list[Gpu]:
        raise OSError("no NVIDIA driver (libcuda)")

    monkeypatch.setattr(demo, "demo_archive", lambda: path)
    monkeypatch.setattr(demo, "find_gpus", no_gpu)
    monkeypatch.setenv("NMT_TRT_CACHE", str(tmp_path / "cache"))
    return path


def test_the_directory_is_made_once(archive: Path, tmp_path: Path) -> None:
    directory = demo.demo_directory()
    assert directory.parent == tmp_path / "cache" and (directory / CONFIG_FILE).is_file()
    (directory / "mark").touch()
    assert demo.demo_directory() == directory and (directory / "mark").exists()


def test_another_archive_or_other_code_makes_another(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = demo.demo_directory()
    package = tmp_path / "package"
    (package / "export").mkdir(parents=True)
    (package / "export" / "decoder.py").write_text("one way to write it")
    monkeypatch.setattr(demo, "__file__", str(package / "demo.py"))
    second = demo.demo_directory()
    (package / "export" / "decoder.py").write_text("another way to write it")
    third = demo.demo_directory()
    archive.write_bytes(write_random_nemo(tmp_path / "other.nemo", seed=4).path.read_bytes())
    assert len({first, second, third, demo.demo_directory()}) == 4


def test_a_machine_with_a_gpu_gets_fp16_too(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_cpu = demo.demo_directory()
    assert not (on_cpu / "encoder.fp16.onnx").exists()
    monkeypatch.setattr(demo, "find_gpus", lambda: [Gpu("GPU", 1 << 30, (9, 0))])
    on_gpu = demo.demo_directory()
    assert on_gpu != on_cpu and (on_gpu / "encoder.fp16.onnx").is_file()
