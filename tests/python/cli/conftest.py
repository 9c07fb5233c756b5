"""The command line run in this process, with a fake model or a tiny real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.fake_model import FakeModel
from importing.nemo_archives import write_random_nemo
from nmt_trt import build
from nmt_trt.cli.app import app

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of this test session's own."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Run:
    """Run a command line; the result has `exit_code`, `stdout`, `stdout_bytes` and `stderr`."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NMT_TRT_CACHE", str(cache))

    def invoke(*arguments: object, stdin: str | bytes = b"") -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """What every command loads instead of a model."""
    model = FakeModel()
    monkeypatch.setattr("nmt_trt.cli.session.load", lambda *_, **__: model)
    return model


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random NeMo archive."""
    return write_random_nemo(tmp_path_factory.mktemp("archive") / "tiny.nemo", seed=3).path


@pytest.fixture(scope="session")
def model_dir(archive: Path) -> Path:
    """The model directory of that archive."""
    build(archive, archive.with_name("model"))
    return archive.with_name("model")
