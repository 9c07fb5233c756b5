"""`nmt-trt translate --document`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cli.conftest import Run
from cli.fake_model import FakeModel


@pytest.mark.parametrize("window", ["1", "3", "100"])
def test_the_structure_stays_byte_for_byte(run: Run, fake: FakeModel, window: str) -> None:
    text = b"  First one. And a second!\r\n\r\n* * *\n\tThird?  Fourth. \n\xc2\x85\x0c\n\nlast"
    result = run("translate", "--document", "--window", window, stdin=text)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout_bytes == text.upper()
    sentences = [sentence for asked in fake.asked for sentence in asked]
    assert sentences == ["First one.", "And a second!", "Third?", "Fourth.", "last"]


@pytest.mark.parametrize("text", [b"", b"\n", b" \r\n\n", b"\xef\xbb\xbf"])
def test_nothing_to_translate(run: Run, fake: FakeModel, text: bytes) -> None:
    result = run("translate", "--document", stdin=text)
    assert (result.exit_code, result.stdout_bytes) == (0, text.removeprefix(b"\xef\xbb\xbf"))


def test_files_and_options(run: Run, fake: FakeModel, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"One. Two.\n")
    arguments = ["--input", tmp_path / "in", "--output", tmp_path / "out", "--batch-type", "tokens", "--batch-size", 64]
    assert run("translate", "--document", *arguments).exit_code == 0
    assert (tmp_path / "out").read_bytes() == b"ONE. TWO.\n"
    assert (fake.options["batch_type"], fake.options["batch_size"]) == ("tokens", 64)


def test_a_sentence_that_is_too_long(run: Run, fake: FakeModel) -> None:
    fake.limit = 12
    result = run("translate", "--document", stdin=b"One. Two.\n\nShort. This is much too long.\nThree.\n")
    assert (result.exit_code, result.stdout) == (1, "ONE. TWO.\n\n")
    assert result.stderr.startswith("error: line 3: sentence 2, 'This is much too long.', has 22 tokens")


def test_the_package_is_missing(run: Run, fake: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencesplit", None)
    result = run("translate", "--document", stdin=b"a\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "pip install 'nmt_trt[documents]'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--document", "--json"], "error: --document contradicts --json"),
        (["--document", "--num-hypotheses", "2"], "error: --num-hypotheses above 1 contradicts --document"),
        (["--batch-type", "tokens"], "error: batch_type='tokens' needs batch_size"),
        (["--batch-type", "tokens", "--batch-size", "9", "--deterministic"], "contradicts deterministic=True"),
        (["--batch-type", "words"], "Invalid value for '--batch-type'"),
    ],
)
def test_contradictions(run: Run, fake: FakeModel, arguments: list[str], message: str) -> None:
    result = run("translate", *arguments, stdin=b"a\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_timings_count_lines(run: Run, fake: FakeModel) -> None:
    result = run("translate", "--document", "--timings", stdin=b"One. Two.\n\n")
    assert "2 lines, " in result.stderr
