"""Which importer takes a checkpoint, and downloads by name."""

from __future__ import annotations

import fnmatch
import shutil
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from nmt_trt import build
from nmt_trt.errors import ArchiveError, DownloadError, MissingDependencyError
from nmt_trt.inspection import inspect_path
from nmt_trt.model_directory import read_config
from nmt_trt.models.importing import import_checkpoint
from random_marian import write_random_marian
from random_models import write_random_model

NAME = "owner/opus-mt-en-de"


class Hub:
    """In place of huggingface_hub.snapshot_download: copies the files that are asked for."""

    def __init__(self, source: Path, cache: Path) -> None:
        self.source, self.cache = source, cache
        self.calls: list[list[str]] = []

    def __call__(self, name: str, *, allow_patterns: list[str]) -> str:
        assert name == NAME
        self.calls.append(allow_patterns)
        self.cache.mkdir(exist_ok=True)
        for path in self.source.iterdir():
            if any(fnmatch.fnmatch(path.name, pattern) for pattern in allow_patterns):
                shutil.copy(path, self.cache)
        return str(self.cache)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    write_random_marian(tmp_path / "remote", 1)
    (tmp_path / "remote" / "tf_model.h5").write_bytes(b"not needed")
    hub = Hub(tmp_path / "remote", tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    monkeypatch.chdir(tmp_path)
    return hub


def test_a_name_is_downloaded(hub: Hub) -> None:
    config = import_checkpoint(NAME).config
    assert config.provenance is not None and config.provenance.file == NAME
    assert sorted(path.name for path in hub.cache.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
    ]


def test_torch_weights_are_downloaded_only_without_safetensors(hub: Hub) -> None:
    (hub.source / "pytorch_model.bin").write_bytes(b"not needed")
    import_checkpoint(NAME)
    assert not (hub.cache / "pytorch_model.bin").exists()
    shutil.rmtree(hub.cache)
    (hub.source / "model.safetensors").unlink()
    with pytest.raises(ArchiveError, match=f"{NAME}: pytorch_model.bin: is not a PyTorch checkpoint"):
        import_checkpoint(NAME)


def test_a_local_path_goes_before_a_name(hub: Hub) -> None:
    shutil.copytree(hub.source, NAME)
    assert import_checkpoint(NAME).config.provenance is not None
    assert not hub.calls


def test_no_network_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: Any) -> str:
        raise OSError("Name or service\nnot known")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DownloadError, match=f"^{NAME}: there is no such file or directory, and .* service not known"):
        import_checkpoint(NAME)


def test_a_missing_package_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        MissingDependencyError,
        match=r"owner/opus-mt-en-de: there is no such file .*; downloading it needs .*nmt_trt\[hub\]",
    ):
        import_checkpoint(NAME)


@pytest.mark.parametrize("name", ["model.nemo", "folder/model.nemo", "a/b/c", "../model", "nothing"])
def test_what_cannot_be_a_name_is_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArchiveError, match="cannot be read: No such file"):
        import_checkpoint(name)


def test_a_model_directory_is_no_checkpoint(tmp_path: Path) -> None:
    config = write_random_model(tmp_path / "model", 0)
    with pytest.raises(ArchiveError, match="no checkpoint; expected a config.json with a model_type"):
        import_checkpoint(tmp_path / "model")
    with pytest.raises(ArchiveError, match="a model directory already; build its engines: nmt-trt build"):
        build(tmp_path / "model", tmp_path / "other")
    assert inspect_path(tmp_path / "model").config == config == read_config(tmp_path / "model")
