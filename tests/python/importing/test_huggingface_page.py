"""The examples of docs/hugging-face.md run as they stand, with tiny checkpoints of the names that they use."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from importing.marian_checkpoints import write_marian_with_text
from importing.multilingual_checkpoints import write_with_text
from nmt_trt.cli.app import app
from nmt_trt.models import importing

PAGE = Path(__file__).parents[3] / "docs" / "hugging-face.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the checkpoints, which are also what is downloaded."""
    checkpoints: dict[str, Callable[[Path], object]] = {
        "opus-mt-en-de": write_marian_with_text,
        "nllb-200-distilled-600M": lambda path: write_with_text(path, "NllbTokenizer"),
    }
    for name, write in checkpoints.items():
        write(tmp_path / name)
    monkeypatch.setattr(importing, "download", lambda name: tmp_path / name.split("/")[1])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_the_python_examples_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks("python")
    exec(example, {})
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert sorted(path.name for path in (folder / "nllb").glob("*.json")) == ["config.json", "vocab.json"]


def test_the_commands_run(folder: Path) -> None:
    (example,) = blocks("")[:1]
    lines = [line.split("#")[0].split(" < ")[0] for line in example.splitlines() if line]
    assert len(lines) == 5
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "nmt-trt"
        forced = ["--force"] if arguments[0] == "build" else ["--max-length", "9"]
        result = CliRunner().invoke(app, [*arguments, *forced], input="The old harbour\n")
        assert result.exit_code == 0, result.output
        assert arguments[0] == "build" or len(result.stdout.splitlines()) == 1


def test_a_missing_language_is_one_clear_error(folder: Path) -> None:
    CliRunner().invoke(app, ["build", "nllb-200-distilled-600M", "nllb"])
    missing = CliRunner().invoke(app, ["translate", "nllb"], input="The old harbour\n")
    assert missing.exit_code != 0
    assert "this model has several source languages; choose one of ace_Arab, " in missing.stderr
    unknown = CliRunner().invoke(app, ["translate", "nllb", "--target-language", "german"], input="The old harbour\n")
    assert "target language must be one of " in unknown.stderr and "(202 in all); given 'german'" in unknown.stderr


def test_inspect_cuts_the_languages(folder: Path) -> None:
    shown = CliRunner().invoke(app, ["inspect", str(folder / "nllb-200-distilled-600M")], env={"COLUMNS": "500"}).stdout
    (languages,) = re.findall(r"^languages +(.*)$", shown, re.MULTILINE)
    side = "ace_Arab or ace_Latn or acm_Arab or acq_Arab or aeb_Arab or afr_Latn or ajp_Arab or aka_Latn or ... (202)"
    assert languages.split(" -> ") == [side, side]
